//! MobileNetV2: Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, 2018, arXiv:1801.04381, table
//! 2.

use super::builder::{Builder, Conv, RESIDUAL_GAIN, Tensor};
use super::graph::Network;

/// Expansion, channels, blocks, stride of the first block: t, c, n, s of the table.
const STAGES: [(u64, u64, u64, u64); 7] =
    [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];

pub(super) fn build() -> Network {
    let (mut net, input) = Builder::new("mobilenet_v2", 180_104_381, 224);
    let mut x = conv_relu6(&mut net, &input, Conv::same(32, 3).stride(2));
    for (expansion, channels, blocks, stride) in STAGES {
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
