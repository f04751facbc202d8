use std::io::Write;

use super::columns::{COLUMNS, Cell, ColumnKind, ColumnOf, Row};
use super::text::time_text;
use super::{Report, ReportError, ReportInput, collected};
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

    fn write(&self, input: &ReportInput<'_>, out: &mut (dyn Write + Send)) -> Result<(), ReportError> {
        let rows = input.rows().iter().map(|row| move |value: &fn(&Row<'_>) -> Cell| value(row));
        write_table(COLUMNS, rows, true, out).map_err(|error| ReportError::new(self.file_name(), error))
    }
}

/// Rows of `results.csv`, below its header where that is wanted.
///
/// # Errors
/// When the encoder refuses.
pub fn results_csv(rows: &[Row<'_>], with_header: bool) -> Result<Vec<u8>, ReportError> {
    let rows = rows.iter().map(|row| move |value: &fn(&Row<'_>) -> Cell| value(row));
    table(COLUMNS, rows, with_header).map_err(|error| ReportError::new(ResultsCsv.file_name(), error))
}

/// A table as CSV: of each row, what makes the cells of the columns.
pub(super) fn table<F, V: Fn(&F) -> Cell>(
    columns: &[ColumnOf<F>],
    rows: impl Iterator<Item = V>,
    with_header: bool,
) -> csv::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    write_table(columns, rows, with_header, &mut bytes)?;
    Ok(bytes)
}

/// Writes the same.
fn write_table<F, V: Fn(&F) -> Cell>(
    columns: &[ColumnOf<F>],
    rows: impl Iterator<Item = V>,
    with_header: bool,
    out: &mut (dyn Write + Send),
) -> csv::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    if with_header {
        writer.write_record(columns.iter().map(|column| column.name))?;
    }
    for value in rows {
        writer.write_record(columns.iter().map(|column| csv_cell(column.kind, &value(&column.value))))?;
    }
    Ok(writer.flush()?)
}

fn csv_cell(kind: ColumnKind, cell: &Cell) -> String {
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
