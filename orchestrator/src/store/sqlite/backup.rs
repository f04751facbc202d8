//! Copies of a whole store: made while it is used, put back, and made from an export.

use std::io::BufRead;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rusqlite::types::Value as Column;
use rusqlite::{Connection, params_from_iter};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::connection::IfNew;
use super::files::{StoreFiles, beside, make_private};
use super::{SqliteFile, SqliteStore, connection, schema};
use crate::domain::many;
use crate::store::sql::maintenance::{EXPORT_FORM, TABLES, Table};
use crate::store::{Aside, MaintenanceStore as _, StoreError};

/// Epochs of leases jump by so much when a store goes back in time: devices refuse what is older than they have seen.
const EPOCHS_AHEAD: i64 = 1_000_000;
/// Longest line of an export: a record with all its samples.
const MAX_LINE_BYTES: u64 = 1 << 30;

impl SqliteFile {
    pub(super) fn back_up_to(&self, to: &Path) -> Result<(), StoreError> {
        self.refuse_if_lost()?;
        self.copy_to(to)
    }

    /// What this connection sees, into a file that nothing has the name of.
    pub(super) fn copy_to(&self, to: &Path) -> Result<(), StoreError> {
        let failed = |cause| failed("write the backup", to, cause);
        if to.symlink_metadata().is_ok() {
            return Err(failed(std::io::Error::other("it is there already; name another file, or move that one away")));
        }
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            let cause = format!("{} is no folder; make it first", folder.display());
            return Err(failed(std::io::Error::other(cause)));
        }
        // Two processes that keep what both lost do not write into each other's.
        let partial = beside(to, &format!(".{}.partial", std::process::id()));
        let _ = std::fs::remove_file(&partial);
        let text = partial.to_string_lossy().into_owned();
        let finish = || -> std::io::Result<()> {
            std::fs::set_permissions(&partial, std::fs::Permissions::from_mode(0o600))?;
            std::fs::File::open(&partial)?.sync_all()?;
            std::fs::rename(&partial, to)
        };
        // One read transaction: what others write meanwhile is not in it, and does not make it begin anew.
        let copied = self.with_connection(|connection| connection.execute("VACUUM INTO ?1", [&text]));
        let copied = copied.map_err(|error| match connection::failure("back up", to, &error) {
            // Of the two files it is the new one that can't be made.
            StoreError::Unwritable { .. } => failed(std::io::Error::other(error.to_string())),
            _ => connection::failure("back up", &self.path, &error),
        });
        let copied = copied.and_then(|_| finish().map_err(failed));
        if copied.is_err() {
            let _ = std::fs::remove_file(&partial);
        }
        copied
    }
}

/// Puts a copy of a store where a lab has its own; that one goes aside under the name that is returned, with its log,
/// or what is left of it. Nobody may have either open.
///
/// # Errors
/// When the copy is no sound store, or a file can't be written. The lab's store is then as it was.
pub fn restore(from: &Path, to: &Path) -> Result<Option<Aside>, StoreError> {
    let to = StoreFiles::of(to);
    let partial = StoreFiles::of(&beside(to.file(), ".restoring"));
    partial.remove();
    let copied = copy(from, &partial).map_err(|cause| failed("copy the backup", from, cause));
    let put = copied.and_then(|()| prepare(&partial, from)).and_then(|()| replace(&partial, &to));
    partial.remove();
    put
}

/// Makes a store of an export, of which `from` is the name, where a lab has none.
///
/// # Errors
/// When the export is not whole or of another version, or the store can't be written. Nothing is then left of it.
pub fn import(export: &mut dyn BufRead, from: &Path, to: &Path) -> Result<u64, StoreError> {
    let to = StoreFiles::of(to);
    let partial = StoreFiles::of(&beside(to.file(), ".importing"));
    partial.remove();
    let made = make_private(partial.file()).map_err(|cause| failed("make", partial.file(), cause));
    let made = made.and_then(|()| fill(export, from, partial.file()));
    let put = made.and_then(|rows| prepare(&partial, from).and_then(|()| replace(&partial, &to)).map(|_| rows));
    partial.remove();
    put
}

/// Copies a store's file, for its owner alone, with the log that may lie beside it.
fn copy(from: &Path, to: &StoreFiles) -> std::io::Result<()> {
    let from = StoreFiles::of(from);
    copy_file(from.file(), to.file())?;
    if from.log().is_file() { copy_file(&from.log(), &to.log()) } else { Ok(()) }
}

fn copy_file(from: &Path, to: &Path) -> std::io::Result<()> {
    if !std::fs::metadata(from)?.is_file() {
        return Err(std::io::Error::other("it is no file"));
    }
    make_private(to)?;
    std::fs::copy(from, to)?;
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o600))
}

/// Makes sure that a copy is sound, and lets its epochs go ahead of all that devices have seen.
fn prepare(partial: &StoreFiles, from: &Path) -> Result<(), StoreError> {
    let store = SqliteStore::open_as(partial.file(), IfNew::Refuse).map_err(|error| unfit(error, from))?;
    sound(&store).map_err(|error| unfit(error, from))?;
    let ahead = format!("UPDATE device_leases SET epoch = epoch + {EPOCHS_AHEAD}, until_ns = 0");
    store.execute("let epochs go ahead", &ahead, [])?;
    let closed =
        store.with_connection(|connection| connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
    closed.map_err(|error| connection::failure("write", partial.file(), &error))?;
    drop(store);
    std::fs::File::open(partial.file())
        .and_then(|file| file.sync_all())
        .map_err(|cause| failed("write", partial.file(), cause))
}

fn sound(store: &SqliteStore) -> Result<(), StoreError> {
    let faults = store.check()?.faults;
    let Some(fault) = faults.first() else { return Ok(()) };
    let cause = format!("{}, the first: {fault}", many(faults.len() as u64, "fault"));
    Err(StoreError::Damaged { action: "look through it".to_owned(), path: store.database.path.clone(), cause })
}

/// The same about the file that a person named, where that is what is wrong.
fn unfit(error: StoreError, from: &Path) -> StoreError {
    let cause = match error {
        StoreError::Damaged { cause, .. } => format!("it is damaged ({cause})"),
        StoreError::Foreign { cause, .. } => format!("it is no farmctl store ({cause})"),
        StoreError::Parted { .. } => {
            "it is no whole farmctl store: it is empty, or the log beside it is of another".to_owned()
        }
        StoreError::Newer { found, known, .. } => {
            format!("it has schema version {found}, this farmctl knows {known}, so a newer farmctl can")
        }
        StoreError::Corrupt { what, cause } => format!("{what} can't be read: {cause}"),
        other => return other,
    };
    StoreError::Unfit { path: from.to_owned(), cause }
}

/// Gives the store its name; the one that has it goes aside with all that SQLite keeps beside it, and so does what is
/// left of one. Then it is looked through at its place.
fn replace(partial: &StoreFiles, to: &StoreFiles) -> Result<Option<Aside>, StoreError> {
    let failed = |cause| failed("put the store in its place", to.file(), cause);
    let aside = to.move_aside("before").map_err(failed)?;
    std::fs::rename(partial.file(), to.file()).map_err(failed)?;
    if let Some(folder) = to.file().parent() {
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    }
    sound(&SqliteStore::open_as(to.file(), IfNew::Refuse)?)?;
    Ok(aside)
}

fn failed(action: &str, path: &Path, cause: std::io::Error) -> StoreError {
    StoreError::Copy { action: action.to_owned(), path: path.to_owned(), cause }
}

/// A line of an export: the first, a row, or the last.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Head { export: String, form: u32, schema_version: u32 },
    Row { table: String, row: Map<String, Value> },
    End { end: String, rows: u64 },
}

/// Writes the rows of an export into a new store.
fn fill(export: &mut dyn BufRead, from: &Path, partial: &Path) -> Result<u64, StoreError> {
    let refused = |cause: String| StoreError::Unfit { path: from.to_owned(), cause };
    let (mut store, mut rows, mut is_whole) = (None::<Connection>, 0, false);
    let refused_by = |error: rusqlite::Error| connection::failure("import", partial, &error);
    for number in 1.. {
        let mut line = String::new();
        let read = std::io::Read::take(&mut *export, MAX_LINE_BYTES).read_line(&mut line);
        let read = read.map_err(|cause| match cause.kind() {
            std::io::ErrorKind::InvalidData => refused(format!("line {number}: it is no text")),
            _ => failed("read the export", from, cause),
        });
        if read? == 0 {
            break;
        }
        let line: Line = serde_json::from_str(&line).map_err(|error| refused(format!("line {number}: {error}")))?;
        match (line, &mut store) {
            (Line::Head { export, form, schema_version }, None) => {
                let known = usize::try_from(schema_version).ok().and_then(|version| schema::MIGRATIONS.get(..version));
                let Some(steps) = known.filter(|_| export == "farmctl store" && form == EXPORT_FORM) else {
                    return Err(refused("it was written by another version: use that one".to_owned()));
                };
                let mut made = Connection::open(partial).map_err(refused_by)?;
                schema::migrate(&mut made, steps).map_err(refused_by)?;
                made.execute_batch("BEGIN; DELETE FROM lab; DELETE FROM told").map_err(refused_by)?;
                store = Some(made);
            }
            (Line::Row { table, row }, Some(store)) if !is_whole => {
                insert(store, &table, row).map_err(|cause| refused(format!("line {number}: {cause}")))?;
                rows += 1;
            }
            (Line::End { end, rows: expected }, Some(store))
                if end == "farmctl store" && expected == rows && !is_whole =>
            {
                store.execute_batch("COMMIT").map_err(refused_by)?;
                is_whole = true;
            }
            _ => return Err(refused(format!("line {number} is not to be there: it is not whole"))),
        }
    }
    if is_whole { Ok(rows) } else { Err(refused("its last line is missing: it is not whole".to_owned())) }
}

fn insert(store: &Connection, table: &str, row: Map<String, Value>) -> Result<(), String> {
    let Table { name: table, json, .. } =
        TABLES.iter().find(|known| known.name == table).ok_or_else(|| format!("no table {table:?}"))?;
    let is_of_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let is_word = |name: &String| !name.is_empty() && name.bytes().all(is_of_word);
    if let Some(name) = row.keys().find(|name| !is_word(name)) {
        return Err(format!("no column {name:?}"));
    }
    let names = row.keys().cloned().collect::<Vec<_>>().join(", ");
    let places = vec!["?"; row.len()].join(", ");
    let values = row.into_iter().map(|(name, value)| match value {
        Value::Null => Ok(Column::Null),
        value if *json == Some(name.as_str()) => Ok(Column::Text(value.to_string())),
        Value::String(text) => Ok(Column::Text(text)),
        Value::Number(number) if number.is_i64() => Ok(Column::Integer(number.as_i64().unwrap_or_default())),
        other => Err(format!("{name} is {other}")),
    });
    let values = values.collect::<Result<Vec<_>, String>>()?;
    let sql = format!("INSERT INTO {table} ({names}) VALUES ({places})");
    let inserted = store.prepare_cached(&sql).and_then(|mut statement| statement.execute(params_from_iter(values)));
    inserted.map(drop).map_err(|error| error.to_string())
}
