use std::io::Write;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::{SqliteStore, connection, schema};
use crate::store::sql::maintenance::{FAULTS_TOLD, check_rows, export, listed};
use crate::store::sql::{Database as _, Outcome};
use crate::store::{MaintenanceStore, StoreCheck, StoreError, Vacuumed};

/// How long to wait for another process's transaction before the store is left alone.
const VACUUM_TIMEOUT: Duration = Duration::from_secs(2);
/// Begins what is told of a schema that is not whole.
const SCHEMA_LACKS: &str = "the schema lacks its ";

impl MaintenanceStore for SqliteStore {
    fn check(&self) -> Result<StoreCheck, StoreError> {
        self.database.refuse_if_lost()?;
        self.with_connection(check).map_err(|fault| self.database.error("check", fault))
    }

    fn vacuum(&self) -> Result<Vacuumed, StoreError> {
        self.database.refuse_if_lost()?;
        let before_bytes = self.size_bytes();
        self.with_connection(shrink)
            .map_err(|error| connection::failure("give space back", &self.database.path, &error))?;
        Ok(Vacuumed { before_bytes, after_bytes: self.size_bytes() })
    }

    fn lost(&self) -> Option<String> {
        self.database.why_lost()
    }

    fn may_work(&self) -> Result<Option<u32>, StoreError> {
        let looked = self.with_connection(|connection| schema::versions(connection));
        let versions =
            looked.map_err(|error| connection::failure("look at the schema", &self.database.path, &error))?;
        versions.allows(schema::known_version(), &self.database.path)
    }

    fn back_up(&self, to: &Path) -> Result<(), StoreError> {
        self.database.back_up_to(to)
    }

    fn export(&self, to: &mut dyn Write) -> Result<u64, StoreError> {
        self.is_known_whole()?;
        let mut rows = 0;
        let exported = self.database.moment(&mut |moment| {
            rows = export(moment, schema::known_version(), to)?;
            Ok(())
        });
        exported.map(|()| rows).map_err(|fault| self.database.error("export", fault))
    }
}

/// What is wrong with the file and its rows, all of one moment: others may write meanwhile.
pub(super) fn check(connection: &mut Connection) -> Outcome<StoreCheck> {
    let moment = connection.transaction()?;
    let schema_version = schema::version(&moment)?;
    let mut faults = file_faults(&moment)?;
    // Rows of a file that is damaged say nothing.
    let is_readable = faults.is_empty();
    if is_readable {
        faults = schema_faults(&moment)?;
    }
    let mut rows = Vec::new();
    if is_readable && !faults.iter().any(|fault| lacks_a_table(fault)) {
        let found = check_rows(&*moment)?;
        faults.extend(found.faults);
        rows = found.rows;
    }
    Ok(StoreCheck { schema_version, rows, faults })
}

fn shrink(connection: &mut Connection) -> rusqlite::Result<()> {
    let shrink = || -> rusqlite::Result<()> {
        connection.busy_timeout(VACUUM_TIMEOUT)?;
        connection.execute_batch("VACUUM")?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    };
    let shrunk = shrink();
    connection.busy_timeout(connection::BUSY_TIMEOUT)?;
    shrunk
}

impl SqliteStore {
    /// Refuses where the schema has more than this program knows, which would be left out.
    fn is_known_whole(&self) -> Result<(), StoreError> {
        let (path, known) = (self.database.path.clone(), schema::known_version());
        self.may_work()?.map_or(Ok(()), |found| Err(StoreError::Newer { path, found, known }))
    }

    /// Size of the file and of its log.
    fn size_bytes(&self) -> u64 {
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        size(&self.database.path) + self.database.held.as_ref().map_or(0, |held| size(&held.names.log()))
    }
}

/// Where the file itself is damaged.
pub(super) fn damage(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut faults = Vec::new();
    let mut statement = connection.prepare(&format!("PRAGMA integrity_check({FAULTS_TOLD})"))?;
    let mut rows = statement.query([])?;
    loop {
        match rows.next() {
            Ok(None) => break,
            Ok(Some(row)) => faults.push(row.get::<_, String>(0)?),
            // The file may be too damaged even to be checked.
            Err(error) => {
                faults.push(error.to_string());
                return Ok(faults);
            }
        }
    }
    faults.retain(|fault| fault != "ok");
    Ok(faults)
}

/// What SQLite itself finds.
fn file_faults(connection: &Connection) -> Outcome<Vec<String>> {
    let mut faults = damage(connection)?;
    if !faults.is_empty() {
        return Ok(faults);
    }
    faults.extend(listed(
        connection,
        "SELECT 'row ' || coalesce(rowid, '?') || ' of ' || \"table\" || ' refers to a row of ' || parent
         || ' that is not there' FROM pragma_foreign_key_check",
    )?);
    Ok(faults)
}

/// Tables, indices and triggers that the schema of this version has and this store has not, or the other way round.
fn schema_faults(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    const ENTRIES: &str = "SELECT type || ' ' || name FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    let all = |connection: &Connection| -> rusqlite::Result<std::collections::BTreeSet<String>> {
        connection.prepare(ENTRIES)?.query_map([], |row| row.get(0))?.collect()
    };
    let mut fresh = Connection::open_in_memory()?;
    schema::migrate(&mut fresh, schema::MIGRATIONS)?;
    let (expected, found) = (all(&fresh)?, all(connection)?);
    let missing = expected.difference(&found).map(|entry| format!("{SCHEMA_LACKS}{entry}"));
    // A newer program may have added to it.
    if schema::versions(connection)?.is_neighbours(schema::known_version()) {
        return Ok(missing.collect());
    }
    Ok(missing.chain(found.difference(&expected).map(|entry| format!("the schema has a foreign {entry}"))).collect())
}

fn lacks_a_table(fault: &str) -> bool {
    fault.strip_prefix(SCHEMA_LACKS).is_some_and(|entry| entry.starts_with("table "))
}
