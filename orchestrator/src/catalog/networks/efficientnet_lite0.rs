//! EfficientNet-Lite0: Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, 2019,
//! arXiv:1905.11946, table 1, as TensorFlow's EfficientNet-Lite has it: ReLU6 for swish, no squeeze and excitation.
//!
//! Padding is TensorFlow's, with which the published weights were trained.

use super::builder::{Builder, Conv, RESIDUAL_GAIN, Tensor};
use super::graph::Network;

/// Expansion, kernel, channels, blocks, stride of the first block.
const STAGES: [(u64, u64, u64, u64, u64); 7] = [
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 3, 2),
    (6, 5, 112, 3, 1),
    (6, 5, 192, 4, 2),
    (6, 3, 320, 1, 1),
];

pub(super) fn build() -> Network {
    let (mut net, input) = Builder::new("efficientnet_lite0", 190_511_946, 224);
    let mut x = conv_relu6(&mut net, &input, Conv::same(32, 3).stride(2));
    for (expansion, kernel, channels, blocks, stride) in STAGES {
        for block in 0..blocks {
            let hidden = x.channels() * expansion;
            let stride = if block == 0 { stride } else { 1 };
            let depthwise = Conv::same(hidden, kernel).stride(stride).groups(hidden);
            x = inverted_residual(&mut net, &x, depthwise, channels, block > 0);
        }
    }
    let x = conv_relu6(&mut net, &x, Conv::same(1280, 1));
    net.classifier(&x)
}

fn inverted_residual(net: &mut Builder, input: &Tensor, depthwise: Conv, channels: u64, residual: bool) -> Tensor {
    let hidden = depthwise.channels();
    let expanded =
        if hidden == input.channels() { input.clone() } else { conv_relu6(net, input, Conv::same(hidden, 1)) };
    let filtered = conv_relu6(net, &expanded, depthwise);
    if residual {
        let projected = net.conv_bn(&filtered, Conv::same(channels, 1).gain(RESIDUAL_GAIN));
        net.add(&projected, input)
    } else {
        net.conv_bn(&filtered, Conv::same(channels, 1))
    }
}

fn conv_relu6(net: &mut Builder, input: &Tensor, conv: Conv) -> Tensor {
    let x = net.conv_bn(input, conv.tensorflow_same());
    net.relu6(&x)
}
