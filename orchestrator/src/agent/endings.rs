//! Records of jobs that end without a run: of a device that can't be used, or is not used any more.

use crate::domain::{
    Device, DeviceLock, DeviceStatus, EventKind, Failure, FailureKind, Job, Record, Refusal, RunStatus,
    TransportConfig, many,
};
use crate::lease::{LEASE, LEASE_POLL_INTERVAL};
use crate::store::StoreError;

use super::events::Subject;
use super::{Agent, AgentError, AgentMode, Assignment, records};

/// The device can't be used: each of its open jobs gets its record. None of them was tried on a device that let nobody
/// in.
pub(super) async fn give_up(agent: &Agent, device: &Device, failure: Failure) -> Result<(), AgentError> {
    tracing::warn!(%failure, "the device can't be used");
    agent.events.emit(Subject::device(&device.name), EventKind::DeviceFailed { failure: failure.clone() }).await;
    if failure.kind.refusal() == Refusal::None {
        return end_open_jobs(agent, device, RunStatus::Failed, failure).await;
    }
    let why = format!("device {}: {}", device.name, failure.message);
    end_open_jobs(agent, device, RunStatus::Skipped, Failure { message: why, ..failure }).await
}

/// No more jobs are started on the device.
pub(super) async fn skip_rest(agent: &Agent, device: &Device, why: &str) -> Result<(), AgentError> {
    end_open_jobs(agent, device, RunStatus::Skipped, Failure::new(FailureKind::Cancelled, why)).await
}

/// The device is another one, reached another way: none of its jobs is tried.
pub(super) async fn skip_duplicate_entry(agent: &Agent, device: &Device, used: &str) -> Result<(), AgentError> {
    let kind = EventKind::DeviceDuplicateEntry { same_as: used.to_owned() };
    agent.events.emit(Subject::device(&device.name), kind).await;
    let what = if matches!(device.transport, TransportConfig::Adb(_)) { "phone" } else { "machine" };
    let why = format!("{} is the same {what} as {used}, which is used", device.name);
    end_open_jobs(agent, device, RunStatus::Skipped, Failure::new(FailureKind::DuplicateEntry, why)).await
}

/// The engine of that job is not to be had for the device: none of its jobs there is tried.
pub(super) async fn skip_engine(agent: &Agent, device: &Device, like: &Job, why: Failure) -> Result<(), AgentError> {
    tracing::warn!(%why, backend = %like.backend, "its jobs are skipped");
    let is_of_it = |job: &Job| job.backend == like.backend && job.backend_version == like.backend_version;
    for job in agent.store.open_jobs(&agent.assignment.sweep.id, Some(&device.name))?.into_iter().filter(is_of_it) {
        add_record(agent, cell_record(agent, device, &job, RunStatus::Skipped, &why))?;
    }
    Ok(())
}

/// These jobs are not needed, for the reason that each has; returns how many. Whoever has none stays.
pub(super) fn skip_unneeded(
    agent: &Agent,
    device: &Device,
    jobs: &[Job],
    why: impl Fn(&Job) -> Option<String>,
) -> Result<usize, StoreError> {
    skip_for(agent, device, jobs, |job| Some(Failure::new(FailureKind::NotNeeded, why(job)?)))
}

/// The time of a comparison is over: none of these jobs is started.
pub(super) fn skip_over_time(agent: &Agent, device: &Device, jobs: &[Job], minutes: f64) -> Result<(), StoreError> {
    let failure =
        Failure::new(FailureKind::BudgetSpent, format!("the time of this comparison ({minutes} min) is over"));
    skip_for(agent, device, jobs, |_| Some(failure.clone())).map(drop)
}

fn skip_for(
    agent: &Agent,
    device: &Device,
    jobs: &[Job],
    why: impl Fn(&Job) -> Option<Failure>,
) -> Result<usize, StoreError> {
    let mut skipped = 0;
    for (job, failure) in jobs.iter().filter_map(|job| Some((job, why(job)?))) {
        add_record(agent, cell_record(agent, device, job, RunStatus::Skipped, &failure))?;
        skipped += 1;
    }
    Ok(skipped)
}

/// The device is still in quarantine at the end of the sweep.
pub(super) async fn skip_quarantined(agent: &Agent, device: &Device, status: &DeviceStatus) -> Result<(), AgentError> {
    let last = status.failure.as_ref().map_or_else(String::new, |failure| format!("; the last: {failure}"));
    let failures = many(u64::from(status.failures_in_row), "failure");
    let why = format!("device {} is quarantined after {failures} in a row{last}", device.name);
    let failure = Failure::new(FailureKind::Quarantined, why);
    agent.events.emit(Subject::device(&device.name), EventKind::DeviceFailed { failure: failure.clone() }).await;
    end_open_jobs(agent, device, RunStatus::Skipped, failure).await
}

/// A person still keeps the device locked at the end of the sweep.
pub(super) async fn skip_locked(agent: &Agent, device: &Device, lock: &DeviceLock) -> Result<(), AgentError> {
    let failure = Failure::new(FailureKind::Locked, lock.words());
    agent.events.emit(Subject::device(&device.name), EventKind::DeviceFailed { failure: failure.clone() }).await;
    end_open_jobs(agent, device, RunStatus::Skipped, failure).await
}

/// Gives each open job of the device its record.
async fn end_open_jobs(agent: &Agent, device: &Device, status: RunStatus, failure: Failure) -> Result<(), AgentError> {
    let (status, failure) = match agent.assignment.mode {
        AgentMode::Jobs => (status, failure),
        AgentMode::EndRuns => {
            let what = format!("it was cancelled; what is on the device could not be collected: {failure}");
            (RunStatus::Cancelled, Failure::new(FailureKind::Cancelled, what))
        }
    };
    // A run that a process on another host had left is its until its lease has run out.
    while end_those_free(agent, device, status, &failure)? > 0 && !agent.is_stopping() {
        tokio::time::sleep(LEASE_POLL_INTERVAL).await;
    }
    Ok(())
}

/// Gives each open job of the device its record that nobody else may write; returns how many others there are.
fn end_those_free(agent: &Agent, device: &Device, status: RunStatus, failure: &Failure) -> Result<usize, StoreError> {
    let Agent { store, assignment: Assignment { sweep, .. }, leases, .. } = agent;
    // Runs that an earlier process had left here, and that can't be collected.
    for live in store.live_runs(&sweep.id, Some(&device.name))? {
        let Some(run) = store.take_over(&live.run_id, leases.holder(), LEASE, agent.now())? else { continue };
        let mut record = cell_record(agent, device, &run.job, status, failure);
        (record.run_id, record.attempt) = (Some(run.run_id), run.attempt);
        unless_taken(store.finish(run.epoch, &record, None, agent.now()))?;
    }
    for job in store.open_jobs(&sweep.id, Some(&device.name))? {
        add_record(agent, cell_record(agent, device, &job, status, failure))?;
    }
    Ok(store.live_runs(&sweep.id, Some(&device.name))?.len())
}

fn cell_record(agent: &Agent, device: &Device, job: &Job, status: RunStatus, failure: &Failure) -> Record {
    records::cell_record(&agent.assignment.sweep, Some(device), job, status, Some(failure.clone()), agent.now())
}

/// Gives a job its record, with the attempts that were made before.
fn add_record(agent: &Agent, mut record: Record) -> Result<(), StoreError> {
    let (_, attempts) = agent.store.attempts(&record.sweep_id, &record.job.id)?;
    record.attempt = attempts.last().map_or(0, |attempt| attempt.attempt);
    unless_taken(agent.store.add_record(&record))
}

/// What somebody else works on, or has ended, is left to them.
fn unless_taken(written: Result<(), StoreError>) -> Result<(), StoreError> {
    match written {
        Err(StoreError::StaleEpoch { .. }) => Ok(()),
        written => written,
    }
}
