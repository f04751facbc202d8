//! What people do to the lab. What is so now, and the event that says who did it, are one transaction.

use jiff::{SignedDuration, Timestamp};

use super::{HostChange, Store, StoreError};
use crate::domain::{
    Baseline, DeviceLock, Event, EventKind, HostStep, Regression, RegressionEnd, RegressionState, SchedulePause,
    SweepId,
};

/// Longest lock: whoever needs more takes the device out of service in its farm file.
pub const LONGEST_LOCK: SignedDuration = SignedDuration::from_hours(31 * 24);

fn event(at: Timestamp, device: Option<&str>, sweep: Option<&SweepId>, kind: EventKind) -> Event {
    Event { at, sweep_id: sweep.cloned(), device: device.map(str::to_owned), job_id: None, run_id: None, kind }
}

/// Locks a device; returns the lock that somebody else has, if that keeps it from being done.
///
/// # Errors
/// When the store can't be written.
pub fn lock_device(store: &dyn Store, lock: &DeviceLock) -> Result<Option<DeviceLock>, StoreError> {
    let kind = EventKind::DeviceLocked { by: lock.by.clone(), why: lock.why.clone(), until: lock.until };
    store.lock_device(lock, &event(lock.since, Some(&lock.device), None, kind))
}

/// Ends the lock of a device; returns the one there was.
///
/// # Errors
/// When the store can't be written.
pub fn unlock_device(
    store: &dyn Store,
    device: &str,
    by: &str,
    now: Timestamp,
) -> Result<Option<DeviceLock>, StoreError> {
    store.unlock_device(device, now, &|lock| {
        let kind = EventKind::DeviceUnlocked { by: by.to_owned(), locked_by: lock.by.clone() };
        event(now, Some(device), None, kind)
    })
}

/// Takes a device out of quarantine, and counts its failures from none; returns whether it was in one.
///
/// # Errors
/// When the store can't be written.
pub fn release_device(store: &dyn Store, device: &str, by: &str, now: Timestamp) -> Result<bool, StoreError> {
    store.end_quarantine(device, &event(now, Some(device), None, EventKind::DeviceReleased { by: by.to_owned() }))
}

/// Marks a sweep as one that a person wants no more of.
///
/// # Errors
/// [`StoreError::IllegalStep`] when it is over.
pub fn cancel_sweep(store: &dyn Store, sweep: &SweepId, by: &str, now: Timestamp) -> Result<(), StoreError> {
    let kind = EventKind::CancelRequested { by: by.to_owned() };
    store.cancel_sweep(sweep, Some(&event(now, None, Some(sweep), kind)))
}

/// Pauses a schedule; returns whether it was not paused before.
///
/// # Errors
/// When the store can't be written.
pub fn pause_schedule(store: &dyn Store, pause: &SchedulePause) -> Result<bool, StoreError> {
    let kind = EventKind::SchedulePaused { by: pause.by.clone(), schedule: pause.schedule.clone() };
    store.pause_schedule(pause, &event(pause.since, None, None, kind))
}

/// Resumes a schedule; returns whether it was paused.
///
/// # Errors
/// When the store can't be written.
pub fn resume_schedule(store: &dyn Store, schedule: &str, by: &str, now: Timestamp) -> Result<bool, StoreError> {
    let kind = EventKind::ScheduleResumed { by: by.to_owned(), schedule: schedule.to_owned() };
    store.resume_schedule(schedule, &event(now, None, None, kind))
}

/// Has the daemon of a host begin no further run.
///
/// # Errors
/// When the store can't be written.
pub fn drain_host(store: &dyn Store, host: &str, by: &str, now: Timestamp) -> Result<HostChange, StoreError> {
    let kind = EventKind::HostDrained { by: by.to_owned(), host: host.to_owned() };
    store.step_host(host, HostStep::Drain, by, now, &event(now, None, None, kind))
}

/// Has the daemon of a host begin runs again.
///
/// # Errors
/// When the store can't be written.
pub fn resume_host(store: &dyn Store, host: &str, by: &str, now: Timestamp) -> Result<HostChange, StoreError> {
    let kind = EventKind::HostResumed { by: by.to_owned(), host: host.to_owned() };
    store.step_host(host, HostStep::Resume, by, now, &event(now, None, None, kind))
}

/// Forgets a host that is not there any more, with what it declared.
///
/// # Errors
/// When the store can't be written.
pub fn remove_host(store: &dyn Store, host: &str, by: &str, now: Timestamp) -> Result<HostChange, StoreError> {
    let kind = EventKind::HostRemoved { by: by.to_owned(), host: host.to_owned() };
    store.step_host(host, HostStep::Remove, by, now, &event(now, None, None, kind))
}

/// Keeps a sweep, whatever the rules of retention say; returns whether that is new.
///
/// # Errors
/// When there is no such sweep, or the store can't be written.
pub fn pin_sweep(store: &dyn Store, sweep: &SweepId, by: &str, now: Timestamp) -> Result<bool, StoreError> {
    let kind = EventKind::SweepPinned { by: by.to_owned(), sweep: sweep.clone() };
    store.pin_sweep(sweep, by, &event(now, None, None, kind))
}

/// Lets the rules hold for a sweep again; returns whether it was pinned.
///
/// # Errors
/// When the store can't be written.
pub fn unpin_sweep(store: &dyn Store, sweep: &SweepId, by: &str, now: Timestamp) -> Result<bool, StoreError> {
    let kind = EventKind::SweepUnpinned { by: by.to_owned(), sweep: sweep.clone() };
    store.unpin_sweep(sweep, &event(now, None, None, kind))
}

/// Gives a name to a sweep that others are compared with; returns the sweep that had it before.
///
/// # Errors
/// When there is no such sweep, or the store can't be written.
pub fn set_baseline(store: &dyn Store, baseline: &Baseline) -> Result<Option<SweepId>, StoreError> {
    let Baseline { name, sweep, by, at } = baseline.clone();
    store.set_baseline(baseline, &event(at, None, None, EventKind::BaselineSet { by, name, sweep }))
}

/// Takes such a name away; returns whether there was one.
///
/// # Errors
/// When the store can't be written.
pub fn unset_baseline(store: &dyn Store, name: &str, by: &str, now: Timestamp) -> Result<bool, StoreError> {
    let kind = EventKind::BaselineUnset { by: by.to_owned(), name: name.to_owned() };
    store.unset_baseline(name, &event(now, None, None, kind))
}

/// Acknowledges something that got slower: it is as it should be. Returns it as it is now; `None` when it was not open.
///
/// # Errors
/// When the store can't be written.
pub fn acknowledge_regression(
    store: &dyn Store,
    regression: &Regression,
    by: &str,
    now: Timestamp,
) -> Result<Option<Regression>, StoreError> {
    let what = format!("{} {:+.1} %", regression.cell, regression.percent);
    let kind = EventKind::RegressionAcknowledged { by: by.to_owned(), regression: regression.id.clone(), what };
    let end = RegressionEnd { at: now, by: Some(by.to_owned()), why: "acknowledged: the new level".to_owned() };
    let regression = regression.clone().ended(RegressionState::Acknowledged, end);
    let is_changed = store.acknowledge_regression(&regression, &event(now, None, None, kind))?;
    Ok(is_changed.then_some(regression))
}

/// Notes what a person did to a file of the lab: the file is changed by then.
///
/// # Errors
/// When the store can't be written.
pub fn note(store: &dyn Store, device: Option<&str>, kind: EventKind, now: Timestamp) -> Result<(), StoreError> {
    store.append_event(&event(now, device, None, kind))
}

/// The event of a sweep that a person began: it is added with the sweep.
pub fn order(sweep: &SweepId, by: &str, what: &str, now: Timestamp) -> Event {
    let kind = EventKind::SweepOrdered { by: by.to_owned(), what: what.to_owned() };
    event(now, None, Some(sweep), kind)
}
