//! ResNet50: He et al., Deep Residual Learning for Image Recognition, 2015, arXiv:1512.03385, table 1.
//!
//! The stride of a stage stands in the 3×3 convolution, as in torchvision ("v1.5"), of which the published numbers are.

use super::builder::{Builder, Conv, Pool, RESIDUAL_GAIN, Tensor};
use super::graph::Network;

/// Blocks of one kind.
struct Stage {
    /// Channels inside a block.
    channels: u64,
    /// How many.
    blocks: u64,
    /// Stride of the first; the others have 1.
    stride: u64,
}

/// The rows of the table.
const STAGES: [Stage; 4] = [
    Stage { channels: 64, blocks: 3, stride: 1 },
    Stage { channels: 128, blocks: 4, stride: 2 },
    Stage { channels: 256, blocks: 6, stride: 2 },
    Stage { channels: 512, blocks: 3, stride: 2 },
];
/// Channels out of a block for one inside.
const EXPANSION: u64 = 4;

pub(super) fn build() -> Network {
    let (mut net, input) = Builder::new("resnet50", 151_203_385, 224);
    let stem = net.conv_bn(&input, Conv::same(64, 7).stride(2));
    let stem = net.relu(&stem);
    let mut x = net.max_pool(&stem, Pool { kernel: 3, stride: 2, pad: 1 });
    for Stage { channels, blocks, stride } in STAGES {
        for block in 0..blocks {
            x = bottleneck(&mut net, &x, channels, if block == 0 { stride } else { 1 });
        }
    }
    net.classifier(&x)
}

fn bottleneck(net: &mut Builder, input: &Tensor, channels: u64, stride: u64) -> Tensor {
    let x = net.conv_bn(input, Conv::same(channels, 1));
    let x = net.relu(&x);
    let x = net.conv_bn(&x, Conv::same(channels, 3).stride(stride));
    let x = net.relu(&x);
    let x = net.conv_bn(&x, Conv::same(channels * EXPANSION, 1).gain(RESIDUAL_GAIN));
    let shortcut = if input.channels() == channels * EXPANSION {
        input.clone()
    } else {
        net.conv_bn(input, Conv::same(channels * EXPANSION, 1).stride(stride))
    };
    let sum = net.add(&x, &shortcut);
    net.relu(&sum)
}
