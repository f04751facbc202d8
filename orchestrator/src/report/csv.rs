use super::columns::{COLUMNS, Cell, ColumnKind, Row};
use super::text::time_text;
use super::{Grid, Report, ReportError, ReportInput};
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
        let names: Vec<&str> = COLUMNS.iter().map(|column| column.name).collect();
        let cells = |row: &Row<'_>| {
            COLUMNS.iter().map(|column| csv_cell(column.kind, &(column.value)(row))).collect::<Vec<_>>()
        };
        let table = Grid::of_texts(&names, input.rows().iter().map(cells));
        table.csv().map_err(|error| ReportError::new(self.file_name(), error))
    }
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
