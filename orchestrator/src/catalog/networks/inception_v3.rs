//! InceptionV3: Szegedy et al., Rethinking the Inception Architecture for Computer Vision, 2015, arXiv:1512.00567,
//! table 1 and figures 5 to 7 and 10.
//!
//! Channels are torchvision's, of which the published numbers are. The auxiliary head is left out: it serves training.

use super::builder::{Builder, Conv, Pool, Tensor};
use super::graph::Network;

const REDUCE: Pool = Pool { kernel: 3, stride: 2, pad: 0 };
const SMOOTH: Pool = Pool { kernel: 3, stride: 1, pad: 1 };

pub(super) fn build() -> Network {
    let (mut net, input) = Builder::new("inception_v3", 151_200_567, 299);
    let x =
        chain(&mut net, &input, &[Conv::same(32, 3).stride(2).valid(), Conv::same(32, 3).valid(), Conv::same(64, 3)]);
    let x = net.max_pool(&x, REDUCE);
    let x = chain(&mut net, &x, &[Conv::same(80, 1), Conv::same(192, 3).valid()]);
    let mut x = net.max_pool(&x, REDUCE);
    for pool_channels in [32, 64, 64] {
        x = five_by_five(&mut net, &x, pool_channels);
    }
    x = reduce_to_17(&mut net, &x);
    for channels in [128, 160, 160, 192] {
        x = seven_by_seven(&mut net, &x, channels);
    }
    x = reduce_to_8(&mut net, &x);
    for _ in 0..2 {
        x = expanded(&mut net, &x);
    }
    net.classifier(&x)
}

/// Figure 5: at 35×35.
fn five_by_five(net: &mut Builder, input: &Tensor, pool_channels: u64) -> Tensor {
    let one = chain(net, input, &[Conv::same(64, 1)]);
    let five = chain(net, input, &[Conv::same(48, 1), Conv::same(64, 5)]);
    let double_three = chain(net, input, &[Conv::same(64, 1), Conv::same(96, 3), Conv::same(96, 3)]);
    let pool = pooled(net, input, pool_channels);
    net.concat(&[one, five, double_three, pool])
}

/// Figure 10: 35×35 to 17×17.
fn reduce_to_17(net: &mut Builder, input: &Tensor) -> Tensor {
    let three = chain(net, input, &[Conv::same(384, 3).stride(2).valid()]);
    let last = Conv::same(96, 3).stride(2).valid();
    let double_three = chain(net, input, &[Conv::same(64, 1), Conv::same(96, 3), last]);
    let pool = net.max_pool(input, REDUCE);
    net.concat(&[three, double_three, pool])
}

/// Figure 6: at 17×17, 7×7 convolutions as pairs of 1×7 and 7×1.
fn seven_by_seven(net: &mut Builder, input: &Tensor, channels: u64) -> Tensor {
    let across = |channels| Conv::rectangle(channels, [1, 7]);
    let down = |channels| Conv::rectangle(channels, [7, 1]);
    let one = chain(net, input, &[Conv::same(192, 1)]);
    let seven = chain(net, input, &[Conv::same(channels, 1), across(channels), down(192)]);
    let double_seven = [Conv::same(channels, 1), down(channels), across(channels), down(channels), across(192)];
    let double_seven = chain(net, input, &double_seven);
    let pool = pooled(net, input, 192);
    net.concat(&[one, seven, double_seven, pool])
}

/// 17×17 to 8×8.
fn reduce_to_8(net: &mut Builder, input: &Tensor) -> Tensor {
    let three = chain(net, input, &[Conv::same(192, 1), Conv::same(320, 3).stride(2).valid()]);
    let seven = [
        Conv::same(192, 1),
        Conv::rectangle(192, [1, 7]),
        Conv::rectangle(192, [7, 1]),
        Conv::same(192, 3).stride(2).valid(),
    ];
    let seven = chain(net, input, &seven);
    let pool = net.max_pool(input, REDUCE);
    net.concat(&[three, seven, pool])
}

/// Figure 7: at 8×8, with branches that end in two.
fn expanded(net: &mut Builder, input: &Tensor) -> Tensor {
    let one = chain(net, input, &[Conv::same(320, 1)]);
    let three = chain(net, input, &[Conv::same(384, 1)]);
    let three = split(net, &three);
    let double_three = chain(net, input, &[Conv::same(448, 1), Conv::same(384, 3)]);
    let double_three = split(net, &double_three);
    let pool = pooled(net, input, 192);
    net.concat(&[one, three, double_three, pool])
}

fn split(net: &mut Builder, input: &Tensor) -> Tensor {
    let across = chain(net, input, &[Conv::rectangle(384, [1, 3])]);
    let down = chain(net, input, &[Conv::rectangle(384, [3, 1])]);
    net.concat(&[across, down])
}

fn pooled(net: &mut Builder, input: &Tensor, channels: u64) -> Tensor {
    let pool = net.average_pool(input, SMOOTH);
    chain(net, &pool, &[Conv::same(channels, 1)])
}

/// Convolutions one after the other, each with its ReLU.
fn chain(net: &mut Builder, input: &Tensor, convs: &[Conv]) -> Tensor {
    let mut x = input.clone();
    for &conv in convs {
        let y = net.conv_bn(&x, conv);
        x = net.relu(&y);
    }
    x
}
