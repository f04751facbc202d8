//! ShuffleNetV2 1.0: Ma et al., ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design, 2018,
//! arXiv:1807.11164, table 5 and figure 3 (c) and (d).

use super::builder::{Builder, Conv, Pool, Tensor};
use super::graph::Network;

/// Channels and units of each stage; its first unit halves the image.
const STAGES: [(u64, u64); 3] = [(116, 4), (232, 8), (464, 4)];

pub(super) fn build() -> Network {
    let (mut net, input) = Builder::new("shufflenet_v2_x1_0", 180_711_164, 224);
    let x = conv_relu(&mut net, &input, Conv::same(24, 3).stride(2));
    let mut x = net.max_pool(&x, Pool { kernel: 3, stride: 2, pad: 1 });
    for (channels, units) in STAGES {
        x = halving_unit(&mut net, &x, channels);
        for _ in 1..units {
            x = unit(&mut net, &x);
        }
    }
    let x = conv_relu(&mut net, &x, Conv::same(1024, 1));
    net.classifier(&x)
}

/// Figure 3 (c): half of the channels pass by.
fn unit(net: &mut Builder, input: &Tensor) -> Tensor {
    let [passing, x] = net.halves(input);
    let x = branch(net, &x, input.channels() / 2, 1);
    let both = net.concat(&[passing, x]);
    net.channel_shuffle(&both, 2)
}

/// Figure 3 (d): all channels go both ways.
fn halving_unit(net: &mut Builder, input: &Tensor, channels: u64) -> Tensor {
    let left = net.conv_bn(input, Conv::same(input.channels(), 3).stride(2).groups(input.channels()));
    let left = conv_relu(net, &left, Conv::same(channels / 2, 1));
    let right = branch(net, input, channels / 2, 2);
    let both = net.concat(&[left, right]);
    net.channel_shuffle(&both, 2)
}

fn branch(net: &mut Builder, input: &Tensor, channels: u64, stride: u64) -> Tensor {
    let x = conv_relu(net, input, Conv::same(channels, 1));
    let x = net.conv_bn(&x, Conv::same(channels, 3).stride(stride).groups(channels));
    conv_relu(net, &x, Conv::same(channels, 1))
}

fn conv_relu(net: &mut Builder, input: &Tensor, conv: Conv) -> Tensor {
    let x = net.conv_bn(input, conv);
    net.relu(&x)
}
