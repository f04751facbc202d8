use std::io::{self, Write};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::columns::{COLUMNS, Cell, Row};
use super::text::time_text;
use super::{Begun, Report, ReportError, ReportInput, RowFile, collected};
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

    fn is_of_all(&self) -> bool {
        true
    }

    fn begin<'w>(&self, sweep: &'w SweepRow, out: &'w mut (dyn Write + Send + 'w)) -> Option<Begun<'w>> {
        Some(JsonRows::begun(sweep, out).map(|rows| Box::new(rows) as Box<dyn RowFile + 'w>))
    }
}

/// `results.json` that is being written: one document, each of its rows two steps to the right.
struct JsonRows<'w> {
    out: Printable<'w>,
    has_row: bool,
}

impl<'w> JsonRows<'w> {
    fn begun(sweep: &SweepRow, out: &'w mut (dyn Write + Send + 'w)) -> Result<JsonRows<'w>, ReportError> {
        let text = serde_json::to_string_pretty(&Head { format: FORMAT, sweep }).map_err(refused)?;
        let mut rows = JsonRows { out: Printable(out), has_row: false };
        // The document goes on behind its last field.
        let head = text.strip_suffix("\n}").unwrap_or(&text);
        rows.write(&format!("{head},\n  \"results\": ["))?;
        Ok(rows)
    }

    fn write(&mut self, text: &str) -> Result<(), ReportError> {
        self.out.write_all(text.as_bytes()).map_err(refused)
    }
}

impl RowFile for JsonRows<'_> {
    fn push(&mut self, row: &Row<'_>) -> Result<(), ReportError> {
        // A line break within a text is written as `\n`: those that there are separate lines of JSON.
        let text = serde_json::to_string_pretty(&RowCells(row)).map_err(refused)?.replace('\n', "\n    ");
        let separator = if std::mem::replace(&mut self.has_row, true) { "," } else { "" };
        self.write(&format!("{separator}\n    {text}"))
    }

    fn end(mut self: Box<Self>) -> Result<(), ReportError> {
        let end = if self.has_row { "\n  ]\n}\n" } else { "]\n}\n" };
        self.write(end)
    }
}

fn refused(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ReportError {
    ReportError::new(ResultsJson.file_name(), error)
}

/// Passes JSON on as [`printable_json`] has it. Each piece is of whole characters.
struct Printable<'a>(&'a mut (dyn Write + Send + 'a));

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

/// What stands before the rows.
#[derive(Serialize)]
struct Head<'a> {
    format: u32,
    sweep: &'a SweepRow,
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
