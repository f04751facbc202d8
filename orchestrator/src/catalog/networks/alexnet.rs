//! AlexNet: Krizhevsky, One weird trick for parallelizing convolutional neural networks, 2014, arXiv:1404.5997,
//! footnote 1.
//!
//! The network of 2012 on one processor, as in torchvision, of which the published numbers are: without groups, and
//! without local response normalisation.

use super::builder::{Builder, Conv, Pool};
use super::graph::Network;

const POOL: Pool = Pool { kernel: 3, stride: 2, pad: 0 };

pub(super) fn build() -> Network {
    let (mut net, input) = Builder::new("alexnet", 14_045_997, 224);
    // Each convolution, and whether a max pool follows it.
    let convs = [
        (Conv::same(64, 11).stride(4).pad(2), true),
        (Conv::same(192, 5), true),
        (Conv::same(384, 3), false),
        (Conv::same(256, 3), false),
        (Conv::same(256, 3), true),
    ];
    let mut x = input;
    for (conv, pooled) in convs {
        x = net.conv_bias(&x, conv);
        x = net.relu(&x);
        if pooled {
            x = net.max_pool(&x, POOL);
        }
    }
    let logits = net.wide_classifier(&x);
    net.finish(&logits)
}
