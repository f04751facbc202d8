//! ONNX files, read and written as protobuf without an inference engine.
//!
//! Main type: [`ModelProto`]; [`read`] and [`decode`] make one from a file or from bytes. The messages are the subset
//! of ONNX's schema that describes a network; fields left out are skipped when reading. Never runs a network, and never
//! follows a reference to another file.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use prost::Message;
use prost::bytes::Bytes;

mod functions;
mod messages;
mod order;
mod skim;

pub(super) use order::read_by;
pub use skim::SkimError;

pub use messages::{
    AttributeProto, AttributeType, DataType, DimensionProto, DimensionValue, FunctionProto, GraphProto, ModelProto,
    NodeProto, OperatorSetIdProto, SparseTensorProto, StringStringEntryProto, TensorProto, TensorShapeProto,
    TensorTypeProto, TypeProto, TypeValue, ValueInfoProto,
};

/// Largest file that is read: protobuf itself allows no more.
pub const MAX_FILE_BYTES: u64 = i32::MAX as u64;

/// How a Git LFS pointer begins: what a clone without LFS, or a wrong URL, gives in place of the model.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/";

/// Why a file is no ONNX model.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// The file can't be read.
    #[error("read {path}: {cause}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The file is larger than a protobuf message can be.
    #[error("read {path}: its {size_bytes} bytes are more than the {MAX_FILE_BYTES} that an ONNX file can have")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        size_bytes: u64,
    },
    /// The content isn't ONNX.
    #[error("read {path} as ONNX: {cause}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with the content.
        #[source]
        cause: DecodeError,
    },
}

/// Why bytes are no ONNX model.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// A Git LFS pointer in place of the file.
    #[error("it is a Git LFS pointer, not the model itself; get the file with `git lfs pull`")]
    LfsPointer,
    /// Broken or foreign bytes.
    #[error(transparent)]
    Skim(SkimError),
    /// Broken or foreign bytes.
    #[error("it is no ONNX model, or a damaged one ({0})")]
    Protobuf(#[source] prost::DecodeError),
    /// A message without a network in it.
    #[error("it holds no graph")]
    NoGraph,
    /// Nodes that nobody can compute.
    #[error("its graph can't be computed: {0}")]
    Circle(String),
}

/// Reads an ONNX file as [`decode`] does, without the values of its weights: of a tensor with more than some kilobytes
/// there is no more than name, type and shape.
///
/// # Errors
/// When the file can't be read, is larger than [`MAX_FILE_BYTES`], or isn't ONNX.
pub fn read(path: &Path) -> Result<ModelProto, OnnxError> {
    let model = read_as_written(path)?;
    written_out(model).map_err(|cause| OnnxError::Content { path: path.to_owned(), cause })
}

/// The same, with calls of the file's own functions and with nodes in the order in which they stand there.
///
/// # Errors
/// As of [`read`].
pub(super) fn read_as_written(path: &Path) -> Result<ModelProto, OnnxError> {
    let failed = |cause| OnnxError::Read { path: path.to_owned(), cause };
    // Looked at before it is opened: a pipe would wait for a writer.
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(failed(std::io::Error::other("it is no regular file")));
    }
    let size_bytes = metadata.len();
    if size_bytes > MAX_FILE_BYTES {
        return Err(OnnxError::TooLarge { path: path.to_owned(), size_bytes });
    }
    let mut file = File::open(path).map_err(failed)?;
    let content = |cause| OnnxError::Content { path: path.to_owned(), cause };
    let mut start = Vec::new();
    (&mut file).take(LFS_POINTER.len() as u64).read_to_end(&mut start).map_err(failed)?;
    if start == LFS_POINTER {
        return Err(content(DecodeError::LfsPointer));
    }
    file.rewind().map_err(failed)?;
    let graph = skim::skim(file, size_bytes).map_err(|cause| match cause {
        SkimError::Read(cause) => failed(cause),
        cause => content(DecodeError::Skim(cause)),
    })?;
    parse(graph.into()).map_err(content)
}

/// Reads an ONNX model from bytes. Tensors' raw data is shared with them, not copied. Operators that the file itself
/// defines are written out, and each node comes after those it reads from.
///
/// # Errors
/// When they aren't an ONNX model.
pub fn decode(bytes: impl Into<Bytes>) -> Result<ModelProto, DecodeError> {
    written_out(parse(bytes.into())?)
}

/// A model without functions, with its nodes in order.
///
/// # Errors
/// When they have no order.
pub(super) fn written_out(model: ModelProto) -> Result<ModelProto, DecodeError> {
    let mut model = functions::inline(model);
    model.graph.iter_mut().try_for_each(order::sort).map_err(DecodeError::Circle)?;
    Ok(model)
}

fn parse(bytes: Bytes) -> Result<ModelProto, DecodeError> {
    if bytes.is_empty() {
        return Err(DecodeError::Empty);
    }
    if bytes.starts_with(LFS_POINTER) {
        return Err(DecodeError::LfsPointer);
    }
    let model = ModelProto::decode(bytes).map_err(DecodeError::Protobuf)?;
    if model.graph.is_none() { Err(DecodeError::NoGraph) } else { Ok(model) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalog::{analysis, formats, networks};

    fn squeezenet() -> Vec<u8> {
        formats::outline(&networks::build("squeezenet1_0").unwrap()).encode_to_vec()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let model = formats::outline(&networks::build("mobilenet_v2").unwrap());
        assert_eq!(decode(model.encode_to_vec()).unwrap(), model);
    }

    #[test]
    fn what_is_no_model_is_named() {
        assert_eq!(decode(Vec::new()).unwrap_err().to_string(), "it is empty");
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n".to_vec();
        assert!(matches!(decode(pointer), Err(DecodeError::LfsPointer)));
        assert!(matches!(decode(b"<!DOCTYPE html>".to_vec()), Err(DecodeError::Protobuf(_))));
        assert!(matches!(decode(vec![0x08, 0x08]), Err(DecodeError::NoGraph)));
    }

    #[test]
    fn a_missing_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent.onnx");
        let message = read(&path).unwrap_err().to_string();
        assert!(message.contains("absent.onnx"), "{message}");
    }

    #[test]
    fn graphs_nested_without_end_are_refused() {
        // An attribute's graph with a node with an attribute's graph …: each level wraps the bytes of the one before.
        let mut bytes = Vec::new();
        for _ in 0..2000 {
            let attribute = wrap(6, &bytes);
            let node = wrap(5, &attribute);
            bytes = wrap(1, &node);
        }
        assert!(matches!(decode(wrap(7, &bytes)), Err(DecodeError::Protobuf(_))));
    }

    fn wrap(field: u32, content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        prost::encoding::encode_key(field, prost::encoding::WireType::LengthDelimited, &mut bytes);
        prost::encoding::encode_varint(content.len() as u64, &mut bytes);
        bytes.extend_from_slice(content);
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn damaged_files_end_in_an_error_or_an_answer(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
            cut in any::<prop::sample::Index>(),
            truncate in any::<bool>(),
        ) {
            let mut bytes = squeezenet();
            for (index, byte) in changes {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            if truncate {
                bytes.truncate(cut.index(bytes.len()));
            }
            if let Ok(model) = decode(bytes) {
                let _ = analysis::analyse(&model, &[]);
            }
        }
    }
}
