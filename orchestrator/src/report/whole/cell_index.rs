use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::planner;
use crate::report::columns::Row;

/// Which records are of which cell. It takes about 10 bytes a record.
#[derive(Debug, Default)]
pub(super) struct CellIndex {
    /// The number of each cell, by the hash of its identifier. Two cells of a sweep share 64 bits by no chance that
    /// counts.
    numbers: HashMap<u64, u32>,
    /// Of each record the number of its cell; [`NONE`] of one that does not count.
    of_records: Vec<u32>,
    /// The records, cell by cell, and where those of each cell end.
    records: Vec<u32>,
    ends: Vec<usize>,
}

/// Stands for no cell.
const NONE: u32 = u32::MAX;

impl CellIndex {
    /// Takes in the next row; gives the number of its cell, where it counts.
    pub(super) fn take(&mut self, row: &Row<'_>) -> Option<u32> {
        if !row.counting.counts() {
            self.of_records.push(NONE);
            return None;
        }
        let mut hasher = DefaultHasher::new();
        planner::cell_id(&row.record.job).hash(&mut hasher);
        let next = u32::try_from(self.numbers.len()).unwrap_or(NONE);
        let cell = *self.numbers.entry(hasher.finish()).or_insert(next);
        self.of_records.push(cell);
        Some(cell)
    }

    /// Puts the records of each cell together, once all are there.
    pub(super) fn sort(&mut self) {
        self.records = (0..NONE).zip(&self.of_records).filter(|(_, cell)| **cell != NONE).map(|(it, _)| it).collect();
        // Stable: those of a cell stay in the order of the plan.
        self.records.sort_by_key(|record| self.of_records[*record as usize]);
        let is_same = |a: &u32, b: &u32| self.of_records[*a as usize] == self.of_records[*b as usize];
        let mut end = 0;
        self.ends = self
            .records
            .chunk_by(is_same)
            .map(|members| {
                end += members.len();
                end
            })
            .collect();
    }

    /// How many cells there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// How many records there are that count.
    pub(super) fn rows(&self) -> usize {
        self.records.len()
    }

    /// The records of each cell, by their numbers, in the order in which cells first came.
    pub(super) fn members(&self) -> impl Iterator<Item = &[u32]> {
        (0..self.len()).map(|cell| self.of(cell))
    }

    /// The records of a cell.
    pub(super) fn of(&self, cell: usize) -> &[u32] {
        let start = cell.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(cell).copied().unwrap_or(start);
        self.records.get(start..end).unwrap_or_default()
    }
}
