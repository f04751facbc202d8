use super::MAX_RANK;
use crate::catalog::onnx::{DataType, TensorProto};

/// Integers of a longer constant aren't followed: shapes are short.
pub(super) const MAX_INTEGERS: usize = 256;

/// What is known of a tensor before the network runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Value {
    /// Its shape.
    pub(super) shape: Option<Vec<u64>>,
    /// Its values, when they are a few integers: shapes, axes, sizes.
    pub(super) integers: Option<Vec<i64>>,
    /// Its values, when they are a few floats that stand in the file: factors.
    pub(super) floats: Option<Vec<f32>>,
}

impl Value {
    /// A tensor of that shape.
    pub(super) fn with_shape(shape: Option<Vec<u64>>) -> Self {
        Self { shape, ..Self::default() }
    }

    /// A list of integers.
    pub(super) fn with_integers(shape: Option<Vec<u64>>, integers: Vec<i64>) -> Self {
        let integers = Some(integers).filter(|integers| integers.len() <= MAX_INTEGERS);
        Self { shape, integers, floats: None }
    }

    /// A tensor that stands in the file.
    pub(super) fn constant(tensor: &TensorProto) -> Result<Self, String> {
        if tensor.dims.len() > MAX_RANK {
            return Err(format!("it has {} dimensions, more than {MAX_RANK}", tensor.dims.len()));
        }
        let shape: Result<Vec<u64>, _> = tensor.dims.iter().map(|&dim| u64::try_from(dim)).collect();
        let shape = shape.map_err(|_| format!("its shape {:?} has a negative size", tensor.dims))?;
        let elements = count(&shape)?;
        let integers = integers(tensor).filter(|integers| integers.len() as u64 == elements);
        let floats = floats(tensor).filter(|floats| floats.len() as u64 == elements);
        Ok(Self { shape: Some(shape), integers, floats })
    }

    /// Number of elements, when the shape is known.
    pub(super) fn elements(&self) -> Result<Option<u64>, String> {
        Ok(self.shape.as_deref().map(count).transpose()?)
    }
}

/// A shape with more elements than can be counted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TooMany(pub(super) Vec<u64>);

impl From<TooMany> for String {
    fn from(TooMany(shape): TooMany) -> String {
        format!("shape {shape:?} has more elements than can be counted")
    }
}

/// Number of elements of a shape.
pub(super) fn count(shape: &[u64]) -> Result<u64, TooMany> {
    let product = shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size));
    product.ok_or_else(|| TooMany(shape.to_vec()))
}

fn integers(tensor: &TensorProto) -> Option<Vec<i64>> {
    let raw = &tensor.raw_data;
    match tensor.data_type() {
        DataType::Int64 if !tensor.int64_data.is_empty() && tensor.int64_data.len() <= MAX_INTEGERS => {
            Some(tensor.int64_data.clone())
        }
        DataType::Int64 if raw.len() <= MAX_INTEGERS * 8 => {
            let (chunks, _) = raw.as_chunks::<8>();
            Some(chunks.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect())
        }
        DataType::Int32 if !tensor.int32_data.is_empty() && tensor.int32_data.len() <= MAX_INTEGERS => {
            Some(tensor.int32_data.iter().map(|&value| i64::from(value)).collect())
        }
        DataType::Int32 if raw.len() <= MAX_INTEGERS * 4 => {
            let (chunks, _) = raw.as_chunks::<4>();
            Some(chunks.iter().map(|bytes| i64::from(i32::from_le_bytes(*bytes))).collect())
        }
        _ => None,
    }
}

fn floats(tensor: &TensorProto) -> Option<Vec<f32>> {
    let raw = &tensor.raw_data;
    if tensor.data_type() != DataType::Float || tensor.float_data.len() > MAX_INTEGERS || raw.len() > MAX_INTEGERS * 4 {
        return None;
    }
    if !tensor.float_data.is_empty() {
        return Some(tensor.float_data.clone());
    }
    let (chunks, _) = raw.as_chunks::<4>();
    Some(chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}
