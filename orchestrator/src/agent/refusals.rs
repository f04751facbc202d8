//! A device that answers, and takes no run for now: its disk is full for a moment, say.
//!
//! Main type: [`Refusals`]. The run is given back, and nothing else is tried on the device meanwhile. What has lasted
//! as long as a device may be away stands, and ends in records.

use std::time::Duration;

use tokio::time::Instant;

use crate::domain::Failure;
use crate::store::ClaimedRun;

use super::AgentError;
use super::jobs::{DeviceOutcome, Work};
use super::policy::{self, Refusing};

/// The refusals of a device in a row, over its turns.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    since: Option<Instant>,
    times: u32,
    /// Whether they lasted too long once: no more is waited in this sweep.
    is_used_up: bool,
}

impl Refusals {
    /// The device took a run.
    pub(super) fn end(&mut self) {
        (self.since, self.times) = (None, 0);
    }
}

impl Work<'_, '_> {
    /// Gives a run back that the device did not take, as long as that may pass by itself; how the turn ends then.
    pub(super) async fn refused(
        &mut self,
        run: &ClaimedRun,
        failure: &Failure,
    ) -> Result<Option<DeviceOutcome>, AgentError> {
        let timeouts = &self.agent.assignment.rules.timeouts;
        if !policy::is_refused_run(failure.kind) || self.refusals.is_used_up {
            return Ok(None);
        }
        self.refusals.times += 1;
        let times = self.refusals.times;
        let lasts = self.refusals.since.get_or_insert_with(Instant::now).elapsed();
        let Some(pause) = policy::after_refused_run(Refusing { lasts, times }, timeouts, &self.device.name) else {
            self.refusals.is_used_up = true;
            return Ok(None);
        };
        self.requeue(run, failure.clone(), false, Duration::ZERO).await?;
        Ok(Some(DeviceOutcome::Refusing { failure: failure.clone(), times, pause }))
    }
}
