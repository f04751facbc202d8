//! What stands in one place of the table.

use jiff::Timestamp;

/// What stands in one place of the table.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Not measured, or not known.
    Empty,
    /// A text.
    Text(String),
    /// A whole number.
    Integer(u64),
    /// A number.
    Number(f64),
    /// A moment.
    Time(Timestamp),
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        if text.is_empty() { Cell::Empty } else { Cell::Text(text) }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        text.to_owned().into()
    }
}

impl From<u32> for Cell {
    fn from(number: u32) -> Cell {
        Cell::Integer(number.into())
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Cell {
        Cell::Integer(number)
    }
}

impl From<f64> for Cell {
    /// Computed numbers are given to nine digits: more than any clock has, and the same on every machine.
    fn from(number: f64) -> Cell {
        Cell::Number(format!("{number:.8e}").parse().unwrap_or(number))
    }
}

impl From<Timestamp> for Cell {
    fn from(time: Timestamp) -> Cell {
        Cell::Time(time)
    }
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Cell {
        value.map_or(Cell::Empty, Into::into)
    }
}

/// Nanoseconds as milliseconds, without losing a digit up to 2^53 ns (104 days).
pub(super) fn milliseconds(nanoseconds: Option<u64>) -> Cell {
    nanoseconds.map_or(Cell::Empty, |nanoseconds| Cell::Number(nanoseconds as f64 / 1e6))
}
