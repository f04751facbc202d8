use super::session::Session;
use crate::domain::HOST_SILENT_AFTER;
use crate::store::neighbours::{SchemaVersions, works_from};
use crate::store::sql::value::{Bound, Params, Row, params};
use crate::store::sql::{Connection, Fault, Outcome};

/// The version of the schema that the first step makes: what SQLite's was then.
const FIRST_VERSION: u32 = 22;

/// Each step takes the schema to the next version. A released step is never edited: a change is a new step at the end,
/// beside SQLite's of the same number.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("022_first.sql"),
    include_str!("023_measured_jobs.sql"),
    include_str!("024_hosts.sql"),
    include_str!("025_hosts_share_sweeps.sql"),
    include_str!("026_shared_reports.sql"),
    include_str!("027_works_from.sql"),
];

const LOCK: &str = "SELECT pg_advisory_xact_lock(7233173838382854765)";
const IS_THERE: &str = "SELECT CAST(to_regclass('farmctl_store') AS TEXT), CAST(to_regclass('sweeps') AS TEXT)";
const VERSION: &str = "SELECT version FROM farmctl_store";
const NOTE: &str = "
    INSERT INTO farmctl_store (one, version) VALUES (1, ?1) ON CONFLICT (one) DO UPDATE SET version = ?1";

/// Whether the store says which programs may work with it, and which.
const SAYS_FROM: &str = "SELECT CAST(to_regclass('works_from') AS TEXT)";
const WORKS_FROM: &str = "SELECT version FROM works_from";
const NOTE_FROM: &str = "
    INSERT INTO works_from (one, version) VALUES (1, ?1) ON CONFLICT (one) DO UPDATE SET version = ?1";

/// Hosts are in the store from this version on.
const HOSTS_VERSION: u32 = 24;
/// Hosts that are at work, by this server's clock.
const AT_WORK: &str = "
    SELECT 'host ' || name || ' (farmctl ' || version || ')' FROM hosts
    WHERE state <> 'removed' AND ended_at_ns IS NULL
      AND beat_at_ns > CAST(extract(epoch FROM clock_timestamp()) AS BIGINT) * 1000000000 - ?1
    ORDER BY name";

/// The version this program writes.
pub(super) fn known_version() -> u32 {
    FIRST_VERSION + u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX) - 1
}

/// The step to this version.
#[cfg(test)]
pub(super) fn step_to(version: u32) -> Option<&'static str> {
    MIGRATIONS.get(usize::try_from(version.checked_sub(FIRST_VERSION)?).ok()?).copied()
}

/// What a database has of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// Tables of another program.
    Foreign,
    /// A store of this version.
    Version(u32),
}

/// Looks what is there.
pub(super) fn found(session: &Session) -> Outcome<Found> {
    let mut names = None;
    session.query(IS_THERE, &[], &mut |columns| {
        let row = Row(columns);
        names = Some((row.get::<Option<String>>(0)?, row.get::<Option<String>>(1)?));
        Ok(())
    })?;
    match names.unwrap_or_default() {
        (None, None) => Ok(Found::Nothing),
        (None, Some(_)) => Ok(Found::Foreign),
        (Some(_), _) => Ok(Found::Version(version(session)?)),
    }
}

/// The version of a store that is there.
pub(super) fn version(connection: &dyn Connection) -> Outcome<u32> {
    let mut version = None;
    connection.query(VERSION, &[], &mut |columns| {
        version = Some(Row(columns).get::<u32>(0)?);
        Ok(())
    })?;
    version.ok_or_else(|| Fault::Column("farmctl_store has no row".to_owned()))
}

/// What a store that is there says of its schema.
pub(super) fn versions(connection: &dyn Connection) -> Outcome<SchemaVersions> {
    let found = version(connection)?;
    let says_from = texts(connection, SAYS_FROM, &[])?;
    let mut told = None;
    if !says_from.is_empty() {
        connection.query(WORKS_FROM, &[], &mut |columns| {
            told = Some(Row(columns).get::<u32>(0)?);
            Ok(())
        })?;
    }
    Ok(SchemaVersions { found, works_from: told.unwrap_or(found) })
}

/// Hosts at work that could not be any more after the steps of this program; none where they can.
pub(super) fn left_behind(connection: &dyn Connection, found: u32) -> Outcome<Vec<String>> {
    if found < HOSTS_VERSION || works_from(known_version()) <= found {
        return Ok(Vec::new());
    }
    let silent_ns = i64::try_from(HOST_SILENT_AFTER.as_nanos()).unwrap_or(i64::MAX);
    let bound = params![silent_ns];
    texts(connection, AT_WORK, &Params::bound(&bound))
}

fn texts(connection: &dyn Connection, sql: &str, bound: &[Bound<'_>]) -> Outcome<Vec<String>> {
    let mut texts = Vec::new();
    connection.query(sql, bound, &mut |columns| {
        texts.extend(Row(columns).get::<Option<String>>(0)?);
        Ok(())
    })?;
    Ok(texts)
}

/// Brings the schema to the version that this program knows, each step in a transaction of its own. Another process may
/// do the same at the same time.
pub(super) fn migrate(session: &Session) -> Outcome<()> {
    loop {
        session.run("BEGIN")?;
        let stepped = step(session);
        match stepped {
            Ok(is_last) => {
                session.run("COMMIT")?;
                if is_last {
                    return Ok(());
                }
            }
            Err(fault) => {
                session.undo();
                return Err(fault);
            }
        }
    }
}

/// Takes the next step, if there is one; says whether there was none.
fn step(session: &Session) -> Outcome<bool> {
    session.query(LOCK, &[], &mut |_| Ok(()))?;
    let (index, next) = match found(session)? {
        Found::Version(version) => (version.checked_sub(FIRST_VERSION - 1), version + 1),
        _ => (Some(0), FIRST_VERSION),
    };
    let step = index.and_then(|index| usize::try_from(index).ok()).and_then(|index| MIGRATIONS.get(index));
    let Some(step) = step else { return Ok(true) };
    session.run(step)?;
    let bound = params![next];
    session.execute(NOTE, &Params::bound(&bound))?;
    if !texts(session, SAYS_FROM, &[])?.is_empty() {
        let bound = params![works_from(next)];
        session.execute(NOTE_FROM, &Params::bound(&bound))?;
    }
    Ok(false)
}
