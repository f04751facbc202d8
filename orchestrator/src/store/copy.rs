//! A whole store from one database to another: every row, checked. A copy to a server is made in steps, and one that
//! was broken off is gone on with.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::postgres::{PostgresStore, ServerAccess};
use super::sql::maintenance::{TABLES, Table, export};
use super::sql::value::{Bound, Row, Value};
use super::sql::{Connection, Database, Fault, Outcome};
use super::sqlite::SqliteStore;
use super::{MaintenanceStore, StoreError, import, is_server, is_there};

/// Values that one statement takes at most.
const VALUES_AT_ONCE: usize = 4_000;
/// Rows that are kept with one commit.
const ROWS_AT_ONCE: usize = 1_000;
/// Bytes of rows after which they are kept, however few they are.
const BYTES_AT_ONCE: usize = 8 << 20;
/// What is only there while a store is copied to this database; it has the lab's identifier.
pub(super) const MARK: &str = "farmctl_copying";
/// Tables whose numbers the database gives.
const NUMBERED: [(&str, &str); 4] =
    [("records", "sequence"), ("environments", "id"), ("device_changes", "number"), ("events", "sequence")];

/// Copies a store to where none is, or where a copy of it was begun; returns how many rows it has.
///
/// # Errors
/// When one of both can't be opened, the other place has a store, or what is there in the end is not the same.
pub(super) fn copy(from: &str, to: &str, access: &ServerAccess) -> Result<u64, StoreError> {
    match (is_server(from), is_server(to)) {
        (true, true) => to_server(&known_whole(PostgresStore::open(from, access)?, from)?.database, to, access),
        (false, true) => to_server(&known_whole(file(from)?, from)?.database, to, access),
        (true, false) => to_file(&PostgresStore::open(from, access)?, from, path(to)),
        (false, false) => {
            Err(unfit(to, "both are files: `farmctl store backup` and `farmctl store restore` copy those"))
        }
    }
}

/// Refuses a store whose schema has more than this program knows, which would be left out.
fn known_whole<S: MaintenanceStore>(store: S, name: &str) -> Result<S, StoreError> {
    match store.may_work()? {
        Some(found) => {
            Err(unfit(name, &format!("its schema has version {found}, of a newer farmctl: let that copy it")))
        }
        None => Ok(store),
    }
}

fn path(url_or_path: &str) -> &Path {
    Path::new(url_or_path.strip_prefix("sqlite:").unwrap_or(url_or_path))
}

fn file(from: &str) -> Result<SqliteStore, StoreError> {
    if !is_there(path(from))? {
        return Err(unfit(from, "it is not there"));
    }
    SqliteStore::open(path(from))
}

fn unfit(place: &str, cause: &str) -> StoreError {
    StoreError::Unfit { path: PathBuf::from(place.split('?').next().unwrap_or_default()), cause: cause.to_owned() }
}

/// By an export: it is there whole or not at all.
fn to_file(from: &PostgresStore, name: &str, to: &Path) -> Result<u64, StoreError> {
    if is_there(to)? {
        return Err(unfit(&to.to_string_lossy(), "it is there already: move it away first"));
    }
    let failed = |cause| StoreError::Copy { action: "write beside".to_owned(), path: to.to_owned(), cause };
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let kept = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let mut writer = BufWriter::new(kept.as_file());
    from.export(&mut writer)?;
    writer.flush().map_err(failed)?;
    drop(writer);
    let mut reader = BufReader::new(File::open(kept.path()).map_err(failed)?);
    import(&mut reader, Path::new(name.split('?').next().unwrap_or_default()), to)
}

fn to_server(from: &dyn Database, to: &str, access: &ServerAccess) -> Result<u64, StoreError> {
    let to = PostgresStore::open_to_copy(to, access)?;
    let mut rows = 0;
    let copied = from.moment(&mut |source| {
        let lab = lab(source)?;
        let refused = |fault| Fault::Store(to.database.error("copy", fault));
        to.database.transaction(&mut |target| begin(target, &lab)).map_err(refused)?;
        for table in TABLES {
            copy_table(source, &to.database, table).map_err(refused)?;
        }
        let version = super::postgres::known_version();
        let mut expected = Digested::default();
        rows = export(source, version, &mut expected)?;
        let mut found = Digested::default();
        to.database.moment(&mut |target| export(target, version, &mut found).map(drop)).map_err(refused)?;
        if expected.0.finalize() != found.0.finalize() {
            let cause = "what is there now is not the same: the one was used meanwhile, or the other; empty it, and \
                         copy again";
            return Err(Fault::Store(unfit(&to.database.shown(), cause)));
        }
        to.database.transaction(&mut |target| end(target)).map_err(refused)
    });
    copied.map_err(|fault| from.error("copy", fault))?;
    Ok(rows)
}

/// What an export would be, as its hash.
#[derive(Default)]
struct Digested(Sha256);

impl Write for Digested {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn texts(connection: &dyn Connection, sql: &str) -> Outcome<Vec<String>> {
    let mut texts = Vec::new();
    connection.query(sql, &[], &mut |columns| {
        texts.extend(Row(columns).get::<Option<String>>(0)?);
        Ok(())
    })?;
    Ok(texts)
}

fn lab(connection: &dyn Connection) -> Outcome<String> {
    let found = texts(connection, "SELECT id FROM lab")?;
    found.into_iter().next().ok_or_else(|| Fault::Column("the lab has no identifier".to_owned()))
}

/// Takes a database that has nothing, or the begun copy of this lab.
fn begin(target: &dyn Connection, lab: &str) -> Outcome<()> {
    if is_marked(target)? {
        let begun = texts(target, &format!("SELECT lab FROM {MARK}"))?;
        if begun != [lab] {
            return Err(Fault::Store(unfit("the server", "a copy of another lab was begun there: empty it first")));
        }
        return Ok(());
    }
    for Table { name, .. } in TABLES.iter().filter(|table| !["lab", "told"].contains(&table.name)) {
        if !texts(target, &format!("SELECT 'a row' FROM {name} LIMIT 1"))?.is_empty() {
            return Err(Fault::Store(unfit("the server", "there is a store of a lab already: take an empty database")));
        }
    }
    target.execute(&format!("CREATE TABLE {MARK} (lab TEXT NOT NULL)"), &[])?;
    let bound = [Bound { name: None, value: Value::Text(lab.into()) }];
    target.execute(&format!("INSERT INTO {MARK} (lab) VALUES (?1)"), &bound)?;
    target.execute("DELETE FROM lab", &[])?;
    target.execute("DELETE FROM told", &[])?;
    Ok(())
}

/// Whether a copy was begun and not ended.
pub(super) fn is_marked(target: &dyn Connection) -> Outcome<bool> {
    Ok(!texts(target, &format!("SELECT CAST(to_regclass('{MARK}') AS TEXT)"))?.is_empty())
}

/// Lets the database go on with the numbers it gives, and the store be used.
fn end(target: &dyn Connection) -> Outcome<()> {
    for (table, column) in NUMBERED {
        let sql = format!(
            "SELECT CAST(setval(pg_get_serial_sequence('{table}', '{column}'), (SELECT max({column}) FROM {table})) AS \
             TEXT) WHERE EXISTS (SELECT 1 FROM {table})"
        );
        texts(target, &sql)?;
    }
    target.execute(&format!("DROP TABLE {MARK}"), &[]).map(drop)
}

/// Rows that wait to be kept.
#[derive(Default)]
struct Waiting {
    columns: Vec<String>,
    rows: Vec<Vec<Value<'static>>>,
    bytes: usize,
}

fn copy_table(source: &dyn Connection, target: &dyn Database, table: &Table) -> Outcome<()> {
    let Table { name, key, .. } = table;
    // Those that are never changed are gone on with behind the last one.
    let mut after = None;
    if *key == "sequence" {
        target.connected(&mut |connection| {
            connection.query(&format!("SELECT max(sequence) FROM {name}"), &[], &mut |columns| {
                after = Row(columns).get::<Option<i64>>(0)?;
                Ok(())
            })
        })?;
    }
    let rest = after.map(|after| format!("WHERE sequence > {after}")).unwrap_or_default();
    let mut waiting = Waiting::default();
    source.query(&format!("SELECT * FROM {name} {rest} ORDER BY {key}"), &[], &mut |columns| {
        let names = columns.names();
        let row = (0..names.len()).map(|index| Ok(owned(columns.value(index)?))).collect::<Outcome<Vec<_>>>()?;
        if waiting.columns.is_empty() {
            waiting.columns = names.into_iter().map(str::to_owned).collect();
        }
        waiting.bytes +=
            row.iter().map(|value| if let Value::Text(text) = value { text.len() } else { 8 }).sum::<usize>();
        waiting.rows.push(row);
        if waiting.rows.len() >= ROWS_AT_ONCE || waiting.bytes >= BYTES_AT_ONCE {
            keep(target, name, &mut waiting)?;
        }
        Ok(())
    })?;
    keep(target, name, &mut waiting)
}

fn owned(value: Value<'_>) -> Value<'static> {
    match value {
        Value::Null => Value::Null,
        Value::Integer(number) => Value::Integer(number),
        Value::Text(text) => Value::Text(text.into_owned().into()),
    }
}

/// Keeps the rows that wait. Those that a copy before has kept are there already.
fn keep(target: &dyn Database, table: &str, waiting: &mut Waiting) -> Outcome<()> {
    let Waiting { columns, rows, .. } = waiting;
    if rows.is_empty() {
        return Ok(());
    }
    let at_once = (VALUES_AT_ONCE / columns.len().max(1)).max(1);
    target.transaction(&mut |connection| {
        // One row each, and no key.
        if ["lab", "told"].contains(&table) {
            connection.execute(&format!("DELETE FROM {table}"), &[])?;
        }
        for rows in rows.chunks(at_once) {
            let place = |row: usize, column: usize| format!("?{}", row * columns.len() + column + 1);
            let places = |row| (0..columns.len()).map(|column| place(row, column)).collect::<Vec<_>>().join(", ");
            let places = (0..rows.len()).map(|row| format!("({})", places(row))).collect::<Vec<_>>().join(", ");
            let sql = format!("INSERT INTO {table} ({}) VALUES {places} ON CONFLICT DO NOTHING", columns.join(", "));
            let bound: Vec<Bound<'_>> =
                rows.iter().flatten().map(|value| Bound { name: None, value: value.clone() }).collect();
            connection.execute(&sql, &bound)?;
        }
        Ok(())
    })?;
    waiting.rows.clear();
    waiting.bytes = 0;
    Ok(())
}
