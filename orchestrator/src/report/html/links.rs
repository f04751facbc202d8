use std::collections::HashMap;

use crate::domain::{Record, RunStatus};
use crate::report::cells::SweepCell;
use crate::report::columns::Row;

/// Where each record stands in the page's table: every number leads there.
pub(super) struct Links(HashMap<*const Record, usize>);

impl Links {
    /// Of rows in the order of the table.
    pub(super) fn of(rows: &[Row<'_>]) -> Links {
        Links(rows.iter().enumerate().map(|(index, row)| (std::ptr::from_ref(row.record), index)).collect())
    }

    /// The row of a record.
    pub(super) fn of_record(&self, record: &Record) -> usize {
        self.0.get(&std::ptr::from_ref(record)).copied().unwrap_or_default()
    }

    /// The row of a cell's first run that has a result, or else of its first.
    pub(super) fn of_cell(&self, cell: &SweepCell<'_>) -> usize {
        let measured = cell.records.iter().find(|record| record.status == RunStatus::Ok);
        measured.or(cell.records.first()).map(|record| self.of_record(record)).unwrap_or_default()
    }
}
