use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};

use crate::store::neighbours::{SchemaVersions, works_from};

/// Marks the file as ours in its header: «farm» in ASCII.
pub(super) const APPLICATION_ID: i32 = 0x6661_726d;

/// Each step takes the schema from its index to the next version. A released step is never edited: a change is a new
/// step at the end.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("001_first.sql"),
    include_str!("002_device_changes.sql"),
    include_str!("003_states_and_leases.sql"),
    include_str!("004_locks_and_sightings.sql"),
    include_str!("005_schedules.sql"),
    include_str!("006_priorities.sql"),
    include_str!("007_the_lab_runs_itself.sql"),
    include_str!("008_schedule_pauses.sql"),
    include_str!("009_checks.sql"),
    include_str!("010_one_row_is_asked_for.sql"),
    include_str!("011_clock.sql"),
    include_str!("012_late_results.sql"),
    include_str!("013_history.sql"),
    include_str!("014_order.sql"),
    include_str!("015_heat.sql"),
    include_str!("016_pace.sql"),
    include_str!("017_measured_runs.sql"),
    include_str!("018_baselines.sql"),
    include_str!("019_run_history.sql"),
    include_str!("020_judged_runs.sql"),
    include_str!("021_regressions.sql"),
    include_str!("022_columns.sql"),
    include_str!("023_measured_jobs.sql"),
    include_str!("024_hosts.sql"),
    include_str!("025_hosts_share_sweeps.sql"),
    include_str!("026_shared_reports.sql"),
    include_str!("027_works_from.sql"),
];

/// The version this program writes.
pub(super) fn known_version() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// Whether the store says which programs may work with it, and which.
const SAYS_FROM: &str = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'works_from'";
const WORKS_FROM: &str = "SELECT version FROM works_from";
const NOTE_FROM: &str =
    "INSERT INTO works_from (one, version) VALUES (1, ?1) ON CONFLICT (one) DO UPDATE SET version = excluded.version";

/// What the store says of its schema.
pub(super) fn versions(connection: &Connection) -> rusqlite::Result<SchemaVersions> {
    let found = version(connection)?;
    let says_from: i64 = connection.query_row(SAYS_FROM, [], |row| row.get(0))?;
    let told = if says_from == 0 { None } else { connection.query_row(WORKS_FROM, [], |row| row.get(0)).optional()? };
    Ok(SchemaVersions { found, works_from: told.unwrap_or(found) })
}

/// The version in the file's header.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Brings the schema from whatever version it has to the last of `steps`: each step in a transaction of its own, and
/// those of a new store, which has no rows, in one, so that the disk is waited for once. A step that is refused leaves
/// the version before it. Another process may do the same at the same time: the version is read again once the write
/// lock is held.
pub(super) fn migrate(connection: &mut Connection, steps: &[&str]) -> rusqlite::Result<()> {
    // Who only reads needs no lock of the writer's.
    if usize::try_from(version(connection)?).is_ok_and(|found| found == steps.len()) {
        return Ok(());
    }
    loop {
        let mut transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found = version(&transaction)?;
        let left = usize::try_from(found).ok().and_then(|index| steps.get(index..)).unwrap_or_default();
        if left.is_empty() {
            return Ok(());
        }
        let together = if found == 0 { left.len() } else { 1 };
        let taken = (found + 1..).zip(&left[..together]).try_for_each(|(to, step)| take(&mut transaction, step, to));
        transaction.commit()?;
        taken?;
    }
}

/// Takes one step, or nothing of it.
fn take(transaction: &mut Transaction<'_>, step: &str, to: u32) -> rusqlite::Result<()> {
    let savepoint = transaction.savepoint()?;
    savepoint.execute_batch(step)?;
    savepoint.pragma_update(None, "application_id", APPLICATION_ID)?;
    savepoint.pragma_update(None, "user_version", to)?;
    if savepoint.query_row(SAYS_FROM, [], |row| row.get::<_, i64>(0))? == 1 {
        savepoint.execute(NOTE_FROM, [works_from(to)])?;
    }
    savepoint.commit()
}
