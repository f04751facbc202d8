//! A verb's answer that is a table: what it is in each form of output is settled here.

use std::collections::BTreeMap;
use std::error::Error;

use serde::Serialize;

use crate::lab::{ErrorKind, LabError};
use crate::report::Grid;
use crate::wording::{csv_cell, single_line};

pub use crate::wording::field_line;

use crate::terminal::print::{Format, by_the_labs_clocks, print_file, print_json, print_lines, say};

/// A table with a row for each of some values, to which columns are added.
pub struct TableOf<'v, 'a, T> {
    values: &'v [T],
    columns: Vec<&'a str>,
    rows: Vec<Vec<String>>,
}

impl<'a, T> TableOf<'_, 'a, T> {
    /// One more column: its name, and what stands in it for a value.
    pub fn column(mut self, name: &'a str, cell: impl Fn(&T) -> String) -> Self {
        self.columns.push(name);
        self.rows.iter_mut().zip(self.values).for_each(|(row, value)| row.push(cell(value)));
        self
    }

    /// The table.
    pub fn done(self) -> Table<'a> {
        Table::new(&self.columns, self.rows)
    }
}

/// A table, with what stands for it in some forms of output.
pub struct Table<'a> {
    columns: Vec<&'a str>,
    rows: Vec<Vec<String>>,
    json: Option<Box<dyn FnOnce() -> Result<(), LabError> + 'a>>,
    text: Option<String>,
    when_empty: Option<String>,
}

impl<'a> Table<'a> {
    /// Rows with as many cells as there are columns.
    pub fn new(columns: &[&'a str], rows: impl IntoIterator<Item = Vec<String>>) -> Table<'a> {
        Table { columns: columns.to_vec(), rows: rows.into_iter().collect(), json: None, text: None, when_empty: None }
    }

    /// A row for each of these values.
    pub fn of<T>(values: &[T]) -> TableOf<'_, 'a, T> {
        TableOf { values, columns: Vec::new(), rows: vec![Vec::new(); values.len()] }
    }

    /// JSON says this; without it, an object of texts for each row.
    pub fn json(self, value: &'a (impl Serialize + ?Sized)) -> Table<'a> {
        Table { json: Some(Box::new(move || print_json(value))), ..self }
    }

    /// People get this text; without it, the table.
    pub fn text(self, text: String) -> Table<'a> {
        Table { text: Some(text), ..self }
    }

    /// People are told this where there are no rows; nothing by an empty text.
    pub fn when_empty(self, remark: impl Into<String>) -> Table<'a> {
        Table { when_empty: Some(remark.into()), ..self }
    }

    /// Prints it.
    pub fn print(self, format: Format) -> Result<(), LabError> {
        let Table { columns, rows, json, text, when_empty } = self;
        match (format, json, when_empty) {
            (Format::Human, _, Some(remark)) if rows.is_empty() => {
                if !remark.is_empty() {
                    say(&remark);
                }
                Ok(())
            }
            (Format::Human, ..) => print_lines(&text.unwrap_or_else(|| text_table(&columns, rows))),
            (Format::Json, Some(json), _) => json(),
            (Format::Json, None, _) => {
                let object = |row: Vec<String>| columns.iter().copied().zip(row).collect::<BTreeMap<&str, String>>();
                print_json(&rows.into_iter().map(object).collect::<Vec<_>>())
            }
            (Format::Csv, ..) => print_file(&csv(&columns, rows)?),
            (Format::Markdown | Format::Html, ..) => print_lines(&Grid::of_texts(&columns, rows).markdown()),
        }
    }
}

/// Prints an answer that a library writes in each form. Only the form that is asked for is made.
pub fn print_forms<J: Serialize, E: Error + Send + Sync + 'static>(
    format: Format,
    text: impl FnOnce() -> String,
    json: impl FnOnce() -> J,
    csv: impl FnOnce() -> Result<Vec<u8>, E>,
    markdown: impl FnOnce() -> String,
) -> Result<(), LabError> {
    let failed = |error| LabError::failed(ErrorKind::Internal, error);
    format.choose(
        || print_lines(&text()),
        || print_json(&json()),
        || print_file(&csv().map_err(failed)?),
        || print_lines(&markdown()),
    )
}

fn csv(columns: &[&str], rows: Vec<Vec<String>>) -> Result<Vec<u8>, LabError> {
    let rows = rows.into_iter().map(|row| row.iter().map(|cell| csv_cell(cell)).collect());
    let csv = Grid::of_texts(columns, rows).csv();
    csv.map_err(|error| LabError::internal(format!("failed to write CSV: {error}")).caused_by(error))
}

/// A table for people, without lines: as wide as its content.
pub fn text_table(columns: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    // Before it is laid out: a time has another width by other clocks.
    let cell = |cell: String| by_the_labs_clocks(&single_line(&cell)).into_owned();
    let rows = rows.into_iter().map(|row| row.into_iter().map(cell).collect());
    Grid::of_texts(columns, rows).text(None)
}
