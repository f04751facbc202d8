//! A network for the script that makes a TorchScript file of it.
//!
//! PyTorch alone can write that format, so a Python with PyTorch runs `build.py`, which is part of the program; it gets
//! the network from here, weights and all, on its standard input.

use std::io::{self, Write};

use serde::Serialize;

use super::write_values;
use crate::catalog::networks::{EPSILON, Network, Node, Op, WeightIndex, Window};

/// The script.
pub const SCRIPT: &str = include_str!("build.py");

/// What the script is told before the weights.
#[derive(Serialize)]
struct Description<'a> {
    input_shape: &'a [u64],
    nodes: Vec<NodeDescription<'a>>,
    weights: Vec<WeightDescription<'a>>,
}

#[derive(Serialize, Default)]
struct NodeDescription<'a> {
    op: &'static str,
    inputs: &'a [usize],
    weights: Vec<WeightIndex>,
    #[serde(flatten)]
    window: Option<WindowDescription>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epsilon: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<u64>,
}

#[derive(Serialize)]
struct WindowDescription {
    kernel: [u64; 2],
    stride: u64,
    pads: [u64; 4],
    ceil: bool,
}

#[derive(Serialize)]
struct WeightDescription<'a> {
    name: &'a str,
    dims: &'a [u64],
}

/// Writes what the script reads.
pub(super) fn write(network: &Network, out: &mut dyn Write) -> io::Result<()> {
    let weights = network.weights().iter().map(|it| WeightDescription { name: it.name(), dims: it.dims() });
    let description = Description {
        input_shape: network.input_shape(),
        nodes: network.nodes().iter().map(describe).collect(),
        weights: weights.collect(),
    };
    serde_json::to_writer(&mut *out, &description)?;
    out.write_all(b"\n")?;
    (0..network.weights().len()).try_for_each(|weight| write_values(network, weight, out))
}

fn describe(node: &Node) -> NodeDescription<'_> {
    let base = |op| NodeDescription { op, inputs: &node.inputs, ..NodeDescription::default() };
    let moving = |op, window| NodeDescription { window: Some(describe_window(window)), ..base(op) };
    match node.op {
        Op::Conv { window, groups, weight, bias } => {
            NodeDescription { weights: vec![weight, bias], groups: Some(groups), ..moving("conv", window) }
        }
        Op::BatchNorm { scale, shift, mean, variance } => NodeDescription {
            weights: vec![scale, shift, mean, variance],
            epsilon: Some(EPSILON),
            ..base("batch_norm")
        },
        Op::Relu => base("relu"),
        Op::Relu6 { .. } => base("relu6"),
        Op::HardSigmoid => base("hard_sigmoid"),
        Op::HardSwish => base("hard_swish"),
        Op::Multiply => base("multiply"),
        Op::Channels { first } => {
            NodeDescription { first: Some(first), channels: Some(node.shape[0]), ..base("channels") }
        }
        Op::ChannelShuffle { groups } => NodeDescription { groups: Some(groups), ..base("channel_shuffle") },
        Op::MaxPool(window) => moving("max_pool", window),
        Op::AveragePool(window) => moving("average_pool", window),
        Op::GlobalAveragePool => base("global_average_pool"),
        Op::Concat => base("concat"),
        Op::Add => base("add"),
        Op::Flatten => base("flatten"),
        Op::Gemm { weight, bias } => NodeDescription { weights: vec![weight, bias], ..base("gemm") },
    }
}

fn describe_window(window: Window) -> WindowDescription {
    WindowDescription { kernel: window.kernel, stride: window.stride, pads: window.pads, ceil: window.ceil }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::catalog::networks;

    #[test]
    fn the_script_knows_every_operator_and_gets_every_weight() {
        for name in ["squeezenet1_0", "mobilenet_v2", "densenet121"] {
            let network = networks::build(name).unwrap();
            let mut bytes = Vec::new();
            write(&network, &mut bytes).unwrap();
            let line = bytes.iter().position(|byte| *byte == b'\n').unwrap();
            let values: u64 = network.weights().iter().map(|weights| weights.count()).sum();
            assert_eq!((bytes.len() - line - 1) as u64, 4 * values, "{name}");
            let told: serde_json::Value = serde_json::from_slice(&bytes[..line]).unwrap();
            let nodes = told["nodes"].as_array().unwrap();
            assert_eq!(nodes.len(), network.nodes().len(), "{name}");
            for node in nodes {
                let known = format!("    \"{}\": ", node["op"].as_str().unwrap());
                assert!(SCRIPT.contains(&known), "{node}");
            }
        }
    }
}
