//! What the rows of a sweep have to know of each other, in little room: so that a sweep of a million records is read
//! part by part.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::columns::Row;
use crate::domain::{Record, RunStatus, SweepRow, TrustRules};
use crate::planner;
use crate::score::trust::{Certainty, Counting, Measured, RepeatedRun, Repeats, countings};
use crate::score::{References, Statistics};

/// Collects it from all records of a sweep, in the order of the plan, none of which is kept.
#[derive(Debug)]
pub struct ContextReader {
    rules: TrustRules,
    measured: Vec<Measured>,
    /// What is known of each record's numbers; none of one without.
    repeated: Vec<Option<CellRun>>,
    /// The number of each cell, by the hash of its identifier. Two cells of a sweep share 64 bits by no chance that
    /// counts.
    cells: HashMap<u64, u32>,
    references: References,
}

/// A run with numbers, and the cell that it is of.
#[derive(Debug, Clone, Copy)]
struct CellRun {
    cell: u32,
    run: RepeatedRun,
}

impl ContextReader {
    /// Nothing was read yet. Numbers are judged by these rules.
    pub fn new(rules: TrustRules) -> ContextReader {
        let (measured, repeated, cells) = (Vec::new(), Vec::new(), HashMap::new());
        ContextReader { rules, measured, repeated, cells, references: References::default() }
    }

    /// Takes in a record. `is_finite` says of an output, by its hash, whether all of its values are finite.
    pub fn take(&mut self, record: &Record, is_finite: impl FnMut(&str) -> bool) {
        self.take_judged(record, Certainty::of_record(record, &self.rules).as_ref(), is_finite);
    }

    /// Takes in a record of which it is known how sure its numbers are.
    pub(super) fn take_judged(
        &mut self,
        record: &Record,
        certainty: Option<&Certainty>,
        is_finite: impl FnMut(&str) -> bool,
    ) {
        self.measured.push(Measured::of(record, certainty.map(Certainty::verdict)));
        let run = certainty.map(|certainty| CellRun { cell: self.cell(record), run: certainty.into() });
        self.repeated.push(run);
        self.references.take(record, is_finite);
    }

    fn cell(&mut self, record: &Record) -> u32 {
        let mut hasher = DefaultHasher::new();
        planner::cell_id(&record.job).hash(&mut hasher);
        let next = u32::try_from(self.cells.len()).unwrap_or(u32::MAX);
        *self.cells.entry(hasher.finish()).or_insert(next)
    }

    /// What they have to know of each other.
    pub fn finish(self) -> RowContext {
        let countings = countings(&self.measured);
        let mut counting: Vec<CellRun> = self.repeated.iter().zip(&countings).filter_map(of_counting).collect();
        counting.sort_by_key(|run| run.cell);
        let mut repeats = vec![None; self.cells.len()];
        for members in counting.chunk_by(|one, other| one.cell == other.cell).filter(|members| members.len() > 1) {
            if let Some(place) = members.first().and_then(|first| repeats.get_mut(first.cell as usize)) {
                *place = Repeats::of(members.iter().map(|member| member.run));
            }
        }
        let cells = self.repeated.iter().map(|run| run.map_or(u32::MAX, |run| run.cell)).collect();
        RowContext { rules: self.rules, countings, cells, repeats, references: self.references }
    }
}

fn of_counting((run, counting): (&Option<CellRun>, &Counting)) -> Option<CellRun> {
    run.filter(|_| counting.counts())
}

/// What the rows of a sweep have to know of each other.
#[derive(Debug, Clone)]
pub struct RowContext {
    rules: TrustRules,
    /// Of each record.
    countings: Vec<Counting>,
    /// Of each record the number of its cell.
    cells: Vec<u32>,
    /// Of each cell.
    repeats: Vec<Option<Repeats>>,
    references: References,
}

impl RowContext {
    /// Of records that know nothing of each other, and need not: none was measured again.
    pub fn of_none(rules: TrustRules) -> RowContext {
        ContextReader::new(rules).finish()
    }

    /// How many records it is of.
    pub fn len(&self) -> usize {
        self.countings.len()
    }

    /// Whether it is of none.
    pub fn is_empty(&self) -> bool {
        self.countings.is_empty()
    }

    /// The hashes of the outputs that others are held against.
    pub fn reference_hashes(&self) -> impl Iterator<Item = &str> {
        self.references.hashes()
    }

    /// The rows of records that follow each other, of which the first is the `first` of the sweep, from 0. `outputs`
    /// has the values of their outputs, and of those that they are held against, by their hashes.
    pub fn rows<'a>(
        &self,
        sweep: &'a SweepRow,
        records: &'a [Record],
        first: usize,
        outputs: &HashMap<String, Vec<f32>>,
    ) -> Vec<Row<'a>> {
        let row = |(index, record): (usize, &'a Record)| {
            let certainty = Certainty::of_record(record, &self.rules);
            self.row(Row::bare(sweep, record), first + index, certainty, outputs)
        };
        records.iter().enumerate().map(row).collect()
    }

    /// The same of records that stand anywhere in the sweep: `numbers` says where, from 0.
    pub fn rows_at<'a>(
        &self,
        sweep: &'a SweepRow,
        records: &'a [Record],
        numbers: &[usize],
        outputs: &HashMap<String, Vec<f32>>,
    ) -> Vec<Row<'a>> {
        let row = |(record, number): (&'a Record, &usize)| {
            let certainty = Certainty::of_record(record, &self.rules);
            self.row(Row::bare(sweep, record), *number, certainty, outputs)
        };
        records.iter().zip(numbers).map(row).collect()
    }

    /// The row of a record of the sweep, made of a bare one.
    pub(super) fn row<'a>(
        &self,
        bare: Row<'a>,
        index: usize,
        certainty: Option<Certainty>,
        outputs: &HashMap<String, Vec<f32>>,
    ) -> Row<'a> {
        let record = bare.record;
        let is_ok = record.status == RunStatus::Ok;
        let samples_ns: &[u64] = if is_ok { &record.measurement.samples_ns } else { &[] };
        let counting = self.countings.get(index).copied().unwrap_or(bare.counting);
        let cell = self.cells.get(index).filter(|_| counting.counts() && certainty.is_some());
        Row {
            statistics: Statistics::of(samples_ns),
            output_error: self.references.error(record, outputs),
            counting,
            repeats: cell.and_then(|cell| self.repeats.get(*cell as usize)).copied().flatten(),
            certainty,
            ..bare
        }
    }
}
