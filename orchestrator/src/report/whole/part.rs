use std::collections::{HashMap, HashSet};

use super::CellIndex;
use crate::domain::{Precision, RunStatus, Verdict, WeightsKind};
use crate::report::columns::Row;
use crate::report::label::Reason;

/// Rows that stand for a sweep: as many as a page shows quickly.
const MOST_ROWS: usize = 2_000;
/// Reasons without a result that it shows, and cells of each.
const MOST_REASONS: usize = 50;
const CELLS_OF_REASON: usize = 5;
/// Doubtful cells of each verdict that it shows.
const CELLS_OF_DOUBT: usize = 20;
/// Networks on engines whose answers it holds against each other.
const MOST_ANSWERS: usize = 60;

/// Chooses the cells that stand for a sweep: of each reason without a result, of each doubt, and of each engine's
/// answers the first ones; then some from all over the sweep.
#[derive(Debug, Default)]
pub(super) struct PartReader {
    /// In the order in which they were chosen.
    chosen: Vec<u32>,
    known: HashSet<u32>,
    reasons: HashMap<Reason, usize>,
    doubts: HashMap<Verdict, usize>,
    answers: HashSet<Answer>,
}

/// What engines are compared by, with the engine.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Answer {
    model: String,
    weights: WeightsKind,
    precision: Precision,
    batch: u32,
    seed: u64,
    backend: String,
}

impl Answer {
    fn of(row: &Row<'_>) -> Answer {
        let (job, model) = (&row.record.job, &row.record.job.model);
        let (name, weights, backend) = (model.name.clone(), model.weights, job.backend.clone());
        Answer { model: name, weights, precision: job.precision, batch: job.batch, seed: job.seed, backend }
    }
}

impl PartReader {
    /// Takes in the next row that counts, with the number of its cell.
    pub(super) fn take(&mut self, row: &Row<'_>, cell: u32) {
        if !self.known.contains(&cell) && self.is_wanted(row) {
            self.known.insert(cell);
            self.chosen.push(cell);
        }
    }

    fn is_wanted(&mut self, row: &Row<'_>) -> bool {
        if let Some(reason) = Reason::of(row.record) {
            let has_room = self.reasons.len() < MOST_REASONS || self.reasons.contains_key(&reason);
            return has_room && counted(self.reasons.entry(reason).or_default(), CELLS_OF_REASON);
        }
        if let Some(doubt) = row.doubt() {
            return counted(self.doubts.entry(doubt).or_default(), CELLS_OF_DOUBT);
        }
        let is_answered = row.record.status == RunStatus::Ok && self.answers.len() < MOST_ANSWERS;
        is_answered && self.answers.insert(Answer::of(row))
    }

    /// The numbers of the records, ascending. Cells are whole, but for one that alone has too many records.
    pub(super) fn finish(self, cells: &CellIndex) -> Vec<usize> {
        let mut records: Vec<u32> = Vec::new();
        self.chosen.iter().for_each(|cell| add(&mut records, cells.of(*cell as usize)));
        let room = MOST_ROWS - records.len();
        if room > 0 {
            let step = cells.rows().div_ceil(room).max(1);
            let is_new = |cell: &usize| u32::try_from(*cell).is_ok_and(|cell| !self.known.contains(&cell));
            let others = (0..cells.len()).step_by(step).filter(is_new);
            others.for_each(|cell| add(&mut records, cells.of(cell)));
        }
        records.sort_unstable();
        records.into_iter().map(|record| record as usize).collect()
    }
}

/// Adds the records of a cell, where there is room for all of them; of the first as many as there is room for.
fn add(records: &mut Vec<u32>, members: &[u32]) {
    let room = MOST_ROWS - records.len();
    if members.len() <= room || records.is_empty() {
        records.extend(members.iter().take(room));
    }
}

/// Counts one more; says whether there was room for it.
fn counted(count: &mut usize, most: usize) -> bool {
    let has_room = *count < most;
    *count += usize::from(has_room);
    has_room
}
