//! MobileNetV2: Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, 2018, arXiv:1801.04381, table
//! 2.

use super::builder::{Builder, Conv, RESIDUAL_GAIN, Tensor};
use super::graph::Network;

/// Blocks of one kind.
struct Stage {
    /// Channels inside a block for one that goes in.
    expansion: u64,
    /// Channels that come out.
    channels: u64,
    /// How many.
    blocks: u64,
    /// Stride of the first; the others have 1.
    stride: u64,
}

/// The rows of the table: t, c, n, s.
const STAGES: [Stage; 7] = [
    Stage { expansion: 1, channels: 16, blocks: 1, stride: 1 },
    Stage { expansion: 6, channels: 24, blocks: 2, stride: 2 },
    Stage { expansion: 6, channels: 32, blocks: 3, stride: 2 },
    Stage { expansion: 6, channels: 64, blocks: 4, stride: 2 },
    Stage { expansion: 6, channels: 96, blocks: 3, stride: 1 },
    Stage { expansion: 6, channels: 160, blocks: 3, stride: 2 },
    Stage { expansion: 6, channels: 320, blocks: 1, stride: 1 },
];

pub(super) fn build() -> Network {
    let (mut net, input) = Builder::new("mobilenet_v2", 180_104_381, 224);
    let mut x = conv_relu6(&mut net, &input, Conv::same(32, 3).stride(2));
    for Stage { expansion, channels, blocks, stride } in STAGES {
        for block in 0..blocks {
            x = inverted_residual(&mut net, &x, expansion, channels, if block == 0 { stride } else { 1 });
        }
    }
    let x = conv_relu6(&mut net, &x, Conv::same(1280, 1));
    net.classifier(&x)
}

fn inverted_residual(net: &mut Builder, input: &Tensor, expansion: u64, channels: u64, stride: u64) -> Tensor {
    let hidden = input.channels() * expansion;
    let expanded = if expansion == 1 { input.clone() } else { conv_relu6(net, input, Conv::same(hidden, 1)) };
    let filtered = conv_relu6(net, &expanded, Conv::same(hidden, 3).stride(stride).groups(hidden));
    if stride == 1 && input.channels() == channels {
        let projected = net.conv_bn(&filtered, Conv::same(channels, 1).gain(RESIDUAL_GAIN));
        net.add(input, &projected)
    } else {
        net.conv_bn(&filtered, Conv::same(channels, 1))
    }
}

fn conv_relu6(net: &mut Builder, input: &Tensor, conv: Conv) -> Tensor {
    let x = net.conv_bn(input, conv);
    net.relu6(&x)
}
