//! What a TensorFlow Lite file says of itself. Numbers of fields are those of TensorFlow's `schema.fbs`.

use std::collections::HashSet;
use std::fs::File;

use super::arithmetic::{Computation, Shares};
use super::batch::{self, Reading};
use super::flatbuffer::{Buffer, FlatError, Table};
use super::tflite_macs;
use crate::domain::{Dimension, ElementType, InputSpec, ModelSignature, TensorElement, TensorSignature};

/// Identifier of a file of this format, from its fifth byte on.
const IDENTIFIER: [u8; 4] = *b"TFL3";
/// Number of an operator that the format doesn't know.
const CUSTOM: u32 = 32;

/// The signature of a file of that size.
pub(super) fn signature(file: File, size_bytes: u64) -> Result<ModelSignature, FlatError> {
    let buffer = Buffer::new(file, size_bytes);
    let model = buffer.root(IDENTIFIER)?;
    let graph = *model.tables(2)?.first().ok_or(FlatError::Damaged("it holds no graph"))?;
    check_weights(&buffer, &model)?;
    let tensors = tensors(&graph)?;
    let names = SignatureNames::read(&model)?;
    let operators = operators(&model, &graph)?;
    let dims = |number: i32| {
        let tensor = usize::try_from(number).ok().and_then(|number| tensors.get(number));
        tensor.map_or(&[] as &[Dimension], |tensor| &tensor.dims)
    };
    let read_as = batch::of_tflite(operators.iter().map(Operator::reading), &dims);
    let edge = |slot, names: &[Named]| {
        let indices = graph.integers(slot)?.unwrap_or_default();
        let indices = indices.into_iter().filter(|index| *index >= 0);
        let described = |index| {
            let described = described(&tensors, index, names)?;
            Ok(TensorSignature { first_dimension: read_as.get(&index).copied(), ..described })
        };
        let described = indices.map(described).collect::<Result<Vec<_>, FlatError>>()?;
        let mut names = HashSet::new();
        // Engines name tensors to their callers.
        match described.iter().all(|tensor| names.insert(tensor.name.as_str())) {
            true => Ok(described),
            false => Err(FlatError::Damaged("two of its inputs, or two of its outputs, have one name")),
        }
    };
    let outputs = edge(2, &names.outputs)?;
    if outputs.is_empty() {
        return Err(FlatError::Damaged("its graph has no output"));
    }
    let mut shares = Shares::default();
    operators.iter().for_each(|operator| add_share(&mut shares, operator, &tensors));
    let mut foreign: Vec<String> = operators.into_iter().filter_map(|operator| operator.custom).collect();
    foreign.sort();
    foreign.dedup();
    Ok(ModelSignature {
        inputs: edge(1, &names.inputs)?,
        outputs,
        arithmetic: shares.arithmetic(),
        data_files: Vec::new(),
        foreign_operators: foreign,
        operators: Vec::new(),
        ir_version: None,
        doubt: None,
        foreign_elements: Vec::new(),
    })
}

/// Multiply-adds of one inference with these inputs; an error inside says what can't be counted.
pub(super) fn macs(file: File, size_bytes: u64, inputs: &[InputSpec]) -> Result<Result<u64, String>, FlatError> {
    let buffer = Buffer::new(file, size_bytes);
    let model = buffer.root(IDENTIFIER)?;
    let graph = *model.tables(2)?.first().ok_or(FlatError::Damaged("it holds no graph"))?;
    let edge = graph.integers(1)?.unwrap_or_default();
    Ok(tflite_macs::count(&tensors(&graph)?, &operators(&model, &graph)?, &edge, inputs))
}

fn tensors(graph: &Table<'_>) -> Result<Vec<Tensor>, FlatError> {
    graph.tables(0)?.iter().map(Tensor::read).collect()
}

/// Refuses a file that ends before its weights do.
fn check_weights(buffer: &Buffer, model: &Table<'_>) -> Result<(), FlatError> {
    for weights in model.tables(4)? {
        // Large files have their weights behind the flatbuffer, by place and size.
        let (offset, size) = (weights.long(1)?, weights.long(2)?);
        if !weights.has_bytes(0)? || (offset > 1 && !buffer.has(offset, size)) {
            return Err(FlatError::Cut);
        }
    }
    Ok(())
}

/// A tensor of the graph.
pub(super) struct Tensor {
    name: String,
    type_number: u8,
    dims: Vec<Dimension>,
    /// The sizes that the file has for now, also for what it leaves open; `None` where more than the first dimension
    /// is.
    pub(super) sizes: Option<Vec<u64>>,
    is_quantised: bool,
}

impl Tensor {
    fn read(table: &Table<'_>) -> Result<Self, FlatError> {
        let shape = table.integers(0)?.unwrap_or_default();
        // Where it is there, it has -1 for what is open, and the shape some size for it.
        let open = table.integers(7)?.filter(|open| open.len() == shape.len()).unwrap_or_else(|| shape.clone());
        let dim = |size: &i32| u64::try_from(*size).map_or(Dimension::Open(None), Dimension::Fixed);
        let is_known = open.iter().skip(1).all(|size| *size >= 0);
        let sizes: Option<Vec<u64>> = shape.iter().map(|size| u64::try_from(*size).ok()).collect();
        let quantisation = table.child(4)?;
        Ok(Self {
            name: table.text(3)?,
            type_number: table.byte(1, 0)?,
            dims: open.iter().map(dim).collect(),
            sizes: sizes.filter(|_| is_known),
            is_quantised: quantisation.map_or(Ok(false), |quantisation| quantisation.has_items(2))?,
        })
    }

    /// Its values, the open dimensions not counted.
    fn count(&self) -> u64 {
        self.dims.iter().filter_map(Dimension::size).fold(1, u64::saturating_mul)
    }
}

fn element(type_number: u8) -> TensorElement {
    TensorElement::Number(match type_number {
        0 => ElementType::Float32,
        1 => ElementType::Float16,
        2 => ElementType::Int32,
        3 => ElementType::Uint8,
        4 => ElementType::Int64,
        6 => ElementType::Bool,
        7 => ElementType::Int16,
        9 => ElementType::Int8,
        10 => ElementType::Float64,
        12 => ElementType::Uint64,
        15 => ElementType::Uint32,
        16 => ElementType::Uint16,
        other => {
            let word = match other {
                5 => "string",
                8 | 11 => "complex number",
                13 | 14 => "resource",
                17 => "i4",
                18 => "bf16",
                _ => "value of unknown type",
            };
            return TensorElement::Other(word.to_owned());
        }
    })
}

/// A name for the tensor of a number.
type Named = (String, u32);

/// The names of inputs and outputs that people see, where the file has one list of them.
#[derive(Default)]
struct SignatureNames {
    inputs: Vec<Named>,
    outputs: Vec<Named>,
}

impl SignatureNames {
    fn read(model: &Table<'_>) -> Result<Self, FlatError> {
        let definitions = model.tables(7)?;
        let [definition] = definitions.as_slice() else { return Ok(Self::default()) };
        if definition.word(4)? != 0 {
            return Ok(Self::default());
        }
        let names = |slot| {
            let map = definition.tables(slot)?;
            map.iter().map(|entry| Ok((entry.text(0)?, entry.word(1)?))).collect::<Result<Vec<_>, FlatError>>()
        };
        Ok(Self { inputs: names(0)?, outputs: names(1)? })
    }
}

fn described(tensors: &[Tensor], index: i32, names: &[Named]) -> Result<TensorSignature, FlatError> {
    let number = u32::try_from(index).unwrap_or(u32::MAX);
    let tensor = tensors.get(number as usize).ok_or(FlatError::Damaged("an input or output is no tensor of it"))?;
    let name = names.iter().find(|(_, of)| *of == number).map_or(&tensor.name, |(name, _)| name);
    Ok(TensorSignature {
        name: name.clone(),
        element: element(tensor.type_number),
        dims: Some(tensor.dims.clone()),
        is_quantised: tensor.is_quantised,
        is_probability: false,
        first_dimension: None,
    })
}

/// An operator of the graph.
pub(super) struct Operator {
    pub(super) code: u32,
    /// Its name, where the format doesn't know it.
    pub(super) custom: Option<String>,
    pub(super) inputs: Vec<i32>,
    pub(super) outputs: Vec<i32>,
    time_major: bool,
}

impl Operator {
    fn reading(&self) -> Reading<'_> {
        Reading { code: self.code, inputs: &self.inputs, outputs: &self.outputs, time_major: self.time_major }
    }
}

fn operators(model: &Table<'_>, graph: &Table<'_>) -> Result<Vec<Operator>, FlatError> {
    let codes = model.tables(1)?;
    let read = |table: &Table<'_>| {
        let code = codes.get(table.word(0)? as usize);
        let code = code.ok_or(FlatError::Damaged("an operator in it has no name"))?;
        // Old files have the first alone; files with more operators than fit it have the other.
        let number = u32::from(code.byte(0, 0)?).max(code.word(3)?);
        let custom = if number == CUSTOM { Some(code.text(1)?) } else { None };
        let [inputs, outputs] = [table.integers(1)?, table.integers(2)?].map(Option::unwrap_or_default);
        Ok(Operator { code: number, custom, inputs, outputs, time_major: is_time_major(number, table)? })
    };
    graph.tables(3)?.iter().map(read).collect()
}

/// Whether an operator over a sequence has the steps before the batch, by its options.
fn is_time_major(code: u32, operator: &Table<'_>) -> Result<bool, FlatError> {
    // Field and default: UNIDIRECTIONAL_SEQUENCE_RNN and BIDIRECTIONAL_SEQUENCE_RNN, UNIDIRECTIONAL_SEQUENCE_LSTM,
    // BIDIRECTIONAL_SEQUENCE_LSTM
    let (slot, default) = match code {
        35 | 46 => (0, 0),
        44 => (3, 0),
        52 => (4, 1),
        _ => return Ok(false),
    };
    let options = operator.child(4)?;
    Ok(options.map_or(Ok(default), |options| options.byte(slot, default))? != 0)
}

/// Where the weights are among the inputs of an operator that multiplies by some.
fn weights_at(code: u32) -> Option<usize> {
    Some(match code {
        // CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, RNN, BATCH_MATMUL, CONV_3D
        3 | 4 | 9 | 24 | 126 | 132 => 1,
        // The first weights of an LSTM, in one step or over a sequence; SVDF; RNN over a sequence; TRANSPOSE_CONV
        16 | 44 => 2,
        27 | 35 | 46 | 67 => 1,
        _ => return None,
    })
}

/// Operators that move, convert or describe numbers: Dequantize, Reshape, Transpose, Cast, Shape, Quantize.
const PLUMBING: [u32; 6] = [6, 22, 39, 53, 77, 114];

fn add_share(shares: &mut Shares, operator: &Operator, tensors: &[Tensor]) {
    let input = |index: usize| {
        let number = operator.inputs.get(index).copied().and_then(|number| usize::try_from(number).ok());
        number.and_then(|number| tensors.get(number))
    };
    let is_byte = |tensor: &Tensor| matches!(tensor.type_number, 3 | 9);
    // Bytes, or half of one each.
    let is_packed = |tensor: &Tensor| is_byte(tensor) || tensor.type_number == 17;
    // A transposed convolution has the shape of its output first.
    let data = if operator.code == 67 { input(2) } else { input(0) };
    let Some(data) = data else { return };
    match weights_at(operator.code) {
        Some(weights_at) => {
            let weights = input(weights_at);
            let way = match (is_byte(data), weights.is_some_and(is_packed)) {
                (true, _) => Computation::int8(""),
                (false, true) if data.type_number == 7 => Computation::other("int16 × int8"),
                // Its kernels make bytes of the floats they are given, range by range.
                (false, true) => Computation::int8("dynamic range"),
                _ => Computation::of(&element(data.type_number)),
            };
            shares.add_heavy(way, weights.map_or(0, Tensor::count));
        }
        None if PLUMBING.contains(&operator.code) => {}
        None if is_byte(data) => shares.add_light(Computation::int8("")),
        None => shares.add_light(Computation::of(&element(data.type_number))),
    }
}
