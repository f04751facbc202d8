//! Two sides that are measured in pairs: the sweep of both, and what it says of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::compare::side_by_side::{
    CellName, FEWEST_PAIRS, LookRule, MOST_PAIRS, Pair, Settled, judge_sides, pairs_of, settled_cells,
};
use crate::compare::{CellKey, CompareError, Comparison, DeviceName, Options, compare};
use crate::config::MAX_JOBS;
use crate::domain::{Catalog, CellPattern, Order, PairSide, Record, RunStatus, SideBySide, Sweep, SweepRow};
use crate::score::ScoredRun;
use crate::wording::many;
use crate::{config, planner};

use super::{Lab, LabError, PlannedSweep};

mod again;
mod sides;
mod values;

pub use again::{AgainOrder, PlannedAgain, SweepAgain};
use sides::sides;
use values::{Given, Side};

/// The fields by which two sides may differ.
const FIELDS: &str = "model (a name or a file), weights, backend (NAME or NAME@FILE), precision, threads, batch, \
    scenario and runner (a file)";

/// What is to be measured side by side.
#[derive(Debug, Clone)]
pub struct SideBySideOrder {
    /// The sweep file of A.
    pub a: PathBuf,
    /// That of B; `None`: the same.
    pub b: Option<PathBuf>,
    /// Fields of A and their values: `backend=tract`.
    pub a_values: Vec<String>,
    /// Fields of B and their values.
    pub b_values: Vec<String>,
    /// Most pairs of each cell.
    pub pairs: u32,
    /// Minutes after which no more runs are started.
    pub minutes: Option<f64>,
    /// Smaller changes are the same, in per cent.
    pub threshold_percent: f64,
    /// How likely any cell of equal sides may be called slower or faster.
    pub alpha: f64,
}

/// What a sweep says of its two sides.
pub struct SideBySideResult {
    /// The sweep.
    pub sweep: SweepRow,
    /// Cell by cell, with what is settled.
    pub comparison: Comparison,
    /// Jobs that have no record yet.
    pub open: usize,
}

impl Lab {
    /// Plans a sweep that measures both sides in pairs. Touches no device.
    ///
    /// # Errors
    /// When a file or a value is faulty, or the sides differ in more than one value of a field.
    pub fn plan_side_by_side(&self, order: &SideBySideOrder) -> Result<PlannedSweep, LabError> {
        if !(FEWEST_PAIRS..=MOST_PAIRS).contains(&order.pairs) {
            return Err(LabError::usage(format!("{} pairs are no budget", order.pairs)).with_hint(format!(
                "write a number from {FEWEST_PAIRS}, which are the fewest that say anything, to {MOST_PAIRS}"
            )));
        }
        let (inventory, mut catalog) = self.declared(&|name| self.variable(name))?;
        let mut a = config::load_sweep(&order.a, &inventory, &catalog)?;
        let mut b = match &order.b {
            Some(file) => config::load_sweep(file, &inventory, &catalog)?,
            None => a.clone(),
        };
        let mut given = Given::default();
        Side::of(PairSide::A, &a, &catalog).set(&mut a, &order.a_values, &mut given)?;
        Side::of(PairSide::B, &b, &catalog).set(&mut b, &order.b_values, &mut given)?;
        let sides = sides(&a, &b, given, order)?;
        sides.add_to(&mut catalog);
        self.tell_runners(&sides);
        let names = match sides.a_name == sides.b_name {
            true => sides.a_name.clone(),
            false => format!("{} and {}", sides.a_name, sides.b_name),
        };
        let config = format!("{} side by side: {names}", self.short_path(&order.a));
        let sweep = both(a, sides, order.pairs);
        let jobs = planner::most_jobs(&sweep, &inventory);
        if jobs > MAX_JOBS {
            return Err(LabError::usage(format!("both sides have {jobs} runs, and {MAX_JOBS} at most are planned"))
                .with_hint("less --pairs, or fewer cells in the file"));
        }
        Ok(self.planned(sweep, config, inventory, catalog))
    }

    /// The catalogue with what the sides of a sweep were given beside it.
    pub(in crate::lab) fn catalog_of(&self, sweep: &Sweep) -> Result<Catalog, LabError> {
        let mut catalog = self.catalog()?;
        sweep.side_by_side.iter().for_each(|sides| sides.add_to(&mut catalog));
        Ok(catalog)
    }

    /// Says which runner each side has.
    fn tell_runners(&self, sides: &SideBySide) {
        for (side, runners) in [("A", &sides.a_runners), ("B", &sides.b_runners)] {
            for runner in runners {
                let (path, sha256) = (self.short_path(&runner.path), &runner.artifact.sha256);
                self.remark(&format!("{side}: {path}, sha256 {sha256}: {}", runner.version));
            }
        }
    }

    /// What the sweep that a person means says of its two sides so far.
    ///
    /// # Errors
    /// When there is no such sweep, it has no two sides, or nothing of them was measured.
    pub fn side_by_side(&self, wanted: &str) -> Result<SideBySideResult, LabError> {
        let store = self.store()?;
        let sweep = self.sweep_meant(wanted)?;
        let definition = store.definition(&sweep.id)?;
        let Some(sides) = definition.and_then(|definition| definition.sweep.side_by_side) else {
            return Err(LabError::usage(format!("sweep {} does not measure two sides", sweep.id))
                .with_hint("`farmctl ab` begins one that does; `farmctl compare` compares two sweeps"));
        };
        let (jobs, open) = (store.jobs(&sweep.id)?, store.open_jobs(&sweep.id, None)?);
        let records = self.records(&sweep)?;
        if let Some(error) = nothing_yet(&sweep, &records) {
            return Err(error);
        }
        let (rule, settled) = settled_cells(&jobs, &open, &records, &sides);
        let pairs = pairs_of(&records, &sides);
        let counts = counted(&pairs, &sides, &settled);
        let [a, b] = [PairSide::A, PairSide::B].map(|side| {
            let name = if side == PairSide::A { &sides.a_name } else { &sides.b_name };
            let is_counted = |record: &Record| record.job.side == Some(side) && counts(record);
            let runs = self.runs_of(&sweep, &records, name.clone(), DeviceName::Name, &is_counted);
            runs.map(|runs| runs.renamed(|key| rename(key, &sides)))
        });
        let options = Options {
            threshold_percent: sides.threshold_percent,
            alpha: sides.alpha,
            anyway: true,
            ..Options::default()
        };
        let mut comparison = compare(&a?, &b?, &options).map_err(|error| not_compared(&sweep, &error))?;
        let named: BTreeMap<String, Settled> = records
            .iter()
            .filter_map(|record| {
                let settled = settled.get(&(record.job.device.clone(), sides.cell(&record.job)))?;
                let mut key = CellKey::of(&ScoredRun::of(record), record.job.device.clone());
                rename(&mut key, &sides);
                Some((key.to_string(), *settled))
            })
            .collect();
        judge_sides(&mut comparison, &named, &rule);
        comparison.notes.push(told_looks(&rule, &pairs, &settled));
        Ok(SideBySideResult { sweep, comparison, open: open.len() })
    }
}

fn not_compared(sweep: &SweepRow, error: &CompareError) -> LabError {
    LabError::nothing(format!("failed to {error}"))
        .with_hint(format!("`farmctl sweeps show {}` shows what became of it", sweep.id))
}

/// Why there is nothing to compare, where no run of a sweep has ended by itself.
fn nothing_yet(sweep: &SweepRow, records: &[Record]) -> Option<LabError> {
    let has_ended = |record: &Record| matches!(record.status, RunStatus::Ok | RunStatus::Failed);
    if records.iter().any(has_ended) {
        return None;
    }
    let error = LabError::nothing;
    Some(match records.iter().find_map(|record| Some((record, record.failure.as_ref()?))) {
        Some((record, failure)) => error(format!("nothing of sweep {} was measured: {}", sweep.id, failure.message))
            .with_hint(failure.remedy(&record.job.device, Some(&record.job.model.name)).replace("SWEEP", &sweep.id.0)),
        None => error(format!("nothing of sweep {} was measured yet", sweep.id))
            .with_hint(format!("`farmctl sweeps show {}` shows what became of it", sweep.id)),
    })
}

/// Which looks there were, and what p is for.
fn told_looks(rule: &LookRule, pairs: &BTreeMap<CellName, Vec<Pair>>, settled: &BTreeMap<CellName, Settled>) -> String {
    let until = |(name, pairs): (&CellName, &Vec<Pair>)| match settled.get(name) {
        Some(settled) => rule.taken(settled.repeats.min(pairs.last().map_or(0, |pair| pair.repeat))),
        None => rule.taken(pairs.last().map_or(0, |pair| pair.repeat)),
    };
    let taken: BTreeSet<u32> = pairs.iter().flat_map(until).collect();
    let taken = taken.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let (planned, cells) = (many(rule.looks().count() as u64, "look"), many(rule.cells as u64, "cell"));
    match taken.is_empty() {
        true => format!("Measured in turn, and not looked at yet: that takes {FEWEST_PAIRS} pairs."),
        false => {
            format!(
                "Measured in turn; looked at after {taken} pairs. p is for {planned} that were planned, and {cells}."
            )
        }
    }
}

/// Which records count: those of pairs that are whole, and were there when their cell was settled. Of a cell without a
/// pair all do, so that it is told what became of it.
fn counted<'a>(
    pairs: &BTreeMap<CellName, Vec<Pair>>,
    sides: &'a SideBySide,
    settled: &'a BTreeMap<CellName, Settled>,
) -> impl Fn(&Record) -> bool + use<'a> {
    let repeats = |pairs: &Vec<Pair>| pairs.iter().map(|pair| pair.repeat).collect::<BTreeSet<u32>>();
    let whole: BTreeMap<CellName, BTreeSet<u32>> =
        pairs.iter().filter(|(_, it)| !it.is_empty()).map(|(cell, it)| (cell.clone(), repeats(it))).collect();
    move |record| {
        let name = (record.job.device.clone(), sides.cell(&record.job));
        let until = settled.get(&name).map_or(u32::MAX, |settled| settled.repeats);
        let is_whole = |whole: &BTreeSet<u32>| record.job.repeat <= until && whole.contains(&record.job.repeat);
        whole.get(&name).is_none_or(is_whole)
    }
}

/// A cell's key that both sides have: where they differ, it says both.
fn rename(key: &mut CellKey, sides: &SideBySide) {
    let both = || format!("{} → {}", sides.a_name, sides.b_name);
    let CellPattern { models, weights, backends, precisions, threads, batches, scenarios, .. } = &sides.b;
    let differing = [
        (!models.is_empty(), &mut key.model),
        (!weights.is_empty(), &mut key.weights),
        (!backends.is_empty(), &mut key.backend),
        (!precisions.is_empty(), &mut key.precision),
        (!threads.is_empty(), &mut key.threads),
        (!scenarios.is_empty(), &mut key.scenario),
    ];
    let mut said = false;
    for (_, word) in differing.into_iter().filter(|(differs, _)| *differs) {
        *word = if said { "*".to_owned() } else { both() };
        said = true;
    }
    // Its word is said once, before both.
    key.threads = key.threads.replace("threads ", "");
    if !backends.is_empty() {
        key.delegate.clear();
    }
    if !batches.is_empty() {
        key.batch = 0;
        if !said {
            key.scenario = format!("{} {}", key.scenario, both());
        }
    }
}

/// The sweep of both.
fn both(a: Sweep, sides: SideBySide, pairs: u32) -> Sweep {
    let name: String = a.name.chars().take(60).collect();
    let mut sweep = Sweep { name: format!("{name}-ab"), repeats: pairs, order: Order::Shuffled, ..a };
    // A pair is two runs, one after the other: none moves, and none is measured again later.
    sweep.trust.max_reruns = 0;
    sweep.retry.equal_by = None;
    sweep.side_by_side = Some(sides);
    sweep
}
