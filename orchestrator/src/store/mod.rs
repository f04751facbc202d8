//! The truth: sweeps, jobs, leases, runs, events, records, and how devices fare, in SQL.
//!
//! Main type: the trait [`Store`], made of [`SweepStore`], [`RunStore`], [`LeaseStore`], [`PartStore`],
//! [`DeviceStore`], [`LockStore`], [`SightingStore`], [`HostStore`], [`ScheduleStore`], [`SubmissionStore`],
//! [`HistoryStore`], [`RetentionStore`], [`BaselineStore`], [`RegressionStore`], [`ReportFileStore`], [`NoticeStore`],
//! [`EventStore`], [`ClockStore`] and [`MaintenanceStore`]; `open` picks the implementation by the URL's scheme. Every
//! write about a run carries the epoch of its lease, and a stale one is refused. Never talks to a device, and never
//! computes a statistic.
//!
//! A call returns when the disk has answered. Async code may make it: the store sees to it that the other tasks of the
//! runtime go on meanwhile. Each method is one transaction. `sql/` has all methods and statements once, for every
//! database; `sqlite/` and `postgres/` have what differs.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::{Event, SweepId};

mod baselines;
mod clock;
mod copy;
mod devices;
mod error;
mod history;
mod hosts;
mod leases;
mod locks;
mod maintenance;
mod neighbours;
mod notices;
mod parts;
pub mod people;
pub mod postgres;
mod regressions;
mod report_files;
mod retention;
mod run_id;
mod runs;
mod schedules;
mod sightings;
mod sql;
pub mod sqlite;
mod submissions;
mod sweeps;

#[cfg(test)]
#[macro_use]
pub mod conformance;

pub use baselines::BaselineStore;
pub use clock::ClockStore;
pub use devices::DeviceStore;
pub use error::StoreError;
pub use history::{AttemptEnd, HistoryStore, PastAttempt, PastRuns};
pub use hosts::{Beat, HostChange, HostStore, Registration};
pub use leases::{HeldLeases, LeaseHolder, LeaseOutcome, LeaseStore};
pub use locks::LockStore;
pub use maintenance::{Aside, MaintenanceStore, StoreCheck, Vacuumed};
pub use notices::{NoticeStore, NotificationKind};
pub use parts::{Joined, PartStore, SweepPart};
use postgres::{PostgresStore, ServerAccess};
pub use regressions::{DueComparison, RegressionStore};
pub use report_files::ReportFileStore;
pub use retention::RetentionStore;
pub use runs::{AddedJob, Attempt, Claim, ClaimedRun, LiveRun, Requeue, RunOwner, RunStore};
pub use schedules::{ScheduleStore, Unfinished};
pub use sightings::SightingStore;
use sqlite::SqliteStore;
pub use submissions::{SubmissionStore, SubmittedSweep};
pub use sweeps::{NewSweep, SweepCounts, SweepPage, SweepStore};

/// Which events of the past are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PastEvents<'a> {
    /// All of a device.
    OfDevice(&'a str),
    /// Those of a device, without what happens in every run that goes well.
    NotableOfDevice(&'a str),
    /// What people did.
    Acts,
}

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

/// Whether an address is that of a server: `postgres://…`.
pub fn is_server(url_or_path: &str) -> bool {
    matches!(url_or_path.split_once(':'), Some(("postgres" | "postgresql", _)))
}

/// Opens a store as [`open`] does, or on a server: `postgres://USER@HOST:PORT/DATABASE`.
///
/// # Errors
/// As those of [`open`]; and when the server can't be reached, or its address has what it must not have.
pub fn open_at(url_or_path: &str, access: &ServerAccess) -> Result<Arc<dyn Store>, StoreError> {
    if is_server(url_or_path) {
        return Ok(Arc::new(PostgresStore::open(url_or_path, access)?));
    }
    open(url_or_path)
}

/// Copies a store to a server or from one, to where none is; one to a server that was broken off is gone on with.
/// Returns how many rows there are, which were compared. Nobody may work with either.
///
/// # Errors
/// When one can't be opened, there is a store of another lab already, or what is there in the end is not the same.
pub fn copy(from: &str, to: &str, access: &ServerAccess) -> Result<u64, StoreError> {
    copy::copy(from, to, access)
}

/// Whether a store's file is there.
///
/// # Errors
/// When it is gone or empty, and its log is left.
pub fn is_there(path: &Path) -> Result<bool, StoreError> {
    sqlite::is_there(path)
}

/// Puts a copy of a store where a lab has its own; that one, or what is left of it, goes aside.
///
/// # Errors
/// When the copy is no sound store, or a file can't be written. The lab's store is then as it was.
pub fn restore(from: &Path, to: &Path) -> Result<Option<Aside>, StoreError> {
    sqlite::restore(from, to)
}

/// Makes a store of an export, of which `from` is the name, where a lab has none; returns how many rows it has.
///
/// # Errors
/// When the export is not whole or of another version, or the store can't be written. Nothing is then left of it.
pub fn import(export: &mut dyn BufRead, from: &Path, to: &Path) -> Result<u64, StoreError> {
    sqlite::import(export, from, to)
}

fn is_scheme(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic())
        && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// What happened.
pub trait EventStore {
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

    /// The events of a sweep behind the one of this number (0: all), oldest first, each with its number, at most
    /// `limit`.
    ///
    /// # Errors
    /// When the store can't be read.
    fn events_after(&self, sweep: &SweepId, after: u64, limit: u32) -> Result<Vec<(u64, Event)>, StoreError>;

    /// The number of the event by which a process last began to carry a sweep out; `None` when none ever did.
    ///
    /// # Errors
    /// When the store can't be read.
    fn last_start(&self, sweep: &SweepId) -> Result<Option<u64>, StoreError>;

    /// Events with their numbers, the newest first, at most `limit`; of those before the event `before`, if one is
    /// given.
    ///
    /// # Errors
    /// When the store can't be read.
    fn past_events(
        &self,
        which: PastEvents<'_>,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<(u64, Event)>, StoreError>;

    /// When the first event of a device was that is kept.
    ///
    /// # Errors
    /// When the store can't be read.
    fn first_event(&self, device: &str) -> Result<Option<Timestamp>, StoreError>;

    /// The newest events of a device in all sweeps, oldest first, at most `limit`.
    ///
    /// # Errors
    /// When the store can't be read.
    fn device_events(&self, device: &str, limit: u32) -> Result<Vec<Event>, StoreError>;

    /// The events after this number, with their own numbers, oldest first, at most `limit`.
    ///
    /// # Errors
    /// When the store can't be read.
    fn new_events(&self, number: u64, limit: u32) -> Result<Vec<(u64, Event)>, StoreError>;

    /// The number of the last event; 0 when there is none. Numbers grow with time.
    ///
    /// # Errors
    /// When the store can't be read.
    fn last_event(&self) -> Result<u64, StoreError>;
}

/// Where the truth is kept. All methods can be called at the same time from several threads and processes.
pub trait Store:
    SweepStore
    + RunStore
    + LeaseStore
    + PartStore
    + DeviceStore
    + LockStore
    + SightingStore
    + HostStore
    + ScheduleStore
    + SubmissionStore
    + HistoryStore
    + RetentionStore
    + BaselineStore
    + RegressionStore
    + ReportFileStore
    + NoticeStore
    + EventStore
    + ClockStore
    + MaintenanceStore
    + Send
    + Sync
{
}
