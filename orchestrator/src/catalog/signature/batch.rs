//! What the operators that read an input take its first dimension for: the batch, or the steps of a sequence.
//!
//! The operators are looked through from the last to the first: what one takes the first dimension of a tensor for, the
//! tensors are read for that this one has its first dimension from.

use std::collections::{HashMap, HashSet};

use crate::catalog::onnx::{GraphProto, NodeProto};
use crate::domain::{Dimension, FirstDimension};

/// Shapes of an ONNX graph's tensors, as far as they are known.
pub(super) type Shapes = HashMap<String, Vec<u64>>;

/// What is read of which tensor.
struct Read<K>(HashMap<K, FirstDimension>);

impl<K: Eq + std::hash::Hash + Copy> Read<K> {
    /// Where a tensor is read as both, it has a batch.
    fn add(&mut self, tensor: K, what: FirstDimension) {
        let known = self.0.entry(tensor).or_insert(what);
        *known = (*known).min(what);
    }
}

/// What the first dimension is of each tensor of an ONNX graph that is read for it.
pub(super) fn of_onnx<'a>(graph: &'a GraphProto, shapes: &Shapes) -> HashMap<&'a str, FirstDimension> {
    let made = graph.node.iter().filter(|node| node.op_type == "Constant").flat_map(|node| &node.output);
    let constants = graph.initializer.iter().map(|tensor| &tensor.name).chain(made).map(String::as_str).collect();
    let known = Known { shapes, constants };
    let mut read = Read(HashMap::new());
    for node in graph.node.iter().rev() {
        let data = node.input.first().filter(|name| !name.is_empty());
        if let (Some(data), Some(what)) = (data, reads(node)) {
            read.add(data.as_str(), what);
        } else {
            let marked = node.output.iter().find_map(|output| Some((output, *read.0.get(output.as_str())?)));
            let Some((output, what)) = marked else { continue };
            let inputs = node.input.iter().enumerate().filter(|(_, name)| !name.is_empty());
            let kept = inputs.filter(|(index, _)| known.keeps_first(node, *index, output));
            kept.for_each(|(_, name)| read.add(name.as_str(), what));
        }
    }
    read.0
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
            | "NhwcFusedConv"
            | "MaxPool"
            | "MaxUnpool"
            | "AveragePool"
            | "LpPool"
            | "GlobalMaxPool"
            | "GlobalAveragePool"
            | "GlobalLpPool"
            | "QLinearAveragePool"
            | "QLinearGlobalAveragePool"
            | "MaxRoiPool"
            | "RoiAlign"
            | "GridSample"
            | "Col2Im"
            | "BatchNormalization"
            | "InstanceNormalization"
            | "GroupNormalization"
            | "LRN"
            | "DepthToSpace"
            | "SpaceToDepth"
    )
}

/// What an operator defines the first dimension of its first input as.
fn reads(node: &NodeProto) -> Option<FirstDimension> {
    let is_of_sequences = matches!(node.op_type.as_str(), "LSTM" | "GRU" | "RNN" | "DynamicQuantizeLSTM");
    match is_of_sequences {
        // Its layout says which of steps and batch is first.
        true if number(node, "layout") == 0 => Some(FirstDimension::Steps),
        true => Some(FirstDimension::Batch),
        false => reads_batch(&node.op_type).then_some(FirstDimension::Batch),
    }
}

/// Operators on single values, which stretch inputs of fewer dimensions.
const ON_VALUES: &str = "Abs Acos Acosh Add And Asin Asinh Atan Atanh BiasGelu BitShift BitwiseAnd BitwiseNot \
                         BitwiseOr BitwiseXor Cast CastLike Ceil Celu Clip Cos Cosh DequantizeLinear Div Dropout \
                         DynamicQuantizeLinear Elu Equal Erf Exp FastGelu Floor Gelu Greater GreaterOrEqual \
                         HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Mean Min Mish \
                         Mod Mul Neg Not Or PRelu Pow QuantizeLinear QuickGelu Reciprocal Relu Round Selu Shrink \
                         Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Sub Sum Swish Tan Tanh ThresholdedRelu Where Xor";

/// Operators that may add dimensions or take some away, and leave the values where they are.
const MAY_CHANGE_RANK: &str = "Flatten Reshape Squeeze Unsqueeze";

/// Of operators with more inputs whose shapes are not known, nothing is said.
const MOST_LOOKED_AT: usize = 8;

fn is_of(list: &str, op: &str) -> bool {
    list.split(' ').any(|name| name == op)
}

fn number(node: &NodeProto, attribute: &str) -> i64 {
    let attribute = node.attribute.iter().find(|other| other.name == attribute);
    attribute.and_then(|attribute| attribute.i).unwrap_or(0)
}

/// What is known of a graph's tensors.
struct Known<'a> {
    shapes: &'a Shapes,
    constants: HashSet<&'a str>,
}

impl Known<'_> {
    /// Whether an output of a node has its first dimension from that input.
    fn keeps_first(&self, node: &NodeProto, index: usize, output: &str) -> bool {
        let shape = |name: &str| self.shapes.get(name).filter(|shape| !shape.is_empty());
        let (Some(from), Some(to)) = (shape(&node.input[index]), shape(output)) else {
            return self.keeps_unknown(node, index);
        };
        let (is_same_rank, is_same_first) = (from.len() == to.len(), from[0] == to[0]);
        is_same_first
            && match node.op_type.as_str() {
                op if is_of(MAY_CHANGE_RANK, op) => index == 0,
                "Transpose" => starts_with_first(node),
                "Gather" => index == usize::from(is_first_axis(number(node, "axis"), shape(&node.input[0]))),
                "MatMul" | "MatMulInteger" => is_same_rank && from.len() > 1,
                "Gemm" => index == 0 && number(node, "transA") == 0,
                _ => is_same_rank,
            }
    }

    /// The same where not both shapes are known: of operators that leave the first dimension where it is.
    fn keeps_unknown(&self, node: &NodeProto, index: usize) -> bool {
        match node.op_type.as_str() {
            // Where several come together, whose first dimension it is depends on their ranks.
            op if is_of(ON_VALUES, op) && node.input.len() <= MOST_LOOKED_AT => {
                let others = node.input.iter().enumerate().filter(|(other, _)| *other != index);
                others.map(|(_, name)| name.as_str()).all(|name| name.is_empty() || self.constants.contains(name))
            }
            "Transpose" => starts_with_first(node),
            "Concat" => number(node, "axis") != 0,
            "Pad" | "Resize" | "Upsample" | "Softmax" | "LogSoftmax" | "LayerNormalization" => index == 0,
            _ => false,
        }
    }
}

/// Whether a transposition leaves the first dimension where it is.
fn starts_with_first(node: &NodeProto) -> bool {
    let order = node.attribute.iter().find(|attribute| attribute.name == "perm");
    order.is_some_and(|order| order.ints.first() == Some(&0))
}

fn is_first_axis(axis: i64, shape: Option<&Vec<u64>>) -> bool {
    axis == 0 || shape.is_some_and(|shape| axis.saturating_add(shape.len() as i64) == 0)
}

/// What the first dimension is of each tensor of a TensorFlow Lite graph that is read for it. `operators` are in an
/// order in which they can be computed; `dims` tells the dimensions of a tensor.
pub(super) fn of_tflite<'a, 'd>(
    operators: impl DoubleEndedIterator<Item = Reading<'a>>,
    dims: &dyn Fn(i32) -> &'d [Dimension],
) -> HashMap<i32, FirstDimension> {
    let mut read = Read(HashMap::new());
    for Reading { code, inputs, outputs, time_major } in operators.rev() {
        // Where a TRANSPOSE_CONV has what it works on, its other inputs come first.
        let data = inputs.get(if code == 67 { 2 } else { 0 });
        let what = if time_major { FirstDimension::Steps } else { FirstDimension::Batch };
        if let (Some(data), true) = (data, tflite_reads(code)) {
            read.add(*data, what);
            continue;
        }
        let marked = outputs.iter().find_map(|output| Some((*output, *read.0.get(output)?)));
        let Some((output, what)) = marked else { continue };
        let kept = inputs.iter().filter(|input| tflite_keeps_first(code, dims(**input), dims(output)));
        kept.for_each(|input| read.add(*input, what));
    }
    read.0
}

/// Operators whose first input begins with the batch, or with steps where they say so.
fn tflite_reads(code: u32) -> bool {
    // AVERAGE_POOL_2D, CONV_2D, DEPTHWISE_CONV_2D, DEPTH_TO_SPACE, LOCAL_RESPONSE_NORMALIZATION, L2_POOL_2D, LSTM,
    // MAX_POOL_2D, RESIZE_BILINEAR, RNN, SPACE_TO_DEPTH, SVDF, TRANSPOSE_CONV, RESIZE_NEAREST_NEIGHBOR, CONV_3D,
    // CONV_3D_TRANSPOSE; UNIDIRECTIONAL_SEQUENCE_RNN and _LSTM, BIDIRECTIONAL_SEQUENCE_RNN and _LSTM
    matches!(code, 1 | 3 | 4 | 5 | 12 | 13 | 16 | 17 | 23 | 24 | 26 | 27 | 35 | 44 | 46 | 52 | 67 | 97 | 132 | 135)
}

fn tflite_keeps_first(code: u32, from: &[Dimension], to: &[Dimension]) -> bool {
    let (Some(first), Some(other)) = (from.first(), to.first()) else { return false };
    let is_one = |dim: &Dimension| dim.size() == Some(1);
    let is_open = |dim: &Dimension| dim.size().is_none();
    // CONCATENATION, RESHAPE, GATHER, SQUEEZE, STRIDED_SLICE, SPLIT, SLICE, EXPAND_DIMS, PACK, UNPACK, SPLIT_V
    let moves = matches!(code, 2 | 22 | 36 | 43 | 45 | 49 | 65 | 70 | 83 | 88 | 102);
    let is_same_first = match (first.size(), other.size()) {
        (Some(size), Some(other)) => size == other,
        (None, None) => true,
        // Files have 1 for what is open, where they don't say that it is.
        _ => !moves && (is_one(first) || is_open(first)) && (is_one(other) || is_open(other)),
    };
    match code {
        // TRANSPOSE: its order is among the weights; a size that is there once can't be another dimension's.
        39 => is_same_first && from.iter().filter(|dim| dim.size() == first.size()).count() == 1,
        _ => is_same_first && (moves || from.len() == to.len()),
    }
}

/// An operator of a TensorFlow Lite graph, by its number, with the numbers of the tensors that it reads and writes.
pub(super) struct Reading<'a> {
    pub(super) code: u32,
    pub(super) inputs: &'a [i32],
    pub(super) outputs: &'a [i32],
    /// Whether it runs over a sequence whose steps come first.
    pub(super) time_major: bool,
}
