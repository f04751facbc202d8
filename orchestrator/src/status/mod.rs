//! How the devices and sweeps of the lab are right now, from what the store has.
//!
//! Main function: [`device_views`]. Main type: [`DeviceView`], which says what a device does ([`Availability`]), and
//! all that this was found out from. [`utilisation_of_days`] says what the time of devices went into. Never asks a
//! device, and never writes.

mod utilisation;

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::domain::{
    Device, DeviceLock, DeviceState, DeviceStatus, Failure, FailureKind, RunId, Sighting, SweepId, SweepState,
};
use crate::planner;
use crate::store::{Store, StoreError};

pub use utilisation::{LabHistory, MOST_DAYS, USUAL_DAYS, Utilisation, utilisation, utilisation_of_days};

/// What a device does, or why it does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    /// Its farm file takes it out of service.
    Disabled,
    /// A person keeps sweeps off it.
    Locked,
    /// It failed too often in a row.
    Quarantined,
    /// A sweep uses it.
    Busy,
    /// It did not answer when it was last asked.
    Offline,
    /// It did not let this host in when it was last asked.
    Unauthorized,
    /// It answered when it was last asked, and nobody uses it.
    Idle,
    /// It was never asked.
    Unknown,
}

impl Availability {
    /// All of them.
    pub const ALL: &'static [Availability] = &[
        Availability::Disabled,
        Availability::Locked,
        Availability::Quarantined,
        Availability::Busy,
        Availability::Offline,
        Availability::Unauthorized,
        Availability::Idle,
        Availability::Unknown,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Availability::Disabled => "disabled",
            Availability::Locked => "locked",
            Availability::Quarantined => "quarantined",
            Availability::Busy => "busy",
            Availability::Offline => "offline",
            Availability::Unauthorized => "unauthorized",
            Availability::Idle => "idle",
            Availability::Unknown => "unknown",
        }
    }
}

/// What a device is used for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Use {
    /// The process that uses it.
    pub holder: String,
    /// The sweep.
    pub sweep_id: Option<SweepId>,
    /// The run under way.
    pub run_id: Option<RunId>,
    /// The model that is measured.
    pub model: Option<String>,
    /// Jobs of the sweep on it that have no record, the one under way included.
    pub open_jobs: usize,
    /// When these may be done, from how long they took before, or from their limits.
    pub done_at: Option<Timestamp>,
}

/// A device as a person asks for it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeviceView {
    /// What is declared of it.
    #[serde(flatten)]
    pub device: Device,
    /// What it does.
    pub status: Availability,
    /// In a few words: with what, since when, until when, and why.
    pub detail: String,
    /// The lock that is in force.
    pub lock: Option<DeviceLock>,
    /// What it is used for.
    pub used: Option<Use>,
    /// How it fares, where it ever failed.
    pub fares: Option<DeviceStatus>,
    /// What was last heard of it.
    pub sighting: Option<Sighting>,
    /// The hosts that declare it, the one that goes first first; none where the lab has one host.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
}

/// How these devices are now. `is_gone` tells of a lease's holder whether it has ended without giving it back.
///
/// # Errors
/// When the store can't be read.
pub fn device_views(
    store: &dyn Store,
    devices: Vec<Device>,
    is_gone: &dyn Fn(&str) -> bool,
    now: Timestamp,
) -> Result<Vec<DeviceView>, StoreError> {
    let mut locks = by_name(store.device_locks(None, now)?, |lock| &lock.device);
    let mut fares = by_name(store.device_statuses()?, |status| &status.name);
    let mut sightings = by_name(store.sightings()?, |sighting| &sighting.device);
    let mut leases: HashMap<_, _> = store.device_leases(now)?.into_iter().collect();
    let view = |device: Device| {
        let name = &device.name;
        let lease = leases.remove(name).filter(|lease| !is_gone(&lease.holder));
        let used = lease.map(|lease| used(store, name, lease.holder, lease.sweep_id, now)).transpose()?;
        let (lock, fares, sighting) = (locks.remove(name), fares.remove(name), sightings.remove(name));
        let status = availability(&device, lock.as_ref(), used.as_ref(), fares.as_ref(), sighting.as_ref());
        let (detail_text, hosts) = (String::new(), Vec::new());
        let mut view = DeviceView { device, status, detail: detail_text, lock, used, fares, sighting, hosts };
        view.detail = detail(&view);
        Ok(view)
    };
    devices.into_iter().map(view).collect()
}

/// A sweep's state in a person's words; `is_held`: a process carries it out now; `is_submitted`: it is the daemon's.
pub fn sweep_status(state: SweepState, is_held: bool, is_submitted: bool) -> &'static str {
    match (state, is_held) {
        (SweepState::Open, true) => "running",
        (SweepState::Open, false) if is_submitted => "waiting",
        (SweepState::Open, false) => "stopped",
        (SweepState::Cancelling, true) => "ending",
        (SweepState::Cancelling, false) => "half-cancelled",
        (SweepState::Finished, _) => "finished",
        (SweepState::Cancelled, _) => "cancelled",
    }
}

fn by_name<T>(list: Vec<T>, name: impl Fn(&T) -> &String) -> HashMap<String, T> {
    list.into_iter().map(|one| (name(&one).clone(), one)).collect()
}

/// What a device is used for, and until when about.
fn used(
    store: &dyn Store,
    device: &str,
    holder: String,
    sweep_id: Option<SweepId>,
    now: Timestamp,
) -> Result<Use, StoreError> {
    let mut used = Use { holder, sweep_id, run_id: None, model: None, open_jobs: 0, done_at: None };
    let Some(sweep) = &used.sweep_id else { return Ok(used) };
    let jobs = store.open_jobs(sweep, Some(device))?;
    used.open_jobs = jobs.len();
    let mut seconds = 0.0;
    for job in &jobs {
        seconds += planner::job_seconds(job, store.past_durations(&job.id, 1)?.pop());
    }
    if let Some(live) = store.live_runs(sweep, Some(device))?.into_iter().next() {
        if let Some(job) = jobs.iter().find(|job| job.id == live.job_id) {
            used.model = Some(job.model.name.clone());
            let (_, attempts) = store.attempts(sweep, &job.id)?;
            let begun = attempts.last().map(|attempt| now.duration_since(attempt.claimed_at).as_secs_f64());
            seconds = (seconds - begun.unwrap_or_default()).max(0.0);
        }
        used.run_id = Some(live.run_id);
    }
    used.done_at = SignedDuration::try_from_secs_f64(seconds).ok().and_then(|left| now.checked_add(left).ok());
    Ok(used)
}

/// What a device does; of several things that hold at once, the one that a person must know first.
fn availability(
    device: &Device,
    lock: Option<&DeviceLock>,
    used: Option<&Use>,
    fares: Option<&DeviceStatus>,
    sighting: Option<&Sighting>,
) -> Availability {
    if device.disabled.is_some() {
        return Availability::Disabled;
    }
    if lock.is_some() {
        return Availability::Locked;
    }
    if fares.is_some_and(|fares| fares.state == DeviceState::Quarantined) {
        return Availability::Quarantined;
    }
    if used.is_some() {
        return Availability::Busy;
    }
    match sighting {
        None => Availability::Unknown,
        Some(sighting) => match &sighting.failure {
            Some(failure) if is_unauthorized(failure) => Availability::Unauthorized,
            Some(_) => Availability::Offline,
            None => Availability::Idle,
        },
    }
}

fn is_unauthorized(failure: &Failure) -> bool {
    let kinds = [
        FailureKind::Unauthorized,
        FailureKind::LoginRefused,
        FailureKind::LoginRunsNothing,
        FailureKind::LoginMissing,
        FailureKind::HostKeyChanged,
        FailureKind::HostKeyUnknown,
    ];
    kinds.contains(&failure.kind)
}

fn detail(view: &DeviceView) -> String {
    let used = view.used.as_ref().map(use_text);
    match view.status {
        Availability::Disabled => view.device.disabled.clone().unwrap_or_default(),
        Availability::Locked => {
            let lock = view.lock.as_ref();
            let lock =
                lock.map_or_else(String::new, |lock| format!("by {} until {:.0}: {}", lock.by, lock.until, lock.why));
            // A run that was under way ends first.
            used.map_or_else(|| lock.clone(), |used| format!("{lock}; until the run under way has ended: {used}"))
        }
        Availability::Quarantined => {
            let fares = view.fares.as_ref();
            let since =
                fares.and_then(|fares| fares.since).map_or_else(String::new, |since| format!("since {since:.0}"));
            let failure = fares.and_then(|fares| fares.failure.as_ref());
            failure.map_or_else(|| since.clone(), |failure| format!("{since}: {failure}"))
        }
        Availability::Busy => used.unwrap_or_default(),
        Availability::Offline | Availability::Unauthorized => {
            let sighting = view.sighting.as_ref();
            let since =
                sighting.and_then(|it| it.silent_since).map_or_else(String::new, |since| format!("since {since:.0}"));
            let failure = sighting.and_then(|sighting| sighting.failure.as_ref());
            failure.map_or_else(|| since.clone(), |failure| format!("{since}: {failure}"))
        }
        Availability::Idle | Availability::Unknown => String::new(),
    }
}

fn use_text(used: &Use) -> String {
    let what = used.model.as_deref().unwrap_or("it is being prepared");
    let sweep = used.sweep_id.as_ref().map_or_else(String::new, |sweep| format!(" for sweep {sweep}"));
    let until =
        used.done_at.filter(|_| used.open_jobs > 0).map_or_else(String::new, |at| format!(", until about {at:.0}"));
    let jobs = if used.open_jobs == 1 { "job" } else { "jobs" };
    format!("{what}{sweep}, {} {jobs} open{until}", used.open_jobs)
}

#[cfg(test)]
mod tests;
