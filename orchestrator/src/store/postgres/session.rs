//! One connection to a server, used by one caller at a time.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures::TryStreamExt as _;
use tokio::runtime::Runtime;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, NoTls, Row, Statement};

use super::address::Address;
use super::places::Numbered;
use super::tls::Encryption;
use crate::store::sql::value::{Bound, Columns, Value};
use crate::store::sql::{Connection, Fault, Outcome};

/// How long a connection may take to be there.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long a statement may take until it answers, and from one row to the next.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(40);
/// What every connection is set to. The server ends what its caller has given up by then.
const SET_UP: &str = "
    SET application_name = 'farmctl'; SET statement_timeout = '35s'; SET lock_timeout = '30s';
    SET idle_in_transaction_session_timeout = '60s'; SET client_min_messages = 'warning'";

/// Nothing came back in time.
#[derive(Debug)]
pub(super) struct Late;

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server did not answer within {} s", ANSWER_LIMIT.as_secs())
    }
}

impl Error for Late {}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Fault {
        Fault::Refused(Box::new(error))
    }
}

/// A connection.
pub(super) struct Session {
    client: Client,
    runtime: Arc<Runtime>,
    /// By the text that the store has of each.
    statements: RefCell<HashMap<String, Prepared>>,
    /// Something was asked that may have changed the store.
    has_written: Cell<bool>,
    is_late: Cell<bool>,
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
    pub(super) fn open(address: &Address, encryption: Option<&Encryption>, runtime: &Arc<Runtime>) -> Outcome<Session> {
        let config = &address.config;
        let connecting = async {
            let client = match encryption {
                Some(encryption) => {
                    let (client, connection) = config.connect(encryption.clone()).await?;
                    runtime.spawn(connection);
                    client
                }
                None => {
                    let (client, connection) = config.connect(NoTls).await?;
                    runtime.spawn(connection);
                    client
                }
            };
            client.batch_execute(SET_UP).await?;
            Ok::<_, tokio_postgres::Error>(client)
        };
        let client = wait(runtime, CONNECT_LIMIT, connecting)??;
        let (statements, runtime) = (RefCell::default(), Arc::clone(runtime));
        Ok(Session { client, runtime, statements, has_written: Cell::new(false), is_late: Cell::new(false) })
    }

    /// Whether nothing more can be asked of it.
    pub(super) fn is_broken(&self) -> bool {
        self.is_late.get() || self.client.is_closed()
    }

    /// Whether the connection is closed.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Lets it be broken: nobody knows in which state it is.
    pub(super) fn abandon(&self) {
        self.is_late.set(true);
    }

    /// Whether something was asked that may have changed the store; from now on nothing was.
    pub(super) fn take_written(&self) -> bool {
        self.has_written.take()
    }

    /// Waits for an answer, but not for ever.
    fn answer<T>(&self, asked: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Outcome<T> {
        let answer = wait(&self.runtime, ANSWER_LIMIT, asked);
        self.is_late.set(self.is_late.get() || answer.is_err());
        Ok(answer??)
    }

    /// Runs statements that have no values and give no rows.
    pub(super) fn run(&self, sql: &str) -> Outcome<()> {
        self.answer(self.client.batch_execute(sql))
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

/// Waits for something on this thread, whatever runs on it. The connection itself is served by a thread of its own.
fn wait<T>(runtime: &Runtime, limit: Duration, asked: impl Future<Output = T>) -> Outcome<T> {
    let _entered = runtime.enter();
    futures::executor::block_on(tokio::time::timeout(limit, asked)).map_err(|_| Fault::Refused(Box::new(Late)))
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
