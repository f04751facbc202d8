//! A sweep that is too large to be in memory: all of it is counted, and a part of its records stands for it where
//! people read.
//!
//! [`WholeReader`] is shown each row, one after the other, and comes to [`ReadRows`]: what was counted, which records
//! are of which cell, and which of them are the part. With the rankings that is a [`Whole`], which a
//! [`ReportInput`](super::ReportInput) of the part goes by.

use std::collections::HashMap;

use super::columns::Row;
use super::label::{Axes, AxesReader, Reason};
use super::places::SweepRanking;
use super::tally::Tally;
use crate::domain::Record;
use crate::wording::many;

mod cell_index;
mod part;
#[cfg(test)]
mod tests;

use cell_index::CellIndex;
use part::PartReader;

/// Most reasons of failures that are told apart.
const MOST_REASONS: usize = 10_000;

/// Counts the rows of a sweep, in the order of the plan, none of which is kept.
#[derive(Debug, Default)]
pub struct WholeReader {
    tally: Tally,
    axes: AxesReader,
    cells: CellIndex,
    part: PartReader,
    reasons: HashMap<Reason, usize>,
}

/// What was counted of all rows.
#[derive(Debug)]
pub struct ReadRows {
    tally: Tally,
    axes: AxesReader,
    cells: CellIndex,
    part: Vec<usize>,
    reasons: HashMap<Reason, usize>,
}

/// What a report of a part of a sweep's records says of all.
#[derive(Debug, Clone)]
pub struct Whole {
    pub(super) tally: Tally,
    pub(super) cells: usize,
    /// `None` where there were too many cells for one.
    pub(super) rankings: Option<Vec<SweepRanking>>,
    reasons: HashMap<Reason, usize>,
}

impl WholeReader {
    /// Takes in the next row.
    pub fn take(&mut self, row: &Row<'_>) {
        self.tally.take(row);
        self.axes.take(&row.record.job);
        if let Some(reason) = Reason::of(row.record) {
            let has_room = self.reasons.len() < MOST_REASONS;
            match self.reasons.get_mut(&reason) {
                Some(count) => *count += 1,
                None if has_room => {
                    self.reasons.insert(reason, 1);
                }
                None => {}
            }
        }
        if let Some(cell) = self.cells.take(row) {
            self.part.take(row, cell);
        }
    }

    /// What was counted.
    pub fn finish(self) -> ReadRows {
        let WholeReader { tally, axes, mut cells, part, reasons } = self;
        cells.sort();
        let part = part.finish(&cells);
        ReadRows { tally, axes, cells, part, reasons }
    }
}

impl ReadRows {
    /// Of each cell the numbers of its records that count, from 0 in the order of the plan.
    pub fn cells(&self) -> impl Iterator<Item = &[u32]> {
        self.cells.members()
    }

    /// The numbers of the records that stand for all, ascending.
    pub fn part(&self) -> &[usize] {
        &self.part
    }

    /// The axes that differ among all jobs.
    pub(super) fn axes(&self) -> Axes {
        self.axes.finish()
    }

    /// With the rankings of all cells, where there is one.
    pub fn whole(self, rankings: Option<Vec<SweepRanking>>) -> Whole {
        Whole { cells: self.cells.len(), tally: self.tally, reasons: self.reasons, rankings }
    }
}

impl Whole {
    /// How many records failed, or were left out, for the same reason as this one; `None` where that was not counted.
    pub(super) fn of_reason(&self, record: &Record) -> Option<usize> {
        self.reasons.get(&Reason::of(record)?).copied()
    }

    /// How many reasons there are.
    pub(super) fn reasons(&self) -> usize {
        self.reasons.len()
    }

    /// What a reader must know of a report that shows so many of its rows.
    pub(super) fn note(&self, shown: usize) -> String {
        let (rows, cells) = (many(self.tally.rows as u64, "row"), many(self.cells as u64, "cell"));
        let ranking = match &self.rankings {
            Some(_) => "What is counted and ranked here is of all of them.",
            None => "What is counted here is of all of them; they are too many to be ranked.",
        };
        format!(
            "This sweep has {rows} of {cells}: too many to be shown. {ranking} Tables and charts are of {shown} rows: \
             first cells without a result and doubtful ones, then cells from all over the sweep. What each device did \
             when is left out. results.csv and results.parquet have all rows, summary.csv all cells."
        )
    }
}
