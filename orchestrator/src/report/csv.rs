use std::io::Write;

use super::columns::{COLUMNS, Cell, ColumnKind, ColumnOf, Row};
use super::text::time_text;
use super::{Begun, Report, ReportError, ReportInput, RowFile, collected};
use crate::domain::SweepRow;
use crate::wording::{csv_text, single_line};

/// `results.csv`: a row a record.
pub(super) struct ResultsCsv;

impl Report for ResultsCsv {
    fn file_name(&self) -> &'static str {
        "results.csv"
    }

    fn description(&self) -> &'static str {
        "one row per run, also for failed and skipped ones"
    }

    fn render(&self, input: &ReportInput<'_>) -> Result<Vec<u8>, ReportError> {
        collected(self, input)
    }

    fn is_of_all(&self) -> bool {
        true
    }

    fn begin<'w>(&self, _: &'w SweepRow, out: &'w mut (dyn Write + Send + 'w)) -> Option<Begun<'w>> {
        let mut rows = CsvRows(csv::Writer::from_writer(out));
        let begun = rows.0.write_record(COLUMNS.iter().map(|column| column.name));
        Some(begun.map_err(refused).map(|()| Box::new(rows) as Box<dyn RowFile + 'w>))
    }
}

/// `results.csv` that is being written.
struct CsvRows<W: Write>(csv::Writer<W>);

impl<W: Write> RowFile for CsvRows<W> {
    fn push(&mut self, row: &Row<'_>) -> Result<(), ReportError> {
        let cells = COLUMNS.iter().map(|column| csv_cell(column.kind, &(column.value)(row)));
        self.0.write_record(cells).map_err(refused)
    }

    fn end(mut self: Box<Self>) -> Result<(), ReportError> {
        self.0.flush().map_err(refused)
    }
}

fn refused(error: impl Into<csv::Error>) -> ReportError {
    ReportError::new(ResultsCsv.file_name(), error.into())
}

/// Rows of `results.csv`, below its header where that is wanted.
///
/// # Errors
/// When the encoder refuses.
pub fn results_csv(rows: &[Row<'_>], with_header: bool) -> Result<Vec<u8>, ReportError> {
    let rows = rows.iter().map(|row| move |value: &fn(&Row<'_>) -> Cell| value(row));
    table(COLUMNS, rows, with_header).map_err(refused)
}

/// A table as CSV: of each row, what makes the cells of the columns.
pub(super) fn table<F, V: Fn(&F) -> Cell>(
    columns: &[ColumnOf<F>],
    rows: impl Iterator<Item = V>,
    with_header: bool,
) -> csv::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    if with_header {
        writer.write_record(columns.iter().map(|column| column.name))?;
    }
    for value in rows {
        writer.write_record(columns.iter().map(|column| csv_cell(column.kind, &value(&column.value))))?;
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}

pub(super) fn csv_cell(kind: ColumnKind, cell: &Cell) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Text(text) if kind == ColumnKind::Word => single_line(text),
        Cell::Text(text) => csv_text(text),
        Cell::Integer(number) => number.to_string(),
        Cell::Number(number) => decimal(*number),
        Cell::Time(time) => time_text(*time),
    }
}

/// Rust writes no exponent and no thousands separator, and `inf` as pandas and DuckDB read it. A whole number gets its
/// `.0`: a column whose numbers all happen to be whole would else be read as one of integers.
fn decimal(number: f64) -> String {
    let text = number.to_string();
    if number.is_finite() && !text.contains('.') { text + ".0" } else { text }
}
