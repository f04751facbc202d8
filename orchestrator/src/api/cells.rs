//! The cells of a sweep: what is measured there, and what came of it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{Failure, Job, JobId, Judgement, Record, RunStatus, SweepId, SweepRow};
use crate::score::Statistics;
use crate::score::trust::{Measured, countings};

use super::endpoint::{Call, Items, limit_of};
use super::{Api, Refusal};

/// Most cells that are told at once.
const MAX_RESULTS: u32 = 1000;
const DEFAULT_RESULTS: u32 = 200;

/// A cell of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct CellAnswer {
    pub(super) device: String,
    pub(super) job_id: String,
    model: String,
    weights: String,
    backend: String,
    precision: String,
    /// A number, a kind of core, `all`, or a list of cores: `cores 4 5`.
    threads: String,
    /// The number that it was on the device, once it is measured.
    threads_used: Option<u32>,
    batch: u32,
    scenario: String,
    repeat: u32,
    /// `waiting`, `running`, `ok`, `failed`, `skipped` or `cancelled`.
    pub(super) state: String,
    /// Median latency.
    pub(super) p50_ms: Option<f64>,
    /// Why it has no result.
    pub(super) failure: Option<String>,
    /// The same without the device's name: one text for what happened to many.
    failure_of_any: Option<String>,
    /// What a person can do about it.
    remedy: Option<String>,
    /// Half of the median's interval of 95 %, in per cent of it.
    plus_minus_percent: Option<f64>,
    /// Whether to believe the median: `ok`, `noisy`, `unsteady`, `throttled`, `disturbed`, `slow_start` or `too_few`.
    verdict: Option<String>,
    /// Why not, with the limits.
    verdict_reason: Option<String>,
    /// 0, or of what is measured again, since it was doubtful, the how manieth time that is.
    rerun: u32,
    /// False where another measurement of the same counts.
    counts: bool,
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
            threads_used: None,
            batch: job.batch,
            scenario: job.scenario.to_string(),
            repeat: job.repeat,
            state: "waiting".to_owned(),
            p50_ms: None,
            plus_minus_percent: None,
            verdict: None,
            verdict_reason: None,
            rerun: job.rerun.as_ref().map_or(0, |rerun| rerun.number),
            // Before it is measured again, what is there counts.
            counts: job.rerun.is_none(),
            failure: None,
            failure_of_any: None,
            remedy: None,
        }
    }

    /// A cell that has its record.
    fn ended(record: &Record) -> CellAnswer {
        let mut cell = CellAnswer::of(&record.job);
        let p50_ns = Statistics::of(&record.measurement.samples_ns).map(|statistics| statistics.p50_ns);
        let reported = record.measurement.averages_only().and_then(|figures| figures.median_ns);
        cell.threads_used = record.measurement.threads;
        cell.end(record.status, p50_ns.or(reported), record.failure.as_ref());
        cell
    }

    /// Notes why it has no result.
    pub(super) fn fail(&mut self, failure: Option<&Failure>) {
        self.failure = failure.map(ToString::to_string);
        let text = |failure: &Failure| format!("{}: {}", failure.kind, failure.message_of_any_device(&self.device));
        self.failure_of_any = failure.map(text);
        self.remedy = failure.map(|failure| failure.remedy(&self.device, Some(&self.model)));
    }

    /// Notes whether to believe its number.
    pub(super) fn judge(&mut self, judged: Option<&Judgement>) {
        self.plus_minus_percent = judged.and_then(|judged| judged.half_interval_percent);
        self.verdict = judged.map(|judged| judged.verdict.to_string());
        self.verdict_reason = judged.map(|judged| judged.reason.clone()).filter(|reason| !reason.is_empty());
    }

    /// Notes how it ended.
    pub(super) fn end(&mut self, status: RunStatus, p50_ns: Option<u64>, failure: Option<&Failure>) {
        self.state = status.as_str().to_owned();
        self.p50_ms = p50_ns.filter(|_| status == RunStatus::Ok).map(|ns| ns as f64 / 1e6);
        self.fail(failure);
    }
}

impl Api {
    /// The cells of a sweep as they are now.
    pub(super) fn cells(&self, sweep: &SweepId) -> Result<Vec<CellAnswer>, Refusal> {
        let jobs = self.store.jobs(sweep)?;
        let running: BTreeSet<JobId> = self.store.live_runs(sweep, None)?.into_iter().map(|run| run.job_id).collect();
        let mut records: HashMap<JobId, CellAnswer> = HashMap::new();
        let mut others = Vec::new();
        let known: BTreeSet<&JobId> = jobs.iter().map(|job| &job.id).collect();
        let rules = self.store.definition(sweep)?.map(|definition| definition.sweep.trust.rules).unwrap_or_default();
        let ended = self.store.records(sweep)?;
        let judged: Vec<Option<Judgement>> = ended.iter().map(|record| self.judged.of(record, &rules)).collect();
        let verdicts = judged.iter().map(|judged| judged.as_ref().map(|judged| judged.verdict));
        let measured = ended.iter().zip(verdicts).map(|(record, verdict)| Measured::of(record, verdict));
        let countings = countings(&measured.collect::<Vec<_>>());
        for ((record, judged), counting) in ended.into_iter().zip(judged).zip(countings) {
            let mut cell = CellAnswer::ended(&record);
            cell.judge(judged.as_ref());
            cell.counts = counting.counts();
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

impl Api {
    /// A part of the cells of a sweep, in the order of the plan. Of one that is over only the part is read, unless
    /// which of several measurements counts is to be found among all.
    fn cells_part(&self, sweep: &SweepRow, from: usize, limit: usize) -> Result<Items<CellAnswer>, Refusal> {
        let trust = self.store.definition(&sweep.id)?.map(|definition| definition.sweep.trust).unwrap_or_default();
        let is_settled = sweep.state.is_over() && self.store.counts(&sweep.id)?.open == 0;
        if !is_settled || trust.max_reruns > 0 {
            // A result that came late is in what is read from the beginning.
            let known = self.kept_cells.of(&sweep.id).filter(|_| is_settled && from > 0);
            let cells = known.map_or_else(|| self.cells(&sweep.id).map(Arc::new), Ok)?;
            if is_settled {
                self.kept_cells.keep(&sweep.id, &cells);
            }
            let next = next_part(from, limit, cells.len());
            return Ok(Items { items: cells.iter().skip(from).take(limit).cloned().collect(), next });
        }
        let numbers = self.store.record_numbers(&sweep.id)?;
        let end = from.saturating_add(limit).min(numbers.len());
        let records = self.store.records_by_number(&sweep.id, numbers.get(from..end).unwrap_or_default())?;
        let cell = |record: &Record| {
            let mut cell = CellAnswer::ended(record);
            cell.judge(self.judged.of(record, &trust.rules).as_ref());
            cell
        };
        Ok(Items { items: records.iter().map(cell).collect(), next: next_part(from, limit, numbers.len()) })
    }
}

/// The cells of the sweep that was asked for last, for who reads on: of those that are to be read as a whole.
#[derive(Default)]
pub(super) struct KeptCells(Mutex<Option<(SweepId, Arc<Vec<CellAnswer>>)>>);

impl KeptCells {
    fn of(&self, sweep: &SweepId) -> Option<Arc<Vec<CellAnswer>>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|(known, _)| known == sweep).map(|(_, cells)| Arc::clone(cells))
    }

    fn keep(&self, sweep: &SweepId, cells: &Arc<Vec<CellAnswer>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((sweep.clone(), Arc::clone(cells)));
    }
}

/// Where the next part begins, of so many in all.
fn next_part(from: usize, limit: usize, all: usize) -> Option<String> {
    let end = from.saturating_add(limit);
    (end < all).then(|| end.to_string())
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ResultsQuery {
    /// Most cells; 200 without it.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// Where to go on: `next` of the part before.
    #[schemars(length(min = 1, max = 200))]
    after: Option<String>,
}

/// The cells of a sweep, part by part, in the order of the plan.
pub(super) async fn results(call: Call<ResultsQuery>) -> Result<Items<CellAnswer>, Refusal> {
    let ResultsQuery { limit, after } = call.query;
    let limit = limit_of(limit, DEFAULT_RESULTS, MAX_RESULTS)? as usize;
    let from = match after.map(|after| after.parse::<usize>()) {
        None => 0,
        Some(Ok(from)) => from,
        Some(Err(_)) => return Err(Refusal::bad_request("`after` is what `next` was")),
    };
    let read = move |api: &Api| api.cells_part(&api.find_sweep(&call.name)?, from, limit);
    call.api.blocking(read).await
}
