use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use super::roles::keep_to_owner;
use super::session::Session;
use super::{PostgresStore, schema};
use crate::store::sql::maintenance::{RowCheck, TABLES, check_rows, export};
use crate::store::sql::value::Row;
use crate::store::sql::{Connection, Database as _, Fault, Outcome};
use crate::store::{MaintenanceStore, StoreCheck, StoreError, Vacuumed};

/// Tables, indices, triggers and views of the schema that the connection works in, without those of constraints.
const ENTRIES: &str = "
    SELECT CASE c.relkind WHEN 'r' THEN 'table ' WHEN 'i' THEN 'index ' ELSE 'view ' END || c.relname
    FROM pg_class c
    WHERE c.relnamespace = CAST(CAST(current_schema() AS TEXT) AS regnamespace) AND c.relkind IN ('r', 'i', 'v')
      AND NOT EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = c.oid)
    UNION ALL
    SELECT 'trigger ' || t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE c.relnamespace = CAST(CAST(current_schema() AS TEXT) AS regnamespace) AND NOT t.tgisinternal";

/// What takes room: all tables with their indices.
const BYTES: &str = "
    SELECT CAST(coalesce(sum(pg_total_relation_size(c.oid)), 0) AS BIGINT) FROM pg_class c
    WHERE c.relnamespace = CAST(CAST(current_schema() AS TEXT) AS regnamespace) AND c.relkind = 'r'";

/// How long it may take to write one table anew.
const VACUUM_LIMIT: Duration = Duration::from_secs(3600);
const ACTION: &str = "give space back";

impl MaintenanceStore for PostgresStore {
    fn check(&self) -> Result<StoreCheck, StoreError> {
        let mut found = None;
        let checked = self.database.moment(&mut |moment| {
            let mut faults = schema_faults(moment)?;
            let is_whole = !faults.iter().any(|fault| fault.contains("lacks its table"));
            let rows = if is_whole { check_rows(moment)? } else { RowCheck::default() };
            faults.extend(rows.faults);
            found = Some(StoreCheck { schema_version: schema::version(moment)?, rows: rows.rows, faults });
            Ok(())
        });
        checked.and_then(|()| found.ok_or(Fault::Undone)).map_err(|fault| self.database.error("check", fault))
    }

    fn vacuum(&self) -> Result<Vacuumed, StoreError> {
        let vacuumed = self.database.with_session(self.database.limits.repeat, |session| {
            keep_to_owner(session, &self.database.address, ACTION)?;
            let before_bytes = bytes(session)?;
            session.run("SET lock_timeout = '2s'; SET statement_timeout = 0")?;
            let vacuum = |name: &str| session.run_for(VACUUM_LIMIT, &format!("VACUUM (FULL, ANALYZE) {name}"));
            let done = TABLES.iter().try_for_each(|table| vacuum(table.name));
            // The next caller gets another connection.
            session.abandon();
            done?;
            Ok((before_bytes, bytes(session)?))
        });
        let (before_bytes, after_bytes) = vacuumed.map_err(|fault| self.database.error(ACTION, fault))?;
        Ok(Vacuumed { before_bytes, after_bytes })
    }

    fn lost(&self) -> Option<String> {
        None
    }

    fn may_work(&self) -> Result<Option<u32>, StoreError> {
        let mut versions = None;
        let looked = self.database.connected(&mut |session| {
            versions = Some(schema::versions(session)?);
            Ok(())
        });
        let looked = looked.and_then(|()| versions.ok_or(Fault::Undone));
        let versions = looked.map_err(|fault| self.database.error("look at the schema", fault))?;
        versions.allows(schema::known_version(), Path::new(&self.database.address.shown))
    }

    fn back_up(&self, _: &Path) -> Result<(), StoreError> {
        let what = "a backup of the whole database is PostgreSQL's: `pg_dump`, or its archive; `farmctl store export` \
                    and `farmctl store copy` write the rows of this lab";
        Err(StoreError::ElsewhereDone { path: self.database.address.shown.clone().into(), what: what.to_owned() })
    }

    fn export(&self, to: &mut dyn Write) -> Result<u64, StoreError> {
        // Once: what is written can't be taken back.
        let (mut rows, mut is_begun) = (0, false);
        let exported = self.database.moment(&mut |moment| {
            if std::mem::replace(&mut is_begun, true) {
                return Err(StoreError::Export { cause: std::io::Error::other("the connection broke") }.into());
            }
            let (found, known) = (schema::version(moment)?, schema::known_version());
            if found > known {
                // What this program does not know of would be left out.
                let path = self.database.address.shown.clone().into();
                return Err(StoreError::Newer { path, found, known }.into());
            }
            rows = export(moment, found, to)?;
            Ok(())
        });
        exported.map(|()| rows).map_err(|fault| self.database.error("export", fault))
    }
}

fn bytes(session: &Session) -> Outcome<u64> {
    let mut bytes = 0;
    session.query(BYTES, &[], &mut |columns| {
        bytes = Row(columns).get::<i64>(0)?.unsigned_abs();
        Ok(())
    })?;
    Ok(bytes)
}

/// What the steps of the schema make and this store has not. Others may have tables beside it.
fn schema_faults(connection: &dyn Connection) -> Outcome<Vec<String>> {
    let mut found = BTreeSet::new();
    connection.query(ENTRIES, &[], &mut |columns| {
        found.insert(Row(columns).get::<String>(0)?);
        Ok(())
    })?;
    let missing = made().into_iter().filter(|entry| !found.contains(entry));
    Ok(missing.map(|entry| format!("the schema lacks its {entry}")).collect())
}

/// What the steps make, by their own words.
fn made() -> Vec<String> {
    let lines = schema::MIGRATIONS.iter().flat_map(|step| step.lines());
    let entry = |line: &str| {
        let rest = line.strip_prefix("CREATE ")?;
        let rest = rest.strip_prefix("UNIQUE ").unwrap_or(rest);
        let (kind, rest) = rest.split_once(' ')?;
        let name = rest.split([' ', '(']).next()?;
        let is_told = ["TABLE", "INDEX", "TRIGGER", "VIEW"].contains(&kind);
        is_told.then(|| format!("{} {name}", kind.to_lowercase()))
    };
    lines.filter_map(entry).collect()
}
