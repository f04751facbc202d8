use std::error::Error;
use std::fmt;

use super::value::{Bound, Columns, Params, Row};
use crate::store::StoreError;

/// What became of something that was asked of a database.
pub type Outcome<T> = Result<T, Fault>;

/// Why a database did not do what it was asked.
#[derive(Debug)]
pub enum Fault {
    /// The database refused, in its own words.
    Refused(Box<dyn Error + Send + Sync>),
    /// A column has something that it can't have.
    Column(String),
    /// A step that may not be taken, so that all of its transaction is undone.
    Undone,
    /// The store's own word.
    Store(StoreError),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Fault {
        Fault::Store(error)
    }
}

/// What is done with a connection. It may be done again when it was undone for what others did at the same time.
pub type Work<'a> = &'a mut dyn FnMut(&dyn Connection) -> Outcome<()>;

/// A connection to a database. A statement has places for values, by name (`:name`) or by number (`?1`).
pub trait Connection {
    /// Runs a statement; returns how many rows it changed.
    ///
    /// # Errors
    /// When the database refuses.
    fn execute(&self, sql: &str, bound: &[Bound<'_>]) -> Outcome<u64>;

    /// Runs a statement, and reads each row that it gives.
    ///
    /// # Errors
    /// When the database refuses, or a row can't be read.
    fn query(&self, sql: &str, bound: &[Bound<'_>], each: &mut dyn FnMut(&dyn Columns) -> Outcome<()>) -> Outcome<()>;
}

/// A database that the store is kept in: all that differs from one to another.
pub trait Database: fmt::Debug + Send + Sync {
    /// Works with a connection; each statement is a transaction of its own.
    ///
    /// # Errors
    /// When the database refuses, or the work fails.
    fn connected(&self, work: Work<'_>) -> Outcome<()>;

    /// Works in one transaction that is as if no other was under way; it is undone when the work fails.
    ///
    /// # Errors
    /// When the database refuses, or the work fails.
    fn transaction(&self, work: Work<'_>) -> Outcome<()>;

    /// Reads what there is at one moment, however long that takes: others may write meanwhile.
    ///
    /// # Errors
    /// When the database refuses, or the work fails.
    fn moment(&self, work: Work<'_>) -> Outcome<()>;

    /// Whether the hosts of a lab share it.
    fn is_shared(&self) -> bool;

    /// What went wrong, as an error of the store.
    fn error(&self, action: &str, fault: Fault) -> StoreError;
}

/// The rows that a statement gives.
pub(crate) fn rows<T>(
    connection: &dyn Connection,
    sql: &str,
    bound: &[Bound<'_>],
    mut read: impl FnMut(&Row<'_>) -> Outcome<T>,
) -> Outcome<Vec<T>> {
    let mut rows = Vec::new();
    connection.query(sql, bound, &mut |columns| {
        rows.push(read(&Row(columns))?);
        Ok(())
    })?;
    Ok(rows)
}

/// A connection that works in a transaction.
pub(crate) struct Transaction<'a>(pub(crate) &'a dyn Connection);

impl Transaction<'_> {
    /// Runs a statement; returns how many rows it changed.
    pub(crate) fn execute(&self, sql: &str, parameters: impl Params) -> Outcome<u64> {
        self.0.execute(sql, &parameters.bound())
    }

    /// The rows that a statement gives.
    pub(crate) fn query<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        read: impl FnMut(&Row<'_>) -> Outcome<T>,
    ) -> Outcome<Vec<T>> {
        rows(self.0, sql, &parameters.bound(), read)
    }

    /// The first row that a statement gives, if there is one.
    pub(crate) fn first<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        read: impl FnMut(&Row<'_>) -> Outcome<T>,
    ) -> Outcome<Option<T>> {
        Ok(self.query(sql, parameters, read)?.into_iter().next())
    }

    /// The row that a statement gives.
    pub(crate) fn one<T>(
        &self,
        sql: &str,
        parameters: impl Params,
        read: impl FnMut(&Row<'_>) -> Outcome<T>,
    ) -> Outcome<T> {
        self.first(sql, parameters, read)?.ok_or_else(|| Fault::Column("there is no row".to_owned()))
    }
}
