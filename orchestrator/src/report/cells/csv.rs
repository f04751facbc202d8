use std::io::Write;

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

    fn is_of_all(&self) -> bool {
        true
    }
}

/// `summary.csv` that is being written, cell by cell.
pub struct SummaryRows<W: Write>(::csv::Writer<W>);

impl<W: Write> SummaryRows<W> {
    /// Begins the file.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn new(out: W) -> Result<SummaryRows<W>, ReportError> {
        let mut rows = SummaryRows(::csv::Writer::from_writer(out));
        let names = SUMMARY_COLUMNS.iter().map(|column| column.name);
        rows.0.write_record(names).map_err(refused(SummaryCsv.file_name()))?;
        Ok(rows)
    }

    /// Adds the next cell, in the order of the plan.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn push(&mut self, cell: &SweepCell<'_>) -> Result<(), ReportError> {
        let cells = SUMMARY_COLUMNS.iter().map(|column| csv::csv_cell(column.kind, &(column.value)(cell)));
        self.0.write_record(cells).map_err(refused(SummaryCsv.file_name()))
    }

    /// Ends the file.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn end(mut self) -> Result<(), ReportError> {
        self.0.flush().map_err(refused(SummaryCsv.file_name()))
    }
}
