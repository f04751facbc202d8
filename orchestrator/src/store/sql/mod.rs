//! The store in any SQL database: each statement and each method of the store's traits, once.
//!
//! Main type: [`SqlStore`], over a [`Database`]. What differs between databases is behind that: connections,
//! transactions, the schema, and the triggers that refuse what may not be. A statement here is one that SQLite and
//! PostgreSQL both take; a test runs each on both.

mod baselines;
mod clock;
mod database;
mod device_changes;
mod devices;
mod event_columns;
mod events;
mod history;
mod hosts;
mod lease_time;
mod leases;
mod locks;
pub(in crate::store) mod maintenance;
mod notices;
mod parts;
mod records;
mod regressions;
mod report_files;
mod retention;
mod run_facts;
pub(in crate::store) mod run_history;
mod run_rows;
mod runs;
mod schedules;
mod sightings;
mod submissions;
mod sweep_words;
pub(in crate::store) mod sweeps;
pub(in crate::store) mod value;

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use database::{Connection, Database, Fault, Outcome, Work};
pub(in crate::store) use database::{Transaction, rows};
use value::{Params, Row};

use super::{Store, StoreError};
use crate::domain::Event;
use events::EventRow;

/// The store in a database.
#[derive(Debug)]
pub struct SqlStore<D> {
    pub(in crate::store) database: D,
}

impl<D: Database> SqlStore<D> {
    /// Runs one statement; returns how many rows it changed.
    pub(in crate::store) fn execute(
        &self,
        action: &str,
        sql: &str,
        parameters: impl Params,
    ) -> Result<u64, StoreError> {
        let bound = parameters.bound();
        self.connected(action, |connection| connection.execute(sql, &bound))
    }

    /// Works with a connection; each statement is a transaction of its own.
    pub(in crate::store) fn connected<T>(
        &self,
        action: &str,
        mut work: impl FnMut(&dyn Connection) -> Outcome<T>,
    ) -> Result<T, StoreError> {
        let mut answer = None;
        let done = self.database.connected(&mut |connection| {
            answer = Some(work(connection)?);
            Ok(())
        });
        done.and_then(|()| answer.ok_or(Fault::Undone)).map_err(|fault| self.database.error(action, fault))
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
        let (row, bound) = (EventRow::of(event)?, parameters.bound());
        self.transaction(action, |transaction| {
            let is_changed = transaction.0.execute(sql, &bound)? == 1;
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
        mut read: impl FnMut(&Row<'_>) -> Outcome<T>,
    ) -> Result<Vec<T>, StoreError> {
        let bound = parameters.bound();
        self.connected(action, |connection| rows(connection, sql, &bound, &mut read))
    }

    /// Runs `work` in one transaction that is as if no other was under way.
    pub(in crate::store) fn transaction<T>(
        &self,
        action: &str,
        mut work: impl FnMut(&Transaction<'_>) -> Outcome<T>,
    ) -> Result<T, StoreError> {
        let mut answer = None;
        let done = self.database.transaction(&mut |connection| {
            answer = Some(work(&Transaction(connection))?);
            Ok(())
        });
        done.and_then(|()| answer.ok_or(Fault::Undone)).map_err(|fault| self.database.error(action, fault))
    }
}

impl<D: Database> Store for SqlStore<D> where SqlStore<D>: super::MaintenanceStore {}

/// Nanoseconds since 1970. A time outside the years 1677 to 2262 counts as the nearest inside.
pub(in crate::store) fn nanoseconds(time: Timestamp) -> i64 {
    let nanoseconds = time.as_nanosecond();
    i64::try_from(nanoseconds).unwrap_or(if nanoseconds < 0 { i64::MIN } else { i64::MAX })
}

fn timestamp(nanoseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_nanosecond(i128::from(nanoseconds)).map_err(|error| corrupt("a time", &error))
}

/// How long a lease lasts, as a statement adds it to the time that decides: a century at most, so that no sum is too
/// large.
fn lease_nanoseconds(lease: Duration) -> i64 {
    const LONGEST_NS: i64 = 100 * 365 * 86_400 * 1_000_000_000;
    i64::try_from(lease.as_nanos()).unwrap_or(i64::MAX).min(LONGEST_NS)
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

pub(in crate::store) fn corrupt(what: &str, cause: &dyn std::fmt::Display) -> StoreError {
    StoreError::Corrupt { what: what.to_owned(), cause: cause.to_string() }
}
