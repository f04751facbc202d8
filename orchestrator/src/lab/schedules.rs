//! The schedules of the lab: when each is due next, paused and resumed, and what became of what was due.

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::{SchedulePause, ScheduledStart};
use crate::schedule::{Opening, Schedule};
use crate::store::people;

use super::{Lab, LabError};

/// A schedule as a person asks for it.
#[derive(Debug, Serialize)]
pub struct ScheduleOverview {
    /// Its name.
    pub schedule: String,
    /// What its file says.
    pub enabled: bool,
    /// A person paused it.
    pub paused: Option<SchedulePause>,
    /// When it is due.
    pub cron: String,
    /// Where these times are meant.
    pub timezone: String,
    /// When its sweep may run.
    pub window: Option<String>,
    /// Whether it may run now.
    pub window_is_open: bool,
    /// Its devices are checked before its sweep begins.
    pub check_first: bool,
    /// When it is due next.
    pub next_due: Option<Timestamp>,
    /// Due times that wait to be begun.
    pub waiting: usize,
    /// What became of the last due time.
    pub last: Option<ScheduledStart>,
    /// The same in words.
    pub last_sweep: Option<String>,
}

impl Lab {
    /// The schedules of the daemon's file, or of this one instead.
    ///
    /// # Errors
    /// When the file is faulty, or the store can't be read.
    pub fn schedule_overviews(&self, config: Option<&Path>) -> Result<Vec<ScheduleOverview>, LabError> {
        let store = self.store()?;
        let file = config.map_or_else(|| self.daemon_config(), Path::to_owned);
        let schedules = self.daemon_rules(&file)?.schedules;
        let pauses = store.schedule_pauses()?;
        let overview = |schedule: &Schedule| {
            let paused = pauses.iter().find(|pause| pause.schedule == schedule.name).cloned();
            self.schedule_overview(schedule, paused)
        };
        schedules.iter().map(overview).collect()
    }

    fn schedule_overview(
        &self,
        schedule: &Schedule,
        paused: Option<SchedulePause>,
    ) -> Result<ScheduleOverview, LabError> {
        let (store, now) = (self.store()?, self.now());
        let last = store.scheduled_starts(Some(&schedule.name), 1)?.into_iter().next();
        let last_sweep = match last.as_ref().map(|last| (&last.sweep_id, &last.why, last.state)) {
            Some((Some(sweep), ..)) => {
                let counts = store.counts(sweep)?;
                let by = last.as_ref().and_then(|last| last.by.as_ref());
                let by = by.map_or_else(String::new, |by| format!(", begun by hand by {by}"));
                Some(format!(
                    "{sweep}: {}, {} of {} jobs{by}",
                    store.sweep_state(sweep)?,
                    counts.jobs - counts.open,
                    counts.jobs
                ))
            }
            Some((None, Some(why), _)) => Some(format!("left out: {why}")),
            Some((None, None, state)) => Some(state.to_string()),
            None => None,
        };
        Ok(ScheduleOverview {
            schedule: schedule.name.clone(),
            enabled: schedule.is_enabled,
            next_due: schedule.next_due(now).filter(|_| schedule.is_enabled && paused.is_none()),
            paused,
            cron: schedule.cron.to_string(),
            timezone: schedule.time_zone.iana_name().unwrap_or("UTC").to_owned(),
            window: schedule.window.map(|window| window.to_string()),
            window_is_open: schedule.opening(now).is_open() || schedule.opening(now) == Opening::Always,
            check_first: schedule.checks_first,
            waiting: store.waiting_starts(&schedule.name)?.len(),
            last,
            last_sweep,
        })
    }

    /// The schedule of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn schedule(&self, name: &str) -> Result<Schedule, LabError> {
        let schedules = self.daemon_rules(&self.daemon_config())?.schedules;
        let names = schedules.iter().map(|schedule| schedule.name.as_str()).collect::<Vec<_>>().join(", ");
        schedules.into_iter().find(|schedule| schedule.name == name).ok_or_else(|| {
            LabError::usage(format!("there is no schedule {name:?}")).with_hint(format!("schedules: {names}"))
        })
    }

    /// Starts nothing by a schedule until it is resumed; says whether that is new.
    ///
    /// # Errors
    /// When there is no such schedule.
    pub fn pause_schedule(&self, name: &str) -> Result<bool, LabError> {
        let (store, schedule) = (self.store()?, self.schedule(name)?.name);
        let pause = SchedulePause { schedule, by: self.person(), since: self.now() };
        Ok(people::pause_schedule(store.as_ref(), &pause)?)
    }

    /// Starts by a schedule again; says whether that is new.
    ///
    /// # Errors
    /// When there is no such schedule.
    pub fn resume_schedule(&self, name: &str) -> Result<bool, LabError> {
        let (store, schedule) = (self.store()?, self.schedule(name)?.name);
        Ok(people::resume_schedule(store.as_ref(), &schedule, &self.person(), self.now())?)
    }

    /// What became of due times, the newest first, at most so many; of one schedule, or of all.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn scheduled_starts(&self, schedule: Option<&str>, limit: u32) -> Result<Vec<ScheduledStart>, LabError> {
        Ok(self.store()?.scheduled_starts(schedule, limit)?)
    }
}
