use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::ScoreError;
use super::run::{ScoredRun, Settings, Workload};
use crate::domain::RunStatus;

/// How far two tables may lie apart in what they say of the same run: `results.csv` rounds to nine digits.
const SAME_RUN_TOLERANCE: f64 = 1e-8;

/// Who takes part, and with what.
#[derive(Debug)]
pub struct ResultMatrix<'a> {
    /// The set that a system needs to be complete: every workload that has a result on any device, in order; where none
    /// has one, every workload that was tried.
    pub workloads: Vec<&'a Workload>,
    /// Workloads that were skipped everywhere, for a reason known before. They are in no set.
    pub never_tried: Vec<&'a Workload>,
    /// Workloads that failed wherever they were tried: they tell no two systems apart, and are in no set.
    pub always_failed: Vec<&'a Workload>,
    /// Devices, each once for each of its settings.
    pub systems: Vec<SystemUnderTest<'a>>,
    /// Rows left out, since another row is the same run.
    pub same_runs: usize,
}

/// A device with its settings.
#[derive(Debug)]
pub struct SystemUnderTest<'a> {
    /// Name of the device.
    pub device: &'a str,
    /// How it measured.
    pub settings: &'a Settings,
    /// What it has of each workload of the set, in the set's order.
    pub cells: Vec<Cell<'a>>,
}

/// What a system has of a workload.
#[derive(Debug)]
pub struct Cell<'a> {
    /// The workload.
    pub workload: &'a Workload,
    /// Its runs by identifier, however they ended; none where the system was never asked.
    pub runs: Vec<&'a ScoredRun>,
    /// The run that counts: of the runs that are `ok` and have a time, the one with the median time, the lower one of
    /// two (by nearest rank). MLPerf Tiny takes the median of its five runs, too; AIoTBench measures once. The best
    /// would reward luck, and a mean would be no run that anyone could look at.
    pub counting: Option<&'a ScoredRun>,
}

impl<'a> ResultMatrix<'a> {
    /// Puts runs together, in whatever order they come.
    ///
    /// # Errors
    /// When there are none, or two rows say different things of the same run.
    pub fn new(runs: &'a [ScoredRun]) -> Result<ResultMatrix<'a>, ScoreError> {
        if runs.is_empty() {
            return Err(ScoreError::NoRuns);
        }
        let (runs, same_runs) = each_once(runs)?;
        let tried: BTreeSet<&'a Workload> =
            runs.iter().filter(|run| run.status != RunStatus::Skipped).map(|run| &run.workload).collect();
        let is_ok = |run: &&&'a ScoredRun| run.status == RunStatus::Ok;
        let measured: BTreeSet<&'a Workload> = runs.iter().filter(is_ok).map(|run| &run.workload).collect();
        let set = if measured.is_empty() { tried.clone() } else { measured };
        let all: BTreeSet<&'a Workload> = runs.iter().map(|run| &run.workload).collect();
        let mut systems: BTreeMap<(&str, &Settings), HashMap<&Workload, Vec<&ScoredRun>>> = BTreeMap::new();
        for run in &runs {
            let cells = systems.entry((&run.device, &run.settings)).or_default();
            cells.entry(&run.workload).or_default().push(run);
        }
        let systems = systems.into_iter().map(|((device, settings), mut runs)| {
            let cell = |workload: &&'a Workload| Cell::new(workload, runs.remove(workload).unwrap_or_default());
            SystemUnderTest { device, settings, cells: set.iter().map(cell).collect() }
        });
        Ok(ResultMatrix {
            systems: systems.collect(),
            never_tried: all.difference(&tried).copied().collect(),
            always_failed: tried.difference(&set).copied().collect(),
            workloads: set.into_iter().collect(),
            same_runs,
        })
    }

    /// The cells that have a run, each with its system.
    pub fn asked_cells(&self) -> impl Iterator<Item = (&SystemUnderTest<'a>, &Cell<'a>)> {
        let of_system = |system| move |cell| (system, cell);
        let cells = self.systems.iter().flat_map(move |system| system.cells.iter().map(of_system(system)));
        cells.filter(|(_, cell)| !cell.runs.is_empty())
    }
}

impl<'a> Cell<'a> {
    fn new(workload: &'a Workload, mut runs: Vec<&'a ScoredRun>) -> Cell<'a> {
        runs.sort_by_key(|run| (&run.run_id, &run.source));
        let mut timed: Vec<(f64, &ScoredRun)> = runs
            .iter()
            .filter(|run| run.status == RunStatus::Ok)
            .filter_map(|run| Some((run.seconds_per_image()?, *run)))
            .collect();
        // Equal times by all that a score may take from a run, then as above: the order of rows can't matter.
        let accuracy = |run: &ScoredRun| run.accuracy.map(|accuracy| (accuracy.top1, accuracy.top5));
        timed.sort_by(|(a, first), (b, second)| {
            let by_accuracy = || accuracy(first).partial_cmp(&accuracy(second)).unwrap_or(std::cmp::Ordering::Equal);
            a.total_cmp(b).then_with(by_accuracy)
        });
        let counting = timed.get(timed.len().saturating_sub(1) / 2).map(|(_, run)| *run);
        Cell { workload, runs, counting }
    }

    /// Number of its runs that are `ok`.
    pub fn runs_ok(&self) -> usize {
        self.runs.iter().filter(|run| run.status == RunStatus::Ok).count()
    }

    /// Why no run of it counts.
    pub fn without_run(&self) -> Option<String> {
        if self.counting.is_some() {
            return None;
        }
        let worst = self.runs.iter().find(|run| run.status != RunStatus::Ok).or_else(|| self.runs.first());
        Some(match worst {
            None => "not measured here".to_owned(),
            Some(run) if run.status == RunStatus::Ok => "no time".to_owned(),
            Some(run) => match &run.failure {
                Some(failure) => format!("{}: {failure}", run.status.as_str()),
                None => run.status.as_str().to_owned(),
            },
        })
    }
}

/// The run of a cell that stands for all of them: the one that counts; without one, what says why.
pub fn standing_run(runs: &[ScoredRun]) -> Option<&ScoredRun> {
    let cell = Cell::new(&runs.first()?.workload, runs.iter().collect());
    let without = || cell.runs.iter().find(|run| run.status != RunStatus::Ok).or(cell.runs.first()).copied();
    cell.counting.or_else(without)
}

/// The runs without those that were read twice, and how many that were.
fn each_once(runs: &[ScoredRun]) -> Result<(Vec<&ScoredRun>, usize), ScoreError> {
    let mut known: HashMap<&str, &ScoredRun> = HashMap::new();
    let mut kept: Vec<&ScoredRun> = Vec::new();
    for run in runs {
        let first = run.run_id.as_deref().map(|run_id| *known.entry(run_id).or_insert(run));
        match first {
            Some(first) if !std::ptr::eq(first, run) => {
                if !says_the_same(first, run) {
                    return Err(ScoreError::Contradiction {
                        run_id: run.run_id.clone().unwrap_or_default(),
                        first: first.source.clone(),
                        second: run.source.clone(),
                    });
                }
            }
            _ => kept.push(run),
        }
    }
    let same_runs = runs.len() - kept.len();
    Ok((kept, same_runs))
}

fn says_the_same(first: &ScoredRun, second: &ScoredRun) -> bool {
    let near = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= SAME_RUN_TOLERANCE * a.abs().max(b.abs()),
        (None, None) => true,
        _ => false,
    };
    let top1 = |run: &ScoredRun| run.accuracy.and_then(|accuracy| accuracy.top1);
    (&first.device, &first.workload, first.status) == (&second.device, &second.workload, second.status)
        && near(first.latency_s, second.latency_s)
        && near(top1(first), top1(second))
}
