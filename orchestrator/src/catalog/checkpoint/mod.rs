//! Trained weights from a file that PyTorch wrote before its version 1.6 (`torch.save`), read without PyTorch or
//! Python.
//!
//! Main type: [`Checkpoint`], the tensors by name. Such a file is a row of pickles (what it is, then the tensors' names
//! and shapes, then the order of their storages), followed by the storages' numbers. A pickle is a program; of its
//! instructions only those are followed that put together names, numbers and tensors. Never calls what a pickle asks
//! for.

mod pickle;

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use self::pickle::{Tensor, Value};

/// Tensors by name. Those that hold no 32-bit floats are left out.
#[derive(Debug, Default)]
pub struct Checkpoint(BTreeMap<String, (Vec<u64>, Vec<f32>)>);

/// Why bytes are no checkpoint that can be read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Not such a file at all.
    #[error("it is no PyTorch checkpoint of the form before version 1.6")]
    Other,
    /// It ends too early.
    #[error("it ends in the middle of something")]
    Short,
    /// It asks for what is not done.
    #[error("it has {what} at byte {at}, which is not read here")]
    Unread {
        /// What.
        what: String,
        /// Where.
        at: usize,
    },
    /// A tensor's shape and its numbers don't fit together.
    #[error("its tensor {name} reaches beyond the numbers that there are")]
    Tensor {
        /// Name of the tensor.
        name: String,
    },
    /// A tensor that a network needs isn't there, or has another shape.
    #[error("it has no tensor {name} of shape {shape:?}")]
    Missing {
        /// Name of the tensor.
        name: String,
        /// Shape that it needs.
        shape: Vec<u64>,
    },
}

/// How such a file begins: a pickle of the number 0x1950a86a20f9469cfc6c.
const MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
/// Bytes of the number of elements before each storage.
const COUNT_BYTES: usize = 8;

impl Checkpoint {
    /// Reads a checkpoint: a dictionary of tensors by name.
    ///
    /// # Errors
    /// When the bytes aren't one.
    pub fn read(bytes: &[u8]) -> Result<Self, CheckpointError> {
        if !bytes.starts_with(MAGIC) {
            return Err(CheckpointError::Other);
        }
        let mut at = MAGIC.len();
        let mut next = || pickle::read(bytes, &mut at);
        let (_version, _system) = (next()?, next()?);
        let (named, order) = (next()?, next()?);
        let Value::Entries(named) = named else { return Err(CheckpointError::Other) };
        let tensors = || {
            named.iter().filter_map(|(name, value)| match (name, value) {
                (Value::Text(name), Value::Tensor(tensor)) => Some((name, tensor)),
                _ => None,
            })
        };
        let sizes = tensors().map(|(_, tensor)| (tensor.storage.clone(), tensor.element_bytes)).collect();
        let storages = storages(bytes, at, &order, &sizes)?;
        let mut checkpoint = Self::default();
        for (name, tensor) in tensors().filter(|(_, tensor)| tensor.is_float) {
            let storage = storages.get(&tensor.storage).copied().unwrap_or_default();
            let values = gather(tensor, storage).ok_or_else(|| CheckpointError::Tensor { name: name.to_string() })?;
            checkpoint.0.insert(name.to_string(), (tensor.shape.clone(), values));
        }
        Ok(checkpoint)
    }

    /// The values of the tensor of that name, the last dimension running fastest.
    ///
    /// # Errors
    /// When there is none, or its shape is another.
    pub fn values(&self, name: &str, shape: &[u64]) -> Result<&[f32], CheckpointError> {
        let found = self.0.get(name).filter(|(found, _)| found == shape);
        let missing = || CheckpointError::Missing { name: name.to_owned(), shape: shape.to_vec() };
        found.map(|(_, values)| values.as_slice()).ok_or_else(missing)
    }
}

/// The bytes of each storage: they follow each other in the order of the list, each after the number of its elements.
fn storages<'a>(
    bytes: &'a [u8],
    mut at: usize,
    order: &Value,
    element_bytes: &HashMap<Rc<str>, usize>,
) -> Result<HashMap<Rc<str>, &'a [u8]>, CheckpointError> {
    let Value::List(order) = order else { return Err(CheckpointError::Other) };
    let mut storages = HashMap::new();
    for key in order {
        // Of what no tensor is, the size isn't known, nor where the next one begins.
        let Value::Text(key) = key else { return Err(CheckpointError::Other) };
        let size = *element_bytes.get(key).ok_or(CheckpointError::Other)?;
        let start = at.checked_add(COUNT_BYTES).ok_or(CheckpointError::Short)?;
        let count = bytes.get(at..start).and_then(|count| count.try_into().ok()).map(u64::from_le_bytes);
        let length = count.and_then(|count| usize::try_from(count).ok()?.checked_mul(size));
        at = length.and_then(|length| start.checked_add(length)).ok_or(CheckpointError::Short)?;
        storages.insert(key.clone(), bytes.get(start..at).ok_or(CheckpointError::Short)?);
    }
    Ok(storages)
}

/// A tensor's values from its storage, where they may lie in another order; `None` when they aren't all there.
fn gather(tensor: &Tensor, storage: &[u8]) -> Option<Vec<f32>> {
    let count = tensor.shape.iter().try_fold(1u64, |product, size| product.checked_mul(*size))?;
    // A stride of 0 lets a tensor have more values than its storage: none that was saved for its weights has.
    if count > (storage.len() / size_of::<f32>()) as u64 {
        return None;
    }
    let mut values = Vec::with_capacity(count as usize);
    let mut place = vec![0u64; tensor.shape.len()];
    for _ in 0..count {
        let mut steps = place.iter().zip(&tensor.strides);
        let at = steps.try_fold(tensor.offset, |at, (index, stride)| at.checked_add(index.checked_mul(*stride)?))?;
        let start = usize::try_from(at).ok()?.checked_mul(size_of::<f32>())?;
        let bytes = storage.get(start..start.checked_add(size_of::<f32>())?)?;
        values.push(f32::from_le_bytes(bytes.try_into().ok()?));
        for axis in (0..place.len()).rev() {
            place[axis] += 1;
            if place[axis] < tensor.shape[axis] {
                break;
            }
            place[axis] = 0;
        }
    }
    Some(values)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
