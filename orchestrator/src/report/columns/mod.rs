//! Every column of `results.csv`: name, unit, meaning and value, in the order of the file.
//!
//! A file for each subject; [`COLUMNS`] has all of them.

mod accuracy;
mod cell;
mod conditions;
mod fair;
mod job;
mod length;
mod origin;
mod outcome;
mod row;
mod tensors;
mod timing;
mod trust;
mod watched;

use super::cells::SUMMARY_COLUMNS;
use super::places::RANKING_COLUMNS;

pub(super) use accuracy::remarks;
pub use cell::Cell;
pub(super) use outcome::remarks_of;
pub use row::Row;

/// What the cells of a column hold, besides being empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// [`Cell::Text`].
    Text,
    /// [`Cell::Text`] that may well be a number alone, and be read as one.
    Word,
    /// [`Cell::Integer`]: a count, a time or a size, which readers subtract.
    Integer,
    /// [`Cell::Integer`] of all 64 bits, which nobody calculates with: a seed.
    Bits,
    /// [`Cell::Number`].
    Number,
    /// [`Cell::Time`].
    Time,
}

/// One column of a table; `F` is a function of what a row of it is.
#[derive(Debug, Clone, Copy)]
pub struct ColumnOf<F> {
    /// Name in the header.
    pub name: &'static str,
    /// What it holds.
    pub kind: ColumnKind,
    /// Unit; empty for texts and plain counts.
    pub unit: &'static str,
    /// What it means.
    pub description: &'static str,
    /// Its value.
    pub value: F,
}

/// A column of `results.csv`.
pub type Column = ColumnOf<fn(&Row<'_>) -> Cell>;

/// The columns, in the order of the file. New ones are added at the end only.
pub const COLUMNS: &[Column] = &joined::<{ count(PARTS) }>(PARTS);

/// Columns that stand beside each other.
const PARTS: &[&[Column]] = &[
    job::CELL,
    outcome::OUTCOME,
    timing::TIMES,
    origin::HOST,
    timing::LOOP,
    conditions::MACHINE,
    outcome::HELP,
    conditions::POWER,
    accuracy::ACCURACY,
    origin::ENGINE,
    accuracy::DATASET,
    origin::DELEGATE_USED,
    conditions::CONDITION,
    outcome::REMARKS,
    tensors::TENSORS,
    watched::WATCHED,
    trust::TRUST,
    fair::FAIR,
    length::LENGTH,
    trust::COUNTING,
    job::SIDE,
];

const fn count(parts: &[&[Column]]) -> usize {
    let (mut count, mut part) = (0, 0);
    while part < parts.len() {
        count += parts[part].len();
        part += 1;
    }
    count
}

const fn joined<const COUNT: usize>(parts: &[&[Column]]) -> [Column; COUNT] {
    let mut columns = [parts[0][0]; COUNT];
    let (mut at, mut part) = (0, 0);
    while part < parts.len() {
        let mut column = 0;
        while column < parts[part].len() {
            columns[at] = parts[part][column];
            at += 1;
            column += 1;
        }
        part += 1;
    }
    columns
}

/// What the columns of each table mean, as a text for people.
pub fn columns_text() -> String {
    let mut text = String::from(
        "Columns of results.csv, in their order. An empty cell was not measured. Numbers have a point and no \
         thousands\nseparators: a spreadsheet that asks wants commas between cells, \
         and English. A text that it could take for a\n\
         formula, a number, a date or nothing has an apostrophe in front: '007. results.parquet has true types.\n\n",
    );
    text.push_str(&meanings(COLUMNS));
    for (file_name, meanings) in
        [("summary.csv", meanings(SUMMARY_COLUMNS)), ("ranking.csv", meanings(RANKING_COLUMNS))]
    {
        text.push_str(&format!("\nColumns of {file_name}:\n\n{meanings}"));
    }
    text
}

fn meanings<F>(columns: &[ColumnOf<F>]) -> String {
    let width = columns.iter().map(|column| column.name.len()).max().unwrap_or(0);
    let meaning = |ColumnOf { name, unit, description, .. }: &ColumnOf<F>| {
        let unit = if unit.is_empty() { String::new() } else { format!("[{unit}] ") };
        format!("{name:width$}  {unit}{description}\n")
    };
    columns.iter().map(meaning).collect()
}
