//! What an ONNX graph says of itself.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{arithmetic, batch, probability};
use crate::catalog::analysis;
use crate::catalog::onnx::{
    DataType, DimensionValue, GraphProto, ModelProto, TensorProto, TensorTypeProto, TypeValue, ValueInfoProto,
};
use crate::domain::{DataFile, Dimension, ElementType, ModelSignature, TensorElement, TensorSignature};

/// ONNX's number for text.
const TEXT: i32 = 8;
/// Operator sets that every engine knows.
const STANDARD_DOMAINS: [&str; 2] = ["", "ai.onnx"];

/// The signature of a model, without its operators; an error says what is wrong with it.
pub(super) fn signature(model: &ModelProto) -> Result<ModelSignature, String> {
    let graph = model.graph.as_ref().ok_or("it holds no graph")?;
    let weights: HashSet<&str> = weights(graph).map(|tensor| tensor.name.as_str()).collect();
    let inputs = graph.input.iter().filter(|info| !weights.contains(info.name.as_str()));
    let read_as = batch::of_onnx(graph, &analysis::shapes(model));
    let input = |info: &ValueInfoProto| TensorSignature {
        first_dimension: read_as.get(info.name.as_str()).copied(),
        ..tensor(info)
    };
    let probabilities = probability::of(graph);
    let output = |info: &ValueInfoProto| TensorSignature {
        is_probability: probabilities.contains(info.name.as_str()),
        ..tensor(info)
    };
    let mut survey = Survey::default();
    survey.graph(graph);
    Ok(ModelSignature {
        inputs: inputs.map(input).collect(),
        outputs: graph.output.iter().map(output).collect(),
        arithmetic: arithmetic::of_onnx(graph),
        data_files: survey.data_files,
        foreign_operators: survey.foreign_operators.into_iter().collect(),
        operators: Vec::new(),
        ir_version: Some(model.ir_version).filter(|version| *version > 0),
        doubt: None,
        foreign_elements: survey.foreign_elements.into_iter().collect(),
    })
}

/// The tensors of weights of a graph, those inside its operators not among them.
pub(super) fn weights(graph: &GraphProto) -> impl Iterator<Item = &TensorProto> {
    graph.initializer.iter().chain(graph.sparse_initializer.iter().filter_map(|sparse| sparse.values.as_ref()))
}

/// What a tensor whose values lie in another file says of them.
fn external<'a>(tensor: &'a TensorProto, key: &str) -> Option<&'a str> {
    tensor.external_data.iter().find(|it| it.key == key).map(|it| it.value.as_str())
}

/// Bytes that a tensor says it has in another file; `None` where it doesn't say.
pub(super) fn external_length(tensor: &TensorProto) -> Option<u64> {
    external(tensor, "length")?.parse().ok()
}

/// Bytes that a tensor's values take by its shape and type; 0 where the type is none that a file of numbers has.
pub(super) fn value_bytes(tensor: &TensorProto) -> u64 {
    let bits: u64 = match tensor.data_type {
        // float, int32, uint32
        1 | 6 | 12 => 32,
        // uint8, int8, bool, and those floats of 8 bits
        2 | 3 | 9 | 17..=20 | 24 => 8,
        // uint16, int16, float16, bfloat16
        4 | 5 | 10 | 16 => 16,
        // int64, double, uint64, complex64
        7 | 11 | 13 | 14 => 64,
        // complex128
        15 => 128,
        // uint4, int4, float4
        21..=23 => 4,
        _ => 0,
    };
    tensor.dims.iter().fold(bits, |bits, size| bits.saturating_mul(u64::try_from(*size).unwrap_or(0))).div_ceil(8)
}

fn tensor(info: &ValueInfoProto) -> TensorSignature {
    let (element, dims) = match info.r#type.as_ref().and_then(|it| it.value.as_ref()) {
        Some(TypeValue::TensorType(tensor)) => (element(tensor.elem_type), dims(tensor)),
        Some(TypeValue::SequenceType(_)) => (other("sequence"), None),
        Some(TypeValue::MapType(_)) => (other("map"), None),
        Some(TypeValue::SparseTensorType(_)) => (other("sparse tensor"), None),
        Some(TypeValue::OptionalType(_)) => (other("optional value"), None),
        None => (other("value of unknown type"), None),
    };
    TensorSignature {
        name: info.name.clone(),
        element,
        dims,
        is_quantised: false,
        is_probability: false,
        first_dimension: None,
    }
}

fn dims(tensor: &TensorTypeProto) -> Option<Vec<Dimension>> {
    let dims = tensor.shape.as_ref()?.dim.iter();
    Some(
        dims.map(|dim| match &dim.value {
            // Some exporters write an open dimension as 0 or -1.
            Some(DimensionValue::DimValue(size)) if *size > 0 => Dimension::Fixed(size.unsigned_abs()),
            Some(DimensionValue::DimParam(symbol)) if is_symbol(symbol) => Dimension::Open(Some(symbol.clone())),
            _ => Dimension::Open(None),
        })
        .collect(),
    )
}

/// Whether a text names a dimension: some exporters write the same word for all that are open.
fn is_symbol(text: &str) -> bool {
    !matches!(text, "" | "?" | "None" | "-1")
}

fn other(word: &str) -> TensorElement {
    TensorElement::Other(word.to_owned())
}

/// What a number in ONNX's files stands for.
pub(in crate::catalog) fn element(number: i32) -> TensorElement {
    TensorElement::Number(match DataType::try_from(number) {
        Ok(DataType::Float) => ElementType::Float32,
        Ok(DataType::Uint8) => ElementType::Uint8,
        Ok(DataType::Int8) => ElementType::Int8,
        Ok(DataType::Uint16) => ElementType::Uint16,
        Ok(DataType::Int16) => ElementType::Int16,
        Ok(DataType::Int32) => ElementType::Int32,
        Ok(DataType::Int64) => ElementType::Int64,
        Ok(DataType::Bool) => ElementType::Bool,
        Ok(DataType::Float16) => ElementType::Float16,
        Ok(DataType::Double) => ElementType::Float64,
        Ok(DataType::Uint32) => ElementType::Uint32,
        Ok(DataType::Uint64) => ElementType::Uint64,
        Ok(DataType::String) => return other("string"),
        Ok(DataType::Complex64 | DataType::Complex128) => return other("complex number"),
        Ok(DataType::Bfloat16) => return other("bf16"),
        Ok(DataType::Undefined) => return other("value of unknown type"),
        Err(_) => {
            return other(match number {
                17..=20 | 24 => "f8",
                21 => "u4",
                22 => "i4",
                23 => "f4",
                _ => "value of unknown type",
            });
        }
    })
}

/// What a graph has somewhere inside.
#[derive(Default)]
struct Survey {
    data_files: Vec<DataFile>,
    /// Where in `data_files` each location is.
    places: BTreeMap<String, usize>,
    foreign_operators: BTreeSet<String>,
    foreign_elements: BTreeSet<String>,
}

impl Survey {
    /// Looks through a graph, and those inside its operators. How deep they can nest is bounded by the reader.
    fn graph(&mut self, graph: &GraphProto) {
        weights(graph).for_each(|tensor| self.tensor(tensor));
        let sparse = graph.sparse_initializer.iter();
        sparse.filter_map(|sparse| sparse.indices.as_ref()).for_each(|tensor| self.tensor(tensor));
        for node in &graph.node {
            if !STANDARD_DOMAINS.contains(&node.domain.as_str()) {
                self.foreign_operators.insert(format!("{}.{}", node.domain, node.op_type));
            }
            for attribute in &node.attribute {
                attribute.t.iter().chain(&attribute.tensors).for_each(|tensor| self.tensor(tensor));
                attribute.g.iter().chain(&attribute.graphs).for_each(|graph| self.graph(graph));
            }
        }
    }

    fn tensor(&mut self, tensor: &TensorProto) {
        if let (TensorElement::Other(word), false) = (element(tensor.data_type), tensor.data_type == TEXT) {
            self.foreign_elements.insert(word);
        }
        if tensor.data_location != 1 {
            return;
        }
        let location = external(tensor, "location").unwrap_or_default();
        // `./x` and `x` are one file.
        let location = location.strip_prefix("./").unwrap_or(location);
        let index = *self.places.entry(location.to_owned()).or_insert_with(|| {
            self.data_files.push(DataFile { location: location.to_owned(), least_bytes: 0 });
            self.data_files.len() - 1
        });
        let file = &mut self.data_files[index];
        let offset = external(tensor, "offset").and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        let length = external_length(tensor).unwrap_or_else(|| value_bytes(tensor));
        file.least_bytes = file.least_bytes.max(offset.saturating_add(length));
    }
}
