//! The store in one SQLite file: needs no server, and is safe with several processes on one machine.
//!
//! Main type: [`SqliteStore`], the store over a [`SqliteFile`]. One connection behind a mutex: SQLite has one writer at
//! a time anyway, and a statement takes microseconds where a run takes seconds. Never keeps anything in memory that the
//! file does not have.

mod backup;
mod connection;
mod files;
mod maintenance;
mod schema;
mod simulated;
mod statements;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use rusqlite::{Connection, TransactionBehavior};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::StoreError;
use super::sql::{Database, Fault, Outcome, SqlStore, Work};
use connection::IfNew;
use files::{FileIdentity, Mark, StoreFiles};

pub use backup::{import, restore};
pub use simulated::{IsCut, ServerClock, SimulatedServer, SimulatedStore};

/// Whether a store's file is there.
///
/// # Errors
/// When it is gone or empty, and its log is left.
pub fn is_there(path: &Path) -> Result<bool, StoreError> {
    StoreFiles::of(path).are_there()
}

/// The step of the schema to this version.
#[cfg(test)]
pub(in crate::store) fn step(version: u32) -> Option<&'static str> {
    schema::MIGRATIONS.get(usize::try_from(version.checked_sub(1)?).ok()?).copied()
}

/// Word in the names of what is kept of stores that were lost.
const LOST: &str = "lost";
/// Held while one is kept.
static KEEPING: Mutex<()> = Mutex::new(());

/// A store in an SQLite file.
pub type SqliteStore = SqlStore<SqliteFile>;

/// An SQLite file that is open.
#[derive(Debug)]
pub struct SqliteFile {
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
        Ok(SqlStore { database: SqliteFile { path, connection: Mutex::new(connection), held: Some(held) } })
    }

    /// A store in memory, for simulations: it is gone with the value.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn in_memory() -> Result<SqliteStore, StoreError> {
        let connection = Mutex::new(connection::in_memory()?);
        let path = PathBuf::from(connection::IN_MEMORY);
        Ok(SqlStore { database: SqliteFile { path, connection, held: None } })
    }

    pub(in crate::store) fn with_connection<T>(&self, work: impl FnOnce(&mut Connection) -> T) -> T {
        self.database.with_connection(work)
    }
}

impl SqliteFile {
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
}

impl Database for SqliteFile {
    fn connected(&self, work: Work<'_>) -> Outcome<()> {
        self.refuse_if_lost()?;
        self.with_connection(|connection| work(connection))
    }

    /// It holds the write lock from its start.
    fn transaction(&self, work: Work<'_>) -> Outcome<()> {
        self.refuse_if_lost()?;
        self.with_connection(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            work(&*transaction)?;
            Ok(transaction.commit()?)
        })
    }

    fn moment(&self, work: Work<'_>) -> Outcome<()> {
        self.refuse_if_lost()?;
        self.with_connection(|connection| work(&*connection.transaction()?))
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn error(&self, action: &str, fault: Fault) -> StoreError {
        let cause = match fault {
            Fault::Store(error) => return error,
            Fault::Refused(error) => match error.downcast::<rusqlite::Error>() {
                Ok(error) => return connection::failure(action, &self.path, &error),
                Err(error) => error.to_string(),
            },
            Fault::Column(cause) => cause,
            Fault::Undone => "it is in a state that has no such step".to_owned(),
        };
        StoreError::Database { action: action.to_owned(), path: self.path.clone(), cause }
    }
}

#[cfg(test)]
mod tests;
