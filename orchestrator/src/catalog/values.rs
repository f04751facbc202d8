//! Values that an input of a network is given: a person's own sample, read from NumPy's, ONNX's or a raw file.
//!
//! Main function: [`ArtifactCache::look_at_values`]. What comes of it is always the same: the numbers in their own
//! type, little-endian, row by row. Files come from anywhere: what they say is bounded and checked. Never converts a
//! number.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use prost::Message as _;

use super::artifacts::{ArtifactCache, make_readable};
use super::onnx::TensorProto;
use super::signature::onnx_element;
use crate::domain::{ArtifactRef, CatalogInput, ElementType, GivenValues, TensorElement, sha256_hex};

mod npy;

/// Most bytes of a file of values: as many as all inputs of a run may have.
const MAX_BYTES: u64 = 1 << 30;
/// Most dimensions: as many as the runner takes.
const MAX_RANK: usize = 64;

impl ArtifactCache {
    /// Reads the values that inputs are given, and keeps their numbers in the cache, where devices get them from. What
    /// is wrong with a file becomes the input's error. What was read already is not read again.
    pub fn look_at_values(&self, inputs: &mut [CatalogInput]) {
        let given = inputs.iter_mut().filter_map(|input| input.values.as_mut());
        for values in given.filter(|values| values.found.is_none()) {
            let found = read(&values.path).and_then(|read| {
                let artifact = self.keep(&read.bytes).map_err(|error| format!("the cache takes no file: {error}"))?;
                Ok(GivenValues { element: read.element, shape: read.shape, artifact })
            });
            let path = values.path.display();
            values.found = Some(found.map_err(|why| format!("the values in {path} can't be used: {why}")));
        }
    }

    /// Has a file of these bytes in the cache.
    fn keep(&self, bytes: &[u8]) -> std::io::Result<ArtifactRef> {
        let artifact = ArtifactRef { sha256: sha256_hex(bytes), size_bytes: bytes.len() as u64 };
        if !self.is_cached(&artifact) {
            std::fs::create_dir_all(&self.folder)?;
            let mut file = tempfile::Builder::new().prefix("values-").tempfile_in(&self.folder)?;
            file.write_all(bytes)?;
            file.as_file().sync_data()?;
            make_readable(file.as_file())?;
            file.persist(self.path(&artifact)).map_err(|failure| failure.error)?;
        }
        Ok(artifact)
    }
}

/// Values that were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Values {
    /// What they are made of; `None` where the file does not tell it.
    pub(super) element: Option<ElementType>,
    /// Their shape, where the file tells it.
    pub(super) shape: Option<Vec<u64>>,
    /// The numbers, little-endian.
    pub(super) bytes: Vec<u8>,
}

/// Reads a file of values: one that ends in `.npy` as NumPy's, in `.pb` as ONNX's TensorProto, and any other as the
/// bare numbers.
///
/// # Errors
/// Says what is wrong with the file, and what helps.
pub(super) fn read(path: &Path) -> Result<Values, String> {
    let bytes = content(path)?;
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("npy") => npy::read(bytes),
        Some("pb") => tensor(&bytes),
        _ => Ok(Values { element: None, shape: None, bytes }),
    }
}

fn content(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| error.to_string();
    // Looked at before it is opened: a pipe would wait for a writer.
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err("it is no regular file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("it has more than {MAX_BYTES} bytes"));
    }
    Ok(bytes)
}

/// Holds numbers against their shape.
fn whole(element: ElementType, shape: Vec<u64>, bytes: Vec<u8>) -> Result<Values, String> {
    if shape.len() > MAX_RANK {
        return Err(format!("it has {} dimensions; {MAX_RANK} are the most", shape.len()));
    }
    let count = shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size));
    let expected = count.and_then(|count| count.checked_mul(element.size_bytes() as u64));
    if expected != Some(bytes.len() as u64) {
        return Err(format!("it has {} bytes of numbers, which are not {element} {shape:?}", bytes.len()));
    }
    Ok(Values { element: Some(element), shape: Some(shape), bytes })
}

/// A tensor as ONNX writes it.
fn tensor(bytes: &[u8]) -> Result<Values, String> {
    let tensor = TensorProto::decode(bytes).map_err(|error| format!("it is no TensorProto of ONNX ({error})"))?;
    let element = match onnx_element(tensor.data_type) {
        TensorElement::Number(element) => element,
        TensorElement::Other(word) => return Err(format!("it is made of {word}, which no input is fed with")),
    };
    if tensor.data_location != 0 {
        return Err("its numbers lie in another file: save it whole".to_owned());
    }
    let shape = tensor.dims.iter().map(|&size| u64::try_from(size)).collect::<Result<Vec<u64>, _>>();
    let shape = shape.map_err(|_| format!("its shape {:?} has a negative size", tensor.dims))?;
    let bytes = if tensor.raw_data.is_empty() { listed(&tensor, element) } else { tensor.raw_data.to_vec() };
    whole(element, shape, bytes)
}

/// The numbers of a tensor that has them as a list: each type has the list of the next larger one.
fn listed(tensor: &TensorProto, element: ElementType) -> Vec<u8> {
    fn low_bytes<const N: usize>(numbers: impl Iterator<Item = [u8; N]>, size: usize) -> Vec<u8> {
        numbers.flat_map(|bytes| bytes.into_iter().take(size)).collect()
    }
    let size = element.size_bytes();
    match element {
        ElementType::Float32 => low_bytes(tensor.float_data.iter().map(|number| number.to_le_bytes()), size),
        ElementType::Float64 => low_bytes(tensor.double_data.iter().map(|number| number.to_le_bytes()), size),
        ElementType::Int64 => low_bytes(tensor.int64_data.iter().map(|number| number.to_le_bytes()), size),
        ElementType::Uint32 | ElementType::Uint64 => {
            low_bytes(tensor.uint64_data.iter().map(|number| number.to_le_bytes()), size)
        }
        // Of these, and of halves by their bits, the lowest bytes are the number.
        _ => low_bytes(tensor.int32_data.iter().map(|number| number.to_le_bytes()), size),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
