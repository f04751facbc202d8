use jiff::{SignedDuration, Timestamp};

use crate::device::Session;
use crate::domain::{
    CheckThen, Condition, Device, Failure, FailureKind, HostKeyChecking, Job, Measurement, Pace, Record, RunStatus,
    SweepRow, TransportConfig,
};
use crate::store::ClaimedRun;

/// The record of a run that was claimed.
pub(super) fn run_record(
    sweep: &SweepRow,
    device: &Device,
    session: &Session,
    run: &ClaimedRun,
    (started_at, finished_at): (Timestamp, Timestamp),
    outcome: Result<Measurement, (Failure, Measurement)>,
) -> Record {
    let (status, failure, mut measurement) = match outcome {
        Ok(measurement) => (RunStatus::Ok, None, measurement),
        Err((failure, measurement)) => (status_of(&failure), Some(failure), measurement),
    };
    measurement.remarks.extend(unchecked_host_key(device));
    Record {
        run_id: Some(run.run_id.clone()),
        attempt: run.attempt,
        device: Some(session.facts()),
        measurement,
        started_at: Some(started_at),
        runner_sha256: Some(session.runner_sha256().to_owned()),
        ..cell_record(sweep, Some(device), &run.job, status, failure, finished_at)
    }
}

/// The record of a cell that never started.
pub fn cell_record(
    sweep: &SweepRow,
    device: Option<&Device>,
    job: &Job,
    status: RunStatus,
    failure: Option<Failure>,
    finished_at: Timestamp,
) -> Record {
    Record {
        sweep_id: sweep.id.clone(),
        job: job.clone(),
        run_id: None,
        attempt: 0,
        farm: device.map(|device| device.farm.clone()).unwrap_or_default(),
        tags: device.map(|device| device.tags.clone()).unwrap_or_default(),
        transport: device.map(|device| device.transport.name().to_owned()).unwrap_or_default(),
        device: None,
        condition: None,
        cooldown: None,
        status,
        failure,
        measurement: Measurement::default(),
        judged: None,
        price_per_hour: device.and_then(|device| device.price_per_hour),
        started_at: None,
        finished_at,
        farmctl_version: sweep.farmctl_version.clone(),
        runner_sha256: None,
        engine_files: Vec::new(),
    }
}

/// That nobody looked whether the device is the one that it should be.
fn unchecked_host_key(device: &Device) -> Option<String> {
    let TransportConfig::Ssh(endpoint) = &device.transport else { return None };
    let how = match endpoint.host_key_checking {
        HostKeyChecking::Yes => return None,
        HostKeyChecking::AcceptNew => "accept-new: the key that was there first is believed",
        HostKeyChecking::No => "no: any machine at its address is believed to be it",
    };
    let is_pinned = endpoint.host_key.is_some();
    (!is_pinned).then(|| format!("the farm file has host_key_checking {how}"))
}

/// What the device was like, for a record that is made now.
pub(super) fn condition(session: &Session, now: Timestamp, check: Option<CheckThen>, pace: Option<Pace>) -> Condition {
    let since = SignedDuration::try_from(session.heard.at.elapsed()).unwrap_or_default();
    let asked_at = now.checked_sub(since).unwrap_or(now);
    Condition { asked_at, free_bytes: session.hello.store.free_bytes, check, pace }
}

fn status_of(failure: &Failure) -> RunStatus {
    if failure.kind == FailureKind::Cancelled { RunStatus::Cancelled } else { RunStatus::Failed }
}
