//! A store in memory that several simulated hosts share, as they share a server: leases go by a clock of its own, and
//! the way of each host to it can be cut.
//!
//! Main types: [`SimulatedServer`], and [`SimulatedStore`], the store as one host reaches it.

use std::borrow::Cow;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::Connection;

use super::{SqliteFile, SqliteStore, maintenance};
use crate::store::sql::value::{Bound, Columns, Value};
use crate::store::sql::{self, Database, Fault, Outcome, SqlStore, Work, nanoseconds};
use crate::store::{MaintenanceStore, StoreCheck, StoreError, Vacuumed};

/// What stands for its address.
const NAME: &str = "the simulated server";
/// The time that decides about leases, in a statement.
const LEASE_NOW: &str = ":lease_now";

/// Tells the time by which leases go.
pub type ServerClock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
/// Tells whether a way is cut now.
pub type IsCut = Arc<dyn Fn() -> bool + Send + Sync>;

/// A server of a simulation.
#[derive(Clone)]
pub struct SimulatedServer {
    file: Arc<SqliteFile>,
    clock: ServerClock,
}

impl SimulatedServer {
    /// An empty store, by this clock.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn new(clock: ServerClock) -> Result<SimulatedServer, StoreError> {
        Ok(SimulatedServer { file: Arc::new(SqliteStore::in_memory()?.database), clock })
    }

    /// The store by a way that is cut while this says so.
    pub fn reached(&self, is_cut: IsCut) -> SimulatedStore {
        SqlStore { database: Way { server: self.clone(), is_cut } }
    }
}

/// The store of a simulated server, as one host reaches it.
pub type SimulatedStore = SqlStore<Way>;

/// A way to a simulated server.
pub struct Way {
    server: SimulatedServer,
    is_cut: IsCut,
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Way").field("is_cut", &(self.is_cut)()).finish_non_exhaustive()
    }
}

impl Way {
    fn pass(&self) -> Outcome<()> {
        if !(self.is_cut)() {
            return Ok(());
        }
        let (action, path, cause) = ("reach".to_owned(), PathBuf::from(NAME), "the way to it is cut".to_owned());
        Err(Fault::Store(StoreError::Unreachable { action, path, cause }))
    }

    /// Lets the server's clock decide in what is done.
    fn decided(&self, connection: &Connection, work: Work<'_>) -> Outcome<()> {
        work(&Decided { connection, now_ns: nanoseconds((self.server.clock)()) })
    }
}

impl Database for Way {
    fn connected(&self, work: Work<'_>) -> Outcome<()> {
        self.pass()?;
        self.server.file.with_connection(|connection| self.decided(connection, work))
    }

    fn transaction(&self, work: Work<'_>) -> Outcome<()> {
        self.pass()?;
        self.server.file.with_connection(|connection| {
            let transaction = connection.transaction()?;
            self.decided(&transaction, work)?;
            Ok(transaction.commit()?)
        })
    }

    fn moment(&self, work: Work<'_>) -> Outcome<()> {
        self.pass()?;
        self.server.file.with_connection(|connection| self.decided(&*connection.transaction()?, work))
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn error(&self, action: &str, fault: Fault) -> StoreError {
        self.server.file.error(action, fault)
    }
}

/// A connection in whose statements one clock decides, whatever their callers say.
struct Decided<'a> {
    connection: &'a Connection,
    now_ns: i64,
}

impl Decided<'_> {
    fn bound<'a, 'b>(&self, bound: &'b [Bound<'a>]) -> Cow<'b, [Bound<'a>]> {
        if !bound.iter().any(|it| it.name == Some(LEASE_NOW)) {
            return Cow::Borrowed(bound);
        }
        let decided = |it: &Bound<'a>| match it.name {
            Some(LEASE_NOW) => Bound { name: it.name, value: Value::Integer(self.now_ns) },
            _ => Bound { name: it.name, value: it.value.clone() },
        };
        bound.iter().map(decided).collect()
    }
}

impl sql::Connection for Decided<'_> {
    fn execute(&self, sql: &str, bound: &[Bound<'_>]) -> Outcome<u64> {
        sql::Connection::execute(self.connection, sql, &self.bound(bound))
    }

    fn query(&self, sql: &str, bound: &[Bound<'_>], each: &mut dyn FnMut(&dyn Columns) -> Outcome<()>) -> Outcome<()> {
        sql::Connection::query(self.connection, sql, &self.bound(bound), each)
    }
}

/// What there is no need for in a simulation is refused.
fn refused() -> StoreError {
    StoreError::ElsewhereDone { path: NAME.into(), what: "it is there for a simulation only".to_owned() }
}

impl MaintenanceStore for SimulatedStore {
    fn check(&self) -> Result<StoreCheck, StoreError> {
        self.database.pass().map_err(|fault| self.database.error("check", fault))?;
        let checked = self.database.server.file.with_connection(maintenance::check);
        checked.map_err(|fault| self.database.error("check", fault))
    }

    fn vacuum(&self) -> Result<Vacuumed, StoreError> {
        Err(refused())
    }

    fn lost(&self) -> Option<String> {
        None
    }

    fn may_work(&self) -> Result<Option<u32>, StoreError> {
        Ok(None)
    }

    fn back_up(&self, _: &Path) -> Result<(), StoreError> {
        Err(refused())
    }

    fn export(&self, _: &mut dyn Write) -> Result<u64, StoreError> {
        Err(refused())
    }
}
