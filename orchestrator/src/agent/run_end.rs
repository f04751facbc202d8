//! What becomes of a run that was carried out: its record, another attempt, another device, or the end of the turn.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::device::Collected;
use crate::domain::{Device, DeviceState, EventKind, Failure, FailureKind, Job, Measurement, OnFailure, SweepState};
use crate::planner;
use crate::store::{ClaimedRun, StoreError};

use super::jobs::{DeviceOutcome, RunOutcome, Work, subject};
use super::orphans::NotCleared;
use super::policy::{self, RetryDecision};
use super::prepare::STILL_BOOTING;
use super::{AgentError, endings, orphans};

impl Work<'_, '_> {
    /// Ends a run that was measured, by its record.
    pub(super) async fn succeeded(
        &mut self,
        run: &ClaimedRun,
        started_at: Timestamp,
        mut collected: Collected,
    ) -> Result<RunOutcome, AgentError> {
        self.keep_outputs(&collected).await?;
        if self.session.is_booting {
            collected.measurement.remarks.push(STILL_BOOTING.to_owned());
        }
        collected.measurement.accuracy = self.agent.accuracy(&run.job, &collected.best_classes)?;
        let record = self.record(run, started_at, Ok(collected.measurement));
        self.finish(run, record, None).await?;
        self.device_worked()?;
        self.refusals.end();
        Ok(RunOutcome::GoOn)
    }

    /// Ends a run that failed: by its record, or by giving it back.
    pub(super) async fn failed(
        &mut self,
        run: &ClaimedRun,
        started_at: Timestamp,
        failure: Failure,
        measurement: Measurement,
    ) -> Result<RunOutcome, AgentError> {
        let kind = failure.kind;
        if kind == FailureKind::Cancelled {
            return self.cancelled(run, started_at, failure, measurement).await;
        }
        if kind == FailureKind::Fenced {
            self.requeue(run, failure, false, Duration::ZERO).await?;
            return Ok(RunOutcome::End(DeviceOutcome::LeaseLost));
        }
        if let Some(lost_at) = self.session.lost_at().filter(|_| self.session.is_gone()) {
            return self.gone(run, started_at, failure, lost_at).await;
        }
        self.free_device(run, kind).await?;
        if let Some(refusing) = self.refused(run, &failure).await? {
            return Ok(RunOutcome::End(refusing));
        }
        match policy::after_attempt(kind, run.failed_attempts, &self.agent.assignment.rules.retry, run.run_id.as_str())
        {
            RetryDecision::Again(pause) => self.requeue(run, failure.clone(), true, pause).await?,
            next => {
                let moved = if next == RetryDecision::Elsewhere { self.equal_device(&run.job)? } else { None };
                let record = self.record(run, started_at, Err((failure.clone(), measurement)));
                self.finish(run, record, moved).await?;
                if let Some(ended) = self.after_failed_record(&failure).await? {
                    return Ok(RunOutcome::End(ended));
                }
            }
        }
        if !kind.is_infrastructure() {
            // Whatever was wrong, the device did its part.
            self.device_worked()?;
            return Ok(RunOutcome::GoOn);
        }
        let status = self.agent.store.device_failed(&self.device.name, &failure, self.agent.now())?;
        if status.failures_in_row >= self.agent.assignment.rules.retry.quarantine_after {
            return Ok(RunOutcome::End(DeviceOutcome::Failed(failure)));
        }
        Ok(RunOutcome::GoOn)
    }

    /// The device did not come back. A run that may be on it is not ended: whoever reaches the device again looks for
    /// it by its name. One whose attempts are used up goes to an equal device, where the sweep allows that.
    async fn gone(
        &mut self,
        run: &ClaimedRun,
        started_at: Timestamp,
        failure: Failure,
        lost_at: Instant,
    ) -> Result<RunOutcome, AgentError> {
        let lost = FailureKind::ConnectionLost;
        let next =
            policy::after_attempt(lost, run.failed_attempts, &self.agent.assignment.rules.retry, run.run_id.as_str());
        let moved = if next == RetryDecision::Elsewhere { self.equal_device(&run.job)? } else { None };
        if !self.is_ordered {
            self.requeue(run, failure.clone(), false, Duration::ZERO).await?;
        } else if moved.is_some() {
            let record = self.record(run, started_at, Err((failure.clone(), Measurement::default())));
            self.finish(run, record, moved).await?;
        } else {
            let (name, attempt) = (run.job.model.name.clone(), run.attempt);
            let kind = EventKind::RunLeft { name, attempt, failure: failure.clone() };
            self.agent.events.emit(subject(run), kind).await;
        }
        Ok(RunOutcome::End(DeviceOutcome::Gone { failure, lost_at }))
    }

    /// A person ended the run: of a sweep that may go on later, another attempt is made then.
    async fn cancelled(
        &mut self,
        run: &ClaimedRun,
        started_at: Timestamp,
        failure: Failure,
        measurement: Measurement,
    ) -> Result<RunOutcome, AgentError> {
        if self.agent.store.sweep_state(&self.agent.assignment.sweep.id)? == SweepState::Cancelling {
            let record = self.record(run, started_at, Err((failure, measurement)));
            self.finish(run, record, None).await?;
        } else {
            self.requeue(run, failure, false, Duration::ZERO).await?;
        }
        Ok(RunOutcome::GoOn)
    }

    /// Makes sure that a run which failed on the way does not go on in the next one's.
    async fn free_device(&mut self, run: &ClaimedRun, kind: FailureKind) -> Result<(), AgentError> {
        match kind {
            FailureKind::Timeout | FailureKind::RunnerProtocol | FailureKind::TransportProtocol
                if !self.session.is_lost() =>
            {
                self.end_on_device(run).await;
            }
            FailureKind::Busy => {
                let cleared = match self.session.refresh().await {
                    Ok(()) => orphans::clear(self.agent, self.device, self.session).await,
                    Err(failure) => Err(failure.into()),
                };
                match cleared {
                    Ok(()) => {}
                    Err(NotCleared::Device(failure)) => tracing::warn!(%failure, "the device is still busy"),
                    Err(NotCleared::Store(error)) => return Err(error.into()),
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What the sweep's `on_failure` says to a failed record.
    async fn after_failed_record(&self, failure: &Failure) -> Result<Option<DeviceOutcome>, AgentError> {
        match self.agent.assignment.rules.on_failure {
            OnFailure::Continue => Ok(None),
            OnFailure::StopDevice => {
                let why = format!("on_failure: stop_device, after {failure}");
                endings::skip_rest(self.agent, self.device, &why).await?;
                Ok(Some(DeviceOutcome::Over))
            }
            OnFailure::StopSweep => {
                let why = format!("on_failure: stop_sweep, after {failure} on {}", self.device.name);
                if self.agent.assignment.is_shared {
                    self.agent.store.halt_sweep(&self.agent.assignment.sweep.id, &why)?;
                }
                self.worker.shared.halt.send_replace(Some(why));
                Ok(None)
            }
        }
    }

    /// The job as it is on an equal device of the lab that does not have it yet.
    fn equal_device(&self, job: &Job) -> Result<Option<Job>, AgentError> {
        // What is measured again is so on the same device, or the one before stays all there is.
        let equal_by = self.agent.assignment.rules.retry.equal_by.as_ref();
        let Some(key) = equal_by.filter(|_| job.rerun.is_none()) else { return Ok(None) };
        let value = |device: &Device| device.tags.iter().find(|tag| tag.key == *key).cloned();
        let Some(own) = value(self.device) else { return Ok(None) };
        let equal = self.agent.assignment.lab_devices.iter().filter(|other| {
            let is_usable = other.disabled.is_none() && !other.is_elsewhere;
            other.name != self.device.name && is_usable && value(other).as_ref() == Some(&own)
        });
        for other in equal {
            let moved = planner::on_device(job, other);
            if self.may_take(other, &moved)? {
                return Ok(Some(moved));
            }
        }
        Ok(None)
    }

    /// Whether a device can take a job now that it does not have yet.
    fn may_take(&self, device: &Device, job: &Job) -> Result<bool, StoreError> {
        let store = &self.agent.store;
        match store.attempts(&self.agent.assignment.sweep.id, &job.id) {
            Ok(_) => return Ok(false),
            Err(StoreError::UnknownJob { .. }) => {}
            Err(error) => return Err(error),
        }
        let is_locked = !store.device_locks(Some(&device.name), self.agent.now())?.is_empty();
        Ok(!is_locked && store.device_status(&device.name)?.state == DeviceState::InService)
    }

    fn device_worked(&self) -> Result<(), StoreError> {
        self.agent.store.device_worked(&self.device.name)
    }
}
