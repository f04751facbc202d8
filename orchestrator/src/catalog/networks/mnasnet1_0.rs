//! MnasNet 1.0: Tan et al., MnasNet: Platform-Aware Neural Architecture Search for Mobile, 2018, arXiv:1807.11626,
//! figure 7.
//!
//! This is MnasNet-B1 (without squeeze-and-excitation), as in torchvision, of which the published numbers are.

use super::builder::{Builder, Conv, RESIDUAL_GAIN, Tensor};
use super::graph::Network;

/// Blocks of one kind.
struct Stage {
    /// Channels that come out.
    channels: u64,
    /// Side of the kernel.
    kernel: u64,
    /// Stride of the first; the others have 1.
    stride: u64,
    /// Channels inside a block for one that goes in.
    expansion: u64,
    /// How many.
    blocks: u64,
}

/// The stages of the figure.
const STAGES: [Stage; 6] = [
    Stage { channels: 24, kernel: 3, stride: 2, expansion: 3, blocks: 3 },
    Stage { channels: 40, kernel: 5, stride: 2, expansion: 3, blocks: 3 },
    Stage { channels: 80, kernel: 5, stride: 2, expansion: 6, blocks: 3 },
    Stage { channels: 96, kernel: 3, stride: 1, expansion: 6, blocks: 2 },
    Stage { channels: 192, kernel: 5, stride: 2, expansion: 6, blocks: 4 },
    Stage { channels: 320, kernel: 3, stride: 1, expansion: 6, blocks: 1 },
];

pub(super) fn build() -> Network {
    let (mut net, input) = Builder::new("mnasnet1_0", 180_711_626, 224);
    let x = conv_relu(&mut net, &input, Conv::same(32, 3).stride(2));
    let x = conv_relu(&mut net, &x, Conv::same(32, 3).groups(32));
    let mut x = net.conv_bn(&x, Conv::same(16, 1));
    for Stage { channels, kernel, stride, expansion, blocks } in STAGES {
        for block in 0..blocks {
            let depthwise = Conv::same(x.channels() * expansion, kernel).stride(if block == 0 { stride } else { 1 });
            x = inverted_residual(&mut net, &x, depthwise.groups(x.channels() * expansion), channels, block > 0);
        }
    }
    let x = conv_relu(&mut net, &x, Conv::same(1280, 1));
    net.classifier(&x)
}

fn inverted_residual(net: &mut Builder, input: &Tensor, depthwise: Conv, channels: u64, residual: bool) -> Tensor {
    let expanded = conv_relu(net, input, Conv::same(depthwise.channels(), 1));
    let filtered = conv_relu(net, &expanded, depthwise);
    if residual {
        let projected = net.conv_bn(&filtered, Conv::same(channels, 1).gain(RESIDUAL_GAIN));
        net.add(&projected, input)
    } else {
        net.conv_bn(&filtered, Conv::same(channels, 1))
    }
}

fn conv_relu(net: &mut Builder, input: &Tensor, conv: Conv) -> Tensor {
    let x = net.conv_bn(input, conv);
    net.relu(&x)
}
