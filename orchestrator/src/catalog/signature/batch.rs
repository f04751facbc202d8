//! Which inputs have a batch: those whose first dimension an operator reads as one.

use std::collections::{HashMap, HashSet};

use crate::catalog::onnx::{GraphProto, NodeProto};

/// The inputs of an ONNX graph whose first dimension reaches an operator for which it is the batch.
pub(super) fn of_onnx(graph: &GraphProto) -> HashSet<&str> {
    // Which input a tensor has its first dimension from.
    let mut origin: HashMap<&str, &str> = graph.input.iter().map(|info| (&*info.name, &*info.name)).collect();
    for tensor in &graph.initializer {
        origin.remove(tensor.name.as_str());
    }
    let mut batched = HashSet::new();
    for node in &graph.node {
        if reads_batch(&node.op_type) {
            batched.extend(node.input.first().and_then(|name| origin.get(name.as_str())));
        } else if keeps_first_dimension(node) {
            let mut origins = node.input.iter().filter_map(|name| origin.get(name.as_str()).copied());
            // Where several come together, whose first dimension it is depends on their ranks.
            if let (Some(only), None) = (origins.next(), origins.next()) {
                origin.extend(node.output.iter().map(|name| (name.as_str(), only)));
            }
        }
    }
    batched
}

/// Operators whose first input is defined as batch × channels × ….
fn reads_batch(op: &str) -> bool {
    matches!(
        op,
        "Conv"
            | "ConvInteger"
            | "QLinearConv"
            | "ConvTranspose"
            | "DeformConv"
            | "FusedConv"
            | "MaxPool"
            | "AveragePool"
            | "LpPool"
            | "GlobalMaxPool"
            | "GlobalAveragePool"
            | "GlobalLpPool"
            | "BatchNormalization"
            | "InstanceNormalization"
            | "GroupNormalization"
            | "LRN"
            | "DepthToSpace"
            | "SpaceToDepth"
    )
}

/// Operators that leave the first dimension where it is: those on single values, and some that move only others.
fn keeps_first_dimension(node: &NodeProto) -> bool {
    match node.op_type.as_str() {
        "Transpose" => {
            let order = node.attribute.iter().find(|attribute| attribute.name == "perm");
            order.is_some_and(|order| order.ints.first() == Some(&0))
        }
        "Identity"
        | "Cast"
        | "QuantizeLinear"
        | "DequantizeLinear"
        | "DynamicQuantizeLinear"
        | "Add"
        | "Sub"
        | "Mul"
        | "Div"
        | "Clip"
        | "Relu"
        | "LeakyRelu"
        | "PRelu"
        | "Sigmoid"
        | "Tanh"
        | "Neg"
        | "Pad" => true,
        _ => false,
    }
}

/// The places of those inputs of a TensorFlow Lite graph that have one. `operators` are in an order in which they can
/// be computed.
pub(super) fn of_tflite<'a>(inputs: &[i32], operators: impl Iterator<Item = Reading<'a>>) -> HashSet<i32> {
    let mut origin: HashMap<i32, i32> = inputs.iter().map(|number| (*number, *number)).collect();
    let mut batched = HashSet::new();
    for Reading { code, inputs, outputs } in operators {
        // AVERAGE_POOL_2D, CONV_2D, DEPTHWISE_CONV_2D, DEPTH_TO_SPACE, L2_POOL_2D, MAX_POOL_2D, RESIZE_BILINEAR,
        // SPACE_TO_DEPTH, RESIZE_NEAREST_NEIGHBOR
        let is_reader = matches!(code, 1 | 3 | 4 | 5 | 12 | 17 | 23 | 26 | 97);
        // ADD, DEQUANTIZE, MUL, RELU, RELU6, PAD, SUB, DIV, CAST, PADV2, QUANTIZE
        let keeps = matches!(code, 0 | 6 | 18 | 19 | 21 | 34 | 41 | 42 | 53 | 60 | 114);
        if is_reader {
            batched.extend(inputs.first().and_then(|number| origin.get(number)));
        } else if keeps {
            let mut origins = inputs.iter().filter_map(|number| origin.get(number).copied());
            if let (Some(only), None) = (origins.next(), origins.next()) {
                origin.extend(outputs.iter().map(|number| (*number, only)));
            }
        }
    }
    batched
}

/// An operator of a TensorFlow Lite graph, by its number, with the numbers of the tensors that it reads and writes.
pub(super) struct Reading<'a> {
    pub(super) code: u32,
    pub(super) inputs: &'a [i32],
    pub(super) outputs: &'a [i32],
}
