//! MobileNetV3-Large: Howard et al., Searching for MobileNetV3, 2019, arXiv:1905.02244, table 1.

use super::builder::{Builder, Conv, RESIDUAL_GAIN, Tensor};
use super::graph::Network;

/// What stands after a convolution.
#[derive(Clone, Copy, PartialEq)]
enum Activation {
    Relu,
    HardSwish,
}
use Activation::{HardSwish, Relu};

/// A line of the table.
#[derive(Clone, Copy)]
struct Block {
    kernel: u64,
    /// Channels that the first convolution expands to.
    hidden: u64,
    channels: u64,
    /// Whether it has squeeze and excitation.
    squeezed: bool,
    activation: Activation,
    stride: u64,
}

impl Block {
    const fn new(kernel: u64, hidden: u64, channels: u64, activation: Activation) -> Block {
        Block { kernel, hidden, channels, squeezed: false, activation, stride: 1 }
    }

    const fn squeezed(self) -> Block {
        Block { squeezed: true, ..self }
    }

    const fn strided(self) -> Block {
        Block { stride: 2, ..self }
    }
}

const BLOCKS: [Block; 15] = [
    Block::new(3, 16, 16, Relu),
    Block::new(3, 64, 24, Relu).strided(),
    Block::new(3, 72, 24, Relu),
    Block::new(5, 72, 40, Relu).squeezed().strided(),
    Block::new(5, 120, 40, Relu).squeezed(),
    Block::new(5, 120, 40, Relu).squeezed(),
    Block::new(3, 240, 80, HardSwish).strided(),
    Block::new(3, 200, 80, HardSwish),
    Block::new(3, 184, 80, HardSwish),
    Block::new(3, 184, 80, HardSwish),
    Block::new(3, 480, 112, HardSwish).squeezed(),
    Block::new(3, 672, 112, HardSwish).squeezed(),
    Block::new(5, 672, 160, HardSwish).squeezed().strided(),
    Block::new(5, 960, 160, HardSwish).squeezed(),
    Block::new(5, 960, 160, HardSwish).squeezed(),
];

/// What the squeeze takes from the variance: its factors are about one half.
const AFTER_SQUEEZE: f32 = 4.0;

pub(super) fn build() -> Network {
    let (mut net, input) = Builder::new("mobilenet_v3_large", 190_502_244, 224);
    let mut x = conv(&mut net, &input, Conv::same(16, 3).stride(2), HardSwish);
    for block in BLOCKS {
        x = inverted_residual(&mut net, &x, block);
    }
    let x = conv(&mut net, &x, Conv::same(960, 1), HardSwish);
    let x = net.global_average_pool(&x);
    let x = net.flatten(&x);
    let x = net.gemm(&x, 1280);
    let x = net.hard_swish(&x);
    let logits = net.gemm(&x, 1000);
    net.finish(&logits)
}

fn inverted_residual(net: &mut Builder, input: &Tensor, block: Block) -> Tensor {
    let Block { kernel, hidden, channels, squeezed, activation, stride } = block;
    let expanded =
        if hidden == input.channels() { input.clone() } else { conv(net, input, Conv::same(hidden, 1), activation) };
    let mut x = conv(net, &expanded, Conv::same(hidden, kernel).stride(stride).groups(hidden), activation);
    let mut project = Conv::same(channels, 1);
    if squeezed {
        x = squeeze_excitation(net, &x);
        project = project.gain(AFTER_SQUEEZE);
    }
    if stride == 1 && input.channels() == channels {
        let gain = if squeezed { AFTER_SQUEEZE * RESIDUAL_GAIN } else { RESIDUAL_GAIN };
        let projected = net.conv_bn(&x, project.gain(gain));
        net.add(input, &projected)
    } else {
        net.conv_bn(&x, project)
    }
}

/// A factor for each channel, from the means of all.
fn squeeze_excitation(net: &mut Builder, input: &Tensor) -> Tensor {
    let x = net.global_average_pool(input);
    let x = net.conv_bias(&x, Conv::same(squeeze_channels(input.channels()), 1));
    let x = net.relu(&x);
    let x = net.conv_bias(&x, Conv::same(input.channels(), 1));
    let factors = net.hard_sigmoid(&x);
    net.multiply(input, &factors)
}

/// A quarter, as a multiple of 8 that is not less than nine tenths of that.
fn squeeze_channels(channels: u64) -> u64 {
    let quarter = channels / 4;
    let rounded = ((quarter + 4) / 8 * 8).max(8);
    if 10 * rounded < 9 * quarter { rounded + 8 } else { rounded }
}

fn conv(net: &mut Builder, input: &Tensor, conv: Conv, activation: Activation) -> Tensor {
    let x = net.conv_bn(input, conv);
    match activation {
        Relu => net.relu(&x),
        HardSwish => net.hard_swish(&x),
    }
}
