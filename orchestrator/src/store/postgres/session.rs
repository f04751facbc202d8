//! One connection to a server, used by one caller at a time.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use futures::TryStreamExt as _;
use tokio::runtime::Runtime;
use tokio::task::AbortHandle;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, NoTls, Row, Statement};

use super::address::Address;
use super::limits::{Late, Limits};
use super::places::Numbered;
use super::tls::Encryption;
use crate::store::sql::value::{Bound, Columns, Value};
use crate::store::sql::{Connection, Fault, Outcome};

/// What every connection is set to. The server ends what its caller has given up by then. Whoever stands still in the
/// middle of a transaction, as a host does that is frozen, keeps others waiting for shorter than these wait for a lock.
const SET_UP: &str = "
    SET application_name = 'farmctl'; SET statement_timeout = '35s'; SET lock_timeout = '30s';
    SET idle_in_transaction_session_timeout = '15s'; SET client_min_messages = 'warning'";

impl From<Late> for Fault {
    fn from(late: Late) -> Fault {
        Fault::Refused(Box::new(late))
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Fault {
        Fault::Refused(Box::new(error))
    }
}

/// A connection.
pub(super) struct Session {
    client: Client,
    /// What serves the connection.
    served: AbortHandle,
    runtime: Arc<Runtime>,
    limits: Limits,
    /// By the text that the store has of each.
    statements: RefCell<HashMap<String, Prepared>>,
    /// Something was asked that may have changed the store.
    has_written: Cell<bool>,
    is_late: Cell<bool>,
    is_abandoned: Cell<bool>,
}

#[derive(Clone)]
struct Prepared {
    statement: Statement,
    numbered: Arc<Numbered>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Session {
    /// Connects.
    pub(super) fn open(
        address: &Address,
        encryption: Option<&Encryption>,
        runtime: &Arc<Runtime>,
        limits: Limits,
    ) -> Outcome<Session> {
        let config = &address.config;
        let connecting = async {
            match encryption {
                Some(encryption) => {
                    let own = encryption.anew();
                    let connected = config.connect(own.clone()).await;
                    let (client, connection) = connected.map_err(|error| own.explained(error))?;
                    Ok::<_, Fault>((client, runtime.spawn(connection).abort_handle()))
                }
                None => {
                    let (client, connection) = config.connect(NoTls).await?;
                    Ok((client, runtime.spawn(connection).abort_handle()))
                }
            }
        };
        let (began_at, late) = (Instant::now(), Late::Connection(limits.connect));
        let (client, served) = wait(runtime, limits.connect, connecting).ok_or(late)??;
        let session = Session {
            client,
            served,
            runtime: Arc::clone(runtime),
            limits,
            statements: RefCell::default(),
            has_written: Cell::new(false),
            is_late: Cell::new(false),
            is_abandoned: Cell::new(false),
        };
        let left = limits.connect.saturating_sub(began_at.elapsed());
        session.answer_within(left, late, session.client.batch_execute(SET_UP))?;
        Ok(session)
    }

    /// Whether nothing more can be asked of it.
    pub(super) fn is_broken(&self) -> bool {
        self.is_late() || self.is_abandoned.get() || self.client.is_closed()
    }

    /// Whether something did not come back in time.
    pub(super) fn is_late(&self) -> bool {
        self.is_late.get()
    }

    /// Whether the connection is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Lets it be broken: nobody knows in which state it is.
    pub(super) fn abandon(&self) {
        self.is_abandoned.set(true);
    }

    /// Undoes the transaction that is under way. Without a connection the server does, and nobody waits for that.
    pub(super) fn undo(&self) {
        if !self.is_broken() && self.run("ROLLBACK").is_err() {
            self.abandon();
        }
    }

    /// Whether something was asked that may have changed the store; from now on nothing was.
    pub(super) fn take_written(&self) -> bool {
        self.has_written.take()
    }

    /// Waits for an answer, but not for ever.
    fn answer<T>(&self, asked: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Outcome<T> {
        self.answer_within(self.limits.answer, Late::Answer(self.limits.answer), asked)
    }

    fn answer_within<T>(
        &self,
        limit: Duration,
        late: Late,
        asked: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Outcome<T> {
        let answer = wait(&self.runtime, limit, asked);
        self.is_late.set(self.is_late() || answer.is_none());
        Ok(answer.ok_or(late)??)
    }

    /// Runs statements that have no values and give no rows.
    pub(super) fn run(&self, sql: &str) -> Outcome<()> {
        self.answer(self.client.batch_execute(sql))
    }

    /// The same for statements that take their time.
    pub(super) fn run_for(&self, limit: Duration, sql: &str) -> Outcome<()> {
        self.answer_within(limit, Late::Answer(limit), self.client.batch_execute(sql))
    }

    fn prepared(&self, sql: &str) -> Outcome<Prepared> {
        if let Some(prepared) = self.statements.borrow().get(sql) {
            return Ok(prepared.clone());
        }
        let numbered = Arc::new(Numbered::of(sql));
        let statement = self.answer(self.client.prepare(&numbered.sql))?;
        let prepared = Prepared { statement, numbered };
        self.statements.borrow_mut().insert(sql.to_owned(), prepared.clone());
        Ok(prepared)
    }

    /// Asks the server whether it takes a statement.
    #[cfg(test)]
    pub(super) fn prepare(&self, sql: &str) -> Outcome<()> {
        self.prepared(sql).map(drop)
    }

    fn note(&self, sql: &str) {
        let word = sql.split_ascii_whitespace().next().unwrap_or_default();
        if !["SELECT", "WITH"].contains(&word) {
            self.has_written.set(true);
        }
    }
}

impl Connection for Session {
    fn execute(&self, sql: &str, bound: &[Bound<'_>]) -> Outcome<u64> {
        let Prepared { statement, numbered } = self.prepared(sql)?;
        let values = numbered.values(bound).map_err(Fault::Column)?;
        self.note(sql);
        self.answer(self.client.execute_raw(&statement, values.into_iter().map(Given)))
    }

    fn query(&self, sql: &str, bound: &[Bound<'_>], each: &mut dyn FnMut(&dyn Columns) -> Outcome<()>) -> Outcome<()> {
        let Prepared { statement, numbered } = self.prepared(sql)?;
        let values = numbered.values(bound).map_err(Fault::Column)?;
        self.note(sql);
        let rows = self.answer(self.client.query_raw(&statement, values.into_iter().map(Given)))?;
        let mut rows = std::pin::pin!(rows);
        while let Some(row) = self.answer(rows.try_next())? {
            each(&row)?;
        }
        Ok(())
    }
}

impl Drop for Session {
    /// What serves it would wait for the answer as long as the connection is there.
    fn drop(&mut self) {
        if self.is_late() {
            self.served.abort();
        }
    }
}

/// Waits for something on this thread, whatever runs on it. The connection itself is served by a thread of its own.
fn wait<T>(runtime: &Runtime, limit: Duration, asked: impl Future<Output = T>) -> Option<T> {
    let _entered = runtime.enter();
    futures::executor::block_on(tokio::time::timeout(limit, asked)).ok()
}

/// A value that is given to a statement.
#[derive(Debug)]
struct Given<'a>(&'a Value<'a>);

impl ToSql for Given<'_> {
    fn to_sql(&self, kind: &Type, bytes: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match (self.0, kind) {
            (Value::Null, _) => Ok(IsNull::Yes),
            (Value::Integer(number), &Type::INT4) => i32::try_from(*number)?.to_sql(kind, bytes),
            (Value::Integer(number), &Type::INT8) => number.to_sql(kind, bytes),
            (Value::Text(text), kind) if <&str as ToSql>::accepts(kind) => text.as_ref().to_sql(kind, bytes),
            (value, kind) => Err(format!("{value:?} is no {kind}").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A value as it came.
struct Taken<'a>(Value<'a>);

impl<'a> FromSql<'a> for Taken<'a> {
    fn from_sql(kind: &Type, bytes: &'a [u8]) -> Result<Taken<'a>, Box<dyn Error + Sync + Send>> {
        Ok(Taken(match *kind {
            Type::INT8 => Value::Integer(i64::from_sql(kind, bytes)?),
            Type::INT4 => Value::Integer(i32::from_sql(kind, bytes)?.into()),
            _ => Value::Text(Cow::Borrowed(<&str>::from_sql(kind, bytes)?)),
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Taken<'a>, Box<dyn Error + Sync + Send>> {
        Ok(Taken(Value::Null))
    }

    fn accepts(kind: &Type) -> bool {
        matches!(*kind, Type::INT8 | Type::INT4) || <&str as FromSql>::accepts(kind)
    }
}

impl Columns for Row {
    fn names(&self) -> Vec<&str> {
        self.columns().iter().map(|column| column.name()).collect()
    }

    fn value(&self, index: usize) -> Outcome<Value<'_>> {
        let Taken(value) = self.try_get(index).map_err(|error| Fault::Column(error.to_string()))?;
        Ok(value)
    }
}
