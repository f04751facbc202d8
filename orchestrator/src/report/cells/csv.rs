use crate::report::columns::Cell;
use crate::report::{Report, ReportError, ReportInput, csv};

use super::{SUMMARY_COLUMNS, SweepCell, refused};

/// `summary.csv`: a row a cell.
pub(in crate::report) struct SummaryCsv;

impl Report for SummaryCsv {
    fn file_name(&self) -> &'static str {
        "summary.csv"
    }

    fn description(&self) -> &'static str {
        "one row per cell: the median of its repeats, interval, spread, verdict"
    }

    fn render(&self, input: &ReportInput<'_>) -> Result<Vec<u8>, ReportError> {
        let rows = input.cells().iter().map(|cell| move |value: &fn(&SweepCell<'_>) -> Cell| value(cell));
        csv::table(SUMMARY_COLUMNS, rows, true).map_err(refused(self.file_name()))
    }
}
