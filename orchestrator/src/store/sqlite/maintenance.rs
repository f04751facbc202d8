use std::io::Write;
use std::path::Path;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use serde::de::IgnoredAny;

use super::{SqliteStore, connection, from_json, schema};
use crate::domain::{
    DeviceState, Event, Failure, Job, JobState, Record, Regression, RegressionState, RunState, SweepDefinition,
    SweepState,
};
use crate::store::event_columns::EventColumns;
use crate::store::{MaintenanceStore, StoreCheck, StoreError, Vacuumed};

/// Faults of one kind that are told one by one.
const FAULTS_TOLD: usize = 20;
/// How long to wait for another process's transaction before the store is left alone.
const VACUUM_TIMEOUT: Duration = Duration::from_secs(2);
/// Begins what is told of a schema that is not whole.
const SCHEMA_LACKS: &str = "the schema lacks its ";
/// Version of the form of an export; another schema has its own version.
pub(super) const EXPORT_FORM: u32 = 1;

/// A table of the store.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// Its column of JSON.
    pub(super) json: Option<&'static str>,
    /// What its rows are ordered by.
    key: &'static str,
}

const fn table(name: &'static str, json: Option<&'static str>, key: &'static str) -> Table {
    Table { name, json, key }
}

/// Tables in an order in which each row comes after those it refers to.
pub(super) const TABLES: &[Table] = &[
    table("lab", None, "id"),
    table("sweeps", Some("definition"), "id"),
    table("sweep_runners", None, "sweep_id, target"),
    table("jobs", Some("job"), "sweep_id, position, job_id"),
    table("runs", Some("failure"), "sweep_id, job_id, attempt"),
    table("records", Some("record"), "sequence"),
    table("record_outputs", None, "record, sha256"),
    table("environments", None, "id"),
    table("run_history", None, "sequence"),
    table("devices", Some("failure"), "name"),
    table("device_leases", None, "device"),
    table("device_changes", None, "number"),
    table("device_locks", None, "device"),
    table("device_wants", None, "device, sweep_id"),
    table("idle_temperatures", None, "device, day"),
    table("sightings", None, "device"),
    table("schedules", None, "name"),
    table("schedule_starts", None, "schedule, due_at_ns"),
    table("handed_over", None, "sweep_id"),
    table("schedule_pauses", None, "schedule"),
    table("pinned_sweeps", None, "sweep_id"),
    table("baselines", None, "name"),
    table("due_comparisons", None, "sweep_id"),
    table("regressions", Some("regression"), "id"),
    table("told", None, "quarantines_until"),
    table("believed_clock", None, "one"),
    table("events", Some("event"), "sequence"),
];

/// What must hold between rows: each query lists what breaks it.
const INVARIANTS: &[&str] = &[
    "SELECT 'the store has ' || count(*) || ' lab identifiers instead of one' FROM lab HAVING count(*) <> 1",
    "SELECT 'job ' || job_id || ' of sweep ' || sweep_id || ' has ended and has ' || records || ' records' FROM (
         SELECT j.*, (SELECT count(*) FROM records c WHERE c.sweep_id = j.sweep_id AND c.job_id = j.job_id) AS records
         FROM jobs j WHERE j.state = 'recorded') AS ended WHERE records <> 1",
    "SELECT 'job ' || j.job_id || ' of sweep ' || j.sweep_id || ' is ' || j.state || ' and has a record' FROM jobs j
     JOIN records c ON c.sweep_id = j.sweep_id AND c.job_id = j.job_id WHERE j.state <> 'recorded'",
    "SELECT 'job ' || job_id || ' of sweep ' || sweep_id || ' is ' || state || ' with ' || live || ' runs under way'
     FROM (SELECT j.*, (SELECT count(*) FROM runs r
                        WHERE r.sweep_id = j.sweep_id AND r.job_id = j.job_id AND r.state = 'live') AS live FROM jobs j)
          AS counted
     WHERE live <> CASE WHEN state = 'running' THEN 1 ELSE 0 END",
    "SELECT 'run ' || r.id || ' has ended with its record, which is not there' FROM runs r
     WHERE r.state = 'recorded' AND NOT EXISTS (SELECT 1 FROM records c WHERE c.run_id = r.id)",
    "SELECT 'run ' || r.id || ' is ' || r.state || ' and has a record' FROM runs r
     JOIN records c ON c.run_id = r.id WHERE r.state <> 'recorded'",
    "SELECT 'run ' || r.id || ' and its record are of different jobs' FROM runs r
     JOIN records c ON c.run_id = r.id WHERE (r.sweep_id, r.job_id) <> (c.sweep_id, c.job_id)",
    // Older versions left the lease as it was; they noted no end either.
    "SELECT 'run ' || id || ' has ended and has a lease' FROM runs
     WHERE state <> 'live' AND ended_at_ns IS NOT NULL AND lease_until_ns <> 0",
    "SELECT 'sweep ' || s.id || ' is ' || s.state || ' and has jobs without a record' FROM sweeps s
     WHERE s.state IN ('finished', 'cancelled')
       AND EXISTS (SELECT 1 FROM jobs j WHERE j.sweep_id = s.id AND j.state <> 'recorded')",
    "SELECT 'device ' || device || ' has a lease for sweep ' || sweep_id || ', which is not there' FROM device_leases
     WHERE until_ns <> 0 AND sweep_id IS NOT NULL AND sweep_id NOT IN (SELECT id FROM sweeps)",
];

/// Queries that list rows in a state that no table of states has.
fn unknown_states() -> [String; 5] {
    fn query(row: &str, table: &str, states: impl Iterator<Item = &'static str>) -> String {
        let known = states.map(|state| format!("'{state}'")).collect::<Vec<_>>().join(", ");
        format!("SELECT {row} || ' is in no known state: ' || state FROM {table} WHERE state NOT IN ({known})")
    }
    [
        query("'sweep ' || id", "sweeps", SweepState::ALL.iter().map(|state| state.as_str())),
        query("'job ' || job_id || ' of sweep ' || sweep_id", "jobs", JobState::ALL.iter().map(|state| state.as_str())),
        query("'run ' || id", "runs", RunState::ALL.iter().map(|state| state.as_str())),
        query("'device ' || name", "devices", DeviceState::ALL.iter().map(|state| state.as_str())),
        query("'regression ' || id", "regressions", RegressionState::ALL.iter().map(|state| state.as_str())),
    ]
}

impl MaintenanceStore for SqliteStore {
    fn check(&self) -> Result<StoreCheck, StoreError> {
        self.refuse_if_lost()?;
        self.with_connection(check).map_err(|error| connection::failure("check", &self.path, &error))
    }

    fn vacuum(&self) -> Result<Vacuumed, StoreError> {
        self.refuse_if_lost()?;
        let before_bytes = self.size_bytes();
        self.with_connection(shrink).map_err(|error| connection::failure("give space back", &self.path, &error))?;
        Ok(Vacuumed { before_bytes, after_bytes: self.size_bytes() })
    }

    fn lost(&self) -> Option<String> {
        self.why_lost()
    }

    fn back_up(&self, to: &Path) -> Result<(), StoreError> {
        self.back_up_to(to)
    }

    fn export(&self, to: &mut dyn Write) -> Result<u64, StoreError> {
        self.refuse_if_lost()?;
        self.with_connection(|connection| self.export_from(connection, to))
    }
}

/// What is wrong with the file and its rows, all of one moment: others may write meanwhile.
fn check(connection: &mut Connection) -> rusqlite::Result<StoreCheck> {
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
        let unknown_states = unknown_states();
        for sql in unknown_states.iter().map(String::as_str).chain(INVARIANTS.iter().copied()) {
            faults.extend(listed(&moment, sql)?);
        }
        faults.extend(row_faults(&moment)?);
        for Table { name, .. } in TABLES {
            let count = moment.query_row(&format!("SELECT count(*) FROM {name}"), [], |row| row.get::<_, u32>(0))?;
            rows.push(((*name).to_owned(), u64::from(count)));
        }
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
    fn export_from(&self, connection: &mut Connection, to: &mut dyn Write) -> Result<u64, StoreError> {
        let failed = |error: rusqlite::Error| connection::failure("export", &self.path, &error);
        let moment = connection.transaction().map_err(failed)?;
        let version = schema::version(&moment).map_err(failed)?;
        let mut write = |line: &str| writeln!(to, "{line}").map_err(|cause| StoreError::Export { cause });
        write(&format!(r#"{{"export":"farmctl store","form":{EXPORT_FORM},"schema_version":{version}}}"#))?;
        let mut count = 0;
        for table in TABLES {
            let Table { name, key, .. } = table;
            let mut statement = moment.prepare(&format!("SELECT * FROM {name} ORDER BY {key}")).map_err(failed)?;
            let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
            let mut rows = statement.query([]).map_err(failed)?;
            while let Some(row) = rows.next().map_err(failed)? {
                write(&format!(r#"{{"table":"{name}","row":{{{}}}}}"#, fields(row, table, &columns)?))?;
                count += 1;
            }
        }
        write(&format!(r#"{{"end":"farmctl store","rows":{count}}}"#))?;
        to.flush().map_err(|cause| StoreError::Export { cause })?;
        Ok(count)
    }

    /// Size of the file and of its log.
    fn size_bytes(&self) -> u64 {
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        size(&self.path) + self.held.as_ref().map_or(0, |held| size(&held.names.log()))
    }
}

/// A row as the fields of a JSON object. JSON of ours stays what it is, to the last digit.
fn fields(row: &Row<'_>, table: &Table, columns: &[String]) -> Result<String, StoreError> {
    let what = |column: &str| format!("{}.{column}", table.name);
    let fields = columns.iter().enumerate().map(|(index, column)| {
        let value = row.get_ref(index).map_err(|error| super::corrupt(&what(column), &error))?;
        let value = match value {
            ValueRef::Null => "null".to_owned(),
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Text(text) => {
                let text = std::str::from_utf8(text).map_err(|error| super::corrupt(&what(column), &error))?;
                if table.json == Some(column) {
                    from_json::<IgnoredAny>(&what(column), text)?;
                    // Between values only, where JSON allows it; within a text they are escaped.
                    text.replace(['\n', '\r'], " ")
                } else {
                    super::to_json(&text)?
                }
            }
            ValueRef::Real(_) | ValueRef::Blob(_) => {
                return Err(super::corrupt(&what(column), &"it is no integer and no text"));
            }
        };
        Ok(format!("\"{column}\":{value}"))
    });
    Ok(fields.collect::<Result<Vec<_>, StoreError>>()?.join(","))
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
fn file_faults(connection: &Connection) -> rusqlite::Result<Vec<String>> {
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
    Ok(missing.chain(found.difference(&expected).map(|entry| format!("the schema has a foreign {entry}"))).collect())
}

fn lacks_a_table(fault: &str) -> bool {
    fault.strip_prefix(SCHEMA_LACKS).is_some_and(|entry| entry.starts_with("table "))
}

/// Rows that can't be read, or say something else than their columns.
fn row_faults(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    type Judge = fn(&str, &[String]) -> Option<String>;
    let judged: [(&str, Judge); 7] = [
        (
            "SELECT record, 'record ' || sequence, sweep_id, job_id, coalesce(run_id, ''), status,
                    coalesce(failure_kind, '') FROM records",
            |json, keys| {
                judge::<Record>(json, keys, |it| {
                    let run = it.run_id.as_ref().map(ToString::to_string).unwrap_or_default();
                    let why = it.failure.as_ref().map(|failure| failure.kind.as_str().to_owned()).unwrap_or_default();
                    vec![it.sweep_id.0.clone(), it.job.id.0.clone(), run, it.status.as_str().to_owned(), why]
                })
            },
        ),
        ("SELECT job, 'job ' || job_id || ' of sweep ' || sweep_id, job_id, device FROM jobs", |json, keys| {
            judge::<Job>(json, keys, |job| vec![job.id.0.clone(), job.device.clone()])
        }),
        ("SELECT regression, 'regression ' || id, id, state, against, cell FROM regressions", |json, keys| {
            judge::<Regression>(json, keys, |it| {
                vec![it.id.0.clone(), it.state.to_string(), it.against.to_string(), it.cell.clone()]
            })
        }),
        ("SELECT event, 'event ' || sequence, kind FROM events", |json, keys| {
            judge::<Event>(json, keys, |event| {
                vec![EventColumns::of(event, json).map_or_else(|_| String::new(), |it| it.kind)]
            })
        }),
        (
            "SELECT definition, 'the definition of sweep ' || id FROM sweeps WHERE definition IS NOT NULL",
            |json, keys| judge::<SweepDefinition>(json, keys, |_| vec![]),
        ),
        (
            "SELECT failure, 'the failure of run ' || id, coalesce(failure_kind, '') FROM runs
             WHERE failure IS NOT NULL",
            |json, keys| judge::<Failure>(json, keys, |failure| vec![failure.kind.as_str().to_owned()]),
        ),
        ("SELECT failure, 'the failure of device ' || name FROM devices WHERE failure IS NOT NULL", |json, keys| {
            judge::<Failure>(json, keys, |_| vec![])
        }),
    ];
    let mut faults = Vec::new();
    for (sql, judge) in judged {
        let mut statement = connection.prepare(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        let mut of_this = Faults::default();
        while let Some(row) = rows.next()? {
            let keys = (1..columns).map(|index| row.get(index)).collect::<rusqlite::Result<Vec<String>>>()?;
            of_this.extend(judge(&row.get::<_, String>(0)?, &keys));
        }
        faults.extend(of_this.told());
    }
    Ok(faults)
}

/// What is wrong with a JSON text, whose first key is what it is called and whose others are the columns beside it.
fn judge<T: serde::de::DeserializeOwned>(
    json: &str,
    keys: &[String],
    columns: impl Fn(&T) -> Vec<String>,
) -> Option<String> {
    let (name, expected) = keys.split_first()?;
    match serde_json::from_str::<T>(json) {
        Err(error) => Some(format!("{name} can't be read: {error}")),
        Ok(value) if columns(&value) != expected => {
            Some(format!("{name} says {:?}, its columns say {expected:?}", columns(&value)))
        }
        Ok(_) => None,
    }
}

fn listed(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    let mut faults = Faults::default();
    for fault in connection.prepare(sql)?.query_map([], |row| row.get::<_, String>(0))? {
        faults.extend([fault?]);
    }
    Ok(faults.told())
}

/// Faults of one kind: the first are told, the others counted.
#[derive(Default)]
struct Faults {
    first: Vec<String>,
    more: u64,
}

impl Faults {
    fn extend(&mut self, faults: impl IntoIterator<Item = String>) {
        for fault in faults {
            if self.first.len() < FAULTS_TOLD { self.first.push(fault) } else { self.more += 1 }
        }
    }

    fn told(mut self) -> Vec<String> {
        if self.more > 0 {
            self.first.push(format!("and {} more like the last one", self.more));
        }
        self.first
    }
}
