//! What went in and came out.

use super::super::tensors::tensors_text;
use super::{Cell, Column, ColumnKind};
use crate::domain::TensorInfo;

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
];

/// Shapes and types; empty where the engine told none.
fn tensors(tensors: &[TensorInfo]) -> Cell {
    Some(tensors_text(tensors)).filter(|text| !text.is_empty()).into()
}
