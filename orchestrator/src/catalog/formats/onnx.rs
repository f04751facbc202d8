//! A network as an ONNX file.

use std::io::{self, Write};

use prost::Message;

use super::{VALUE_BYTES, field_bytes, start_field, write_values};
use crate::catalog::networks::{EPSILON, INPUT, LOGITS, Network, Node, Op, Weights, Window};
use crate::catalog::onnx::{
    AttributeProto, AttributeType, DataType, DimensionProto, DimensionValue, GraphProto, ModelProto, NodeProto,
    OperatorSetIdProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, TypeValue, ValueInfoProto,
};

/// ONNX's operator set that the networks use: old enough for every engine, new enough for all they need.
const OPSET: i64 = 13;
/// File format that belongs to it.
const IR_VERSION: i64 = 8;

/// Name of the dimension that is open.
const BATCH: &str = "batch";

/// Field numbers of ONNX's messages that are written around the weights.
const MODEL_GRAPH: u32 = 7;
const GRAPH_INITIALIZER: u32 = 5;
const TENSOR_RAW_DATA: u32 = 9;

/// The model with the shapes of its weights, but not their values: enough to count its operations.
pub fn outline(network: &Network) -> ModelProto {
    let mut graph = graph(network);
    graph.initializer = network.weights().iter().map(header).collect();
    ModelProto { graph: Some(graph), ..envelope(network) }
}

/// Writes the file. Weights are never whole in memory.
pub(super) fn write(network: &Network, out: &mut dyn Write) -> io::Result<()> {
    let graph = graph(network);
    let mut head = envelope(network).encode_to_vec();
    let tensors_bytes: u64 =
        network.weights().iter().map(|weights| field_bytes(GRAPH_INITIALIZER, tensor_bytes(weights))).sum();
    start_field(MODEL_GRAPH, graph.encoded_len() as u64 + tensors_bytes, &mut head);
    graph.encode_raw(&mut head);
    out.write_all(&head)?;
    for (index, weights) in network.weights().iter().enumerate() {
        let mut head = Vec::new();
        start_field(GRAPH_INITIALIZER, tensor_bytes(weights), &mut head);
        header(weights).encode_raw(&mut head);
        start_field(TENSOR_RAW_DATA, weights.count() * VALUE_BYTES, &mut head);
        out.write_all(&head)?;
        write_values(network, index, out)?;
    }
    Ok(())
}

fn envelope(network: &Network) -> ModelProto {
    ModelProto {
        ir_version: IR_VERSION,
        // No version: it would change the file's hash with every release.
        producer_name: "farmctl".to_owned(),
        doc_string: network.description(),
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
        ..ModelProto::default()
    }
}

/// Nodes, input and output.
fn graph(network: &Network) -> GraphProto {
    GraphProto {
        name: network.name().to_owned(),
        node: network.nodes().iter().enumerate().flat_map(|(index, node)| nodes(network, index + 1, node)).collect(),
        input: vec![value_info(INPUT, network.input_shape())],
        output: vec![value_info(LOGITS, network.tensor_shape(network.output()))],
        ..GraphProto::default()
    }
}

/// The ONNX nodes for one of ours: one, or several where this operator set has none that does it all.
fn nodes(network: &Network, output: usize, node: &Node) -> Vec<NodeProto> {
    let read: Vec<&str> = node.inputs.iter().map(|&input| network.tensor_name(input)).collect();
    let output = network.tensor_name(output);
    let one = |op: &str, weights: &[usize], attributes: Vec<AttributeProto>| {
        let weights = weights.iter().map(|&weight| network.weights()[weight].name());
        let inputs: Vec<&str> = read.iter().copied().chain(weights).collect();
        vec![proto(op, &node.name, &inputs, output, attributes)]
    };
    match node.op {
        Op::Conv { window, groups, weight, bias } => one("Conv", &[weight, bias], conv_attributes(window, groups)),
        Op::BatchNorm { scale, shift, mean, variance } => {
            one("BatchNormalization", &[scale, shift, mean, variance], vec![float("epsilon", EPSILON)])
        }
        Op::Relu => one("Relu", &[], Vec::new()),
        Op::Relu6 { low, high } => one("Clip", &[low, high], Vec::new()),
        Op::HardSigmoid => one("HardSigmoid", &[], hard_sigmoid()),
        Op::HardSwish => {
            let gate = format!("{}.gate", node.name);
            vec![
                proto("HardSigmoid", &gate, &read, &gate, hard_sigmoid()),
                proto("Mul", &node.name, &[read[0], &gate], output, Vec::new()),
            ]
        }
        Op::Multiply => one("Mul", &[], Vec::new()),
        Op::Channels { first } => channels(node, read[0], output, first),
        Op::ChannelShuffle { groups } => channel_shuffle(node, read[0], output, groups),
        Op::MaxPool(window) => one("MaxPool", &[], pool_attributes(window, "ceil_mode", window.ceil)),
        Op::AveragePool(window) => one("AveragePool", &[], pool_attributes(window, "count_include_pad", true)),
        Op::GlobalAveragePool => one("GlobalAveragePool", &[], Vec::new()),
        Op::Concat => one("Concat", &[], vec![int("axis", 1)]),
        Op::Add => one("Add", &[], Vec::new()),
        Op::Flatten => one("Flatten", &[], vec![int("axis", 1)]),
        Op::Gemm { weight, bias } => one("Gemm", &[weight, bias], vec![int("transB", 1)]),
    }
}

fn hard_sigmoid() -> Vec<AttributeProto> {
    vec![float("alpha", 1.0 / 6.0), float("beta", 0.5)]
}

fn channels(node: &Node, input: &str, output: &str, first: u64) -> Vec<NodeProto> {
    let name = |what: &str| format!("{}.{what}", node.name);
    let [from, to, axis] = ["from", "to", "axis"].map(name);
    vec![
        constant(&from, &[first]),
        constant(&to, &[first + node.shape[0]]),
        constant(&axis, &[1]),
        proto("Slice", &node.name, &[input, &from, &to, &axis], output, Vec::new()),
    ]
}

fn channel_shuffle(node: &Node, input: &str, output: &str, groups: u64) -> Vec<NodeProto> {
    let name = |what: &str| format!("{}.{what}", node.name);
    let [table_shape, table, turned, shape] = ["table_shape", "table", "turned", "shape"].map(name);
    let [channels, height, width] = [0, 1, 2].map(|axis: usize| node.shape[axis]);
    vec![
        // A size of 0 is the input's own: the batch stays what it is.
        constant(&table_shape, &[0, groups, channels / groups, height, width]),
        proto("Reshape", &table, &[input, &table_shape], &table, Vec::new()),
        proto("Transpose", &turned, &[&table], &turned, vec![ints("perm", &[0, 2, 1, 3, 4])]),
        constant(&shape, &[0, channels, height, width]),
        proto("Reshape", &node.name, &[&turned, &shape], output, Vec::new()),
    ]
}

/// A node that gives integers.
fn constant(name: &str, values: &[u64]) -> NodeProto {
    let tensor = TensorProto {
        dims: vec![values.len() as i64],
        data_type: DataType::Int64.into(),
        int64_data: values.iter().map(|&value| value as i64).collect(),
        name: name.to_owned(),
        ..TensorProto::default()
    };
    let value = AttributeProto {
        name: "value".to_owned(),
        t: Some(tensor),
        r#type: AttributeType::Tensor.into(),
        ..AttributeProto::default()
    };
    proto("Constant", name, &[], name, vec![value])
}

fn conv_attributes(window: Window, groups: u64) -> Vec<AttributeProto> {
    vec![
        ints("dilations", &[1, 1]),
        int("group", groups),
        ints("kernel_shape", &window.kernel),
        ints("pads", &window.pads),
        ints("strides", &[window.stride; 2]),
    ]
}

/// A pooling's attributes, with a switch of its own where that is on.
fn pool_attributes(window: Window, switch: &str, on: bool) -> Vec<AttributeProto> {
    let mut attributes = if on { vec![int(switch, 1)] } else { Vec::new() };
    attributes.extend([
        ints("kernel_shape", &window.kernel),
        ints("pads", &window.pads),
        ints("strides", &[window.stride; 2]),
    ]);
    attributes
}

fn proto(op: &str, name: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        input: inputs.iter().map(|&input| input.to_owned()).collect(),
        output: vec![output.to_owned()],
        name: name.to_owned(),
        op_type: op.to_owned(),
        attribute,
        domain: String::new(),
    }
}

/// A tensor of weights without its values.
fn header(weights: &Weights) -> TensorProto {
    TensorProto {
        dims: weights.dims().iter().map(|&dim| dim as i64).collect(),
        data_type: DataType::Float.into(),
        name: weights.name().to_owned(),
        ..TensorProto::default()
    }
}

/// Length of a tensor message.
fn tensor_bytes(weights: &Weights) -> u64 {
    header(weights).encoded_len() as u64 + field_bytes(TENSOR_RAW_DATA, weights.count() * VALUE_BYTES)
}

fn int(name: &str, value: u64) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        i: Some(value as i64),
        r#type: AttributeType::Int.into(),
        ..AttributeProto::default()
    }
}

fn ints(name: &str, values: &[u64]) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        ints: values.iter().map(|&value| value as i64).collect(),
        r#type: AttributeType::Ints.into(),
        ..AttributeProto::default()
    }
}

fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        f: Some(value),
        r#type: AttributeType::Float.into(),
        ..AttributeProto::default()
    }
}

/// An input or output: so many of that shape as one inference has images.
fn value_info(name: &str, shape: &[u64]) -> ValueInfoProto {
    let batch = DimensionValue::DimParam(BATCH.to_owned());
    let sizes = shape.iter().map(|&size| DimensionValue::DimValue(size as i64));
    let dim = std::iter::once(batch).chain(sizes).map(|value| DimensionProto { value: Some(value) }).collect();
    let tensor = TensorTypeProto { elem_type: DataType::Float.into(), shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { value: Some(TypeValue::TensorType(tensor)) }) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::catalog::{networks, onnx};

    #[test]
    fn a_written_file_is_the_outline_with_values() {
        let network = networks::build("squeezenet1_0").unwrap();
        let mut bytes = Vec::new();
        write(&network, &mut bytes).unwrap();
        let mut model = onnx::decode(bytes).unwrap();
        for tensor in &mut model.graph.as_mut().unwrap().initializer {
            let values: i64 = tensor.dims.iter().product();
            assert_eq!(tensor.raw_data.len(), usize::try_from(values).unwrap() * 4, "{}", tensor.name);
            tensor.raw_data.clear();
        }
        assert_eq!(model, outline(&network));
    }
}
