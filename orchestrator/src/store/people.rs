//! What people do to the lab, each with the event that says who did it.

use jiff::{SignedDuration, Timestamp};

use super::{Store, StoreError};
use crate::domain::{DeviceLock, Event, EventKind, SchedulePause, SweepId};

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
    if let Some(other) = store.lock_device(lock, lock.since)? {
        return Ok(Some(other));
    }
    let kind = EventKind::DeviceLocked { by: lock.by.clone(), why: lock.why.clone(), until: lock.until };
    store.append_event(&event(lock.since, Some(&lock.device), None, kind))?;
    Ok(None)
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
    let ended = store.unlock_device(device, now)?;
    if let Some(lock) = &ended {
        let kind = EventKind::DeviceUnlocked { by: by.to_owned(), locked_by: lock.by.clone() };
        store.append_event(&event(now, Some(device), None, kind))?;
    }
    Ok(ended)
}

/// Takes a device out of quarantine, and counts its failures from none; returns whether it was in one.
///
/// # Errors
/// When the store can't be written.
pub fn release_device(store: &dyn Store, device: &str, by: &str, now: Timestamp) -> Result<bool, StoreError> {
    let released = store.end_quarantine(device, now)?;
    if released {
        store.append_event(&event(now, Some(device), None, EventKind::DeviceReleased { by: by.to_owned() }))?;
    }
    Ok(released)
}

/// Marks a sweep as one that a person wants no more of.
///
/// # Errors
/// [`StoreError::IllegalStep`] when it is over.
pub fn cancel_sweep(store: &dyn Store, sweep: &SweepId, by: &str, now: Timestamp) -> Result<(), StoreError> {
    store.cancel_sweep(sweep)?;
    store.append_event(&event(now, None, Some(sweep), EventKind::CancelRequested { by: by.to_owned() }))
}

/// Pauses a schedule; returns whether it was not paused before.
///
/// # Errors
/// When the store can't be written.
pub fn pause_schedule(store: &dyn Store, pause: &SchedulePause) -> Result<bool, StoreError> {
    let paused = store.pause_schedule(pause)?;
    if paused {
        let kind = EventKind::SchedulePaused { by: pause.by.clone(), schedule: pause.schedule.clone() };
        store.append_event(&event(pause.since, None, None, kind))?;
    }
    Ok(paused)
}

/// Resumes a schedule; returns whether it was paused.
///
/// # Errors
/// When the store can't be written.
pub fn resume_schedule(store: &dyn Store, schedule: &str, by: &str, now: Timestamp) -> Result<bool, StoreError> {
    let resumed = store.resume_schedule(schedule)?;
    if resumed {
        let kind = EventKind::ScheduleResumed { by: by.to_owned(), schedule: schedule.to_owned() };
        store.append_event(&event(now, None, None, kind))?;
    }
    Ok(resumed)
}

/// Notes who started a sweep, and by what.
///
/// # Errors
/// When the store can't be written.
pub fn note_order(store: &dyn Store, sweep: &SweepId, by: &str, what: &str, now: Timestamp) -> Result<(), StoreError> {
    let kind = EventKind::SweepOrdered { by: by.to_owned(), what: what.to_owned() };
    store.append_event(&event(now, None, Some(sweep), kind))
}
