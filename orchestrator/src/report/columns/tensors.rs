//! What went in and came out.

use super::{Cell, Column, ColumnKind};
use crate::domain::{Measurement, TensorInfo};
use crate::report::tensors::tensors_text;

/// What was measured.
pub(super) const TENSORS: &[Column] = &[
    Column {
        name: "input",
        kind: ColumnKind::Text,
        unit: "",
        description: "Shape and element type of each input that was measured, the batch included, in the file's order, \
                      separated by semicolons.",
        value: |row| tensors(&row.record.measurement.inputs),
    },
    Column {
        name: "output",
        kind: ColumnKind::Text,
        unit: "",
        description: "The same of each output, as the engine gave it.",
        value: |row| tensors(&row.record.measurement.output_tensors),
    },
    Column {
        name: "output_sha256",
        kind: ColumnKind::Text,
        unit: "",
        description: "SHA-256 of the values of each output, in the same order, separated by spaces; - where they were \
                      left out. .farm/outputs/<sha256>.f32 has them, as little-endian 32-bit floats.",
        value: |row| kept(&row.record.measurement),
    },
];

/// The outputs by their hashes; empty where none is kept.
fn kept(measurement: &Measurement) -> Cell {
    let hash = |tensor: &TensorInfo| {
        let output = measurement.outputs.iter().find(|output| output.name == tensor.name);
        output.map_or("-", |output| &output.sha256)
    };
    let hashes: Vec<&str> = measurement.output_tensors.iter().map(hash).collect();
    Some(hashes.join(" ")).filter(|_| !measurement.outputs.is_empty()).into()
}

/// Shapes and types; empty where the engine told none.
fn tensors(tensors: &[TensorInfo]) -> Cell {
    Some(tensors_text(tensors)).filter(|text| !text.is_empty()).into()
}
