//! The truth: sweeps, jobs, leases, runs, events, records and changes of devices, in SQL.
//!
//! Main type: the trait [`Store`]; `open` picks the implementation by the URL's scheme. Every write about a run
//! carries the epoch of its lease, and a stale one is refused. Never talks to a device, and never computes a statistic.
//!
//! Calls block for as long as a disk takes; async callers wrap them in `spawn_blocking`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::{
    DeviceChange, DeviceIdentity, Event, Job, JobId, OpenChange, Plan, Record, RunId, SweepId, SweepRow,
};

mod error;
mod run_id;
pub mod sqlite;

#[cfg(test)]
#[macro_use]
mod conformance;

pub use error::StoreError;
use sqlite::SqliteStore;

/// Opens a store, and makes it when it isn't there: `sqlite:PATH` or a plain path.
///
/// A word and a colon in front is a scheme, so a path that begins so is written with `./` in front.
///
/// # Errors
/// When the scheme is not known, or the store is another program's, newer, damaged, or can't be written.
pub fn open(url_or_path: &str) -> Result<Arc<dyn Store>, StoreError> {
    let path = match url_or_path.split_once(':') {
        Some(("sqlite", path)) => path,
        Some((scheme, _)) if is_scheme(scheme) => {
            return Err(StoreError::UnknownScheme { url: url_or_path.to_owned() });
        }
        _ => url_or_path,
    };
    Ok(Arc::new(SqliteStore::open(Path::new(path))?))
}

fn is_scheme(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// A run that its holder may carry out until the lease's deadline.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedRun {
    /// The attempt.
    pub run_id: RunId,
    /// The job.
    pub job: Job,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Epoch of the lease: goes into every write about the run.
    pub epoch: u64,
}

/// Where the truth is kept. All methods can be called at the same time from several threads and processes.
pub trait Store: Send + Sync {
    /// Adds a sweep with all its jobs, in one transaction. Skipped cells are not jobs: their records are added with
    /// [`Store::add_record`].
    ///
    /// # Errors
    /// When a sweep of that identifier exists, or the store can't be written.
    fn create_sweep(&self, sweep: &SweepRow, plan: &Plan) -> Result<(), StoreError>;

    /// Claims the next job of a device, in the order of the plan, in one statement: a job without a record and without
    /// a live lease. `None` when there is none. The run's identifier is made from sweep, job and attempt.
    ///
    /// # Errors
    /// When the store can't be written.
    fn claim(
        &self,
        sweep: &SweepId,
        device: &str,
        holder: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Option<ClaimedRun>, StoreError>;

    /// Prolongs a lease.
    ///
    /// # Errors
    /// [`StoreError::StaleEpoch`] when the lease was lost to another holder or the run has its record.
    fn heartbeat(&self, run: &RunId, epoch: u64, lease: Duration, now: Timestamp) -> Result<(), StoreError>;

    /// Ends a claimed run with its record, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::StaleEpoch`] when the lease was lost to another holder or the run has its record already: the
    /// record given is then not kept.
    fn finish(&self, epoch: u64, record: &Record) -> Result<(), StoreError>;

    /// Adds the record of a job that was never claimed (skipped, cancelled, device unusable).
    ///
    /// # Errors
    /// [`StoreError::StaleEpoch`] when the job has a record already or is claimed under a live lease.
    fn add_record(&self, record: &Record, now: Timestamp) -> Result<(), StoreError>;

    /// Jobs of the sweep without a record, in the order of the plan; of one device, when it is given.
    ///
    /// # Errors
    /// When the store can't be read.
    fn open_jobs(&self, sweep: &SweepId, device: Option<&str>) -> Result<Vec<Job>, StoreError>;

    /// Marks a sweep as finished, when all its jobs have a record; returns whether they have.
    ///
    /// # Errors
    /// When the store can't be written.
    fn finish_sweep(&self, sweep: &SweepId, now: Timestamp) -> Result<bool, StoreError>;

    /// The sweeps, newest first.
    ///
    /// # Errors
    /// When the store can't be read.
    fn sweeps(&self) -> Result<Vec<SweepRow>, StoreError>;

    /// The records of a sweep: those of jobs in the order of the plan, then those of skipped cells in the order added.
    ///
    /// # Errors
    /// When the store can't be read.
    fn records(&self, sweep: &SweepId) -> Result<Vec<Record>, StoreError>;

    /// Wall times of finished runs of the same job in earlier sweeps, newest first, at most `limit`; for estimates.
    ///
    /// # Errors
    /// When the store can't be read.
    fn past_durations(&self, job: &JobId, limit: u32) -> Result<Vec<Duration>, StoreError>;

    /// Appends an event.
    ///
    /// # Errors
    /// When the store can't be written.
    fn append_event(&self, event: &Event) -> Result<(), StoreError>;

    /// The events of a sweep, oldest first.
    ///
    /// # Errors
    /// When the store can't be read.
    fn events(&self, sweep: &SweepId) -> Result<Vec<Event>, StoreError>;

    /// Writes down changes that are about to be made to a device, in one transaction and in their order; from then on
    /// they are open.
    ///
    /// # Errors
    /// When the store can't be written: then none of them is there, and none may be made.
    fn add_device_changes(&self, changes: &[DeviceChange]) -> Result<Vec<OpenChange>, StoreError>;

    /// The changes that are not undone, oldest first; of one device, when it is given.
    ///
    /// # Errors
    /// When the store can't be read.
    fn open_device_changes(&self, identity: Option<&DeviceIdentity>) -> Result<Vec<OpenChange>, StoreError>;

    /// Marks changes as undone. One that is marked already, or not there, is left alone.
    ///
    /// # Errors
    /// When the store can't be written.
    fn close_device_changes(&self, numbers: &[u64], now: Timestamp) -> Result<(), StoreError>;
}
