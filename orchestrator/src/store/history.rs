use jiff::Timestamp;

use super::StoreError;
use crate::domain::{Event, FailureKind, IdleTemperature, LinkHistory, Pace, PastCheck, PastRun};

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptEnd {
    /// With a result.
    Ok,
    /// Without one, for this reason.
    Failed(FailureKind),
    /// It is under way, or a person or its host ended it, which says nothing of the device.
    Other,
}

/// An attempt of a job on a device, as its history has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastAttempt {
    /// The device.
    pub device: String,
    /// When it was claimed.
    pub from: Timestamp,
    /// When it ended; of one that has not, until when its process has its lease.
    pub until: Timestamp,
    /// How it ended.
    pub end: AttemptEnd,
}

/// Which runs of the past are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct PastRuns<'a> {
    /// The network's name.
    pub model: &'a str,
    /// Of this device alone.
    pub device: Option<&'a str>,
    /// Those that ended at this time or later.
    pub since: Option<Timestamp>,
    /// Most runs: the newest.
    pub limit: u32,
}

/// What devices did over days.
pub trait HistoryStore {
    /// The attempts that had not ended at this time, or began later; oldest first.
    ///
    /// # Errors
    /// When the store can't be read.
    fn attempt_history(&self, since: Timestamp) -> Result<Vec<PastAttempt>, StoreError>;

    /// The events since this time that lock, unlock, quarantine or release a device, and of those before, of each
    /// device the last one of each kind: they tell what was so then. Oldest first.
    ///
    /// # Errors
    /// When the store can't be read.
    fn availability_events(&self, since: Timestamp) -> Result<Vec<Event>, StoreError>;

    /// Notes how cool a device was before a run, if it was the coolest of its day. Days of more than a month ago leave.
    ///
    /// # Errors
    /// When the store can't be written.
    fn note_idle_temperature(&self, device: &str, idle: &IdleTemperature) -> Result<(), StoreError>;

    /// How cool a device was at its coolest on each day since this time, oldest first.
    ///
    /// # Errors
    /// When the store can't be read.
    fn idle_temperatures(&self, device: &str, since: Timestamp) -> Result<Vec<IdleTemperature>, StoreError>;

    /// How a device was reached since this time. At most so many events of it are looked at: the newest.
    ///
    /// # Errors
    /// When the store can't be read.
    fn link_history(&self, device: &str, since: Timestamp, limit: u32) -> Result<LinkHistory, StoreError>;

    /// The newest checks of a device, oldest first, at most `limit`.
    ///
    /// # Errors
    /// When the store can't be read.
    fn device_checks(&self, device: &str, limit: u32) -> Result<Vec<PastCheck>, StoreError>;

    /// How fast a device was before its newest sweeps, oldest first, at most `limit`.
    ///
    /// # Errors
    /// When the store can't be read.
    fn device_paces(&self, device: &str, limit: u32) -> Result<Vec<Pace>, StoreError>;

    /// The runs of a network that ended well and have a median, newest first. None of their samples is read.
    ///
    /// # Errors
    /// When the store can't be read.
    fn past_runs(&self, wanted: PastRuns<'_>) -> Result<Vec<PastRun>, StoreError>;

    /// The runs of a device, whatever was run, that ended well and have a median, newest first, at most `limit`. None
    /// of their samples is read.
    ///
    /// # Errors
    /// When the store can't be read.
    fn past_runs_of_device(&self, device: &str, limit: u32) -> Result<Vec<PastRun>, StoreError>;

    /// The networks that have such runs, by name.
    ///
    /// # Errors
    /// When the store can't be read.
    fn models_run(&self) -> Result<Vec<String>, StoreError>;
}
