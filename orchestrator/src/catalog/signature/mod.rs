//! What a model's file says of its network, read when a plan is made.
//!
//! Main function: [`read`], for the formats that are read here: ONNX and TensorFlow Lite. Weights are not read, and
//! what is read is bounded: files come from anywhere. [`of_network`] tells the same of the networks that farmctl
//! writes, which need no file for that. Never runs a network.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::content::Content;
use super::networks::{INPUT, LOGITS, Network};
use super::onnx as onnx_file;
use crate::domain::{
    Arithmetic, Dimension, ElementType, FirstDimension, InputSpec, Layout, ModelSignature, Precision, TensorElement,
    TensorSignature,
};

mod arithmetic;
mod batch;
mod elements;
mod flatbuffer;
mod onnx;
mod operators;
mod peculiar;
mod probability;
mod sound;
mod tflite;
mod tflite_macs;

use flatbuffer::FlatError;
pub(super) use onnx::element as onnx_element;

/// Format of the files of PyTorch's lite interpreter.
const TORCHSCRIPT: &str = "torchscript_lite";

/// Why a file has no signature.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// The file can't be read.
    #[error("read {path}: {cause}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// It holds no model of its format.
    #[error("use {path} as {format}: {cause}")]
    Content {
        /// The file.
        path: PathBuf,
        /// The format.
        format: String,
        /// What is wrong with it.
        cause: String,
    },
}

/// Whether files of a format are read here.
pub(super) fn is_read(format: &str) -> bool {
    matches!(format, "onnx" | "tflite")
}

/// The signature of a file; `None` for a format that is not read here.
///
/// # Errors
/// When the file can't be read, or is no model of that format.
pub(super) fn read(path: &Path, format: &str) -> Result<Option<ModelSignature>, SignatureError> {
    let wrong = |cause: String| SignatureError::Content { path: path.to_owned(), format: format.to_owned(), cause };
    let failed = |cause| SignatureError::Read { path: path.to_owned(), cause };
    let (file, size_bytes) = open(path).map_err(failed)?;
    if let Some(other) = Content::of_file(path).filter(|content| is_foreign(content, format)) {
        return Err(wrong(format!("it is {other}, not the model itself: {}", remedy(&other))));
    }
    match format {
        "onnx" => {
            let damaged = |cause| wrong(format!("{cause}; get it anew, or export it again"));
            let as_written = onnx_file::read_as_written(path).map_err(|error| match error {
                onnx_file::OnnxError::Read { path, cause } => SignatureError::Read { path, cause },
                onnx_file::OnnxError::Content { cause, .. } => damaged(cause),
                onnx_file::OnnxError::TooLarge { size_bytes, .. } => wrong(format!(
                    "its {size_bytes} bytes are more than an ONNX file can have; save it with its weights in another \
                     file"
                )),
            })?;
            sound::check(&as_written).map_err(wrong)?;
            let operators = operators::of(&as_written);
            let model = onnx_file::written_out(as_written).map_err(damaged)?;
            let signature = onnx::signature(&model).map_err(wrong)?;
            Ok(Some(ModelSignature { operators, ..signature }))
        }
        "tflite" => tflite::signature(file, size_bytes).map(Some).map_err(|error| match error {
            FlatError::Read(cause) => failed(cause),
            cause => wrong(format!("{cause}; get it anew, or export it again")),
        }),
        TORCHSCRIPT => torchscript_fault(file).map_or(Ok(None), |fault| Err(wrong(fault))),
        _ => Ok(None),
    }
}

/// Multiply-adds of one inference of a TensorFlow Lite file with these inputs; the error inside says what can't be
/// counted.
///
/// # Errors
/// When the file can't be read, or is damaged.
pub(super) fn tflite_macs(path: &Path, inputs: &[InputSpec]) -> Result<Result<u64, String>, String> {
    let (file, size_bytes) = open(path).map_err(|error| error.to_string())?;
    tflite::macs(file, size_bytes, inputs).map_err(|error| error.to_string())
}

/// Says that a further file of a model of that format is another thing; `None` where it may be one.
pub(super) fn part_fault(path: &Path, format: &str) -> Option<String> {
    let is_wrong = |content: &Content| match format {
        "caffe2" => is_foreign(content, format),
        // Weights may begin like anything but text.
        _ => matches!(content, Content::Page(_) | Content::LfsPointer),
    };
    let content = Content::of_file(path).filter(is_wrong)?;
    Some(format!("it is {content}, not the file itself: {}", remedy(&content)))
}

/// Whether what a file begins like can't be a model of that format: some formats are archives or text.
fn is_foreign(content: &Content, format: &str) -> bool {
    let is_known = is_read(format) || matches!(format, TORCHSCRIPT | "caffe2");
    match content {
        Content::Empty | Content::Page(_) | Content::LfsPointer => true,
        Content::Zip => is_known && format != TORCHSCRIPT,
        Content::Gzip | Content::Json | Content::Xml | Content::Packed(_) | Content::Other(_) => is_known,
    }
}

/// What to do about a file that is no model.
fn remedy(content: &Content) -> String {
    match content {
        Content::LfsPointer => "get the file with `git lfs pull`".to_owned(),
        Content::Gzip => "unpack it with `gunzip`".to_owned(),
        Content::Zip => "unpack it with `unzip`".to_owned(),
        Content::Packed(magic) => format!("unpack it with `{}`", magic.unpacked_by),
        Content::Other(_) => "name the model's file".to_owned(),
        Content::Empty | Content::Page(_) | Content::Json | Content::Xml => {
            "its download went wrong, so get it anew".to_owned()
        }
    }
}

/// Says why a file holds no TorchScript: that is a zip archive with the network's values under one folder, or a
/// flatbuffer.
fn torchscript_fault(mut file: File) -> Option<String> {
    let remedy = "save it anew with `_save_for_lite_interpreter`";
    let mut head = [0; 8];
    if file.read_exact(&mut head).is_ok() && head[4..] == *b"PTMF" {
        return None;
    }
    if !head.starts_with(b"PK\x03\x04") {
        return Some(format!("it is no archive, as TorchScript's files are: {remedy}"));
    }
    match zip::ZipArchive::new(file) {
        Ok(archive) => {
            let is_data = |name: &str| name.split_once('/').is_some_and(|(_, name)| name == "data.pkl");
            let has_data = archive.file_names().flatten().any(|name| is_data(&name));
            (!has_data).then(|| format!("it is a zip archive without a network in it (no `data.pkl`): {remedy}"))
        }
        Err(error) => Some(format!("it is a damaged archive ({error}): get it anew, or {remedy}")),
    }
}

/// A file of the user's, and its size.
fn open(path: &Path) -> std::io::Result<(File, u64)> {
    // Looked at before it is opened: a pipe would wait for a writer.
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    Ok((File::open(path)?, metadata.len()))
}

/// The signature of a file that farmctl writes of a network.
pub(super) fn of_network(network: &Network, precision: Precision, layout: Layout) -> ModelSignature {
    let float = TensorElement::Number(ElementType::Float32);
    let tensor = |name: &str, shape: &[u64]| {
        let mut sizes = shape.to_vec();
        if let (Layout::Nhwc, &[channels, height, width]) = (layout, shape) {
            sizes = vec![height, width, channels];
        }
        let batch = Dimension::Open(Some("batch".to_owned()));
        let dims = std::iter::once(batch).chain(sizes.into_iter().map(Dimension::Fixed)).collect();
        TensorSignature {
            name: name.to_owned(),
            element: float.clone(),
            dims: Some(dims),
            is_quantised: false,
            is_probability: false,
            first_dimension: None,
        }
    };
    ModelSignature {
        inputs: vec![TensorSignature {
            first_dimension: Some(FirstDimension::Batch),
            ..tensor(INPUT, network.input_shape())
        }],
        outputs: vec![tensor(LOGITS, network.tensor_shape(network.output()))],
        arithmetic: Arithmetic { precision: Some(precision), words: precision.as_str().to_owned(), partly: Vec::new() },
        data_files: Vec::new(),
        foreign_operators: Vec::new(),
        operators: Vec::new(),
        ir_version: None,
        doubt: None,
        foreign_elements: Vec::new(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
