//! Measures again, side by side, what a comparison can't tell.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::compare::{Axis, CellKey, ComparedCell};
use crate::config::MAX_JOBS;
use crate::device::EngineProvider as _;
use crate::domain::{
    Catalog, CellPattern, Inventory, Job, PairSide, Record, RunStatus, SideBySide, SideRunner, SweepDefinition,
    SweepRow,
};
use crate::lab::files::files_of;
use crate::lab::{EngineSource, Lab, LabError, PlannedSweep, RunnerSource};
use crate::planner::{self, JobPair};
use crate::progress::Progress;
use crate::runners;
use crate::score::ScoredRun;

use super::both;

/// Digits of a hash by which people know a file.
const HASH_DIGITS: usize = 8;

/// What is to be measured again, and within which bounds.
#[derive(Debug, Clone, Copy)]
pub struct AgainOrder<'a> {
    /// The sweep of A.
    pub a: &'a SweepRow,
    /// That of B; within one sweep the same.
    pub b: &'a SweepRow,
    /// The axis whose values are compared within one sweep.
    pub axis: Option<Axis>,
    /// The cells.
    pub cells: &'a [ComparedCell],
    /// Most pairs of each cell.
    pub pairs: u32,
    /// Minutes after which no more runs are started.
    pub minutes: Option<f64>,
    /// Smaller changes are the same, in per cent.
    pub threshold_percent: f64,
    /// How likely any cell of equal sides may be called slower or faster.
    pub alpha: f64,
    /// The runner that A was measured with, where it is not the lab's.
    pub a_runner: Option<&'a Path>,
    /// The same of B.
    pub b_runner: Option<&'a Path>,
}

/// What is measured again.
pub struct PlannedAgain {
    /// The sweeps that do it: one, and within one sweep one for each value of the axis.
    pub sweeps: Vec<SweepAgain>,
    /// Cells that can't be measured again, by their names, each with the reason and what helps.
    pub left: Vec<(String, String)>,
}

/// A sweep that measures cells again.
pub struct SweepAgain {
    /// What to do.
    pub planned: PlannedSweep,
    /// The two values that it compares within one sweep.
    pub values: Option<(String, String)>,
}

/// What is known of one side.
struct AgainSide {
    name: PairSide,
    sweep: SweepRow,
    /// Its records that have a time, each with its cell and, within one sweep, its value of the axis.
    records: Vec<(Named, Record)>,
    runners: Vec<SideRunner>,
    /// The path that these were named by.
    path: Option<PathBuf>,
}

/// A cell, and a value of the axis along which cells are compared.
#[derive(Debug, PartialEq)]
struct Named {
    key: CellKey,
    value: Option<String>,
}

/// What the lab has now.
struct Now {
    inventory: Inventory,
    catalog: Catalog,
    engines: EngineSource,
    runners: RunnerSource,
}

impl Lab {
    /// Plans to measure cells again, each side as it was then: the same files, engines and runners, on the same device.
    ///
    /// # Errors
    /// When a side's sweep was begun by a farmctl that did not keep what this takes, or a runner can't be read.
    pub async fn plan_again(&self, order: &AgainOrder<'_>, progress: &Progress) -> Result<PlannedAgain, LabError> {
        let a = self.again_side(PairSide::A, order.a, order.axis, order.a_runner)?;
        let b = self.again_side(PairSide::B, order.b, order.axis, order.b_runner)?;
        let definition = self.store()?.definition(&order.b.id)?.ok_or_else(|| {
            LabError::usage(format!("sweep {} was begun by a farmctl that did not keep what this takes", order.b.id))
                .with_hint("start it anew; or leave `--unclear rerun` out")
        })?;
        let jobs: Vec<Job> =
            [&a, &b].into_iter().flat_map(|side| &side.records).map(|(_, it)| it.job.clone()).collect();
        let catalog = self.with_found_files(self.catalog_of(&definition.sweep)?, &files_of(&jobs));
        let now = Now {
            inventory: self.inventory()?,
            engines: EngineSource::new(self, &catalog, progress.clone()),
            runners: RunnerSource::new(self.runners(), progress.clone()),
            catalog,
        };
        let mut groups: BTreeMap<Option<(String, String)>, Vec<JobPair>> = BTreeMap::new();
        let mut left = Vec::new();
        for cell in order.cells {
            match couple(&a, &b, cell, &now).await {
                Ok(pair) => groups.entry(cell.across.clone()).or_default().push(pair),
                Err(why) => left.push((cell.name(), why)),
            }
        }
        let planned = groups.into_iter().map(|(values, pairs)| {
            let sides = sides(order, [&a, &b], values.as_ref(), &pairs);
            self.again_sweep(order, definition.clone(), sides, &pairs, &now)
                .map(|planned| SweepAgain { planned, values })
        });
        Ok(PlannedAgain { sweeps: planned.collect::<Result<_, _>>()?, left })
    }

    fn again_side(
        &self,
        name: PairSide,
        sweep: &SweepRow,
        axis: Option<Axis>,
        runner: Option<&Path>,
    ) -> Result<AgainSide, LabError> {
        let mut records = self.counting_records(sweep)?;
        records.retain(|record| record.status == RunStatus::Ok);
        let named = |record: &Record| {
            let mut key = CellKey::of(&ScoredRun::of(record), record.job.device.clone());
            let value = axis.map(|axis| axis.take(&mut key));
            Named { key, value }
        };
        let runners = runner.map(runners::given).transpose().map_err(|error| {
            LabError::usage(format!("failed to {error}")).with_hint("name a runner's file, or a folder of runners")
        })?;
        let (sweep, path) = (sweep.clone(), runner.map(Path::to_owned));
        let records = records.into_iter().map(|record| (named(&record), record)).collect();
        Ok(AgainSide { name, sweep, records, runners: runners.unwrap_or_default(), path })
    }

    /// The sweep that measures these pairs, as B's was.
    fn again_sweep(
        &self,
        order: &AgainOrder<'_>,
        definition: SweepDefinition,
        sides: SideBySide,
        pairs: &[JobPair],
        now: &Now,
    ) -> Result<PlannedSweep, LabError> {
        let jobs = 2 * u64::from(order.pairs) * pairs.len() as u64;
        if jobs > MAX_JOBS {
            return Err(LabError::usage(format!("{jobs} runs are more than the {MAX_JOBS} that are planned at most"))
                .with_hint("less --pairs, or fewer cells by --devices, --networks and --backends"));
        }
        let config = format!("{} and {} side by side, again", sides.a_name, sides.b_name);
        let sweep = crate::domain::Sweep { dataset: None, ..both(definition.sweep, sides.clone(), order.pairs) };
        let plan = planner::pairs_again(&sweep.name, pairs, order.pairs, &sides);
        let definition = SweepDefinition { config, sweep, retry_of: None, due: None, ordered: None, ..definition };
        let (inventory, catalog) = (now.inventory.clone(), now.catalog.clone());
        Ok(PlannedSweep { inventory, catalog, definition, plan, is_fixed: true })
    }
}

/// The jobs of both sides of a cell, or why they can't be carried out now.
async fn couple(a: &AgainSide, b: &AgainSide, cell: &ComparedCell, now: &Now) -> Result<JobPair, String> {
    let values = cell.across.as_ref();
    let of = |side: &'_ AgainSide, value: Option<&String>| {
        let wanted = Named { key: cell.key.clone(), value: value.cloned() };
        side.records.iter().rfind(|(named, _)| *named == wanted).map(|(_, record)| record.clone())
    };
    let missing = |side: &AgainSide| format!("sweep {} has no run of it with a time", side.sweep.id);
    let of_a = of(a, values.map(|(a, _)| a)).ok_or_else(|| missing(a))?;
    let of_b = of(b, values.map(|(_, b)| b)).ok_or_else(|| missing(b))?;
    a.check(&of_a, now).await?;
    b.check(&of_b, now).await?;
    Ok(JobPair { a: of_a.job, b: of_b.job })
}

impl AgainSide {
    /// Whether a run can be had again as it was then.
    async fn check(&self, record: &Record, now: &Now) -> Result<(), String> {
        let (job, side) = (&record.job, self.name.as_str().to_uppercase());
        let device = now.inventory.devices.iter().find(|device| device.name == job.device);
        match device.map(|device| &device.disabled) {
            None => return Err(format!("no farm file has {}", job.device)),
            Some(Some(why)) => return Err(format!("{} is out of service: {why}", job.device)),
            Some(None) => {}
        }
        if now.catalog.model(&job.model.name).is_none() {
            return Err(format!("models.yaml has no {} any more", job.model.name));
        }
        if planner::replaced_file(job, &now.catalog).is_some() {
            return Err(format!(
                "{side} was measured with another file of {} than there is now: put that back, or measure two files by \
                 `farmctl ab --a model=FILE --b model=FILE`",
                job.model.name
            ));
        }
        let target = record.device.as_ref().map(|facts| facts.target.as_str()).unwrap_or_default();
        self.check_engine(record, target, now).await?;
        self.check_runner(record, target, now).await
    }

    async fn check_engine(&self, record: &Record, target: &str, now: &Now) -> Result<(), String> {
        let (job, side) = (&record.job, self.name.as_str().to_uppercase());
        let got = now.engines.engine(job, target).await.map_err(|failure| failure.message)?;
        let Some(program) = got else { return Ok(()) };
        if record.engine_files.is_empty() || program.spec.files == record.engine_files {
            return Ok(());
        }
        Err(format!(
            "{side} was measured with other files of {} than there are now: two of them are measured by `farmctl ab \
             --b backend={}@FILE`",
            job.backend, job.backend
        ))
    }

    async fn check_runner(&self, record: &Record, target: &str, now: &Now) -> Result<(), String> {
        let Some(then) = &record.runner_sha256 else { return Ok(()) };
        let (side, short) = (self.name.as_str(), |hash: &str| hash.chars().take(HASH_DIGITS).collect::<String>());
        let found = match &self.path {
            Some(path) => {
                let named = runners::of_target(&self.runners, target);
                named.ok_or_else(|| format!("{} has no runner for {target}", path.display()))?.artifact.clone()
            }
            None => now.runners.get(target).await.map_err(|error| format!("failed to {error}"))?.artifact,
        };
        if found.sha256 == *then {
            return Ok(());
        }
        let (then, found) = (short(then), short(&found.sha256));
        Err(format!(
            "sweep {} was measured with the runner {then}, and this is {found}: `--{side}-runner FILE` names the one \
             of then",
            self.sweep.id
        ))
    }
}

/// The two sides of a sweep that measures these pairs.
fn sides(
    order: &AgainOrder<'_>,
    [a, b]: [&AgainSide; 2],
    values: Option<&(String, String)>,
    pairs: &[JobPair],
) -> SideBySide {
    let mut pattern = CellPattern::default();
    if let (Some(axis), Some(JobPair { b: job, .. })) = (order.axis, pairs.first()) {
        match axis {
            // One device has one side only: whoever asks for it is refused before.
            Axis::Devices => {}
            Axis::Backends => pattern.backends = vec![job.backend.clone()],
            Axis::Models => pattern.models = vec![job.model.name.clone()],
            Axis::Threads => pattern.threads = vec![job.threads.clone()],
            Axis::Precision => pattern.precisions = vec![job.precision],
        }
    }
    let of_sweeps = || (format!("sweep {}", a.sweep.id), format!("sweep {}", b.sweep.id));
    let (a_name, b_name) = values.cloned().unwrap_or_else(of_sweeps);
    let AgainOrder { threshold_percent, alpha, minutes, .. } = *order;
    let (a_runners, b_runners) = (a.runners.clone(), b.runners.clone());
    let (models, backends) = (Vec::new(), Vec::new());
    let b = pattern;
    SideBySide { a_name, b_name, b, threshold_percent, alpha, minutes, a_runners, b_runners, models, backends }
}
