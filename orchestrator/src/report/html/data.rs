//! What the page's script has of each run: its row of the table, and all of results.csv. Kept by columns, packed.

use std::collections::HashMap;
use std::io::Write as _;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use serde::Serialize;

use crate::report::columns::{COLUMNS, Cell, Row};
use crate::report::grid::GridColumn;
use crate::report::text::time_text;
use crate::wording::single_line;

use super::ResultRow;

/// Most bytes that it takes in the page: with the charts it stays below a million.
const MOST_BYTES: usize = 560_000;
/// Columns whose figures are kept where there is no room for all.
const KEPT: [&str; 6] = ["p50_ms", "p90_ms", "mean_ms", "images_per_s", "top1", "temp_start_c"];

/// How much of it there is, the most first.
const DETAILS: [Detail; 3] = [
    Detail { digits: 6, all_figures: true },
    Detail { digits: 4, all_figures: true },
    Detail { digits: 4, all_figures: false },
];

#[derive(Clone, Copy)]
struct Detail {
    digits: usize,
    all_figures: bool,
}

#[derive(Serialize)]
struct Data<'a> {
    count: usize,
    /// Columns of the table.
    table: Vec<Head<'a>>,
    /// How each row is shown.
    class: Values,
    /// Columns of results.csv that are not empty.
    columns: Vec<Head<'a>>,
}

#[derive(Serialize)]
struct Head<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    unit: &'a str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_number: bool,
    values: Values,
}

/// The values of a column.
#[derive(Serialize)]
enum Values {
    /// One for all.
    #[serde(rename = "same")]
    Same(String),
    /// Few: each once, and which one it is.
    #[serde(rename = "few")]
    Few(Vec<String>, Vec<usize>),
    /// One each.
    #[serde(rename = "each")]
    Each(Vec<String>),
    /// `<sweep_id>-<job_id>-<attempt>`: what other columns have.
    #[serde(rename = "run_id")]
    RunId,
}

impl Values {
    fn of(values: Vec<String>) -> Values {
        let mut known: HashMap<&str, usize> = HashMap::new();
        let mut distinct: Vec<&str> = Vec::new();
        let index = |value| {
            *known.entry(value).or_insert_with(|| {
                distinct.push(value);
                distinct.len() - 1
            })
        };
        let indices: Vec<usize> = values.iter().map(String::as_str).map(index).collect();
        match distinct.as_slice() {
            [one] => Values::Same((*one).to_owned()),
            few if few.len() * 4 <= values.len() => {
                Values::Few(few.iter().map(|it| (*it).to_owned()).collect(), indices)
            }
            _ => Values::Each(values),
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Values::Same(value) if value.is_empty())
    }
}

/// All that fits of these rows, in the page's form; empty where nothing does.
pub(super) fn packed(rows: &[Row<'_>], columns: &[GridColumn], shown: &[ResultRow]) -> String {
    DETAILS
        .into_iter()
        .map(|detail| packed_as(detail, rows, columns, shown))
        .find(|text| text.len() <= MOST_BYTES)
        .unwrap_or_default()
}

fn packed_as(detail: Detail, rows: &[Row<'_>], columns: &[GridColumn], shown: &[ResultRow]) -> String {
    let in_table = columns.iter().enumerate().map(|(index, column)| Head {
        name: &column.name,
        unit: "",
        is_number: column.is_number,
        values: Values::of(shown.iter().map(|row| row.cells[index].clone()).collect()),
    });
    let kept = COLUMNS.iter().filter_map(|column| {
        let cells: Vec<Cell> = rows.iter().map(|row| (column.value)(row)).collect();
        let is_figure = cells.iter().any(|cell| matches!(cell, Cell::Number(_)));
        if is_figure && !detail.all_figures && !KEPT.contains(&column.name) {
            return None;
        }
        let values = match column.name {
            "run_id" if rows.iter().all(is_usual_run_id) => Values::RunId,
            _ => Values::of(cells.iter().map(|cell| text(cell, detail.digits)).collect()),
        };
        let head = Head { name: column.name, unit: column.unit, is_number: is_figure, values };
        Some(head).filter(|head| !head.values.is_empty())
    });
    let data = Data {
        count: rows.len(),
        table: in_table.collect(),
        class: Values::of(shown.iter().map(|row| row.class.to_owned()).collect()),
        columns: kept.collect(),
    };
    pack(&data).unwrap_or_default()
}

fn pack(data: &Data<'_>) -> std::io::Result<String> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    serde_json::to_writer(&mut encoder, data)?;
    encoder.flush()?;
    Ok(BASE64_STANDARD.encode(encoder.finish()?))
}

/// Whether a run's identifier is made of what other columns have; one without a run has none.
fn is_usual_run_id(row: &Row<'_>) -> bool {
    let record = row.record;
    let usual = || format!("{}-{}-{}", record.sweep_id, record.job.id, record.attempt);
    record.run_id.as_ref().map_or(record.attempt == 0, |run_id| run_id.as_str() == usual())
}

fn text(cell: &Cell, digits: usize) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Text(text) => single_line(text),
        Cell::Integer(number) => number.to_string(),
        Cell::Number(number) => figure(*number, digits),
        Cell::Time(time) => time_text(*time),
    }
}

/// A number by so many digits that count, without zeros that say nothing.
fn figure(number: f64, digits: usize) -> String {
    let rounded: f64 = format!("{number:.*e}", digits.saturating_sub(1)).parse().unwrap_or(number);
    rounded.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_their_first_digits() {
        for (number, text) in
            [(19.500_001, "19.5"), (0.000_249_981_88, "0.00024998"), (123_456_789.0, "123460000"), (0.0, "0")]
        {
            assert_eq!(figure(number, 5), text);
        }
    }

    #[test]
    fn columns_are_as_short_as_what_is_in_them() {
        let texts = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
        let json = |values: &[&str]| serde_json::to_string(&Values::of(texts(values))).expect("is JSON");
        assert_eq!(json(&["a", "a"]), r#"{"same":"a"}"#);
        assert_eq!(json(&["a", "b", "a", "a", "a", "a", "b", "b"]), r#"{"few":[["a","b"],[0,1,0,0,0,0,1,1]]}"#);
        assert_eq!(json(&["a", "b"]), r#"{"each":["a","b"]}"#);
    }
}
