//! ResNet18: He et al., Deep Residual Learning for Image Recognition, 2015, arXiv:1512.03385, table 1.

use super::builder::{Builder, Conv, Pool, RESIDUAL_GAIN, Tensor};
use super::graph::Network;

/// Channels of a stage, and stride of the first of its two blocks.
const STAGES: [(u64, u64); 4] = [(64, 1), (128, 2), (256, 2), (512, 2)];

pub(super) fn build() -> Network {
    let (mut net, input) = Builder::new("resnet18", 151_203_385, 224);
    let stem = net.conv_bn(&input, Conv::same(64, 7).stride(2));
    let stem = net.relu(&stem);
    let mut x = net.max_pool(&stem, Pool { kernel: 3, stride: 2, pad: 1 });
    for (channels, stride) in STAGES {
        x = basic_block(&mut net, &x, channels, stride);
        x = basic_block(&mut net, &x, channels, 1);
    }
    net.classifier(&x)
}

fn basic_block(net: &mut Builder, input: &Tensor, channels: u64, stride: u64) -> Tensor {
    let x = net.conv_bn(input, Conv::same(channels, 3).stride(stride));
    let x = net.relu(&x);
    let x = net.conv_bn(&x, Conv::same(channels, 3).gain(RESIDUAL_GAIN));
    let shortcut = if input.channels() == channels {
        input.clone()
    } else {
        net.conv_bn(input, Conv::same(channels, 1).stride(stride))
    };
    let sum = net.add(&x, &shortcut);
    net.relu(&sum)
}
