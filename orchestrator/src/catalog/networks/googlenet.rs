//! GoogLeNet: Szegedy et al., Going Deeper with Convolutions, 2014, arXiv:1409.4842, table 1.
//!
//! As in torchvision, of which the published numbers are: with batch normalisation, with 3×3 convolutions where the
//! paper has 5×5, and without the auxiliary heads, which serve training.

use super::builder::{Builder, Conv, Pool, Tensor};
use super::graph::Network;

const REDUCE: Pool = Pool { kernel: 3, stride: 2, pad: 0 };

/// Channels of a module: 1×1; 3×3 reduce and 3×3; 5×5 reduce and 5×5; after the pool.
type Module = [u64; 6];

const MODULES_AT_28: [Module; 2] = [[64, 96, 128, 16, 32, 32], [128, 128, 192, 32, 96, 64]];
const MODULES_AT_14: [Module; 5] = [
    [192, 96, 208, 16, 48, 64],
    [160, 112, 224, 24, 64, 64],
    [128, 128, 256, 24, 64, 64],
    [112, 144, 288, 32, 64, 64],
    [256, 160, 320, 32, 128, 128],
];
const MODULES_AT_7: [Module; 2] = [[256, 160, 320, 32, 128, 128], [384, 192, 384, 48, 128, 128]];

pub(super) fn build() -> Network {
    let (mut net, input) = Builder::new("googlenet", 14_094_842, 224);
    let x = conv_relu(&mut net, &input, Conv::same(64, 7).stride(2));
    let x = net.max_pool_ceil(&x, REDUCE);
    let x = conv_relu(&mut net, &x, Conv::same(64, 1));
    let x = conv_relu(&mut net, &x, Conv::same(192, 3));
    let x = net.max_pool_ceil(&x, REDUCE);
    let x = modules(&mut net, x, &MODULES_AT_28);
    let x = net.max_pool_ceil(&x, REDUCE);
    let x = modules(&mut net, x, &MODULES_AT_14);
    let x = net.max_pool_ceil(&x, Pool { kernel: 2, ..REDUCE });
    let x = modules(&mut net, x, &MODULES_AT_7);
    net.classifier(&x)
}

fn modules(net: &mut Builder, input: Tensor, modules: &[Module]) -> Tensor {
    modules.iter().fold(input, |x, module| inception(net, &x, *module))
}

fn inception(net: &mut Builder, input: &Tensor, [one, reduce3, three, reduce5, five, pool]: Module) -> Tensor {
    let one = conv_relu(net, input, Conv::same(one, 1));
    let reduced = conv_relu(net, input, Conv::same(reduce3, 1));
    let three = conv_relu(net, &reduced, Conv::same(three, 3));
    let reduced = conv_relu(net, input, Conv::same(reduce5, 1));
    let five = conv_relu(net, &reduced, Conv::same(five, 3));
    let pooled = net.max_pool(input, Pool { kernel: 3, stride: 1, pad: 1 });
    let pooled = conv_relu(net, &pooled, Conv::same(pool, 1));
    net.concat(&[one, three, five, pooled])
}

fn conv_relu(net: &mut Builder, input: &Tensor, conv: Conv) -> Tensor {
    let x = net.conv_bn(input, conv);
    net.relu(&x)
}
