//! Two sides that are measured in pairs: the sweep of both, and what it says of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::compare::side_by_side::{CellName, FEWEST_PAIRS, MOST_PAIRS, Settled, judge_sides, pairs_of, settled_cells};
use crate::compare::{CellKey, CompareError, Comparison, DeviceName, Options, compare};
use crate::config::{MAX_JOBS, MAX_THREADS};
use crate::domain::{
    Catalog, CellPattern, Order, PairSide, Precision, Record, Scenario, SideBySide, Sweep, SweepRow, ThreadCount,
    WeightsKind,
};
use crate::score::ScoredRun;
use crate::wording::did_you_mean;
use crate::{config, planner};

use super::{Lab, LabError, PlannedSweep};

/// The fields by which two sides may differ.
const FIELDS: &str = "model, weights, backend, precision, threads, batch and scenario";

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
        let (inventory, catalog) = self.declared(&|name| self.variable(name))?;
        let mut a = config::load_sweep(&order.a, &inventory, &catalog)?;
        let mut b = match &order.b {
            Some(file) => config::load_sweep(file, &inventory, &catalog)?,
            None => a.clone(),
        };
        for (sweep, values) in [(&mut a, &order.a_values), (&mut b, &order.b_values)] {
            values.iter().try_for_each(|value| set_field(sweep, value, &catalog))?;
        }
        let sides = sides(&a, &b, order)?;
        let config = format!("{} side by side: {} and {}", self.short_path(&order.a), sides.a_name, sides.b_name);
        let sweep = both(a, sides, order.pairs);
        let jobs = planner::most_jobs(&sweep, &inventory);
        if jobs > MAX_JOBS {
            return Err(LabError::usage(format!("both sides have {jobs} runs, and {MAX_JOBS} at most are planned"))
                .with_hint("less --pairs, or fewer cells in the file"));
        }
        Ok(self.planned(sweep, config, inventory, catalog))
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
        let (rule, settled) = settled_cells(&jobs, &open, &records, &sides);
        let counts = counted(&records, &sides, &settled);
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
        let mut comparison = compare(&a?, &b?, &options).map_err(|error| nothing_yet(&sweep, &error))?;
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
        let looks = rule.looks().map(|look| look.to_string()).collect::<Vec<_>>().join(", ");
        comparison
            .notes
            .push(format!("Measured in turn; looked at after {looks} pairs, and p is for all looks and cells."));
        Ok(SideBySideResult { sweep, comparison, open: open.len() })
    }
}

fn nothing_yet(sweep: &SweepRow, error: &CompareError) -> LabError {
    LabError::nothing(format!("failed to {error}"))
        .with_hint(format!("`farmctl sweeps show {}` shows what became of it", sweep.id))
}

/// Which records count: those of pairs that are whole, and were there when their cell was settled.
fn counted<'a>(
    records: &[Record],
    sides: &'a SideBySide,
    settled: &'a BTreeMap<CellName, Settled>,
) -> impl Fn(&Record) -> bool + use<'a> {
    let pairs = pairs_of(records, sides);
    let whole: BTreeSet<(String, String, u32)> = pairs
        .into_iter()
        .flat_map(|((device, cell), pairs)| {
            pairs.into_iter().map(move |pair| (device.clone(), cell.clone(), pair.repeat))
        })
        .collect();
    move |record| {
        let (device, cell) = (record.job.device.clone(), sides.cell(&record.job));
        let until = settled.get(&(device.clone(), cell.clone())).map_or(u32::MAX, |settled| settled.repeats);
        record.job.repeat <= until && whole.contains(&(device, cell, record.job.repeat))
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

/// Where the two differ, and by what.
fn sides(a: &Sweep, b: &Sweep, order: &SideBySideOrder) -> Result<SideBySide, LabError> {
    let others = [
        ("devices", a.devices == b.devices),
        ("include", a.include == b.include),
        ("exclude", a.exclude == b.exclude),
        ("limits", a.limits == b.limits && a.sustained_seconds == b.sustained_seconds),
        ("cooldown", a.cooldown == b.cooldown),
        ("dataset", a.dataset == b.dataset),
        ("seed", a.seed == b.seed),
    ];
    let others: Vec<&str> = others.into_iter().filter(|(_, is_same)| !is_same).map(|(what, _)| what).collect();
    if !others.is_empty() {
        let message = format!("the two files differ in {}", others.join(", "));
        return Err(LabError::usage(message).with_hint(format!("A and B may differ in one value of {FIELDS}")));
    }
    let mut names = Names::default();
    let pattern = CellPattern {
        devices: Vec::new(),
        models: names.differing("model", &a.models, &b.models)?,
        weights: names.differing("weights", &a.weights, &b.weights)?,
        backends: names.differing("backend", &a.backends, &b.backends)?,
        precisions: names.differing("precision", &a.precisions, &b.precisions)?,
        threads: names.differing("threads", &a.threads, &b.threads)?,
        batches: names.differing("batch", &a.batches, &b.batches)?,
        scenarios: names.differing("scenario", &a.scenarios, &b.scenarios)?,
    };
    let names_axis = |cells: &CellPattern| {
        (!pattern.models.is_empty() && !cells.models.is_empty())
            || (!pattern.weights.is_empty() && !cells.weights.is_empty())
            || (!pattern.backends.is_empty() && !cells.backends.is_empty())
            || (!pattern.precisions.is_empty() && !cells.precisions.is_empty())
            || (!pattern.threads.is_empty() && !cells.threads.is_empty())
            || (!pattern.batches.is_empty() && !cells.batches.is_empty())
            || (!pattern.scenarios.is_empty() && !cells.scenarios.is_empty())
    };
    if a.include.iter().any(names_axis) {
        let message = format!("`include` of {} names what A and B differ in", order.a.display());
        return Err(LabError::usage(message).with_hint("leave it out of there, or compare without that entry"));
    }
    let (a_name, b_name) = names.both();
    let SideBySideOrder { threshold_percent, alpha, minutes, .. } = *order;
    Ok(SideBySide { a_name, b_name, b: pattern, threshold_percent, alpha, minutes })
}

/// What the two sides are called: the values that they differ in.
#[derive(Default)]
struct Names {
    a: Vec<String>,
    b: Vec<String>,
}

impl Names {
    /// B's value of a field in which the two differ; none where they don't.
    fn differing<T: PartialEq + Clone + ToString>(
        &mut self,
        field: &str,
        a: &[T],
        b: &[T],
    ) -> Result<Vec<T>, LabError> {
        let is_same = a.len() == b.len() && a.iter().all(|value| b.contains(value));
        if is_same {
            return Ok(Vec::new());
        }
        let ([of_a], [of_b]) = (a, b) else {
            return Err(LabError::usage(format!("A and B have several values of {field}, and differ in them"))
                .with_hint(format!("give each one: `--a {field}=… --b {field}=…`")));
        };
        let word = |value: &T| match field {
            "threads" | "batch" => format!("{field} {}", value.to_string()),
            _ => value.to_string(),
        };
        self.a.push(word(of_a));
        self.b.push(word(of_b));
        Ok(vec![of_b.clone()])
    }

    fn both(self) -> (String, String) {
        let or = |names: Vec<String>, other: &str| if names.is_empty() { other.to_owned() } else { names.join(", ") };
        (or(self.a, "A"), or(self.b, "B"))
    }
}

/// Gives a field of a sweep one value: `backend=tract`.
fn set_field(sweep: &mut Sweep, text: &str, catalog: &Catalog) -> Result<(), LabError> {
    let wrong = |message: String, hint: String| Err(LabError::usage(message).with_hint(hint));
    let Some((field, value)) = text.split_once('=') else {
        return wrong(format!("{text:?} gives no field a value"), format!("write FIELD=VALUE; fields: {FIELDS}"));
    };
    match field {
        "model" => sweep.models = vec![known(value, catalog.models.iter().map(|model| model.name.as_str()), field)?],
        "backend" => {
            sweep.backends = vec![known(value, catalog.backends.iter().map(|it| it.name.as_str()), field)?];
        }
        "weights" => sweep.weights = vec![word(field, value, WeightsKind::ALL, WeightsKind::as_str)?],
        "precision" => sweep.precisions = vec![word(field, value, Precision::ALL, Precision::as_str)?],
        "scenario" => sweep.scenarios = vec![word(field, value, Scenario::ALL, Scenario::as_str)?],
        "threads" => sweep.threads = vec![threads(value)?],
        "batch" => match value.parse() {
            Ok(batch) if batch > 0 => sweep.batches = vec![batch],
            _ => return wrong(format!("{value:?} is no batch"), "write a number from 1 on".to_owned()),
        },
        _ => return wrong(format!("{field:?} is nothing that two sides may differ in"), format!("fields: {FIELDS}")),
    }
    Ok(())
}

fn known<'a>(value: &str, names: impl Iterator<Item = &'a str>, field: &str) -> Result<String, LabError> {
    let names: Vec<&str> = names.collect();
    if names.contains(&value) {
        return Ok(value.to_owned());
    }
    let error = LabError::usage(format!("there is no {field} {value:?}"));
    Err(did_you_mean(value, names).into_iter().fold(error, LabError::with_hint))
}

/// The value that a word names.
fn word<T: Copy>(field: &str, value: &str, all: &[T], as_str: fn(T) -> &'static str) -> Result<T, LabError> {
    all.iter().copied().find(|known| as_str(*known) == value).ok_or_else(|| {
        let words: Vec<&str> = all.iter().map(|known| as_str(*known)).collect();
        LabError::usage(format!("there is no {field} {value:?}")).with_hint(format!("there are: {}", words.join(", ")))
    })
}

fn threads(value: &str) -> Result<ThreadCount, LabError> {
    let kinds = [ThreadCount::Little, ThreadCount::Mid, ThreadCount::Big, ThreadCount::Prime, ThreadCount::All];
    let count = value.parse().ok().filter(|count| (1..=MAX_THREADS).contains(count)).map(ThreadCount::Count);
    count.or_else(|| kinds.into_iter().find(|kind| kind.to_string() == value)).ok_or_else(|| {
        LabError::usage(format!("{value:?} are no threads")).with_hint(
            "write a number, `little`, `mid`, `big`, `prime` or `all`; a list of cores needs a file of its own",
        )
    })
}
