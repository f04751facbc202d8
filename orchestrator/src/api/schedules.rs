//! Schedules: what is due next, and what became of what was due.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::{SchedulePause, ScheduledStart};
use crate::lab::Order;
use crate::schedule::{Missed, Overlap, Schedule};
use crate::store::people;

use super::endpoint::{Call, Empty, Items};
use super::sweeps::StartedAnswer;
use super::{Api, Refusal};

/// Due times of each schedule that are told.
const LAST: u32 = 10;

/// A schedule.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct ScheduleAnswer {
    pub(super) name: String,
    cron: String,
    timezone: String,
    /// The sweep's file, relative to the lab.
    sweep: String,
    /// Most devices that its sweep works on at the same time.
    max_parallel: Option<u32>,
    /// `22:00-06:00`.
    window: Option<String>,
    /// `skip`, `queue` or `replace`.
    overlap: String,
    /// `once`, `all` or `none`.
    missed: String,
    /// Its devices are checked before its sweep begins.
    check_first: bool,
    /// What its file says; a person's pause is beside it.
    enabled: bool,
    paused: Option<PausedAnswer>,
    #[schemars(with = "Option<String>")]
    next_due: Option<Timestamp>,
    /// When its sweep starts then.
    #[schemars(with = "Option<String>")]
    next_start: Option<Timestamp>,
    /// The newest first.
    last: Vec<StartAnswer>,
}

/// A person paused it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
struct PausedAnswer {
    by: String,
    #[schemars(with = "String")]
    since: Timestamp,
}

/// What became of a due time.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
struct StartAnswer {
    #[schemars(with = "String")]
    due_at: Timestamp,
    /// `waiting`, `begun` or `left_out`.
    state: String,
    sweep_id: Option<String>,
    /// Why it was left out.
    why: Option<String>,
    /// Who began it then, whatever was due.
    by: Option<String>,
}

impl From<ScheduledStart> for StartAnswer {
    fn from(start: ScheduledStart) -> StartAnswer {
        let sweep_id = start.sweep_id.map(|id| id.0);
        StartAnswer {
            due_at: start.due.due_at,
            state: start.state.as_str().to_owned(),
            sweep_id,
            why: start.why,
            by: start.by,
        }
    }
}

impl Api {
    fn schedule_answer(&self, schedule: &Schedule, pauses: &[SchedulePause]) -> Result<ScheduleAnswer, Refusal> {
        let paused = pauses.iter().find(|pause| pause.schedule == schedule.name);
        let last = self.store.scheduled_starts(Some(&schedule.name), LAST)?;
        let next_due = schedule.next_due(self.lab.now()).filter(|_| schedule.is_enabled && paused.is_none());
        let sweep = schedule.sweep.file_name().unwrap_or_default().to_string_lossy();
        Ok(ScheduleAnswer {
            name: schedule.name.clone(),
            cron: schedule.cron.to_string(),
            timezone: schedule.time_zone.iana_name().unwrap_or("UTC").to_owned(),
            sweep: format!("configs/{sweep}"),
            max_parallel: schedule.max_parallel,
            window: schedule.window.map(|window| window.to_string()),
            overlap: match schedule.overlap {
                Overlap::Skip => "skip".to_owned(),
                Overlap::Queue => "queue".to_owned(),
                Overlap::Replace => "replace".to_owned(),
            },
            missed: match schedule.missed {
                Missed::Once => "once".to_owned(),
                Missed::All => "all".to_owned(),
                Missed::None => "none".to_owned(),
            },
            check_first: schedule.checks_first,
            enabled: schedule.is_enabled,
            paused: paused.map(|pause| PausedAnswer { by: pause.by.clone(), since: pause.since }),
            next_due,
            next_start: next_due.map(|due_at| schedule.starts_at(due_at)),
            last: last.into_iter().map(StartAnswer::from).collect(),
        })
    }

    /// All schedules.
    pub(super) fn schedule_answers(&self) -> Result<Vec<ScheduleAnswer>, Refusal> {
        let pauses = self.store.schedule_pauses()?;
        self.now().schedules.iter().map(|schedule| self.schedule_answer(schedule, &pauses)).collect()
    }

    /// The schedule of this name.
    fn find_schedule(&self, name: &str) -> Result<Schedule, Refusal> {
        let found = self.now().schedules.iter().find(|schedule| schedule.name == name).cloned();
        found.ok_or_else(|| Refusal::not_found(format!("there is no schedule {name:?}")))
    }
}

pub(super) async fn list(call: Call) -> Result<Items<ScheduleAnswer>, Refusal> {
    call.api.blocking(|api| Ok(api.schedule_answers()?.into())).await
}

pub(super) async fn run(call: Call<Empty, Empty>) -> Result<StartedAnswer, Refusal> {
    let schedule = call.api.find_schedule(&call.name)?;
    call.api.start(Order::Schedule(Box::new(schedule)), call.person.name).await
}

pub(super) async fn pause(call: Call<Empty, Empty>) -> Result<ScheduleAnswer, Refusal> {
    let act = move |api: &Api| {
        let schedule = api.find_schedule(&call.name)?;
        let pause = SchedulePause { schedule: call.name, by: call.person.name, since: api.lab.now() };
        match people::pause_schedule(api.store.as_ref(), &pause)? {
            true => api.schedule_answer(&schedule, &api.store.schedule_pauses()?),
            false => Err(Refusal::conflict(format!("{} is paused already", schedule.name))),
        }
    };
    call.api.blocking(act).await
}

pub(super) async fn resume(call: Call<Empty, Empty>) -> Result<ScheduleAnswer, Refusal> {
    let act = move |api: &Api| {
        let schedule = api.find_schedule(&call.name)?;
        match people::resume_schedule(api.store.as_ref(), &call.name, &call.person.name, api.lab.now())? {
            true => api.schedule_answer(&schedule, &api.store.schedule_pauses()?),
            false => Err(Refusal::conflict(format!("{} is not paused", schedule.name))),
        }
    };
    call.api.blocking(act).await
}
