//! DenseNet121: Huang et al., Densely Connected Convolutional Networks, 2016, arXiv:1608.06993, table 1.
//!
//! Batch normalisation stands before the convolutions here. What normalises a block's growing input can't be folded
//! and stays a node; what normalises a bottleneck's 1×1 convolution is folded into it.

use super::builder::{Builder, Conv, Pool, Tensor};
use super::graph::Network;

/// Layers of each block.
const BLOCKS: [u64; 4] = [6, 12, 24, 16];
/// Channels that a layer adds.
const GROWTH: u64 = 32;
/// Channels of a bottleneck.
const BOTTLENECK: u64 = 4 * GROWTH;

pub(super) fn build() -> Network {
    let (mut net, input) = Builder::new("densenet121", 160_806_993, 224);
    let stem = net.conv_bn(&input, Conv::same(2 * GROWTH, 7).stride(2));
    let stem = net.relu(&stem);
    let mut x = net.max_pool(&stem, Pool { kernel: 3, stride: 2, pad: 1 });
    for (block, layers) in BLOCKS.into_iter().enumerate() {
        for _ in 0..layers {
            x = dense_layer(&mut net, &x);
        }
        if block + 1 < BLOCKS.len() {
            x = transition(&mut net, &x);
        }
    }
    let x = net.batch_norm(&x);
    let x = net.relu(&x);
    net.classifier(&x)
}

fn dense_layer(net: &mut Builder, input: &Tensor) -> Tensor {
    let x = net.batch_norm(input);
    let x = net.relu(&x);
    let x = net.conv_bn(&x, Conv::same(BOTTLENECK, 1));
    let x = net.relu(&x);
    let x = net.conv(&x, Conv::same(GROWTH, 3));
    net.concat(&[input.clone(), x])
}

fn transition(net: &mut Builder, input: &Tensor) -> Tensor {
    let x = net.batch_norm(input);
    let x = net.relu(&x);
    let x = net.conv(&x, Conv::same(input.channels() / 2, 1));
    net.average_pool(&x, Pool { kernel: 2, stride: 2, pad: 0 })
}
