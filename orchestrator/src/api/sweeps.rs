//! Sweeps: how far they are, and each of their cells.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::domain::{Failure, Job, JobId, Record, RunStatus, SweepId, SweepRow};
use crate::lab::Order;
use crate::publish;
use crate::score::Statistics;
use crate::status;
use crate::store::{SweepCounts, people};

use super::endpoint::{Call, Empty, Items};
use super::{Api, Refusal, take_turn};

/// Most sweeps that are told at once.
const MAX_LIST: usize = 500;
const DEFAULT_LIST: usize = 50;
/// How long somebody who starts a sweep is kept waiting while its files are made ready.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// A sweep.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct SweepAnswer {
    pub(super) id: String,
    name: String,
    /// `running`, `stopped`, `ending`, `half-cancelled`, `finished` or `cancelled`.
    state: String,
    #[schemars(with = "String")]
    started_at: Timestamp,
    #[schemars(with = "Option<String>")]
    finished_at: Option<Timestamp>,
    /// The schedule that it was begun for.
    schedule: Option<String>,
    /// Its file, as it was named then.
    file: Option<String>,
    counts: CountsAnswer,
    /// Files below `/reports/{id}/`.
    reports: Vec<String>,
}

/// Jobs and records of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
struct CountsAnswer {
    jobs: u64,
    /// Jobs without a record.
    open: u64,
    ok: u64,
    failed: u64,
    skipped: u64,
    cancelled: u64,
}

/// A sweep with its cells.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SweepDetail {
    #[serde(flatten)]
    sweep: SweepAnswer,
    /// Devices with cells.
    devices: Vec<String>,
    /// In the order of the plan; cells that are no jobs last.
    cells: Vec<CellAnswer>,
}

/// A cell of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct CellAnswer {
    device: String,
    pub(super) job_id: String,
    model: String,
    weights: String,
    backend: String,
    precision: String,
    /// A number, `big` or `all`.
    threads: String,
    batch: u32,
    repeat: u32,
    /// `waiting`, `running`, `ok`, `failed`, `skipped` or `cancelled`.
    pub(super) state: String,
    /// Median latency.
    pub(super) p50_ms: Option<f64>,
    /// Why it has no result.
    pub(super) failure: Option<String>,
}

/// A file that may be started.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FileAnswer {
    file: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ListQuery {
    /// Most sweeps; 50 without it.
    limit: Option<usize>,
}

impl CellAnswer {
    /// A cell that waits.
    pub(super) fn of(job: &Job) -> CellAnswer {
        CellAnswer {
            device: job.device.clone(),
            job_id: job.id.0.clone(),
            model: job.model.name.clone(),
            weights: job.model.weights.to_string(),
            backend: job.backend.clone(),
            precision: job.precision.to_string(),
            threads: job.threads.to_string(),
            batch: job.batch,
            repeat: job.repeat,
            state: "waiting".to_owned(),
            p50_ms: None,
            failure: None,
        }
    }

    /// A cell that has its record.
    fn ended(record: &Record) -> CellAnswer {
        let mut cell = CellAnswer::of(&record.job);
        let p50_ns = Statistics::of(&record.measurement.samples_ns).map(|statistics| statistics.p50_ns);
        let reported = record.measurement.averages_only().and_then(|figures| figures.median_ns);
        cell.end(record.status, p50_ns.or(reported), record.failure.as_ref());
        cell
    }

    /// Notes how it ended.
    pub(super) fn end(&mut self, status: RunStatus, p50_ns: Option<u64>, failure: Option<&Failure>) {
        self.state = status.as_str().to_owned();
        self.p50_ms = p50_ns.filter(|_| status == RunStatus::Ok).map(|ns| ns as f64 / 1e6);
        self.failure = failure.map(ToString::to_string);
    }
}

impl From<SweepCounts> for CountsAnswer {
    fn from(counts: SweepCounts) -> CountsAnswer {
        let SweepCounts { jobs, open, ok, failed, skipped, cancelled } = counts;
        CountsAnswer { jobs, open, ok, failed, skipped, cancelled }
    }
}

impl Api {
    /// A sweep as it is now.
    pub(super) fn sweep_answer(&self, row: SweepRow) -> Result<SweepAnswer, Refusal> {
        // Most sweeps are over: nobody has them.
        let is_held = !row.state.is_over() && self.lab.holder(&row.id)?.is_some();
        let may_wait = !row.state.is_over() && !is_held;
        let is_submitted = may_wait && self.store.submitted_to_daemon()?.iter().any(|handed| handed.sweep_id == row.id);
        let definition = self.store.definition(&row.id)?;
        let counts = self.store.counts(&row.id)?.into();
        Ok(SweepAnswer {
            state: status::sweep_status(row.state, is_held, is_submitted).to_owned(),
            started_at: row.started_at,
            finished_at: row.finished_at,
            schedule: definition.as_ref().and_then(|it| it.due.as_ref()).map(|due| due.schedule.clone()),
            file: definition.map(|it| it.config),
            counts,
            reports: self.report_files(&row.id),
            id: row.id.0,
            name: row.name,
        })
    }

    /// The names of a sweep's reports.
    fn report_files(&self, sweep: &SweepId) -> Vec<String> {
        let folder = publish::sweep_folder(&self.lab.reports(), sweep.as_str());
        let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
        let names = files.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| super::reports::is_file_name(name)).collect();
        names.sort();
        names
    }

    /// The sweep of this identifier.
    pub(super) fn find_sweep(&self, id: &str) -> Result<SweepRow, Refusal> {
        self.store
            .sweep(&SweepId(id.to_owned()))?
            .ok_or_else(|| Refusal::not_found(format!("there is no sweep {id:?}")))
    }

    /// The cells of a sweep as they are now.
    pub(super) fn cells(&self, sweep: &SweepId) -> Result<Vec<CellAnswer>, Refusal> {
        let jobs = self.store.jobs(sweep)?;
        let running: BTreeSet<JobId> = self.store.live_runs(sweep, None)?.into_iter().map(|run| run.job_id).collect();
        let mut records: HashMap<JobId, CellAnswer> = HashMap::new();
        let mut others = Vec::new();
        let known: BTreeSet<&JobId> = jobs.iter().map(|job| &job.id).collect();
        for record in self.store.records(sweep)? {
            let cell = CellAnswer::ended(&record);
            if known.contains(&record.job.id) {
                records.insert(record.job.id, cell);
            } else {
                others.push(cell);
            }
        }
        let cell = |job: &Job| {
            records.remove(&job.id).unwrap_or_else(|| {
                let mut cell = CellAnswer::of(job);
                if running.contains(&job.id) {
                    cell.state = "running".to_owned();
                }
                cell
            })
        };
        let mut cells: Vec<CellAnswer> = jobs.iter().map(cell).collect();
        cells.append(&mut others);
        Ok(cells)
    }
}

pub(super) async fn list(call: Call<ListQuery>) -> Result<Items<SweepAnswer>, Refusal> {
    let limit = call.query.limit.unwrap_or(DEFAULT_LIST).min(MAX_LIST);
    let read = move |api: &Api| {
        let rows = api.store.newest_sweeps("", u32::try_from(limit).unwrap_or(u32::MAX))?;
        Ok(rows.into_iter().map(|row| api.sweep_answer(row)).collect::<Result<Vec<_>, _>>()?.into())
    };
    call.api.blocking(read).await
}

pub(super) async fn show(call: Call) -> Result<SweepDetail, Refusal> {
    let read = move |api: &Api| {
        let row = api.find_sweep(&call.name)?;
        let cells = api.cells(&row.id)?;
        let devices: BTreeSet<String> = cells.iter().map(|cell| cell.device.clone()).collect();
        Ok(SweepDetail { sweep: api.sweep_answer(row)?, devices: devices.into_iter().collect(), cells })
    };
    call.api.blocking(read).await
}

pub(super) async fn files(call: Call) -> Result<Items<FileAnswer>, Refusal> {
    let read = |api: &Api| {
        let files = api.lab.sweep_files().into_iter().map(|file| FileAnswer { file });
        Ok(files.collect::<Vec<_>>().into())
    };
    call.api.blocking(read).await
}

/// What is to be started.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StartBody {
    /// One of `/api/v1/files`.
    file: String,
    /// Names of devices instead of those that the file names.
    devices: Option<Vec<String>>,
}

pub(super) async fn start(call: Call<Empty, StartBody>) -> Result<SweepAnswer, Refusal> {
    let StartBody { file, devices } = call.body;
    if devices.as_ref().is_some_and(Vec::is_empty) {
        return Err(Refusal::bad_request("no device is named; without `devices` the file's are used"));
    }
    call.api.start(Order::File(file, devices), call.person.name).await
}

pub(super) async fn cancel(call: Call<Empty, Empty>) -> Result<SweepAnswer, Refusal> {
    let act = move |api: &Api| {
        let sweep = api.find_sweep(&call.name)?;
        people::cancel_sweep(api.store.as_ref(), &sweep.id, &call.person.name, Timestamp::now())?;
        if api.lab.holder(&sweep.id)?.is_none() {
            api.end_cancelled(sweep.id);
        }
        api.sweep_answer(api.find_sweep(&call.name)?)
    };
    call.api.blocking(act).await
}

impl Api {
    /// Adds a sweep and has it carried out.
    pub(super) async fn start(self: &Arc<Self>, order: Order, by: String) -> Result<SweepAnswer, Refusal> {
        let _turn = take_turn(&self.starters).await?;
        let what = order.to_string();
        let (sender, started) = oneshot::channel();
        let (lab, progress, person) = (self.lab.clone(), self.progress.clone(), by.clone());
        // Nobody may be waiting any more when its files are there.
        self.background.spawn(move || async move { drop(sender.send(lab.start(order, &person, &progress).await)) });
        let sweep = match tokio::time::timeout(START_TIMEOUT, started).await {
            Ok(Ok(started)) => started?,
            Ok(Err(_)) => return Err(Refusal::internal("the start broke off")),
            Err(_) => {
                return Err(Refusal::unavailable("its files take long to be made ready")
                    .with_hint("it begins once they are: look at the list of sweeps later"));
            }
        };
        let note = move |api: &Api| {
            people::note_order(api.store.as_ref(), &sweep, &by, &what, Timestamp::now())?;
            api.sweep_answer(api.find_sweep(sweep.as_str())?)
        };
        self.blocking(note).await
    }

    /// Ends a sweep that is marked as cancelled already, where no other process does.
    fn end_cancelled(&self, sweep: SweepId) {
        let (lab, progress) = (self.lab.clone(), self.progress.clone());
        self.background.spawn(move || async move {
            if let Err(error) = lab.end_cancelled(&sweep, &progress).await {
                tracing::warn!(%sweep, %error, "it was not ended");
            }
        });
    }
}
