//! The networks as files, one writer a format.
//!
//! Main function: [`write()`]. Each writer reads a [`Network`] and says the same in its format's words, with the same
//! weights: the answers of all engines agree but for rounding. What is written depends on nothing but the network, so a
//! file is the same, byte for byte, on every machine. Never reads a file, and never runs a network.

mod caffe2;
mod forms;
mod onnx;
mod tflite;
pub mod torchscript;

use std::io::{self, Write};

use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use super::networks::{Network, WeightIndex};

pub use forms::{WrittenFile, builtin_files, builtin_names, file_kind, written_files};
pub use onnx::outline;

/// A kind of file that a network can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// ONNX.
    Onnx,
    /// TensorFlow Lite, 32-bit floats.
    Tflite,
    /// TensorFlow Lite, 8-bit integers.
    TfliteInt8,
    /// Caffe2's network.
    Caffe2Predict,
    /// Caffe2's network that fills the weights.
    Caffe2Init,
    /// TorchScript for PyTorch's lite interpreter, or rather what [`torchscript::SCRIPT`] makes it of.
    TorchscriptLite,
}

/// Writes a network as a file of that kind; for [`FileKind::TorchscriptLite`] what the script reads.
///
/// # Errors
/// When `out` fails, or the format has no operator for something in the network.
pub fn write(network: &Network, kind: FileKind, out: &mut dyn Write) -> io::Result<()> {
    match kind {
        FileKind::Onnx => onnx::write(network, out),
        FileKind::Tflite => tflite::write(network, out),
        FileKind::TfliteInt8 => tflite::write_int8(network, out),
        FileKind::Caffe2Predict => caffe2::write_predict(network, out),
        FileKind::Caffe2Init => caffe2::write_init(network, out),
        FileKind::TorchscriptLite => torchscript::write(network, out),
    }
}

/// Values drawn at a time: even, since a number of the seeded sequence makes two.
const CHUNK_VALUES: u64 = 1 << 16;
/// Bytes of a 32-bit float.
const VALUE_BYTES: u64 = 4;

/// Length of a protobuf field whose content has that length.
fn field_bytes(field: u32, content_bytes: u64) -> u64 {
    (key_len(field) + encoded_len_varint(content_bytes)) as u64 + content_bytes
}

/// Begins a protobuf field whose content has that length.
fn start_field(field: u32, content_bytes: u64, bytes: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, bytes);
    encode_varint(content_bytes, bytes);
}

/// Writes a tensor of weights as it stands, without having it whole in memory.
fn write_values(network: &Network, weight: WeightIndex, out: &mut dyn Write) -> io::Result<()> {
    let count = network.weights()[weight].count();
    let (mut values, mut start) = (Vec::new(), 0);
    while start < count {
        let end = count.min(start + CHUNK_VALUES);
        values.clear();
        network.values_in(weight, start..end, &mut values);
        write_floats(&values, out)?;
        start = end;
    }
    Ok(())
}

/// Writes floats, little-endian.
fn write_floats(values: &[f32], out: &mut dyn Write) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(values.len() * VALUE_BYTES as usize);
    for value in values {
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    out.write_all(&bytes)
}
