//! The store in PostgreSQL (13 or newer): many hosts share one.
//!
//! Main type: [`PostgresStore`], the store over a [`Server`]. A few connections are kept, and made anew when they
//! break; each answer is waited for so long and no longer. A transaction is serializable, and is done again when
//! another one was in its way. Never shows a password.

mod address;
mod faults;
mod limits;
mod maintenance;
mod places;
mod pool;
mod roles;
mod schema;
mod session;
mod tls;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::Runtime;

use super::sql::{Database, Fault, Outcome, SqlStore, Work};
use super::{MaintenanceStore as _, StoreError, copy};
use address::Address;
pub use address::ServerAccess;
use limits::Limits;
use pool::Pool;
use schema::Found;
use tls::Encryption;

/// Of one moment, and however long it takes.
const MOMENT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0";

/// The version of the schema that this program writes.
pub(in crate::store) fn known_version() -> u32 {
    schema::known_version()
}

/// The step of the schema to this version.
#[cfg(test)]
pub(in crate::store) fn step(version: u32) -> Option<&'static str> {
    schema::step_to(version)
}

/// A store in PostgreSQL.
pub type PostgresStore = SqlStore<Server>;

/// A server, and the connections to it.
#[derive(Debug)]
pub struct Server {
    address: Address,
    encryption: Option<Encryption>,
    runtime: Arc<Runtime>,
    limits: Limits,
    pool: Pool,
}

impl PostgresStore {
    /// Connects, and makes the store or brings it up to date where that is needed.
    ///
    /// # Errors
    /// When the server can't be reached or lets this user not in, or has tables of another program, or of a newer
    /// farmctl.
    pub fn open(url: &str, access: &ServerAccess) -> Result<PostgresStore, StoreError> {
        let store = PostgresStore::open_to_copy(url, access)?;
        let is_begun = store.connected("begin to work", copy::is_marked)?;
        if is_begun {
            return Err(StoreError::Parted {
                path: PathBuf::from(store.database.shown()),
                cause: "a copy of a store to it was begun, and has not ended".to_owned(),
                remedy: "let `farmctl store copy` go on with it, or empty the database".to_owned(),
            });
        }
        Ok(store)
    }

    /// The same, also where a copy of a store was begun.
    pub(in crate::store) fn open_to_copy(url: &str, access: &ServerAccess) -> Result<PostgresStore, StoreError> {
        PostgresStore::open_within(url, access, Limits::USUAL)
    }

    fn open_within(url: &str, access: &ServerAccess, limits: Limits) -> Result<PostgresStore, StoreError> {
        let address = Address::of(url, access)?;
        let refused = |cause| StoreError::Address { url: address.shown.clone(), cause };
        let encryption = address.trust.as_ref().map(|trust| Encryption::new(trust, address.client.as_ref()));
        let encryption = encryption.transpose().map_err(refused)?;
        let runtime = runtime().map_err(|error| refused(error.to_string()))?;
        let store = SqlStore { database: Server { address, encryption, runtime, limits, pool: Pool::default() } };
        store.set_up()?;
        Ok(store)
    }

    fn set_up(&self) -> Result<(), StoreError> {
        let server = &self.database;
        // Whoever begins wants to know at once that the server is away.
        let looked = server.with_session(Duration::ZERO, |session| {
            let found = schema::found(session)?;
            let known = schema::known_version();
            if let Found::Version(version) = found {
                let hosts = schema::left_behind(session, version)?;
                if !hosts.is_empty() {
                    return Err(Fault::Store(self.needed_as_it_is(version, &hosts)));
                }
            }
            if found == Found::Nothing || matches!(found, Found::Version(version) if version < known) {
                schema::migrate(session).map_err(|fault| match roles::is_anothers(&fault) {
                    true => roles::let_owner_migrate(session, &server.address, found, known),
                    false => fault,
                })?;
            }
            Ok(found)
        });
        let path = PathBuf::from(&server.address.shown);
        let (known, action) = (schema::known_version(), "begin to work");
        match looked.map_err(|fault| server.error(action, fault))? {
            Found::Foreign => {
                let cause = "it has a table «sweeps» of another program; give farmctl a database of its own".to_owned();
                Err(StoreError::Foreign { path, cause })
            }
            Found::Version(found) if found > known => self.may_work().map(drop),
            _ => Ok(()),
        }
    }

    fn needed_as_it_is(&self, found: u32, hosts: &[String]) -> StoreError {
        let (path, known) = (PathBuf::from(&self.database.address.shown), schema::known_version());
        let verb = if hosts.len() == 1 { "is" } else { "are" };
        StoreError::NeededAsItIs { path, found, known, hosts: format!("{} {verb}", hosts.join(", ")) }
    }
}

/// The threads that serve connections: one runtime for all stores of this process.
fn runtime() -> std::io::Result<Arc<Runtime>> {
    static RUNTIME: OnceLock<Arc<Runtime>> = OnceLock::new();
    if let Some(runtime) = RUNTIME.get() {
        return Ok(Arc::clone(runtime));
    }
    let made =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("store").enable_all().build()?;
    Ok(Arc::clone(RUNTIME.get_or_init(|| Arc::new(made))))
}

impl Server {
    /// For people: host and database.
    pub(in crate::store) fn shown(&self) -> String {
        self.address.shown.clone()
    }
}

impl Database for Server {
    fn connected(&self, work: Work<'_>) -> Outcome<()> {
        self.with_session(self.limits.repeat, |session| work(session))
    }

    /// Serializable: what SQLite has by one writer at a time.
    fn transaction(&self, work: Work<'_>) -> Outcome<()> {
        self.with_session(self.limits.repeat, |session| {
            session.run("BEGIN ISOLATION LEVEL SERIALIZABLE")?;
            match work(session) {
                Ok(()) => session.run("COMMIT"),
                Err(fault) => {
                    session.undo();
                    session.take_written();
                    Err(fault)
                }
            }
        })
    }

    fn moment(&self, work: Work<'_>) -> Outcome<()> {
        self.with_session(self.limits.repeat, |session| {
            session.run(MOMENT)?;
            let done = work(session);
            session.undo();
            done
        })
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn error(&self, action: &str, fault: Fault) -> StoreError {
        faults::told(&self.address, action, fault)
    }
}

#[cfg(test)]
mod tests;
