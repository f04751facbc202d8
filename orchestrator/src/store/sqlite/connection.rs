use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use rusqlite::backup::Backup;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::files::{FileIdentity, LogTrust, Mark, StoreFiles, make_private, trust};
use super::maintenance::damage;
use super::schema;
use crate::store::StoreError;
use crate::store::neighbours::SchemaVersions;

/// How long a statement waits for another process's transaction. Ours take milliseconds; a backup may take seconds.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait before asking again where SQLite itself does not wait.
pub(super) const BUSY_PAUSE: Duration = Duration::from_millis(5);
/// How long a store is looked through that a process left without an end; a large one is then believed.
const LOOK_TIMEOUT: Duration = Duration::from_secs(20);

/// A connection, and what is known of the files it is to.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) files: StoreFiles,
    pub(super) file: Option<FileIdentity>,
    pub(super) log: Option<FileIdentity>,
    /// Held while the connection is.
    pub(super) mark: Option<Mark>,
}

/// What becomes of a file that is not there, or has nothing in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IfNew {
    Make,
    Refuse,
}

/// Opens or makes the file, and brings its schema up to date. Whatever is not ours, or newer, or lies beside what is
/// of another file, is left untouched.
pub(super) fn open(path: &Path, if_new: IfNew) -> Result<Opened, StoreError> {
    let path = std::path::absolute(path).map_err(|error| refused("open", path, &error))?;
    if path.is_dir() {
        return Err(refused("open", &path, &std::io::ErrorKind::IsADirectory.into()));
    }
    let files = StoreFiles::of(&path);
    if let Some(folder) = files.file().parent() {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| refused("make the folder", &path, &error))?;
    }
    let mut mark = Mark::take(&files)?;
    let was_there = files.are_there()?;
    if !was_there {
        if let Some(mark) = &mark {
            mark.forget();
        }
        make_private(files.file()).map_err(|error| refused("make the file", &path, &error))?;
    }
    let trust = trust(&files, mark.as_ref());
    if trust == LogTrust::Foreign {
        return Err(foreign_log(&files));
    }
    if is_on_read_only_disk(files.file()) {
        return open_to_read(&path, files);
    }
    let mut connection = connect(&path, &files, trust)?;
    let is_new = check(&mut connection, &path)?;
    if is_new && (if_new == IfNew::Refuse || was_there && mark.as_ref().is_some_and(Mark::is_known)) {
        return Err(StoreError::Parted {
            path,
            cause: "it is empty, and is to be a store".to_owned(),
            remedy: "`farmctl store restore` a backup, or move it away to begin anew without what it had".to_owned(),
        });
    }
    set_up(&mut connection).map_err(|error| failure("set up the schema", &path, &error))?;
    if let Some(mark) = &mut mark {
        mark.share(&files);
    }
    let (file, log) = (FileIdentity::of(&path), FileIdentity::of(&files.log()));
    Ok(Opened { connection, files, file, log, mark })
}

/// Connects, and looks through what a process that is gone has left, before anything of it is taken over.
fn connect(path: &Path, files: &StoreFiles, trust: LogTrust) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = |error: rusqlite::Error| failure("open the file", path, &error);
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    if trust != LogTrust::Left {
        return Ok(connection);
    }
    let keep_log = |keep| connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep).map_err(failed);
    keep_log(true)?;
    let Some(fault) = first_fault(&connection) else {
        keep_log(false)?;
        return Ok(connection);
    };
    drop(connection);
    // Is the file sound without it?
    match as_if_alone(files.file()).map(|alone| first_fault(&alone)) {
        Ok(None) => Err(foreign_log(files)),
        _ => Err(StoreError::Damaged { action: "open the file".to_owned(), path: path.to_owned(), cause: fault }),
    }
}

fn is_on_read_only_disk(file: &Path) -> bool {
    nix::sys::statvfs::statvfs(file).is_ok_and(|about| about.flags().contains(nix::sys::statvfs::FsFlags::ST_RDONLY))
}

/// Opens a store on a disk that nobody can write: without log and locks.
fn open_to_read(path: &Path, files: StoreFiles) -> Result<Opened, StoreError> {
    let action = "open the file";
    let unwritable = |cause: &str| StoreError::Unwritable {
        action: action.to_owned(),
        path: path.to_owned(),
        cause: format!("its disk is mounted for reading only, and {cause}"),
    };
    if files.log_bytes() > 0 {
        return Err(unwritable("what its log has must be taken over first"));
    }
    let mut connection = as_if_alone(files.file()).map_err(|error| failure(action, path, &error))?;
    check(&mut connection, path)?;
    let found = schema::version(&connection).map_err(|error| failure(action, path, &error))?;
    if found < schema::known_version() {
        return Err(unwritable(&format!("it must be brought from schema {found} to {}", schema::known_version())));
    }
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    Ok(Opened { file: FileIdentity::of(path), connection, files, log: None, mark: None })
}

fn foreign_log(files: &StoreFiles) -> StoreError {
    StoreError::Parted {
        path: files.file().to_owned(),
        cause: format!("the log beside it, {}, is of another file", files.log().display()),
        remedy: "put that file back; or end who uses the log, and move it and its index (`-shm`) away, to go on with \
                 this file as it is"
            .to_owned(),
    }
}

/// The file as it is without what lies beside it; nothing is written.
fn as_if_alone(file: &Path) -> rusqlite::Result<Connection> {
    use std::os::unix::ffi::OsStrExt as _;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte);
    let written = |byte: &u8| if is_plain(*byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") };
    let name: String = file.as_os_str().as_bytes().iter().map(written).collect();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(format!("file:{name}?immutable=1"), flags)
}

/// The first fault that SQLite itself finds; `None` when there is none, or it takes too long to say.
fn first_fault(connection: &Connection) -> Option<String> {
    let (done, is_done) = mpsc::sync_channel::<()>(1);
    let interrupt = connection.get_interrupt_handle();
    std::thread::scope(|scope| {
        let timer = scope.spawn(move || {
            let is_late = is_done.recv_timeout(LOOK_TIMEOUT) == Err(mpsc::RecvTimeoutError::Timeout);
            if is_late {
                interrupt.interrupt();
            }
            is_late
        });
        let faults = damage(connection);
        drop(done);
        if timer.join().unwrap_or(false) {
            tracing::warn!("the store is large: what a process left that ended without its end was not looked through");
            return None;
        }
        match faults {
            Ok(faults) => faults.into_iter().next(),
            Err(error) => Some(error.to_string()),
        }
    })
}

/// Statements that are kept ready: more than this store has.
const STATEMENTS_KEPT: usize = 128;

/// What stands for the path of a store in memory.
pub(super) const IN_MEMORY: &str = ":memory:";

/// Makes a store in memory.
pub(super) fn in_memory() -> Result<Connection, StoreError> {
    let refused = |action: &'static str| move |error| failure(action, Path::new(IN_MEMORY), &error);
    let mut connection = Connection::open_in_memory().map_err(refused("make a store in memory"))?;
    let mut empty = EMPTY.lock().unwrap_or_else(PoisonError::into_inner);
    let copied = empty.as_ref().map_or(Ok(()), |empty| {
        copy(empty, &mut connection)?;
        connection.execute_batch("UPDATE lab SET id = lower(hex(randomblob(8)))")
    });
    copied.and_then(|()| set_up(&mut connection)).map_err(refused("set up the schema"))?;
    if empty.is_none() {
        let mut first = Connection::open_in_memory().map_err(refused("make a store in memory"))?;
        copy(&connection, &mut first).map_err(refused("set up the schema"))?;
        *empty = Some(first);
    }
    Ok(connection)
}

/// A store in memory with nothing but its schema: the next ones are copies of it, as simulations make thousands.
static EMPTY: Mutex<Option<Connection>> = Mutex::new(None);

fn copy(from: &Connection, to: &mut Connection) -> rusqlite::Result<()> {
    Backup::new(from, to)?.step(-1).map(drop)
}

/// Makes sure that the file is empty or a store that this program knows; returns whether it is empty.
fn check(connection: &mut Connection, path: &Path) -> Result<bool, StoreError> {
    // All from one moment: another process may be making the store right now.
    struct Header {
        application: i32,
        schema: SchemaVersions,
        entries: i64,
    }
    let mut read = || -> rusqlite::Result<Header> {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        let moment = connection.transaction()?;
        let entries = moment.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        let application = moment.pragma_query_value(None, "application_id", |row| row.get(0))?;
        Ok(Header { application, schema: schema::versions(&moment)?, entries })
    };
    let Header { application, schema, entries } = read().map_err(|error| failure("read the header", path, &error))?;
    let is_new = application == 0 && schema.found == 0 && entries == 0;
    if application != schema::APPLICATION_ID && !is_new {
        let cause = format!("an SQLite database of another program, application id {application:#x}");
        return Err(StoreError::Foreign { path: path.to_owned(), cause });
    }
    let known = schema::known_version();
    schema.allows(known, path)?;
    Ok(is_new)
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
        // Where there is no room for the index of its log, SQLite tells of a failed read or write alone.
        Some(ErrorCode::SystemIoFailure) if has_no_room(&path) => StoreError::Full { action, path, cause },
        Some(ErrorCode::SystemIoFailure) => StoreError::Disk { action, path, cause },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy { action, path },
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            StoreError::Unwritable { action, path, cause }
        }
        _ => StoreError::Database { action, path, cause },
    }
}

/// Smallest room of a disk on which SQLite can work: the index of a log has so many bytes.
const LEAST_ROOM_BYTES: u64 = 32 << 10;

/// Whether the disk of a file is full.
fn has_no_room(path: &Path) -> bool {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    nix::sys::statvfs::statvfs(folder)
        .is_ok_and(|disk| disk.blocks_available().saturating_mul(disk.fragment_size()) < LEAST_ROOM_BYTES)
}

fn refused(action: &str, path: &Path, error: &std::io::Error) -> StoreError {
    let (action, path, cause) = (action.to_owned(), path.to_owned(), error.to_string());
    match error.kind() {
        std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied => {
            StoreError::Unwritable { action, path, cause }
        }
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => StoreError::Full { action, path, cause },
        _ => StoreError::Database { action, path, cause },
    }
}
