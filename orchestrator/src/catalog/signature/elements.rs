//! The element types of a graph's tensors, as far as the file tells them.
//!
//! Main function: [`of`]. What a file states is taken. Behind an operator that gives numbers of the type of its first
//! input, the type is that one.

use std::collections::HashMap;

use super::onnx;
use crate::catalog::onnx::{GraphProto, NodeProto, TypeValue, ValueInfoProto};
use crate::domain::{ElementType, TensorElement};

/// Element types by the names of tensors.
pub(super) type Elements<'a> = HashMap<&'a str, ElementType>;

/// Operators that give numbers of the type of their first input.
const OF_FIRST_INPUT: &str = "Abs Acos Acosh Add Asin Asinh Atan Atanh AveragePool BatchNormalization Ceil Celu Clip \
                              Concat Conv ConvTranspose Cos Cosh CumSum DepthToSpace Div Dropout Elu Erf Exp Expand \
                              Flatten Floor Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalMaxPool \
                              HardSigmoid HardSwish Identity InstanceNormalization LRN LayerNormalization LeakyRelu \
                              Log LogSoftmax MatMul Max MaxPool Mean Min Mish Mod Mul Neg PRelu Pad Pow Reciprocal \
                              ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Relu Reshape \
                              Resize Round Scatter ScatterElements ScatterND Selu Sigmoid Sign Sin Sinh Slice Softmax \
                              Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile \
                              TopK Transpose Trilu Unsqueeze Upsample";

/// The types of a graph's tensors, without those that it reads from around it.
pub(super) fn of(graph: &GraphProto) -> Elements<'_> {
    let mut found = Elements::new();
    let weights = graph.initializer.iter().filter_map(|it| Some((it.name.as_str(), number(it.data_type)?)));
    let sparse = graph.sparse_initializer.iter().filter_map(|it| it.values.as_ref());
    let sparse = sparse.filter_map(|it| Some((it.name.as_str(), number(it.data_type)?)));
    let stated = graph.input.iter().chain(&graph.value_info).chain(&graph.output).filter_map(stated);
    found.extend(weights.chain(sparse).chain(stated));
    for node in &graph.node {
        if let (Some(output), Some(element)) = (node.output.first(), made_by(node, &found)) {
            found.entry(output).or_insert(element);
        }
    }
    found
}

fn stated(info: &ValueInfoProto) -> Option<(&str, ElementType)> {
    match info.r#type.as_ref()?.value.as_ref()? {
        TypeValue::TensorType(tensor) => Some((info.name.as_str(), number(tensor.elem_type)?)),
        _ => None,
    }
}

/// The type of a node's first output.
fn made_by(node: &NodeProto, known: &Elements<'_>) -> Option<ElementType> {
    let attribute = |name: &str| node.attribute.iter().find(|attribute| attribute.name == name);
    match node.op_type.as_str() {
        "Constant" => number(attribute("value")?.t.as_ref()?.data_type),
        "Cast" => number(i32::try_from(attribute("to")?.i?).ok()?),
        op if OF_FIRST_INPUT.split(' ').any(|name| name == op) => known.get(node.input.first()?.as_str()).copied(),
        _ => None,
    }
}

fn number(code: i32) -> Option<ElementType> {
    match onnx::element(code) {
        TensorElement::Number(element) => Some(element),
        TensorElement::Other(_) => None,
    }
}
