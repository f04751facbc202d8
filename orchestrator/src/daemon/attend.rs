//! What is done about one schedule.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::agent::{AgentError, Stop};
use crate::domain::{DueTime, SweepId, SweepState};
use crate::lease::holders;
use crate::schedule::{Current, Schedule, ScheduleState, Step, newly_due, next_step};
use crate::store::{NotificationKind, Store, StoreError};

use super::task::Task;
use super::{
    COMPARE_AGAIN, COMPARE_EVERY, Daemon, LOOK_AT_FILES_EVERY, TELL_EVERY, TRY_AGAIN, TRY_AGAIN_AT_LAST, TaskError,
};

impl Daemon {
    /// Notes how tasks ended that have.
    pub(super) async fn collect(&mut self) {
        let ended: Vec<String> =
            self.tasks.iter().filter(|(_, task)| task.has_ended()).map(|(name, _)| name.clone()).collect();
        for name in ended {
            let Some(mut task) = self.tasks.remove(&name) else { continue };
            let about = format!("schedule {name}");
            match task.ended().await {
                Ok(()) => self.is_well(&about),
                Err(TaskError::Passing(why)) => self.put_off(&about, why),
                Err(TaskError::Nothing(why)) => match task.due_at {
                    Some(due_at) => {
                        let kept = self.store.settle_due(&name, &[(due_at, Some(why))], self.clock.now());
                        if let Err(error) = kept {
                            self.put_off(&about, format!("failed to {error}"));
                        }
                    }
                    None => self.put_off(&about, why),
                },
            }
        }
    }

    /// Begins to ask devices when it is time.
    pub(super) async fn look_at_probes(&mut self) {
        if !self.is_free("probes").await {
            return;
        }
        let now = self.clock.now();
        let (Some(pause), Some(due_at)) = self.probes else { return };
        if due_at > now {
            return;
        }
        let later = SignedDuration::try_from(pause).ok().and_then(|pause| now.checked_add(pause).ok());
        self.probes.1 = later;
        let sweeps = Arc::clone(&self.sweeps);
        let work = async move || sweeps.probe().await;
        self.aside.insert("probes", Task::spawn(Arc::new(Stop::default()), work));
    }

    /// Takes out what the rules do not keep, when it is time.
    pub(super) async fn look_at_retention(&mut self) {
        if !self.is_free("retention").await || self.clock.doubt().is_some() {
            return;
        }
        let now = self.clock.now();
        let Some((rules, due_at)) = self.retention.as_mut().filter(|(_, due_at)| *due_at <= now) else { return };
        *due_at = rules.next_at(now);
        let (sweeps, rules) = (Arc::clone(&self.sweeps), rules.clone());
        let work = async move || sweeps.tidy(&rules).await;
        self.aside.insert("retention", Task::spawn(Arc::new(Stop::default()), work));
    }

    /// Looks whether the files of models are there, when it is time: at night it is too late to hear of it.
    pub(super) async fn look_at_files(&mut self) {
        let now = self.clock.now();
        if !self.is_free("files of models").await || self.files_at.is_some_and(|next_at| now < next_at) {
            return;
        }
        self.files_at = now.checked_add(LOOK_AT_FILES_EVERY).ok();
        let in_force = self.schedules.iter().filter(|schedule| schedule.is_enabled);
        let (sweeps, schedules) = (Arc::clone(&self.sweeps), in_force.cloned().collect::<Vec<_>>());
        if schedules.is_empty() {
            return self.note("files of models", None);
        }
        let work = async move || sweeps.look_at_files(&schedules).await;
        self.aside.insert("files of models", Task::spawn(Arc::new(Stop::default()), work));
    }

    /// Compares sweeps that are over with what was before them.
    pub(super) async fn look_at_comparisons(&mut self) -> Result<(), AgentError> {
        let now = self.clock.now();
        if !self.is_free("comparisons").await || self.compare_at.is_some_and(|next_at| now < next_at) {
            return Ok(());
        }
        self.compare_at = now.checked_add(COMPARE_EVERY).ok();
        let due: BTreeSet<SweepId> = self.store.due_comparisons()?.into_iter().map(|due| due.sweep).collect();
        if due.is_empty() {
            // What could not be compared may have left.
            self.note("comparisons", None);
        }
        let (tried, again_at) = &self.uncompared;
        // What one schedule waits for holds up no sweep of another.
        let is_known = due.is_subset(tried);
        if due.is_empty() || (is_known && again_at.is_some_and(|again_at| now < again_at)) {
            return Ok(());
        }
        self.uncompared = (due, now.checked_add(COMPARE_AGAIN).ok());
        let (sweeps, schedules) = (Arc::clone(&self.sweeps), self.schedules.clone());
        let work = async move || sweeps.compare(&schedules).await;
        self.aside.insert("comparisons", Task::spawn(Arc::new(Stop::default()), work));
        Ok(())
    }

    /// Tells what nobody was told of.
    pub(super) async fn look_at_notices(&mut self) -> Result<(), AgentError> {
        let now = self.clock.now();
        if !self.is_free("notifications").await || self.channels.1.is_some_and(|next_at| now < next_at) {
            return Ok(());
        }
        self.channels.1 = now.checked_add(TELL_EVERY).ok();
        if has_news(self.store.as_ref())? {
            let (sweeps, channels) = (Arc::clone(&self.sweeps), self.channels.0.clone());
            let work = async move || sweeps.notify(&channels).await;
            self.aside.insert("notifications", Task::spawn(Arc::new(Stop::default()), work));
        }
        Ok(())
    }

    /// Whether no such work goes on; notes how the last one ended.
    async fn is_free(&mut self, what: &'static str) -> bool {
        match self.aside.get(what) {
            None => return true,
            Some(task) if !task.has_ended() => return false,
            Some(_) => {}
        }
        if let Some(mut task) = self.aside.remove(what) {
            let trouble = match task.ended().await {
                Ok(()) => None,
                Err(TaskError::Passing(why) | TaskError::Nothing(why)) => Some(why),
            };
            self.note(what, trouble);
        }
        true
    }

    /// Tries it again after a while.
    pub(super) fn put_off(&mut self, about: &str, why: String) {
        let now = self.clock.now();
        let pause = self.again_at.get(about).map_or(TRY_AGAIN, |(_, pause)| (*pause * 2).min(TRY_AGAIN_AT_LAST));
        self.again_at.insert(about.to_owned(), (now.checked_add(pause).unwrap_or(now), pause));
        self.note(about, Some(why));
    }

    /// Nothing is wrong about it any more.
    pub(super) fn is_well(&mut self, about: &str) {
        self.again_at.remove(about);
        self.note(about, None);
    }

    /// Whether something may be begun that is about this.
    pub(super) fn may_begin(&self, about: &str) -> bool {
        // What is cancelled is ended also where nothing may be begun.
        let is_end = about.starts_with("end of sweep ");
        (self.drained_by.is_none() || is_end) && self.may_end(about)
    }

    /// Whether something may be ended that is about this: a cancelled sweep, also where nothing may be begun.
    pub(super) fn may_end(&self, about: &str) -> bool {
        !self.troubles.contains_key("room")
            && self.again_at.get(about).is_none_or(|(again_at, _)| self.clock.now() >= *again_at)
    }

    /// The schedules as they are in force: one that is paused is like one that its file disables.
    pub(super) async fn in_force(&mut self) -> Result<Vec<Schedule>, AgentError> {
        let pauses = self.store.schedule_pauses()?;
        self.paused = pauses.into_iter().map(|pause| pause.schedule).collect();
        let in_force = |schedule: &Schedule| {
            let is_enabled = schedule.is_enabled && !self.paused.contains(&schedule.name);
            Schedule { is_enabled, ..schedule.clone() }
        };
        Ok(self.schedules.iter().map(in_force).collect())
    }

    /// Settles what has become due, and takes the step that is to be taken.
    pub(super) async fn attend(&mut self, schedule: &Schedule) -> Result<(), AgentError> {
        let now = self.clock.now();
        let mut state = self.state(schedule)?;
        let settled = newly_due(schedule, &state, now);
        if !settled.is_empty() {
            let due: Vec<_> = settled.into_iter().map(|one| (one.due_at, one.skipped)).collect();
            for (due_at, skipped) in &due {
                tracing::info!(schedule = %schedule.name, %due_at, ?skipped, "due");
            }
            self.store.settle_due(&schedule.name, &due, now)?;
            state = self.state(schedule)?;
        }
        self.take(schedule, next_step(schedule, &state, now)).await
    }

    fn state(&self, schedule: &Schedule) -> Result<ScheduleState, AgentError> {
        let (store, name, now) = (&self.store, &schedule.name, self.clock.now());
        let settled_until = store.settled_until(name, &schedule.rule(), now)?;
        let current = match store.unfinished_sweeps(name)?.into_iter().next() {
            Some(sweep) => Some(Current {
                // A task that has not ended may be between two leases.
                is_running: self.tasks.contains_key(name)
                    || self.submitted.contains_key(&sweep.sweep_id)
                    || !self.is_for_us(&sweep.sweep_id, sweep.state, now)?,
                is_cancelled: sweep.state == SweepState::Cancelling,
                sweep_id: sweep.sweep_id,
                due_at: sweep.due_at,
            }),
            None => None,
        };
        // A clock that was ahead may have settled times that are still to come.
        let waiting = store.waiting_starts(name)?.into_iter().filter(|due_at| *due_at <= now).collect();
        Ok(ScheduleState { settled_until, waiting, current })
    }

    /// Whether a process carries the sweep out.
    pub(super) fn is_held(&self, sweep: &SweepId, now: Timestamp) -> Result<bool, StoreError> {
        Ok(holders(self.store.as_ref(), sweep, now)?.iter().any(|holder| !(self.is_gone)(&holder.holder)))
    }

    /// Whether a sweep that this process does nothing for is one to go on with, or to end. Where hosts share the store,
    /// others may carry it out, too: it is, where this host reaches a device with open jobs, or nothing is left but its
    /// end.
    pub(super) fn is_for_us(&self, sweep: &SweepId, state: SweepState, now: Timestamp) -> Result<bool, AgentError> {
        if state == SweepState::Cancelling || !self.store.is_shared() {
            return Ok(!self.is_held(sweep, now)?);
        }
        let whole = self.store.sweep_holder(sweep, now)?;
        if whole.is_some_and(|holder| !(self.is_gone)(&holder.holder)) {
            return Ok(false);
        }
        let devices = self.store.devices_with_open_jobs(sweep)?;
        if devices.is_empty() {
            return Ok(!self.is_held(sweep, now)?);
        }
        // A faulty farm file is told of when it is gone on with the sweep.
        Ok(self.sweeps.reaches_any(&devices).unwrap_or(true))
    }

    async fn take(&mut self, schedule: &Schedule, step: Step) -> Result<(), AgentError> {
        let name = &schedule.name;
        let (is_free, about) = (!self.tasks.contains_key(name), format!("schedule {name}"));
        let may_begin = is_free && self.may_begin(&about);
        match step {
            Step::Wait(_) => {}
            Step::Stop(_) => {
                if let Some(task) = self.tasks.get(name) {
                    task.stop.raise(1);
                }
            }
            Step::Begin(due_at) if may_begin => {
                let due = DueTime { schedule: name.clone(), due_at };
                let (sweeps, schedule, stop) = (Arc::clone(&self.sweeps), schedule.clone(), Arc::new(Stop::default()));
                let told = Arc::clone(&stop);
                let work = async move || sweeps.begin(&schedule, due, told).await;
                self.tasks.insert(name.clone(), Task::spawn(stop, work).begins(due_at));
            }
            Step::GoOn(sweep) if may_begin => {
                let (sweeps, stop) = (Arc::clone(&self.sweeps), Arc::new(Stop::default()));
                let (told, id) = (Arc::clone(&stop), sweep.clone());
                let work = async move || sweeps.go_on(&sweep, told).await;
                self.tasks.insert(name.clone(), Task::spawn(stop, work).with_sweep(id));
            }
            Step::Cancel(sweep) => self.cancel(name, sweep, is_free && self.may_end(&about)).await?,
            Step::Begin(_) | Step::GoOn(_) => {}
        }
        Ok(())
    }

    /// Ends a sweep: whoever carries it out sees that it is cancelled, and what nobody carries out is ended by a task.
    async fn cancel(&mut self, name: &str, sweep: SweepId, may_end: bool) -> Result<(), AgentError> {
        self.store.cancel_sweep(&sweep, None)?;
        let is_held = self.is_held(&sweep, self.clock.now())?;
        if may_end && !is_held {
            let (sweeps, stop) = (Arc::clone(&self.sweeps), Arc::new(Stop::default()));
            let id = sweep.clone();
            let work = async move || sweeps.cancel(&sweep).await;
            self.tasks.insert(name.to_owned(), Task::spawn(stop, work).with_sweep(id));
        }
        Ok(())
    }
}

/// Whether there is anything that nobody was told of.
fn has_news(store: &dyn Store) -> Result<bool, StoreError> {
    for kind in NotificationKind::ALL {
        if !store.pending(kind)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(!store.pending_sweeps()?.is_empty())
}
