//! The networks as files, one writer a format.
//!
//! Main function: [`write`]. Each writer reads a [`Network`] and says the same in its format's words, with the same
//! weights: the answers of all engines agree but for rounding. What is written depends on nothing but the network, so a
//! file is the same, byte for byte, on every machine. Never reads a file, and never runs a network.

mod onnx;
mod tflite;

use std::io::{self, Write};

use super::networks::{Network, WeightIndex};

pub use onnx::outline;

/// A kind of file that a network can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// ONNX.
    Onnx,
    /// TensorFlow Lite, 32-bit floats.
    Tflite,
}

/// Writes a network as a file of that kind.
///
/// # Errors
/// When `out` fails, or the format has no operator for something in the network.
pub fn write(network: &Network, kind: FileKind, out: &mut dyn Write) -> io::Result<()> {
    match kind {
        FileKind::Onnx => onnx::write(network, out),
        FileKind::Tflite => tflite::write(network, out),
    }
}

/// Values drawn at a time: even, since a number of the seeded sequence makes two.
const CHUNK_VALUES: u64 = 1 << 16;
/// Bytes of a 32-bit float.
const VALUE_BYTES: u64 = 4;

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
    for chunk in values.chunks(CHUNK_VALUES as usize) {
        out.write_all(&chunk.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())?;
    }
    Ok(())
}
