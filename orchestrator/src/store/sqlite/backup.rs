//! Copies of a whole store: made while it is used, put back, and made from an export.

use std::io::BufRead;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::types::Value as Column;
use rusqlite::{Connection, params_from_iter};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::maintenance::{EXPORT_FORM, TABLES};
use super::{SqliteStore, connection, corrupt, schema};
use crate::store::{MaintenanceStore as _, StoreError};

/// Epochs of leases jump by so much when a store goes back in time: devices refuse what is older than they have seen.
const EPOCHS_AHEAD: i64 = 1_000_000;
/// Longest line of an export: a record with all its samples.
const MAX_LINE_BYTES: u64 = 1 << 30;

impl SqliteStore {
    pub(super) fn back_up_to(&self, to: &Path) -> Result<(), StoreError> {
        let failed = |cause| failed("write the backup", to, cause);
        if to.exists() {
            return Err(failed(std::io::ErrorKind::AlreadyExists.into()));
        }
        let partial = beside(to, ".partial");
        let _ = std::fs::remove_file(&partial);
        let text = partial.to_string_lossy().into_owned();
        // One read transaction: what others write meanwhile is not in it, and does not make it begin anew.
        let copied = self.with_connection(|connection| connection.execute("VACUUM INTO ?1", [&text]));
        if let Err(error) = copied {
            let _ = std::fs::remove_file(&partial);
            return Err(connection::failure("back up", &self.path, &error));
        }
        let finish = || -> std::io::Result<()> {
            std::fs::set_permissions(&partial, std::fs::Permissions::from_mode(0o600))?;
            std::fs::File::open(&partial)?.sync_all()?;
            std::fs::rename(&partial, to)
        };
        finish().map_err(failed)
    }
}

/// Puts a copy of a store where a lab has its own; that one goes aside under the name that is returned, where there is
/// one. Nobody may have either open.
///
/// # Errors
/// When the copy is no sound store, or a file can't be written. The lab's store is then as it was.
pub fn restore(from: &Path, to: &Path) -> Result<Option<PathBuf>, StoreError> {
    let partial = beside(to, ".restoring");
    remove_all(&partial);
    std::fs::copy(from, &partial).map_err(|cause| failed("copy the backup", from, cause))?;
    let only_mine = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&partial, only_mine).map_err(|cause| failed("copy the backup", &partial, cause))?;
    let put = prepare(&partial).and_then(|()| replace(&partial, to));
    remove_all(&partial);
    put
}

/// Makes a store of an export, where a lab has none.
///
/// # Errors
/// When the export is not whole or of another version, or the store can't be written. Nothing is then left of it.
pub fn import(export: &mut dyn BufRead, to: &Path) -> Result<u64, StoreError> {
    let partial = beside(to, ".importing");
    remove_all(&partial);
    let made = fill(export, &partial).and_then(|rows| prepare(&partial).map(|()| rows));
    let put = made.and_then(|rows| replace(&partial, to).map(|_| rows));
    remove_all(&partial);
    put
}

/// Makes sure that a copy is sound, and lets its epochs go ahead of all that devices have seen.
fn prepare(partial: &Path) -> Result<(), StoreError> {
    let store = SqliteStore::open(partial)?;
    let check = store.check()?;
    if let Some(fault) = check.faults.first() {
        let cause = format!("{} faults, the first: {fault}", check.faults.len());
        return Err(StoreError::Damaged {
            action: "look through the copy".to_owned(),
            path: partial.to_owned(),
            cause,
        });
    }
    let ahead = format!("UPDATE device_leases SET epoch = epoch + {EPOCHS_AHEAD}, until_ns = 0");
    store.execute("let epochs go ahead", &ahead, [])?;
    let closed =
        store.with_connection(|connection| connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
    closed.map_err(|error| connection::failure("write", partial, &error))
}

/// Gives the store its name; the one that has it goes aside with what SQLite keeps beside it.
fn replace(partial: &Path, to: &Path) -> Result<Option<PathBuf>, StoreError> {
    let failed = |cause| failed("put the store in its place", to, cause);
    let mut aside = None;
    if to.exists() {
        let name = (1..).map(|number| beside(to, &format!(".before-{number}"))).find(|name| !name.exists());
        for ending in ENDINGS {
            let (from, Some(name)) = (beside(to, ending), &name) else { continue };
            if from.exists() {
                std::fs::rename(&from, beside(name, ending)).map_err(failed)?;
            }
        }
        aside = name;
    }
    std::fs::rename(partial, to).map_err(failed)?;
    Ok(aside)
}

/// Of a store's file, and of those that SQLite keeps beside it.
const ENDINGS: [&str; 3] = ["", "-wal", "-shm"];

fn failed(action: &str, path: &Path, cause: std::io::Error) -> StoreError {
    StoreError::Copy { action: action.to_owned(), path: path.to_owned(), cause }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.to_path_buf().into_os_string();
    path.push(ending);
    path.into()
}

fn remove_all(path: &Path) {
    for ending in ENDINGS {
        // What is not there need not go.
        let _ = std::fs::remove_file(beside(path, ending));
    }
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
fn fill(export: &mut dyn BufRead, partial: &Path) -> Result<u64, StoreError> {
    let refused = |cause: String| corrupt("an export", &cause);
    let (mut store, mut rows, mut is_whole) = (None::<Connection>, 0, false);
    let refused_by = |error: rusqlite::Error| connection::failure("import", partial, &error);
    for number in 1.. {
        let mut line = String::new();
        let read = std::io::Read::take(&mut *export, MAX_LINE_BYTES).read_line(&mut line);
        if read.map_err(|cause| failed("read the export", partial, cause))? == 0 {
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
            _ => return Err(refused(format!("line {number} is not to be there: the export is not whole"))),
        }
    }
    if is_whole { Ok(rows) } else { Err(refused("its last line is missing: it is not whole".to_owned())) }
}

fn insert(store: &Connection, table: &str, row: Map<String, Value>) -> Result<(), String> {
    let (table, json) =
        TABLES.iter().find(|(known, _)| *known == table).ok_or_else(|| format!("no table {table:?}"))?;
    let is_of_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let is_word = |name: &String| !name.is_empty() && name.bytes().all(is_of_word);
    if let Some(name) = row.keys().find(|name| !is_word(name)) {
        return Err(format!("no column {name:?}"));
    }
    let names = row.keys().cloned().collect::<Vec<_>>().join(", ");
    let places = vec!["?"; row.len()].join(", ");
    let values = row.into_iter().map(|(name, value)| match value {
        Value::Null => Ok(Column::Null),
        value if json.contains(&name.as_str()) => Ok(Column::Text(value.to_string())),
        Value::String(text) => Ok(Column::Text(text)),
        Value::Number(number) if number.is_i64() => Ok(Column::Integer(number.as_i64().unwrap_or_default())),
        other => Err(format!("{name} is {other}")),
    });
    let values = values.collect::<Result<Vec<_>, String>>()?;
    let sql = format!("INSERT INTO {table} ({names}) VALUES ({places})");
    let inserted = store.prepare_cached(&sql).and_then(|mut statement| statement.execute(params_from_iter(values)));
    inserted.map(drop).map_err(|error| error.to_string())
}
