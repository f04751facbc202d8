//! NumPy's files: a line that describes an array, then its numbers.

use super::{MAX_RANK, Values, whole};
use crate::domain::ElementType;

/// How a file begins; the version follows.
const MAGIC: &[u8] = b"\x93NUMPY";
/// Longest description that is read.
const MAX_HEADER_BYTES: usize = 64 << 10;

/// Reads an array, as `numpy.save` writes it.
pub(super) fn read(bytes: Vec<u8>) -> Result<Values, String> {
    let cut = || "it is cut off".to_owned();
    let rest = bytes.strip_prefix(MAGIC).ok_or("it is no file of NumPy's: write it by `numpy.save`")?;
    // The length has two bytes in version 1, four since.
    let length_bytes = match rest.first().ok_or_else(cut)? {
        1 => 2,
        2 | 3 => 4,
        version => return Err(format!("it is of version {version} of NumPy's format, which is not known")),
    };
    let length = rest.get(2..2 + length_bytes).ok_or_else(cut)?;
    let length = length.iter().rev().fold(0usize, |sum, &byte| sum << 8 | usize::from(byte));
    if length > MAX_HEADER_BYTES {
        return Err(format!("its description has {length} bytes; {MAX_HEADER_BYTES} are the most"));
    }
    let start = MAGIC.len() + 2 + length_bytes;
    let header = bytes.get(start..start + length).ok_or_else(cut)?;
    let header = std::str::from_utf8(header).map_err(|_| "its description is no text".to_owned())?;
    let element = element(value(header, "descr")?)?;
    let shape = shape(value(header, "shape")?)?;
    if value(header, "fortran_order")?.starts_with("True") && shape.len() > 1 {
        return Err("its numbers lie column by column: save it by `numpy.save(file, numpy.ascontiguousarray(array))`"
            .to_owned());
    }
    whole(element, shape, bytes[start + length..].to_vec())
}

/// What follows a key of the description, which is one of Python's dictionaries.
fn value<'a>(header: &'a str, key: &str) -> Result<&'a str, String> {
    let found = header.find(&format!("'{key}'")).map(|at| &header[at + key.len() + 2..]);
    let value = found.and_then(|rest| rest.trim_start().strip_prefix(':'));
    value.map(str::trim_start).ok_or_else(|| format!("its description has no {key}"))
}

/// A type in NumPy's words: order of bytes, kind, size.
fn element(value: &str) -> Result<ElementType, String> {
    let word = value.strip_prefix('\'').and_then(|rest| rest.split('\'').next());
    let word = word.ok_or("it is made of records, which no input is fed with")?;
    Ok(match word {
        "|b1" => ElementType::Bool,
        "|i1" => ElementType::Int8,
        "|u1" => ElementType::Uint8,
        "<i2" => ElementType::Int16,
        "<u2" => ElementType::Uint16,
        "<i4" => ElementType::Int32,
        "<u4" => ElementType::Uint32,
        "<i8" => ElementType::Int64,
        "<u8" => ElementType::Uint64,
        "<f2" => ElementType::Float16,
        "<f4" => ElementType::Float32,
        "<f8" => ElementType::Float64,
        word if word.starts_with('>') => {
            let word = word.escape_default();
            return Err(format!(
                "its numbers ({word}) have their highest byte first: save \
                 `array.astype(array.dtype.newbyteorder(\"<\"))`"
            ));
        }
        word => return Err(format!("it is made of {}, which no input is fed with", word.escape_default())),
    })
}

/// A shape as Python writes it: `(1, 3)`, `(5,)`, `()`.
fn shape(value: &str) -> Result<Vec<u64>, String> {
    let wrong = || "its description has no shape that can be read".to_owned();
    let inner = value.strip_prefix('(').and_then(|rest| rest.split_once(')')).ok_or_else(wrong)?.0;
    let sizes = inner.split(',').map(str::trim).filter(|size| !size.is_empty());
    let sizes: Vec<u64> = sizes.take(MAX_RANK + 1).map(str::parse).collect::<Result<_, _>>().map_err(|_| wrong())?;
    Ok(sizes)
}
