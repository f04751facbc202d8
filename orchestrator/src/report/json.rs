use std::io::{self, Write};

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use super::columns::{COLUMNS, Cell, Row};
use super::text::time_text;
use super::{Report, ReportError, ReportInput, collected};
use crate::domain::SweepRow;
use crate::wording::printable_json;

/// `results.json`: the table of `results.csv` with typed values, and the sweep.
pub(super) struct ResultsJson;

/// Raised when a reader of the last version would misread the file.
const FORMAT: u32 = 1;

impl Report for ResultsJson {
    fn file_name(&self) -> &'static str {
        "results.json"
    }

    fn description(&self) -> &'static str {
        "the same rows with typed values; null: not measured"
    }

    fn render(&self, input: &ReportInput<'_>) -> Result<Vec<u8>, ReportError> {
        collected(self, input)
    }

    fn write(&self, input: &ReportInput<'_>, out: &mut (dyn Write + Send)) -> Result<(), ReportError> {
        let document = Document { format: FORMAT, sweep: input.sweep, results: Rows(input.rows()) };
        let written = serde_json::to_writer_pretty(Printable(out), &document);
        written.map_err(|error| ReportError::new(self.file_name(), error))?;
        out.write_all(b"\n").map_err(|error| ReportError::new(self.file_name(), error))
    }
}

/// Passes JSON on as [`printable_json`] has it. It comes in pieces, each of whole characters.
struct Printable<'a>(&'a mut (dyn Write + Send));

impl Write for Printable<'_> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        if piece.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n')) {
            self.0.write_all(piece)?;
        } else {
            let text = std::str::from_utf8(piece).map_err(io::Error::other)?;
            self.0.write_all(printable_json(text).as_bytes())?;
        }
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    sweep: &'a SweepRow,
    results: Rows<'a>,
}

struct Rows<'a>(&'a [Row<'a>]);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rows = serializer.serialize_seq(Some(self.0.len()))?;
        self.0.iter().try_for_each(|row| rows.serialize_element(&RowCells(row)))?;
        rows.end()
    }
}

/// A row as JSON has it: its cells by the names of their columns.
#[derive(Debug)]
pub struct RowCells<'a>(pub &'a Row<'a>);

impl Serialize for RowCells<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut cells = serializer.serialize_map(Some(COLUMNS.len()))?;
        for column in COLUMNS {
            cells.serialize_entry(column.name, &(column.value)(self.0))?;
        }
        cells.end()
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Cell::Empty => serializer.serialize_none(),
            Cell::Text(text) => serializer.serialize_str(text),
            Cell::Integer(number) => serializer.serialize_u64(*number),
            Cell::Number(number) if number.is_finite() => serializer.serialize_f64(*number),
            // JSON has no word for infinity, and null would say «not measured».
            Cell::Number(number) => serializer.serialize_str(&number.to_string()),
            Cell::Time(time) => serializer.serialize_str(&time_text(*time)),
        }
    }
}
