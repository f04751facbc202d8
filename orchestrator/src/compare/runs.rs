use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;

use jiff::Timestamp;

use super::conditions::CONDITIONS;
use super::{CellKey, DeviceName, Images};
use crate::domain::{FailureKind, RunStatus};
use crate::score::ScoredRun;

/// What a comparison takes of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunFacts {
    /// What scores take of it.
    pub scored: ScoredRun,
    /// Median latency of one inference (of a whole batch) in seconds; `None` where only a mean is told.
    pub median_s: Option<f64>,
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// Whether it counts: another run stands for one that doesn't.
    pub counts: bool,
    /// Temperature of the processor before it, in °C.
    pub temp_start_c: Option<f64>,
    /// What it was measured under, in the order of [`CONDITIONS`]; empty texts where it is not known.
    pub conditions: Vec<String>,
}

/// Runs to compare: those of a sweep, or of a table. What many runs share is kept once.
#[derive(Debug, Clone)]
pub struct Runs {
    /// What they are called.
    pub name: String,
    pub(super) device: DeviceName,
    pub(super) keys: Interned<CellKey>,
    pub(super) conditions: Interned<Vec<String>>,
    pub(super) failures: Interned<String>,
    pub(super) images: Interned<Images>,
    pub(super) runs: Vec<Run>,
    run_ids: HashSet<RunHash>,
    /// Runs that were there twice.
    pub(super) same_runs: usize,
}

/// A run, small: there may be a million.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) key: u32,
    pub(super) conditions: u32,
    pub(super) failure: Option<u32>,
    /// Whether it was left out since nobody needed it any more.
    pub(super) is_needless: bool,
    /// What its accuracy is of; `None` without one.
    pub(super) images: Option<u32>,
    pub(super) status: RunStatus,
    pub(super) counts: bool,
    /// NaN where it is not known.
    pub(super) median_s: f64,
    /// NaN where it is not known.
    pub(super) mean_s: f64,
    pub(super) top1: f64,
    pub(super) top5: f64,
    pub(super) temp_start_c: f64,
    pub(super) started_at: Option<Timestamp>,
}

impl Runs {
    /// None yet.
    pub fn new(name: impl Into<String>, device: DeviceName) -> Runs {
        Runs {
            name: name.into(),
            device,
            keys: Interned::default(),
            conditions: Interned::default(),
            failures: Interned::default(),
            images: Interned::default(),
            runs: Vec::new(),
            run_ids: HashSet::new(),
            same_runs: 0,
        }
    }

    /// Adds a run; one that is there already is left out, and counted.
    pub fn push(&mut self, facts: RunFacts) {
        let RunFacts { scored, median_s, started_at, counts, temp_start_c, conditions } = facts;
        if scored.run_id.as_ref().is_some_and(|run_id| !self.run_ids.insert(RunHash::of(run_id))) {
            self.same_runs += 1;
            return;
        }
        let column = |name: &str| CONDITIONS.iter().position(|condition| condition.column == name);
        let chip = column("soc").and_then(|index| conditions.get(index)).filter(|chip| !chip.is_empty());
        let device = match (self.device, chip) {
            (DeviceName::Chip, Some(chip)) => chip.clone(),
            _ => scored.device.clone(),
        };
        let known = |value: Option<f64>| value.unwrap_or(f64::NAN);
        let accuracy = scored.accuracy;
        let images = |count| Images { dataset: scored.dataset.clone(), count };
        let images = accuracy.map(|accuracy| self.images.number(images(accuracy.n_images)));
        self.runs.push(Run {
            key: self.keys.number(CellKey::of(&scored, device)),
            conditions: self.conditions.number(conditions),
            failure: scored.failure.map(|failure| self.failures.number(failure)),
            is_needless: scored.failure_kind.is_some_and(FailureKind::is_needless),
            images,
            status: scored.status,
            counts,
            median_s: median_s.unwrap_or(f64::NAN),
            mean_s: scored.latency_s.unwrap_or(f64::NAN),
            top1: known(accuracy.and_then(|accuracy| accuracy.top1)),
            top5: known(accuracy.and_then(|accuracy| accuracy.top5)),
            temp_start_c: known(temp_start_c),
            started_at,
        });
    }

    /// The cells that there are runs of.
    pub fn cells(&self) -> impl Iterator<Item = &CellKey> {
        self.keys.values.iter().map(Arc::as_ref)
    }

    /// Leaves only runs of cells that are meant.
    pub fn retain(&mut self, is_meant: impl Fn(&CellKey) -> bool) {
        let meant: Vec<bool> = self.cells().map(is_meant).collect();
        self.runs.retain(|run| meant.get(run.key as usize).copied().unwrap_or(false));
    }

    /// The same runs, their cells called otherwise. Cells that are called the same are one.
    #[must_use]
    pub fn renamed(mut self, rename: impl Fn(&mut CellKey)) -> Runs {
        for key in &mut self.keys.values {
            rename(Arc::make_mut(key));
        }
        self
    }

    /// The runs of these numbers.
    pub(super) fn numbered(&self, numbers: Option<&Vec<usize>>) -> Vec<Run> {
        numbers.into_iter().flatten().filter_map(|number| self.runs.get(*number).copied()).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Whether each run of the one is one of the other.
    pub(super) fn are_those_of(&self, other: &Runs) -> bool {
        !self.run_ids.is_empty() && self.run_ids == other.run_ids
    }
}

/// A run's identifier by its hash, so that a million take little room. Two runs share 128 bits by no chance that
/// counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct RunHash([u64; 2]);

impl RunHash {
    fn of(run_id: &str) -> RunHash {
        RunHash([0u8, 1].map(|salt| {
            let mut hasher = DefaultHasher::new();
            (salt, run_id).hash(&mut hasher);
            hasher.finish()
        }))
    }
}

/// Values that many have, each kept once.
#[derive(Debug, Clone)]
pub(super) struct Interned<T> {
    pub(super) values: Vec<Arc<T>>,
    numbers: HashMap<Arc<T>, u32>,
}

impl<T> Default for Interned<T> {
    fn default() -> Interned<T> {
        Interned { values: Vec::new(), numbers: HashMap::new() }
    }
}

impl<T: Eq + Hash> Interned<T> {
    fn number(&mut self, value: T) -> u32 {
        if let Some(number) = self.numbers.get(&value) {
            return *number;
        }
        let number = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        let value = Arc::new(value);
        self.values.push(Arc::clone(&value));
        self.numbers.insert(value, number);
        number
    }
}
