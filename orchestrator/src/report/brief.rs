//! The few columns of a row that people look at first, whatever sweep it is of.

use super::columns::{COLUMNS, Cell, Row};
use super::text::time_text;
use crate::wording::short_number;

/// Their names.
pub const BRIEF_COLUMNS: [&str; 10] =
    ["sweep_id", "device", "model", "backend", "precision", "threads", "batch", "p50_ms", "status", "verdict"];

/// A row's cells in these columns, for people.
pub fn brief_cells(row: &Row<'_>) -> Vec<String> {
    let columns = BRIEF_COLUMNS.iter().filter_map(|name| COLUMNS.iter().find(|column| column.name == *name));
    let text = |cell: Cell| match cell {
        Cell::Empty => String::new(),
        Cell::Text(text) => text,
        Cell::Integer(number) => number.to_string(),
        Cell::Number(number) => short_number(number),
        Cell::Time(time) => time_text(time),
    };
    columns.map(|column| text((column.value)(row))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::domain::sample;
    use crate::report::ReportInput;

    #[test]
    fn each_of_them_is_a_column() {
        let (sweep, records) = (sample::sweep(), [sample::record("rk3588-1", "mobilenet_v2")]);
        let outputs = HashMap::new();
        let cells = brief_cells(&ReportInput::new(&sweep, &records, &outputs).rows()[0]);
        let expected =
            [sweep.id.as_str(), "rk3588-1", "mobilenet_v2", "tract", "fp32", "2", "1", "19.5", "ok", "too_few"];
        assert_eq!(cells, expected);
    }
}
