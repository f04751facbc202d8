use std::collections::HashMap;

use crate::report::cells::SweepCell;
use crate::score::{ScoredRun, standing_run};

use super::mean::{self, Ends};
use super::{SweepRanking, rankings_of};

/// Cells that a ranking is made of at most: of each one run is in memory.
const MOST_CELLS: usize = 200_000;

/// Makes the rankings of a sweep from its cells, of which it is shown one after the other.
///
/// Of each cell it keeps the run that a score takes: the one with the median of its runs' mean times.
#[derive(Debug, Default)]
pub struct RankingReader {
    runs: Vec<ScoredRun>,
    ends: HashMap<String, Ends>,
    has_too_many: bool,
}

impl RankingReader {
    /// Takes in a cell.
    pub fn take(&mut self, cell: &SweepCell<'_>) {
        if self.runs.len() >= MOST_CELLS {
            self.has_too_many = true;
            return;
        }
        let runs: Vec<ScoredRun> = cell.records.iter().map(|record| ScoredRun::of(record)).collect();
        let Some(run) = standing_run(&runs).cloned() else { return };
        if let (Some(run_id), Some(ends)) = (&run.run_id, mean::ends(&cell.records)) {
            self.ends.insert(run_id.clone(), ends);
        }
        self.runs.push(run);
    }

    /// The rankings; `None` where there were too many cells for one.
    pub fn finish(self) -> Option<Vec<SweepRanking>> {
        let RankingReader { runs, ends, has_too_many } = self;
        (!has_too_many).then(|| rankings_of(&runs, &|run_id| ends.get(run_id).copied()))
    }
}
