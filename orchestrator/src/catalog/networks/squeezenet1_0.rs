//! SqueezeNet 1.0: Iandola et al., SqueezeNet: AlexNet-level accuracy with 50x fewer parameters, 2016,
//! arXiv:1602.07360, table 1.
//!
//! The first convolution has no padding, as in torchvision, of which the published numbers are.

use super::builder::{Builder, Conv, Pool, Tensor};
use super::graph::Network;

const POOL: Pool = Pool { kernel: 3, stride: 2, pad: 0 };

/// Channels of a fire module's squeeze layer and of each of its two expand layers; `None` is a max pool.
const LAYERS: [Option<(u64, u64)>; 10] = [
    Some((16, 64)),
    Some((16, 64)),
    Some((32, 128)),
    None,
    Some((32, 128)),
    Some((48, 192)),
    Some((48, 192)),
    Some((64, 256)),
    None,
    Some((64, 256)),
];

pub(super) fn build() -> Network {
    let (mut net, input) = Builder::new("squeezenet1_0", 160_207_360, 224);
    let stem = net.conv_bias(&input, Conv::same(96, 7).stride(2).valid());
    let stem = net.relu(&stem);
    let mut x = net.max_pool_ceil(&stem, POOL);
    for layer in LAYERS {
        x = match layer {
            Some((squeeze, expand)) => fire(&mut net, &x, squeeze, expand),
            None => net.max_pool_ceil(&x, POOL),
        };
    }
    let classes = net.conv_bias(&x, Conv::same(1000, 1));
    let classes = net.relu(&classes);
    net.global_average_pool_as_logits(&classes)
}

fn fire(net: &mut Builder, input: &Tensor, squeeze: u64, expand: u64) -> Tensor {
    let squeezed = net.conv_bias(input, Conv::same(squeeze, 1));
    let squeezed = net.relu(&squeezed);
    let small = net.conv_bias(&squeezed, Conv::same(expand, 1));
    let small = net.relu(&small);
    let large = net.conv_bias(&squeezed, Conv::same(expand, 3));
    let large = net.relu(&large);
    net.concat(&[small, large])
}
