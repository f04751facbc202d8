//! A network as Caffe2's two files: the network, and the one that fills its weights.
//!
//! Images are batch, channels, height, width. Neither file tells the input's shape.

mod messages;

use std::collections::BTreeSet;
use std::io::{self, Write};

use prost::Message;

use self::messages::{Argument, NetDef, OperatorDef};
use super::{VALUE_BYTES, field_bytes, start_field, write_values};
use crate::catalog::networks::{EPSILON, INPUT, LOGITS, Network, Node, Op, WeightIndex, Window};

/// Field numbers of Caffe2's messages that are written around the weights.
const NET_OP: u32 = 2;
const OPERATOR_ARG: u32 = 5;
const ARGUMENT_FLOATS: u32 = 5;

/// Writes the network.
pub(super) fn write_predict(network: &Network, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(&predict_net(network).encode_to_vec())
}

/// Writes the network that fills the weights. They are never whole in memory.
pub(super) fn write_init(network: &Network, out: &mut dyn Write) -> io::Result<()> {
    let name = format!("{}_init", network.name());
    let head = NetDef { name: Some(name), r#type: Some("simple".to_owned()), ..NetDef::default() };
    out.write_all(&head.encode_to_vec())?;
    for weight in used_weights(network) {
        write_fill(network, weight, out)?;
    }
    Ok(())
}

/// Writes the operator that fills a tensor of weights: as it would be encoded whole, without having it whole.
fn write_fill(network: &Network, weight: WeightIndex, out: &mut dyn Write) -> io::Result<()> {
    let weights = &network.weights()[weight];
    let operator = OperatorDef {
        output: vec![weights.name().to_owned()],
        r#type: Some("GivenTensorFill".to_owned()),
        arg: vec![Argument::ints("shape", weights.dims())],
        ..OperatorDef::default()
    };
    let values = Argument::named("values").encode_to_vec();
    let values_bytes = weights.count() * VALUE_BYTES;
    let argument_bytes = values.len() as u64 + field_bytes(ARGUMENT_FLOATS, values_bytes);
    let operator_bytes = operator.encoded_len() as u64 + field_bytes(OPERATOR_ARG, argument_bytes);
    let mut head = Vec::new();
    start_field(NET_OP, operator_bytes, &mut head);
    operator.encode_raw(&mut head);
    start_field(OPERATOR_ARG, argument_bytes, &mut head);
    head.extend(values);
    start_field(ARGUMENT_FLOATS, values_bytes, &mut head);
    out.write_all(&head)?;
    write_values(network, weight, out)
}

fn predict_net(network: &Network) -> NetDef {
    let weights = used_weights(network).into_iter().map(|weight| network.weights()[weight].name().to_owned());
    NetDef {
        name: Some(network.name().to_owned()),
        op: network.nodes().iter().enumerate().flat_map(|(index, node)| operators(network, index + 1, node)).collect(),
        r#type: Some("simple".to_owned()),
        external_input: std::iter::once(INPUT.to_owned()).chain(weights).collect(),
        external_output: vec![LOGITS.to_owned()],
    }
}

/// Weights that an operator reads.
fn used_weights(network: &Network) -> BTreeSet<WeightIndex> {
    network.nodes().iter().flat_map(|node| read_weights(&node.op)).collect()
}

/// What an operator reads besides its inputs, in Caffe2's order.
fn read_weights(op: &Op) -> Vec<WeightIndex> {
    match *op {
        Op::Conv { weight, bias, .. } | Op::Gemm { weight, bias } => vec![weight, bias],
        Op::BatchNorm { scale, shift, mean, variance } => vec![scale, shift, mean, variance],
        _ => Vec::new(),
    }
}

/// Caffe2's operators for one of ours: one, but for the hard swish, which it has not.
fn operators(network: &Network, output: usize, node: &Node) -> Vec<OperatorDef> {
    let tensors = node.inputs.iter().map(|&input| network.tensor_name(input));
    let weights = read_weights(&node.op).into_iter().map(|weight| network.weights()[weight].name());
    let read: Vec<&str> = tensors.chain(weights).collect();
    let output = network.tensor_name(output);
    let one = |kind: &str, arg: Vec<Argument>| vec![operator(kind, &node.name, &read, &[output], arg)];
    match node.op {
        Op::Conv { window, groups, .. } => {
            let mut arg = window_arguments(window, window.pads);
            if groups > 1 {
                arg.push(Argument::int("group", groups));
            }
            one("Conv", arg)
        }
        Op::BatchNorm { .. } => {
            one("SpatialBN", vec![Argument::int("is_test", 1), Argument::float("epsilon", EPSILON)])
        }
        Op::Relu => one("Relu", Vec::new()),
        Op::Relu6 { .. } => one("Clip", vec![Argument::float("min", 0.0), Argument::float("max", 6.0)]),
        Op::HardSigmoid => one("HardSigmoid", hard_sigmoid()),
        Op::HardSwish => {
            let gate = format!("{}.gate", node.name);
            vec![
                operator("HardSigmoid", &gate, &read, &[&gate], hard_sigmoid()),
                operator("Mul", &node.name, &[read[0], &gate], &[output], Vec::new()),
            ]
        }
        Op::Multiply => one("Mul", Vec::new()),
        Op::Channels { first } => {
            // -1 is the end of a dimension.
            let ends = [-1, (first + node.shape[0]) as i64, -1, -1];
            one("Slice", vec![Argument::ints("starts", &[0, first, 0, 0]), Argument::signed("ends", &ends)])
        }
        Op::ChannelShuffle { groups } => {
            one("ChannelShuffle", vec![Argument::int("group", groups), Argument::word("order", "NCHW")])
        }
        Op::MaxPool(window) => one("MaxPool", pool_arguments(network, node, window)),
        Op::AveragePool(window) => {
            let mut arg = pool_arguments(network, node, window);
            arg.push(Argument::int("count_include_pad", 1));
            one("AveragePool", arg)
        }
        Op::GlobalAveragePool => one("AveragePool", vec![Argument::int("global_pooling", 1)]),
        Op::Concat => {
            let counts = format!("{}.channels", node.name); // how many came from each input
            vec![operator("Concat", &node.name, &read, &[output, &counts], vec![Argument::int("axis", 1)])]
        }
        Op::Add => one("Sum", Vec::new()),
        Op::Flatten => one("Flatten", vec![Argument::int("axis", 1)]),
        Op::Gemm { .. } => one("FC", Vec::new()),
    }
}

fn operator(kind: &str, name: &str, inputs: &[&str], outputs: &[&str], arg: Vec<Argument>) -> OperatorDef {
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    OperatorDef {
        input: words(inputs),
        output: words(outputs),
        name: Some(name.to_owned()),
        r#type: Some(kind.to_owned()),
        arg,
    }
}

fn hard_sigmoid() -> Vec<Argument> {
    vec![Argument::float("alpha", 1.0 / 6.0), Argument::float("beta", 0.5)]
}

/// Caffe2's pools don't let a window stand out over the edge; padding there is the same.
fn pool_arguments(network: &Network, node: &Node, window: Window) -> Vec<Argument> {
    let shape = network.tensor_shape(node.inputs[0]);
    let pads = if window.ceil { window.touched_pads([shape[1], shape[2]]) } else { window.pads };
    window_arguments(window, pads)
}

fn window_arguments(window: Window, [top, left, bottom, right]: [u64; 4]) -> Vec<Argument> {
    let mut arguments = vec![
        Argument::word("order", "NCHW"),
        Argument::int("kernel_h", window.kernel[0]),
        Argument::int("kernel_w", window.kernel[1]),
        Argument::int("stride", window.stride),
    ];
    if [top, left, bottom, right] != [0; 4] {
        let sides = [("pad_t", top), ("pad_l", left), ("pad_b", bottom), ("pad_r", right)];
        arguments.extend(sides.map(|(name, pad)| Argument::int(name, pad)));
    }
    arguments
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::catalog::networks;

    #[test]
    fn the_weights_are_those_that_the_network_asks_for() {
        for name in ["squeezenet1_0", "mobilenet_v2"] {
            let network = networks::build(name).unwrap();
            let (mut predict, mut init) = (Vec::new(), Vec::new());
            write_predict(&network, &mut predict).unwrap();
            write_init(&network, &mut init).unwrap();
            let predict = NetDef::decode(&predict[..]).unwrap();
            let init = NetDef::decode(&init[..]).unwrap();
            let filled: Vec<String> = init.op.iter().flat_map(|op| op.output.clone()).collect();
            assert_eq!(predict.external_input[0], INPUT, "{name}");
            assert_eq!(filled, predict.external_input[1..], "{name}");
            for op in &init.op {
                let [shape, values] = &op.arg[..] else { panic!("{op:?}") };
                assert_eq!(shape.ints.iter().product::<i64>(), values.floats.len() as i64, "{:?}", op.output);
            }
            let index = network.weights().iter().position(|weights| weights.name() == "conv_0.weight").unwrap();
            assert_eq!(init.op[0].arg[1].floats, network.values(index), "{name}");
        }
    }

    #[test]
    fn operators_read_what_was_written_before() {
        for name in networks::names() {
            let net = predict_net(&networks::build(name).unwrap());
            let mut known: BTreeSet<&str> = net.external_input.iter().map(String::as_str).collect();
            for op in &net.op {
                assert!(op.input.iter().all(|input| known.contains(input.as_str())), "{name}: {op:?}");
                known.extend(op.output.iter().map(String::as_str));
            }
            assert!(known.contains(LOGITS), "{name}");
        }
    }
}
