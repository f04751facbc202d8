//! What ended runs have left on a device.

use std::time::Duration;

use farmctl_protocol::RunInfo;
use tokio::time::Instant;

use crate::device::Session;
use crate::domain::{Device, EventKind, Failure, FailureKind, RunId, RunState, SweepState};
use crate::store::{RunOwner, StoreError};

use super::events::Subject;
use super::{Agent, late};

/// How often a device that another run holds is asked again.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// What a run on a device is to this sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RunOwnership {
    /// This sweep goes on with it.
    Ours,
    /// Somebody waits for it, or it is another lab's.
    Others,
    /// Nobody waits for it.
    Orphan,
}

/// Why a device is not free.
pub(super) enum NotCleared {
    /// It does not answer, or somebody else's run goes on there.
    Device(Failure),
    /// The store refused.
    Store(StoreError),
}

impl From<Failure> for NotCleared {
    fn from(failure: Failure) -> NotCleared {
        NotCleared::Device(failure)
    }
}

impl From<StoreError> for NotCleared {
    fn from(error: StoreError) -> NotCleared {
        NotCleared::Store(error)
    }
}

/// Ends runs of this lab that nobody waits for, removes the folders of those that ended, and waits for a run that
/// somebody else has there.
///
/// # Errors
/// When the device does not answer, or does not get free in time; or when the store can't be used.
pub(super) async fn clear(agent: &Agent, device: &Device, session: &mut Session) -> Result<(), NotCleared> {
    let (mut ended, mut left) = (Vec::new(), Vec::new());
    for run in session.hello.runs.clone() {
        if ownership(agent, &run)? != RunOwnership::Orphan {
            continue;
        }
        let run_id = RunId(run.run_id);
        // Measured while its sweep ended without it: that is not swept away.
        if let Some(record) = agent.store.record_without(&run_id)? {
            late::collect(agent, device, session, record).await?;
            left.push(run_id);
            continue;
        }
        if run.is_live {
            session.canceller(&run_id).cancel().await?;
            ended.push(run_id.clone());
        }
        left.push(run_id);
    }
    if !left.is_empty() {
        session.remove_runs(&left).await?;
        let kind = EventKind::DeviceCleaned { ended_runs: ended, removed_runs: left.len() as u64, freed_bytes: 0 };
        agent.events.emit(Subject::device(&device.name), kind).await;
    }
    wait_until_free(agent, device, session).await
}

fn ownership(agent: &Agent, run: &RunInfo) -> Result<RunOwnership, StoreError> {
    if run.lab.as_deref() != Some(agent.lab.as_str()) {
        return Ok(RunOwnership::Others);
    }
    let id = RunId(run.run_id.clone());
    Ok(match agent.store.run_owner(&id)? {
        Some(RunOwner { sweep_id, run: RunState::Live, .. }) if sweep_id == agent.assignment.sweep.id => {
            RunOwnership::Ours
        }
        Some(RunOwner { sweep: SweepState::Open, run: RunState::Live, .. }) => RunOwnership::Others,
        _ => RunOwnership::Orphan,
    })
}

/// Waits for a run that is somebody else's, as long as a run may take.
async fn wait_until_free(agent: &Agent, device: &Device, session: &mut Session) -> Result<(), NotCleared> {
    let patience = agent.assignment.rules.timeouts.run_seconds + agent.assignment.rules.timeouts.collect_seconds;
    let give_up_at = Instant::now() + Duration::from_secs_f64(patience);
    let mut told = None;
    loop {
        let Some(running) = session.hello.running.clone() else { return Ok(()) };
        let info = session.hello.runs.iter().find(|run| run.run_id == running).cloned();
        let info = info.unwrap_or(RunInfo { run_id: running.clone(), lab: None, is_live: true });
        // One of ours is gone on with; an orphan that came up meanwhile is in nobody's way for long.
        if ownership(agent, &info)? == RunOwnership::Ours {
            return Ok(());
        }
        if Instant::now() >= give_up_at {
            let message = format!("run {running} still held {} after {patience} s", device.name);
            return Err(Failure::new(FailureKind::Busy, message).into());
        }
        if told.as_ref() != Some(&running) {
            let cause = format!("run {running} goes on there, which is not this sweep's");
            agent.events.emit(Subject::device(&device.name), EventKind::DeviceWaiting { cause }).await;
            told = Some(running);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
        session.refresh().await?;
    }
}
