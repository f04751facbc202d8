//! The store in one SQLite file: needs no server, and is safe with several processes on one machine.
//!
//! Main type: [`SqliteStore`]. One connection behind a mutex: SQLite has one writer at a time anyway, and a statement
//! takes microseconds where a run takes seconds. Never keeps anything in memory that the file does not have.

mod backup;
mod clock;
mod connection;
mod device_changes;
mod devices;
mod events;
mod history;
mod leases;
mod locks;
mod maintenance;
mod notices;
mod records;
mod retention;
mod runs;
mod schedules;
mod schema;
mod sightings;
mod submissions;
mod sweeps;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, Params, Row, Transaction, TransactionBehavior};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Handle, RuntimeFlavor};

pub use backup::{import, restore};

use super::{Store, StoreError};
use crate::domain::Event;
use connection::FileIdentity;

/// A store in an SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    /// Which file it is; `None` for one in memory.
    file: Option<FileIdentity>,
    connection: Mutex<Connection>,
}

impl SqliteStore {
    /// Opens the file, and makes it and its folder when they aren't there.
    ///
    /// # Errors
    /// When the file is another program's, newer, damaged, or can't be written.
    pub fn open(path: &Path) -> Result<SqliteStore, StoreError> {
        let (path, connection) = connection::open(path)?;
        Ok(SqliteStore { file: FileIdentity::of(&path), path, connection: Mutex::new(connection) })
    }

    /// A store in memory, for simulations: it is gone with the value.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn in_memory() -> Result<SqliteStore, StoreError> {
        let (path, connection) = connection::in_memory()?;
        Ok(SqliteStore { path, file: None, connection: Mutex::new(connection) })
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
        let json = to_json(event)?;
        self.transaction(action, |transaction| {
            let is_changed = transaction.prepare_cached(sql)?.execute(parameters)? == 1;
            if is_changed {
                events::insert(transaction, event, &json)?;
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
