//! What is done about sweeps that were submitted.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::agent::{AgentError, Stop};
use crate::domain::{SweepId, SweepState};
use crate::store::SubmittedSweep;

use super::task::Task;
use super::{Daemon, TaskError};

impl Daemon {
    /// Goes on with each sweep that was submitted and that nobody carries out; where hosts share the store, with each
    /// that has open jobs on a device that this one reaches. One that was cancelled it ends.
    pub(super) async fn attend_to_submitted(&mut self) -> Result<(), AgentError> {
        self.collect_submitted().await;
        let now = self.clock.now();
        let submitted = self.store.submitted_to_daemon()?;
        let known: BTreeSet<String> =
            submitted.iter().flat_map(|one| [about(&one.sweep_id), about_end(&one.sweep_id)]).collect();
        let is_of_sweep = |about: &str| about.starts_with("sweep ") || about.starts_with("end of sweep ");
        let is_over = |about: &str| is_of_sweep(about) && !known.contains(about);
        self.troubles.retain(|about, _| !is_over(about));
        self.again_at.retain(|about, _| !is_over(about));
        for SubmittedSweep { sweep_id, state, submission } in submitted {
            // Somebody who asks again does not wait for a pause that began before.
            let began_at = |(again_at, pause): &(Timestamp, SignedDuration)| again_at.checked_sub(*pause).ok();
            let put_off_at = self.again_at.get(&about(&sweep_id)).and_then(began_at);
            if put_off_at.is_some_and(|put_off_at| submission.at > put_off_at) {
                self.is_well(&about(&sweep_id));
            }
            let is_at_work = self.submitted.contains_key(&sweep_id)
                || self.tasks.values().any(|task| task.sweep.as_ref() == Some(&sweep_id));
            // That it could not go on is no reason to be slow to end it.
            let is_cancelled = state == SweepState::Cancelling;
            let about = if is_cancelled { about_end(&sweep_id) } else { about(&sweep_id) };
            if is_at_work || !self.may_begin(&about) || !self.is_for_us(&sweep_id, state, now)? {
                continue;
            }
            let (sweeps, stop, id) = (Arc::clone(&self.sweeps), Arc::new(Stop::default()), sweep_id.clone());
            let told = Arc::clone(&stop);
            let task = match state {
                SweepState::Open => Task::spawn(stop, async move || sweeps.go_on(&id, told).await),
                SweepState::Cancelling => Task::spawn(stop, async move || sweeps.cancel(&id).await).ends(),
                SweepState::Finished | SweepState::Cancelled => continue,
            };
            self.submitted.insert(sweep_id, task);
        }
        Ok(())
    }

    /// Notes how tasks ended that have.
    async fn collect_submitted(&mut self) {
        let ended: Vec<SweepId> =
            self.submitted.iter().filter(|(_, task)| task.has_ended()).map(|(id, _)| id.clone()).collect();
        for id in ended {
            let Some(mut task) = self.submitted.remove(&id) else { continue };
            let about = if task.is_end { about_end(&id) } else { about(&id) };
            match task.ended().await {
                Ok(()) => self.is_well(&about),
                Err(TaskError::Passing(why) | TaskError::Nothing(why)) => self.put_off(&about, why),
            }
        }
    }
}

/// What a trouble with a sweep is about.
fn about(sweep: &SweepId) -> String {
    format!("sweep {sweep}")
}

/// What a trouble with the end of a cancelled sweep is about.
fn about_end(sweep: &SweepId) -> String {
    format!("end of sweep {sweep}")
}
