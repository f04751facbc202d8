//! The store in one SQLite file: needs no server, and is safe with several processes on one machine.
//!
//! Main type: [`SqliteStore`]. One connection behind a mutex: SQLite has one writer at a time anyway, and a statement
//! takes microseconds where a run takes seconds. Never keeps anything in memory that the file does not have.

mod backup;
mod baselines;
mod clock;
mod connection;
mod device_changes;
mod devices;
mod events;
mod files;
mod history;
mod leases;
mod locks;
mod maintenance;
mod notices;
mod records;
mod regressions;
mod retention;
mod run_history;
mod runs;
mod schedules;
mod schema;
mod sightings;
mod submissions;
mod sweeps;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, Params, Row, Transaction, TransactionBehavior};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Handle, RuntimeFlavor};

pub use backup::{import, restore};

/// Whether a store's file is there.
///
/// # Errors
/// When it is gone or empty, and its log is left.
pub fn is_there(path: &Path) -> Result<bool, StoreError> {
    StoreFiles::of(path).are_there()
}

use super::{Store, StoreError};
use crate::domain::Event;
use connection::IfNew;
use events::EventRow;
use files::{FileIdentity, Mark, StoreFiles};

/// Word in the names of what is kept of stores that were lost.
const LOST: &str = "lost";
/// Held while one is kept.
static KEEPING: Mutex<()> = Mutex::new(());

/// A store in an SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    connection: Mutex<Connection>,
    /// `None` for one in memory. After the connection: others are let in when that is closed.
    held: Option<HeldFiles>,
}

/// The files of a store that is open.
#[derive(Debug)]
struct HeldFiles {
    names: StoreFiles,
    /// Which file it is, and which log it had then.
    file: Option<FileIdentity>,
    log: Option<FileIdentity>,
    _mark: Option<Mark>,
    /// Why what is written is lost, from when it was found on.
    lost: OnceLock<String>,
}

impl SqliteStore {
    /// Opens the file, and makes it and its folder when they aren't there.
    ///
    /// # Errors
    /// When the file is another program's, newer, damaged, without the log that was left of it or with one that is not
    /// its own, or can't be written.
    pub fn open(path: &Path) -> Result<SqliteStore, StoreError> {
        SqliteStore::open_as(path, IfNew::Make)
    }

    fn open_as(path: &Path, if_new: IfNew) -> Result<SqliteStore, StoreError> {
        let opened = connection::open(path, if_new)?;
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let connection::Opened { connection, files: names, file, log, mark } = opened;
        let held = HeldFiles { names, file, log, _mark: mark, lost: OnceLock::new() };
        Ok(SqliteStore { path, connection: Mutex::new(connection), held: Some(held) })
    }

    /// A store in memory, for simulations: it is gone with the value.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn in_memory() -> Result<SqliteStore, StoreError> {
        let connection = Mutex::new(connection::in_memory()?);
        Ok(SqliteStore { path: PathBuf::from(connection::IN_MEMORY), connection, held: None })
    }

    /// Why what is written is lost. What is there until this is found is kept in a file beside the store's.
    fn why_lost(&self) -> Option<String> {
        let held = self.held.as_ref()?;
        if let Some(why) = held.lost.get() {
            return Some(why.clone());
        }
        let now = FileIdentity::of(&self.path);
        if now == held.file {
            return None;
        }
        let what = if now.is_some() { "was replaced by another file" } else { "is gone" };
        let why = held.lost.get_or_init(|| {
            let kept = self.keep_lost(held).map(|kept| format!(": what was in it is in {}", kept.display()));
            format!("the store {} {what}{}", self.path.display(), kept.unwrap_or_default())
        });
        Some(why.clone())
    }

    /// Copies what this connection still sees into a file beside the store's, and takes the log away, which is not that
    /// of the file there. `None` when the log has left with the file.
    fn keep_lost(&self, held: &HeldFiles) -> Option<PathBuf> {
        // A process may have the store open more than once.
        let _alone = KEEPING.lock().unwrap_or_else(PoisonError::into_inner);
        if held.log.is_none() || FileIdentity::of(&held.names.log()) != held.log {
            return held.names.kept_just_now(LOST);
        }
        let kept = held.names.free_name(LOST);
        // If the file was only moved, it is whole there.
        let to_file =
            |connection: &mut Connection| connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        let is_in_file = self.with_connection(to_file);
        let copied = self.copy_to(&kept);
        let errors = [is_in_file.err().map(|error| error.to_string()), copied.as_ref().err().map(ToString::to_string)];
        for error in errors.into_iter().flatten() {
            tracing::warn!(%error, "what was in the store that is lost was not kept whole");
        }
        if copied.is_err() {
            // Whoever has the file finds the rest there.
            let _ = std::fs::rename(held.names.log(), files::beside(&kept, "-wal"));
            return None;
        }
        held.names.remove_log(held.log);
        Some(kept)
    }

    /// Refuses when what is written is lost.
    fn refuse_if_lost(&self) -> Result<(), StoreError> {
        self.why_lost().map_or(Ok(()), |why| Err(StoreError::Lost { why }))
    }

    /// Works with the connection, without keeping the other tasks of an async runtime waiting: a disk may be slow, and
    /// another process may hold the write lock for seconds. A store in memory answers at once.
    fn with_connection<T>(&self, work: impl FnOnce(&mut Connection) -> T) -> T {
        // A thread that panicked while holding it has rolled back its transaction by being unwound.
        let work = || work(&mut self.connection.lock().unwrap_or_else(PoisonError::into_inner));
        let has_workers =
            || Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
        if self.path != Path::new(connection::IN_MEMORY) && has_workers() {
            return tokio::task::block_in_place(work);
        }
        work()
    }

    /// Runs one statement; returns how many rows it changed.
    fn execute(&self, action: &str, sql: &str, parameters: impl Params) -> Result<usize, StoreError> {
        self.refuse_if_lost()?;
        self.with_connection(|connection| connection.prepare_cached(sql)?.execute(parameters))
            .map_err(|error| connection::failure(action, &self.path, &error))
    }

    /// Runs one statement, and appends the event of it when it changed a row, in one transaction; returns whether it
    /// did.
    fn changed_with_event(
        &self,
        action: &str,
        sql: &str,
        parameters: impl Params,
        event: &Event,
    ) -> Result<bool, StoreError> {
        let row = EventRow::of(event)?;
        self.transaction(action, |transaction| {
            let is_changed = transaction.prepare_cached(sql)?.execute(parameters)? == 1;
            if is_changed {
                events::insert(transaction, &row)?;
            }
            Ok(is_changed)
        })
    }

    /// Runs one query.
    fn query<T>(
        &self,
        action: &str,
        sql: &str,
        parameters: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        self.refuse_if_lost()?;
        let rows: rusqlite::Result<Vec<T>> =
            self.with_connection(|connection| connection.prepare_cached(sql)?.query_map(parameters, read)?.collect());
        rows.map_err(|error| connection::failure(action, &self.path, &error))
    }

    /// Runs `work` in one transaction that holds the write lock from its start.
    fn transaction<T>(
        &self,
        action: &str,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.refuse_if_lost()?;
        self.with_connection(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok(result)
        })
        .map_err(|error| connection::failure(action, &self.path, &error))
    }
}

impl Store for SqliteStore {}

/// Nanoseconds since 1970. A time outside the years 1677 to 2262 counts as the nearest inside.
fn nanoseconds(time: Timestamp) -> i64 {
    let nanoseconds = time.as_nanosecond();
    i64::try_from(nanoseconds).unwrap_or(if nanoseconds < 0 { i64::MIN } else { i64::MAX })
}

fn timestamp(nanoseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_nanosecond(i128::from(nanoseconds)).map_err(|error| corrupt("a time", &error))
}

fn deadline(now: Timestamp, lease: Duration) -> i64 {
    nanoseconds(now).saturating_add(i64::try_from(lease.as_nanos()).unwrap_or(i64::MAX))
}

/// Epochs start at 1, so one that no column can hold matches none.
fn epoch_column(epoch: u64) -> i64 {
    i64::try_from(epoch).unwrap_or(-1)
}

fn to_json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| corrupt("what was to be written", &error))
}

fn from_json<T: DeserializeOwned>(what: &str, json: &str) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|error| corrupt(what, &error))
}

fn corrupt(what: &str, cause: &dyn std::fmt::Display) -> StoreError {
    StoreError::Corrupt { what: what.to_owned(), cause: cause.to_string() }
}

#[cfg(test)]
mod tests;
