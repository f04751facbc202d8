//! Sweeps: how far they are, and each of their cells.

use std::collections::BTreeSet;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{SweepId, SweepRow};
use crate::lab::Started;
use crate::publish;
use crate::status;
use crate::store::{SweepCounts, SweepPage};

use super::cells::CellAnswer;
use super::endpoint::{Call, Items, limit_of};
use super::{Api, Refusal};

/// Most sweeps that are told at once.
const MAX_LIST: u32 = 500;
const DEFAULT_LIST: u32 = 50;
/// Most words that sweeps are looked through for.
const MAX_WORDS: usize = 8;

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
    /// The schedule whose sweep it is.
    schedule: Option<String>,
    /// Its file, as it was named then.
    file: Option<String>,
    /// Who began it; null where a schedule did.
    ordered_by: Option<String>,
    /// The sweep whose failed cells it runs again.
    retry_of: Option<String>,
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

/// A sweep that was begun.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct StartedAnswer {
    #[serde(flatten)]
    sweep: SweepAnswer,
    /// What is to be known of its devices, and of a clock of the host that is in doubt.
    remarks: Vec<String>,
}

/// A sweep with its cells.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SweepDetail {
    #[serde(flatten)]
    sweep: SweepAnswer,
    /// Devices with cells; none without its cells.
    devices: Vec<String>,
    /// In the order of the plan; cells that are no jobs last.
    cells: Vec<CellAnswer>,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct DetailQuery {
    /// false: without its cells, which `results` has part by part.
    cells: Option<bool>,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ListQuery {
    /// Most sweeps; 50 without it.
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
    /// Where to go on: `next` of the part before.
    #[schemars(length(min = 1, max = 200))]
    before: Option<String>,
    /// Words that each stand somewhere in a sweep's identifier, name, state, file, schedule, or the name of who began
    /// it.
    #[schemars(length(max = 200))]
    q: Option<String>,
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
            schedule: definition.as_ref().and_then(|it| it.schedule()).map(str::to_owned),
            ordered_by: definition.as_ref().and_then(|it| it.ordered.as_ref()).map(|order| order.by.clone()),
            retry_of: definition.as_ref().and_then(|it| it.retry_of.as_ref()).map(ToString::to_string),
            file: definition.map(|it| it.config),
            counts,
            reports: self.report_files(&row.id)?,
            id: row.id.0,
            name: row.name,
        })
    }

    /// A sweep that was begun, as it is now.
    pub(super) fn started_answer(&self, started: Started) -> Result<StartedAnswer, Refusal> {
        let Started { sweep, remarks } = started;
        Ok(StartedAnswer { sweep: self.sweep_answer(self.find_sweep(sweep.as_str())?)?, remarks })
    }

    /// The names of a sweep's reports: this host's, and those of others that it can have.
    fn report_files(&self, sweep: &SweepId) -> Result<Vec<String>, Refusal> {
        let folder = publish::sweep_folder(&self.lab.reports(), sweep.as_str());
        let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
        let names = files.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| super::reports::is_file_name(name)).collect();
        // Who took part in a sweep has its own log there, and another one its reports.
        names.extend(self.lab.shared_report_names(sweep)?);
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// The sweep of this identifier.
    pub(super) fn find_sweep(&self, id: &str) -> Result<SweepRow, Refusal> {
        self.store
            .sweep(&SweepId(id.to_owned()))?
            .ok_or_else(|| Refusal::not_found(format!("there is no sweep {id:?}")))
    }
}

/// Where a list of sweeps goes on: behind this one.
fn cursor(row: &SweepRow) -> String {
    format!("{}.{}", row.started_at.as_nanosecond(), row.id)
}

fn place(cursor: &str) -> Result<(Timestamp, &str), Refusal> {
    let refused = || Refusal::bad_request("`before` is what `next` was");
    let (at, id) = cursor.split_once('.').ok_or_else(refused)?;
    let at = at.parse().ok().and_then(|at| Timestamp::from_nanosecond(at).ok()).ok_or_else(refused)?;
    Ok((at, id))
}

pub(super) async fn list(call: Call<ListQuery>) -> Result<Items<SweepAnswer>, Refusal> {
    let ListQuery { limit, before, q } = call.query;
    let limit = limit_of(limit, DEFAULT_LIST, MAX_LIST)?;
    let words: Vec<String> = q.unwrap_or_default().to_lowercase().split_whitespace().map(str::to_owned).collect();
    if words.len() > MAX_WORDS {
        return Err(Refusal::bad_request(format!("`q` has at most {MAX_WORDS} words")));
    }
    let read = move |api: &Api| {
        let before = before.as_deref().map(place).transpose()?;
        let mut rows = api.store.sweeps_page(SweepPage { before, words: &words, limit: limit + 1 })?;
        let is_cut = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = rows.last().filter(|_| is_cut).map(cursor);
        let items = rows.into_iter().map(|row| api.sweep_answer(row)).collect::<Result<Vec<_>, _>>()?;
        Ok(Items { items, next })
    };
    call.api.blocking(read).await
}

pub(super) async fn show(call: Call<DetailQuery>) -> Result<SweepDetail, Refusal> {
    let with_cells = call.query.cells.unwrap_or(true);
    let read = move |api: &Api| {
        let row = api.find_sweep(&call.name)?;
        let cells = if with_cells { api.cells(&row.id)? } else { Vec::new() };
        let devices: BTreeSet<String> = cells.iter().map(|cell| cell.device.clone()).collect();
        Ok(SweepDetail { sweep: api.sweep_answer(row)?, devices: devices.into_iter().collect(), cells })
    };
    call.api.blocking(read).await
}
