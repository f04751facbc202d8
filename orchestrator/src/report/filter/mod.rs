//! A condition on rows: `model=resnet50 and device~pixel and verdict=ok`.
//!
//! Main type: [`Filter`], made by [`Filter::parse`]. A condition compares a column of `results.csv` with a value;
//! `and`, `or`, `not` and brackets join conditions. A fault is told with its place. Text is compared without regard to
//! case.

mod parse;
mod token;

use std::cmp::Ordering;

use jiff::Timestamp;

use super::columns::{Cell, Column, Row};

pub use token::FilterFault;

/// What is true of some rows.
#[derive(Debug, Clone)]
pub enum Filter {
    /// All of these.
    All(Vec<Filter>),
    /// Any of these.
    Any(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
    /// A column against a value.
    Is(Condition),
}

/// A column against a value.
#[derive(Debug, Clone)]
pub struct Condition {
    column: &'static Column,
    comparison: Comparison,
    value: Value,
}

/// How a column and a value are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    Unequal,
    Contains,
    ContainsNot,
    Less,
    AtMost,
    More,
    AtLeast,
}

/// What a column is compared with.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    /// In small letters; the empty text is that of an empty cell.
    Text(String),
    Number(f64),
    Time(Timestamp),
}

impl Filter {
    /// The condition that a text says.
    ///
    /// # Errors
    /// When it says none, with the place where it goes wrong.
    pub fn parse(text: &str) -> Result<Filter, FilterFault> {
        parse::filter(text)
    }

    /// The one that is true of every row.
    pub fn everything() -> Filter {
        Filter::All(Vec::new())
    }

    /// Whether it is true of a row.
    pub fn is_true_of(&self, row: &Row<'_>) -> bool {
        match self {
            Filter::All(parts) => parts.iter().all(|part| part.is_true_of(row)),
            Filter::Any(parts) => parts.iter().any(|part| part.is_true_of(row)),
            Filter::Not(part) => !part.is_true_of(row),
            Filter::Is(condition) => condition.is_true_of(&(condition.column.value)(row)),
        }
    }
}

impl Condition {
    /// An empty cell is equal to the empty text alone; nothing is less or more than it.
    fn is_true_of(&self, cell: &Cell) -> bool {
        let is_equal = || match (&self.value, cell) {
            (Value::Text(text), Cell::Empty) => text.is_empty(),
            (Value::Text(text), cell) => !text.is_empty() && text_of(cell).to_lowercase() == *text,
            _ => self.order(cell) == Some(Ordering::Equal),
        };
        let contains = || match &self.value {
            Value::Text(text) => text_of(cell).to_lowercase().contains(text.as_str()),
            _ => false,
        };
        match self.comparison {
            Comparison::Equal => is_equal(),
            Comparison::Unequal => !is_equal(),
            Comparison::Contains => contains(),
            Comparison::ContainsNot => !contains(),
            Comparison::Less => self.order(cell) == Some(Ordering::Less),
            Comparison::AtMost => self.order(cell).is_some_and(Ordering::is_le),
            Comparison::More => self.order(cell) == Some(Ordering::Greater),
            Comparison::AtLeast => self.order(cell).is_some_and(Ordering::is_ge),
        }
    }

    /// How a cell stands to the value; none where that can't be said.
    fn order(&self, cell: &Cell) -> Option<Ordering> {
        match (cell, &self.value) {
            (Cell::Integer(cell), Value::Number(value)) => (*cell as f64).partial_cmp(value),
            (Cell::Number(cell), Value::Number(value)) => cell.partial_cmp(value),
            (Cell::Time(cell), Value::Time(value)) => Some(cell.cmp(value)),
            _ => None,
        }
    }
}

fn text_of(cell: &Cell) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Text(text) => text.clone(),
        Cell::Integer(number) => number.to_string(),
        Cell::Number(number) => number.to_string(),
        Cell::Time(time) => super::text::time_text(*time),
    }
}

#[cfg(test)]
mod tests;
