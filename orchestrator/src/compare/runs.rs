use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::num::NonZeroU32;
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
    pub(super) accuracies: Interned<Accuracy>,
    pub(super) runs: Vec<Run>,
    run_ids: HashSet<RunHash>,
    /// Runs that were there twice.
    pub(super) same_runs: usize,
}

/// A run, small: there may be a million. It has 48 bytes, and a test holds that.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    /// NaN where it is not known.
    pub(super) median_s: f64,
    /// NaN where it is not known.
    pub(super) mean_s: f64,
    /// Nanoseconds since 1970; [`UNKNOWN_START`] where it is not known.
    started_ns: i64,
    /// NaN where it is not known. Single precision: it is told in whole degrees.
    pub(super) temp_start_c: f32,
    pub(super) key: Place,
    pub(super) conditions: Place,
    pub(super) failure: Option<Place>,
    /// What its accuracy is; `None` without one.
    pub(super) accuracy: Option<Place>,
    pub(super) status: RunStatus,
    /// Whether it was left out since nobody needed it any more.
    pub(super) is_needless: bool,
    pub(super) counts: bool,
}

/// Stands for a start that is not known.
const UNKNOWN_START: i64 = i64::MIN;

impl Run {
    /// When it was started, in nanoseconds since 1970.
    pub(super) fn started_ns(&self) -> Option<i64> {
        (self.started_ns != UNKNOWN_START).then_some(self.started_ns)
    }
}

/// What runs answered right. Most runs of a network share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Accuracy {
    top1_bits: u64,
    top5_bits: u64,
    /// What it is of.
    pub(super) images: Place,
}

impl Accuracy {
    /// NaN where it is not known.
    pub(super) fn top1(self) -> f64 {
        f64::from_bits(self.top1_bits)
    }

    /// NaN where it is not known.
    pub(super) fn top5(self) -> f64 {
        f64::from_bits(self.top5_bits)
    }
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
            accuracies: Interned::default(),
            runs: Vec::new(),
            run_ids: HashSet::new(),
            same_runs: 0,
        }
    }

    /// Makes room for so many runs more, and no more than that.
    pub fn reserve(&mut self, runs: usize) {
        self.runs.reserve_exact(runs);
        self.run_ids.reserve(runs);
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
        let accuracy = scored.accuracy.map(|accuracy| {
            let images = Images { dataset: scored.dataset.clone(), count: accuracy.n_images };
            let images = self.images.place(images);
            let [top1_bits, top5_bits] = [accuracy.top1, accuracy.top5].map(|share| known(share).to_bits());
            self.accuracies.place(Accuracy { top1_bits, top5_bits, images })
        });
        let nanoseconds = |at: Timestamp| i64::try_from(at.as_nanosecond()).unwrap_or(UNKNOWN_START);
        self.runs.push(Run {
            median_s: known(median_s),
            mean_s: known(scored.latency_s),
            started_ns: started_at.map_or(UNKNOWN_START, nanoseconds),
            temp_start_c: known(temp_start_c) as f32,
            key: self.keys.place(CellKey::of(&scored, device)),
            conditions: self.conditions.place(conditions),
            failure: scored.failure.map(|failure| self.failures.place(failure)),
            accuracy,
            status: scored.status,
            is_needless: scored.failure_kind.is_some_and(FailureKind::is_needless),
            counts,
        });
    }

    /// The cells that there are runs of.
    pub fn cells(&self) -> impl Iterator<Item = &CellKey> {
        self.keys.values.iter().map(Arc::as_ref)
    }

    /// Leaves only runs of cells that are meant.
    pub fn retain(&mut self, is_meant: impl Fn(&CellKey) -> bool) {
        let meant: Vec<bool> = self.cells().map(is_meant).collect();
        self.runs.retain(|run| meant.get(run.key.index()).copied().unwrap_or(false));
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
    pub(super) fn numbered(&self, numbers: &[u32]) -> Vec<Run> {
        numbers.iter().filter_map(|number| self.runs.get(*number as usize).copied()).collect()
    }

    /// What a run answered right.
    pub(super) fn accuracy(&self, run: &Run) -> Option<Accuracy> {
        run.accuracy.and_then(|place| self.accuracies.at(place)).copied()
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
    places: HashMap<Arc<T>, Place>,
}

/// Where such a value is. One that may be missing takes no more room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place(NonZeroU32);

impl Place {
    /// From 0.
    pub(super) fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

impl<T> Default for Interned<T> {
    fn default() -> Interned<T> {
        Interned { values: Vec::new(), places: HashMap::new() }
    }
}

impl<T: Eq + Hash> Interned<T> {
    fn place(&mut self, value: T) -> Place {
        if let Some(place) = self.places.get(&value) {
            return *place;
        }
        let value = Arc::new(value);
        self.values.push(Arc::clone(&value));
        let count = u32::try_from(self.values.len()).ok().and_then(NonZeroU32::new);
        let place = Place(count.unwrap_or(NonZeroU32::MAX));
        self.places.insert(value, place);
        place
    }

    /// The value at a place.
    pub(super) fn at(&self, place: Place) -> Option<&T> {
        self.values.get(place.index()).map(Arc::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_runs_take_48_megabytes() {
        assert_eq!(size_of::<Run>(), 48);
    }
}
