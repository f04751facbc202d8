//! The store in PostgreSQL (13 or newer): many hosts share one.
//!
//! Main type: [`PostgresStore`], the store over a [`Server`]. A few connections are kept, and made anew when they
//! break; each answer is waited for so long and no longer. A transaction is serializable, and is done again when
//! another one was in its way. Never shows a password.

mod address;
mod maintenance;
mod places;
mod schema;
mod session;
mod tls;

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, Runtime, RuntimeFlavor};
use tokio_postgres::error::SqlState;

use super::sql::{Database, Fault, Outcome, SqlStore, Work};
use super::{StoreError, copy};
use address::Address;
pub use address::ServerAccess;
use schema::Found;
use session::{Late, Session};
use tls::Encryption;

/// Most connections of one process.
const MOST_SESSIONS: usize = 8;
/// How long something is tried again that others were in the way of, or that the server was away for.
const REPEAT_LIMIT: Duration = Duration::from_secs(30);
/// How often in a row one that is there already may be another transaction's, which was in the way.
const MOST_DUPLICATES: u32 = 10;
/// Longest pause between two tries.
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Of one moment, and however long it takes.
const MOMENT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0";

/// The version of the schema that this program writes.
pub(in crate::store) fn known_version() -> u32 {
    schema::known_version()
}

/// A store in PostgreSQL.
pub type PostgresStore = SqlStore<Server>;

/// A server, and the connections to it.
#[derive(Debug)]
pub struct Server {
    address: Address,
    encryption: Option<Encryption>,
    runtime: Arc<Runtime>,
    sessions: Mutex<Sessions>,
    /// One was given back.
    freed: Condvar,
}

#[derive(Debug, Default)]
struct Sessions {
    idle: Vec<Session>,
    /// With those that are in use.
    count: usize,
}

impl PostgresStore {
    /// Connects, and makes the store or brings it up to date where that is needed.
    ///
    /// # Errors
    /// When the server can't be reached or lets this user not in, or has tables of another program, or of a newer
    /// farmctl.
    pub fn open(url: &str, access: &ServerAccess) -> Result<PostgresStore, StoreError> {
        let store = PostgresStore::open_to_copy(url, access)?;
        let is_begun = store.connected("open the store", copy::is_marked)?;
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
        let address = Address::of(url, access)?;
        let refused = |cause| StoreError::Address { url: address.shown.clone(), cause };
        let encryption = address.trust.as_ref().map(|trust| Encryption::new(trust, address.client.as_ref()));
        let encryption = encryption.transpose().map_err(refused)?;
        let runtime = runtime().map_err(|error| refused(error.to_string()))?;
        let (sessions, freed) = (Mutex::default(), Condvar::new());
        let store = SqlStore { database: Server { address, encryption, runtime, sessions, freed } };
        store.set_up()?;
        Ok(store)
    }

    fn set_up(&self) -> Result<(), StoreError> {
        let server = &self.database;
        // Whoever begins wants to know at once that the server is away.
        let looked = server.with_session(Duration::ZERO, |session| {
            let found = schema::found(session)?;
            let known = schema::known_version();
            if found == Found::Nothing || matches!(found, Found::Version(version) if version < known) {
                schema::migrate(session)?;
            }
            Ok(found)
        });
        let path = PathBuf::from(&server.address.shown);
        let (known, action) = (schema::known_version(), "open the store");
        match looked.map_err(|fault| server.error(action, fault))? {
            Found::Foreign => {
                let cause = "it has a table «sweeps» of another program; give farmctl a database of its own".to_owned();
                Err(StoreError::Foreign { path, cause })
            }
            Found::Version(found) if found > known => Err(StoreError::Newer { path, found, known }),
            _ => Ok(()),
        }
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

/// Waits without keeping the other tasks of an async runtime waiting.
fn aside<T>(work: impl FnOnce() -> T) -> T {
    let has_workers = Handle::try_current().is_ok_and(|it| it.runtime_flavor() == RuntimeFlavor::MultiThread);
    if has_workers { tokio::task::block_in_place(work) } else { work() }
}

impl Server {
    /// For people: host and database.
    pub(in crate::store) fn shown(&self) -> String {
        self.address.shown.clone()
    }

    /// A connection that nobody uses.
    fn take(&self, give_up_at: Instant) -> Outcome<Session> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            while let Some(session) = sessions.idle.pop() {
                if !session.is_broken() {
                    return Ok(session);
                }
                sessions.count -= 1;
            }
            if sessions.count < MOST_SESSIONS {
                sessions.count += 1;
                break;
            }
            let left = give_up_at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Fault::Refused(Box::new(Late)));
            }
            let waited = self.freed.wait_timeout(sessions, left).unwrap_or_else(PoisonError::into_inner);
            sessions = waited.0;
        }
        drop(sessions);
        let opened = Session::open(&self.address, self.encryption.as_ref(), &self.runtime);
        if opened.is_err() {
            self.forget();
        }
        opened
    }

    fn forget(&self) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).count -= 1;
        self.freed.notify_one();
    }

    fn give_back(&self, session: Session) {
        if session.is_broken() {
            drop(session);
            return self.forget();
        }
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).idle.push(session);
        self.freed.notify_one();
    }

    /// Works with a connection, again and again where that may help and nothing can be done twice.
    fn with_session<T>(&self, limit: Duration, mut work: impl FnMut(&Session) -> Outcome<T>) -> Outcome<T> {
        aside(|| {
            let give_up_at = Instant::now() + limit;
            // In a row: whoever has been in the way for long may still be once more.
            let mut duplicates = 0;
            for turn in 0.. {
                let fault = match self.take(give_up_at) {
                    Ok(session) => {
                        let lent = Lent { server: self, session: Some(session) };
                        let Some(session) = &lent.session else { continue };
                        session.take_written();
                        match work(session) {
                            Ok(answer) => return Ok(answer),
                            Err(fault) if is_in_the_way(&fault) => {
                                duplicates = 0;
                                fault
                            }
                            Err(fault) if duplicates < MOST_DUPLICATES && is_duplicate(&fault) => {
                                duplicates += 1;
                                fault
                            }
                            // What was asked may have been done.
                            Err(fault) if session.take_written() => return Err(fault),
                            Err(fault) if session.is_closed() || is_away(&fault) && !is_late(&fault) => fault,
                            Err(fault) => return Err(fault),
                        }
                    }
                    Err(fault) if is_away(&fault) => fault,
                    Err(fault) => return Err(fault),
                };
                if Instant::now() >= give_up_at {
                    return Err(fault);
                }
                std::thread::sleep(pause(turn));
            }
            Err(Fault::Refused(Box::new(Late)))
        })
    }
}

/// A connection that comes back however its work ends.
struct Lent<'a> {
    server: &'a Server,
    session: Option<Session>,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            // Unwound in the middle of a transaction: the server undoes that when the connection ends.
            if std::thread::panicking() {
                drop(session);
                self.server.forget();
            } else {
                self.server.give_back(session);
            }
        }
    }
}

/// Grows with the turns, and differs between those that were in each other's way.
fn pause(turn: u32) -> Duration {
    use std::hash::{BuildHasher as _, RandomState};
    let longest = Duration::from_millis(2 << turn.min(7)).min(LONGEST_PAUSE);
    let share = (RandomState::new().hash_one(turn) % 1000 + 1) as u32;
    longest * share / 1000
}

fn postgres(fault: &Fault) -> Option<&tokio_postgres::Error> {
    match fault {
        Fault::Refused(error) => error.downcast_ref(),
        _ => None,
    }
}

fn is_late(fault: &Fault) -> bool {
    matches!(fault, Fault::Refused(error) if error.is::<Late>())
}

/// Another transaction was in the way, and all of this one is undone.
fn is_in_the_way(fault: &Fault) -> bool {
    let code = postgres(fault).and_then(tokio_postgres::Error::code);
    code.is_some_and(|code| *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED)
}

/// Two that found the same key free: the database says of one that it is there already, and not that the other was in
/// its way. Done again, it sees the other's row.
fn is_duplicate(fault: &Fault) -> bool {
    postgres(fault).and_then(tokio_postgres::Error::code) == Some(&SqlState::UNIQUE_VIOLATION)
}

/// The server is not there now, or takes nobody more.
fn is_away(fault: &Fault) -> bool {
    let Some(error) = postgres(fault) else { return is_late(fault) };
    match error.code() {
        Some(code) => {
            let away = [
                SqlState::CANNOT_CONNECT_NOW,
                SqlState::TOO_MANY_CONNECTIONS,
                SqlState::ADMIN_SHUTDOWN,
                SqlState::CRASH_SHUTDOWN,
            ];
            away.contains(code)
        }
        // A certificate that is not believed, or a file that is missing, stays so.
        None => std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>()) && !is_tls(error),
    }
}

fn is_tls(error: &tokio_postgres::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let hidden = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if cause.is::<tokio_rustls::rustls::Error>() || hidden.is_some_and(|it| it.is::<tokio_rustls::rustls::Error>())
        {
            return true;
        }
        source = cause.source();
    }
    false
}

impl Database for Server {
    fn connected(&self, work: Work<'_>) -> Outcome<()> {
        self.with_session(REPEAT_LIMIT, |session| work(session))
    }

    /// Serializable: what SQLite has by one writer at a time.
    fn transaction(&self, work: Work<'_>) -> Outcome<()> {
        self.with_session(REPEAT_LIMIT, |session| {
            session.run("BEGIN ISOLATION LEVEL SERIALIZABLE")?;
            match work(session) {
                Ok(()) => session.run("COMMIT"),
                Err(fault) => {
                    // Without a connection it is undone, too; what failed first is what is told.
                    if session.run("ROLLBACK").is_err() {
                        session.abandon();
                    }
                    session.take_written();
                    Err(fault)
                }
            }
        })
    }

    fn moment(&self, work: Work<'_>) -> Outcome<()> {
        self.with_session(REPEAT_LIMIT, |session| {
            session.run(MOMENT)?;
            let done = work(session);
            if session.run("ROLLBACK").is_err() {
                session.abandon();
            }
            done
        })
    }

    fn error(&self, action: &str, fault: Fault) -> StoreError {
        let (action, path) = (action.to_owned(), PathBuf::from(&self.address.shown));
        let code = postgres(&fault).and_then(tokio_postgres::Error::code).cloned();
        let cause = match &fault {
            Fault::Store(_) => String::new(),
            Fault::Refused(error) => words(error.as_ref()),
            Fault::Column(cause) => cause.clone(),
            Fault::Undone => "it is in a state that has no such step".to_owned(),
        };
        let is_server_gone = match &fault {
            Fault::Store(_) | Fault::Column(_) | Fault::Undone => false,
            Fault::Refused(error) => match &code {
                // It lets this user not in, or takes nobody.
                Some(code) => ["28", "57P", "53300"].iter().any(|class| code.code().starts_with(class)),
                None => error.is::<Late>() || error.is::<tokio_postgres::Error>(),
            },
        };
        let class = code.as_ref().map_or("", SqlState::code);
        match fault {
            Fault::Store(error) => error,
            _ if is_server_gone => StoreError::Unreachable { action, path, cause },
            _ if class == SqlState::DISK_FULL.code() => StoreError::Full { action, path, cause },
            _ if class == SqlState::LOCK_NOT_AVAILABLE.code() || class.starts_with("40") => {
                StoreError::Busy { action, path }
            }
            _ => StoreError::Database { action, path, cause },
        }
    }
}

/// An error with all that lies beneath: the outer one often says no more than «db error».
fn words(error: &(dyn std::error::Error + 'static)) -> String {
    if let Some(said) = error.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::as_db_error) {
        let hint = said.hint().map(|hint| format!(" ({hint})")).unwrap_or_default();
        return format!("{}{hint}", said.message());
    }
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests;
