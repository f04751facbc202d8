//! What came of a sweep that is too large to be in memory: its records are read part by part, three times, and of each
//! little is kept.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use crate::domain::{Record, SweepRow};
use crate::lab::{ErrorKind, Lab, LabError};
use crate::publish::{self, PublishError};
use crate::report::{
    JunitCases, REPORTS, RankingReader, ReadRows, ReportError, Row, RowContext, SummaryRows, SweepCell, SweepRanking,
    WholeReader,
};

use super::SweepResults;
use super::record_parts::{AT_ONCE, RecordParts};

/// Records of a sweep that are in memory at once where its reports are made: about 300 MB. Of a larger one a part of
/// them stands for all where people read, and programs get all rows as they are read.
pub(super) const MOST_IN_MEMORY: u64 = 20_000;

/// What is done with each row.
type EachRow<'f> = &'f mut dyn FnMut(&Row<'_>) -> Result<(), LabError>;

impl Lab {
    /// Whether a sweep is too large to be in memory.
    pub(super) fn is_large(&self, sweep: &SweepRow) -> Result<bool, LabError> {
        let counts = self.store()?.counts(&sweep.id)?;
        Ok(counts.open + counts.ok + counts.failed + counts.skipped + counts.cancelled > MOST_IN_MEMORY)
    }

    /// What came of a large sweep so far, told by a part of its records.
    pub(super) fn large_results(&self, sweep: SweepRow) -> Result<SweepResults, LabError> {
        let parts = self.record_parts(&sweep)?;
        let context = self.row_context(&parts)?;
        let mut reader = WholeReader::default();
        each_row(&sweep, &parts, &context, &mut |row| {
            reader.take(row);
            Ok(())
        })?;
        let (read, mut ranking) = (reader.finish(), RankingReader::default());
        each_cell(&sweep, &parts, &context, &read, &mut |cell| {
            ranking.take(cell);
            Ok(())
        })?;
        self.told_by_part(sweep, &parts, read, ranking.finish())
    }

    /// The same; writes the reports that have something of each record or cell meanwhile.
    pub(super) fn publish_large(&self, sweep: SweepRow) -> Result<SweepResults, LabError> {
        let parts = self.record_parts(&sweep)?;
        let context = self.row_context(&parts)?;
        let folder = publish::sweep_folder(&self.reports(), sweep.id.as_str());
        let mut reader = WholeReader::default();
        publish::publish_rows(&folder, &sweep, |push: &mut dyn FnMut(&Row<'_>) -> Result<(), PublishError>| {
            each_row(&sweep, &parts, &context, &mut |row| {
                reader.take(row);
                Ok(push(row)?)
            })
        })?;
        let read = reader.finish();
        let rankings = write_cells(&folder, &sweep, &parts, &context, &read)?;
        self.told_by_part(sweep, &parts, read, rankings)
    }

    /// Hands over the records of a sweep that count, whatever its size: of what was measured again, one.
    pub(in crate::lab) fn each_counting(
        &self,
        sweep: &SweepRow,
        each: &mut dyn FnMut(&Record),
    ) -> Result<(), LabError> {
        if !self.is_large(sweep)? {
            self.counting_records(sweep)?.iter().for_each(each);
            return Ok(());
        }
        let parts = self.record_parts(sweep)?;
        let context = self.row_context(&parts)?;
        each_row(sweep, &parts, &context, &mut |row| {
            if row.counting.counts() {
                each(row.record);
            }
            Ok(())
        })
    }

    /// Lets other hosts have the outputs of all records; gives how many could not be put there.
    pub(super) fn share_all_outputs(&self, sweep: &SweepRow) -> Result<usize, LabError> {
        let (parts, outputs, mut left) = (self.record_parts(sweep)?, self.output_files(), 0);
        for first in parts.beginnings(0) {
            left += outputs.share_all(parts.part_without_outputs(first)?.records());
        }
        Ok(left)
    }

    /// Writes a report of a sweep that has rows for each record, whatever the sweep's size.
    ///
    /// # Errors
    /// When there is no such report, the store can't be read, or `out` refuses.
    pub fn write_rows(&self, sweep: &SweepRow, report: &str, out: &mut (dyn Write + Send)) -> Result<(), LabError> {
        let nothing = || LabError::internal(format!("there is no report {report} with rows"));
        let found = REPORTS.iter().find(|it| it.file_name() == report).ok_or_else(nothing)?;
        let begun = found.begin(sweep, out).ok_or_else(nothing)?;
        let mut rows = begun.map_err(failed)?;
        let parts = self.record_parts(sweep)?;
        let context = self.row_context(&parts)?;
        each_row(sweep, &parts, &context, &mut |row| rows.push(row).map_err(failed))?;
        rows.end().map_err(failed)
    }

    /// The records that stand for all, with what all come to.
    fn told_by_part(
        &self,
        sweep: SweepRow,
        parts: &RecordParts,
        read: ReadRows,
        rankings: Option<Vec<SweepRanking>>,
    ) -> Result<SweepResults, LabError> {
        let mut results = self.results_of(sweep, parts.records_at(read.part())?)?;
        results.whole = Some(read.whole(rankings));
        Ok(results)
    }
}

/// Writes `summary.csv` and `junit.xml`, and ranks the devices.
fn write_cells(
    folder: &Path,
    sweep: &SweepRow,
    parts: &RecordParts,
    context: &RowContext,
    read: &ReadRows,
) -> Result<Option<Vec<SweepRanking>>, LabError> {
    let spool = tempfile::tempfile_in(folder).map_err(|error| {
        LabError::internal(format!("failed to write into {}: {error}", folder.display())).caused_by(error)
    })?;
    let (mut junit, mut ranking) = (JunitCases::new(spool, read), RankingReader::default());
    publish::write_whole_by(&folder.join("summary.csv"), |out| -> Result<(), LabError> {
        let mut summary = SummaryRows::new(out).map_err(failed)?;
        each_cell(sweep, parts, context, read, &mut |cell| {
            ranking.take(cell);
            summary.push(cell).and_then(|()| junit.take(cell)).map_err(failed)
        })?;
        summary.end().map_err(failed)
    })?;
    publish::write_whole_by(&folder.join("junit.xml"), |out| -> Result<(), LabError> {
        junit.write(&sweep.name, out).map_err(failed)
    })?;
    Ok(ranking.finish())
}

/// Hands over each row, in the order of the plan.
fn each_row(sweep: &SweepRow, parts: &RecordParts, context: &RowContext, each: EachRow<'_>) -> Result<(), LabError> {
    for first in parts.beginnings(0) {
        parts.part(first, context)?.rows(sweep, context).iter().try_for_each(&mut *each)?;
    }
    Ok(())
}

/// Hands over each cell, in the order in which they first came.
fn each_cell(
    sweep: &SweepRow,
    parts: &RecordParts,
    context: &RowContext,
    read: &ReadRows,
    each: &mut dyn FnMut(&SweepCell<'_>) -> Result<(), LabError>,
) -> Result<(), LabError> {
    let (mut numbers, mut ends): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
    let mut cells = read.cells().peekable();
    // What networks answered is no part of a cell.
    let outputs = HashMap::new();
    while let Some(cell) = cells.next() {
        numbers.extend(cell.iter().map(|number| *number as usize));
        ends.push(numbers.len());
        if numbers.len() < AT_ONCE && cells.peek().is_some() {
            continue;
        }
        let records = parts.records_at(&numbers)?;
        let rows = context.rows_at(sweep, &records, &numbers, &outputs);
        let mut start = 0;
        for end in ends.drain(..) {
            let cell = SweepCell::of_rows(rows.get(start..end).unwrap_or_default());
            cell.as_ref().map_or(Ok(()), &mut *each)?;
            start = end;
        }
        numbers.clear();
    }
    Ok(())
}

fn failed(error: ReportError) -> LabError {
    LabError::failed(ErrorKind::Internal, error)
}

#[cfg(test)]
mod tests;
