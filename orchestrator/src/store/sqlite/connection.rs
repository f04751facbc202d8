use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::schema;
use crate::store::StoreError;

/// How long a statement waits for another process's transaction. Ours take milliseconds; a backup may take seconds.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait before asking again where SQLite itself does not wait.
const BUSY_PAUSE: Duration = Duration::from_millis(5);

/// Opens or makes the file, and brings its schema up to date. Whatever is not ours, or newer, is left untouched.
pub(super) fn open(path: &Path) -> Result<(PathBuf, Connection), StoreError> {
    let path = std::path::absolute(path).map_err(|error| refused("open", path, &error))?;
    if let Some(folder) = path.parent() {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| refused("make the folder", &path, &error))?;
    }
    // For its owner alone; what SQLite puts beside it gets the same mode.
    match std::fs::File::options().write(true).create_new(true).mode(0o600).open(&path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(refused("make the file", &path, &error)),
        _ => {}
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection =
        Connection::open_with_flags(&path, flags).map_err(|error| failure("open the file", &path, &error))?;
    check(&mut connection, &path)?;
    set_up(&mut connection).map_err(|error| failure("set up the schema", &path, &error))?;
    Ok((path, connection))
}

/// Which file a store is, whatever its name is: its device and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    /// Of the file that has this name now; `None` where none has.
    pub(super) fn of(path: &Path) -> Option<FileIdentity> {
        let about = std::fs::metadata(path).ok()?;
        Some(FileIdentity { device: about.dev(), inode: about.ino() })
    }
}

/// Statements that are kept ready: more than this store has.
const STATEMENTS_KEPT: usize = 128;

/// What stands for the path of a store in memory.
pub(super) const IN_MEMORY: &str = ":memory:";

/// Makes a store in memory.
pub(super) fn in_memory() -> Result<(PathBuf, Connection), StoreError> {
    let path = PathBuf::from(IN_MEMORY);
    let mut connection =
        Connection::open_in_memory().map_err(|error| failure("make a store in memory", &path, &error))?;
    set_up(&mut connection).map_err(|error| failure("set up the schema", &path, &error))?;
    Ok((path, connection))
}

/// Makes sure that the file is empty or a store that this program knows.
fn check(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    // All from one moment: another process may be making the store right now.
    let mut read = || -> rusqlite::Result<(i32, u32, i64)> {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        let moment = connection.transaction()?;
        let entries = moment.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        let application = moment.pragma_query_value(None, "application_id", |row| row.get(0))?;
        Ok((application, schema::version(&moment)?, entries))
    };
    let (application, found, entries) = read().map_err(|error| failure("read the header", path, &error))?;
    let is_new = application == 0 && found == 0 && entries == 0;
    if application != schema::APPLICATION_ID && !is_new {
        let cause = format!("an SQLite database of another program, application id {application:#x}");
        return Err(StoreError::Foreign { path: path.to_owned(), cause });
    }
    let known = schema::known_version();
    if found > known {
        return Err(StoreError::Newer { path: path.to_owned(), found, known });
    }
    Ok(())
}

fn set_up(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    // A statement is planned once, and not again for each value that is bound to it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    use_write_ahead_log(connection)?;
    // A record is a measurement that may have taken minutes: with NORMAL a power cut could take the last ones along.
    // FULL costs one fsync a write, and a lab writes a few times a second.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    schema::migrate(connection, schema::MIGRATIONS)
}

/// Readers and the writer don't block each other. Two processes that switch a new file at the same moment get «busy»
/// at once, whatever the busy timeout.
fn use_write_ahead_log(connection: &Connection) -> rusqlite::Result<()> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if is_busy(&error) && Instant::now() < deadline => std::thread::sleep(BUSY_PAUSE),
            result => return result,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// What SQLite refused, as an error of the store.
pub(super) fn failure(action: &str, path: &Path, error: &rusqlite::Error) -> StoreError {
    let (action, path, cause) = (action.to_owned(), path.to_owned(), error.to_string());
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => StoreError::Foreign { path, cause },
        Some(ErrorCode::DatabaseCorrupt) => StoreError::Damaged { action, path, cause },
        Some(ErrorCode::DiskFull) => StoreError::Full { action, path, cause },
        Some(ErrorCode::SystemIoFailure) => StoreError::Disk { action, path, cause },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy { action, path },
        _ => StoreError::Database { action, path, cause },
    }
}

fn refused(action: &str, path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Database { action: action.to_owned(), path: path.to_owned(), cause: error.to_string() }
}
