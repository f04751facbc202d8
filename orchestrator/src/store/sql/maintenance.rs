//! The store as a whole, as far as all databases have it in common: its tables, what must hold between rows, and the
//! export.

use std::io::Write;

use serde::de::{DeserializeOwned, IgnoredAny};

use super::event_columns::EventColumns;
use super::value::{Columns, Row, Value};
use super::{Connection, Fault, Outcome, corrupt, from_json, to_json};
use crate::domain::{
    Device, DeviceState, Event, Failure, HostState, Job, JobState, Record, Regression, RegressionState, RunState,
    SweepDefinition, SweepState,
};
use crate::store::StoreError;

/// Faults of one kind that are told one by one.
pub(in crate::store) const FAULTS_TOLD: usize = 20;
/// Version of the form of an export; another schema has its own version.
pub(in crate::store) const EXPORT_FORM: u32 = 1;

/// A table of the store.
pub(in crate::store) struct Table {
    pub(in crate::store) name: &'static str,
    /// Its column of JSON.
    pub(in crate::store) json: Option<&'static str>,
    /// What its rows are ordered by.
    pub(in crate::store) key: &'static str,
}

const fn table(name: &'static str, json: Option<&'static str>, key: &'static str) -> Table {
    Table { name, json, key }
}

/// Tables in an order in which each row comes after those it refers to.
pub(in crate::store) const TABLES: &[Table] = &[
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
    table("sweep_parts", None, "sweep_id, holder"),
    table("sweep_halts", None, "sweep_id"),
    table("schedule_pauses", None, "schedule"),
    table("pinned_sweeps", None, "sweep_id"),
    table("baselines", None, "name"),
    table("report_files", None, "sweep_id, name"),
    table("due_comparisons", None, "sweep_id"),
    table("regressions", Some("regression"), "id"),
    table("told", None, "quarantines_until"),
    table("believed_clock", None, "one"),
    table("hosts", None, "name"),
    table("declared_devices", Some("declaration"), "host, device"),
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
fn unknown_states() -> [String; 6] {
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
        query("'host ' || name", "hosts", HostState::ALL.iter().map(|state| state.as_str())),
    ]
}

/// What is found of the rows of a store.
#[derive(Debug, Default)]
pub(in crate::store) struct RowCheck {
    /// Tables and their rows.
    pub(in crate::store) rows: Vec<(String, u64)>,
    /// What is wrong.
    pub(in crate::store) faults: Vec<String>,
}

/// Reads every row, and holds what must hold between them.
pub(in crate::store) fn check_rows(connection: &dyn Connection) -> Outcome<RowCheck> {
    let mut found = RowCheck::default();
    let unknown_states = unknown_states();
    for sql in unknown_states.iter().map(String::as_str).chain(INVARIANTS.iter().copied()) {
        found.faults.extend(listed(connection, sql)?);
    }
    found.faults.extend(row_faults(connection)?);
    for Table { name, .. } in TABLES {
        connection.query(&format!("SELECT count(*) FROM {name}"), &[], &mut |columns| {
            found.rows.push(((*name).to_owned(), Row(columns).get::<i64>(0)?.unsigned_abs()));
            Ok(())
        })?;
    }
    Ok(found)
}

/// Writes every row of every table as JSON Lines; returns how many.
pub(in crate::store) fn export(connection: &dyn Connection, version: u32, to: &mut dyn Write) -> Outcome<u64> {
    let mut write = |line: &str| writeln!(to, "{line}").map_err(|cause| Fault::Store(StoreError::Export { cause }));
    write(&format!(r#"{{"export":"farmctl store","form":{EXPORT_FORM},"schema_version":{version}}}"#))?;
    let mut count = 0;
    for table in TABLES {
        let Table { name, key, .. } = table;
        connection.query(&format!("SELECT * FROM {name} ORDER BY {key}"), &[], &mut |columns| {
            count += 1;
            write(&format!(r#"{{"table":"{name}","row":{{{}}}}}"#, fields(columns, table)?))
        })?;
    }
    write(&format!(r#"{{"end":"farmctl store","rows":{count}}}"#))?;
    to.flush().map_err(|cause| Fault::Store(StoreError::Export { cause }))?;
    Ok(count)
}

/// A row as the fields of a JSON object. JSON of ours stays what it is, to the last digit.
fn fields(row: &dyn Columns, table: &Table) -> Result<String, StoreError> {
    let what = |column: &str| format!("{}.{column}", table.name);
    let fields = row.names().into_iter().enumerate().map(|(index, column)| {
        let value = match row.value(index) {
            Ok(Value::Null) => "null".to_owned(),
            Ok(Value::Integer(number)) => number.to_string(),
            Ok(Value::Text(text)) if table.json == Some(column) => {
                from_json::<IgnoredAny>(&what(column), &text)?;
                // Between values only, where JSON allows it; within a text they are escaped.
                text.replace(['\n', '\r'], " ")
            }
            Ok(Value::Text(text)) => to_json(&text)?,
            Err(_) => return Err(corrupt(&what(column), &"it is no integer and no text")),
        };
        Ok(format!("\"{column}\":{value}"))
    });
    Ok(fields.collect::<Result<Vec<_>, StoreError>>()?.join(","))
}

/// Rows that can't be read, or say something else than their columns.
fn row_faults(connection: &dyn Connection) -> Outcome<Vec<String>> {
    type Judge = fn(&str, &[String]) -> Option<String>;
    let judged: [(&str, Judge); 8] = [
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
        (
            "SELECT declaration, 'what host ' || host || ' declares of device ' || device, device, declared_at,
                    transport FROM declared_devices",
            |json, keys| {
                judge::<Device>(json, keys, |it| {
                    vec![it.name.clone(), it.declared_at.clone(), it.transport.name().to_owned()]
                })
            },
        ),
    ];
    let mut faults = Vec::new();
    for (sql, judge) in judged {
        let mut of_this = Faults::default();
        connection.query(sql, &[], &mut |columns| {
            let row = Row(columns);
            let keys = (1..columns.names().len()).map(|index| row.get(index)).collect::<Outcome<Vec<String>>>()?;
            of_this.extend(judge(&row.get::<String>(0)?, &keys));
            Ok(())
        })?;
        faults.extend(of_this.told());
    }
    Ok(faults)
}

/// What is wrong with a JSON text, whose first key is what it is called and whose others are the columns beside it.
fn judge<T: DeserializeOwned>(json: &str, keys: &[String], columns: impl Fn(&T) -> Vec<String>) -> Option<String> {
    let (name, expected) = keys.split_first()?;
    match serde_json::from_str::<T>(json) {
        Err(error) => Some(format!("{name} can't be read: {error}")),
        Ok(value) if columns(&value) != expected => {
            Some(format!("{name} says {:?}, its columns say {expected:?}", columns(&value)))
        }
        Ok(_) => None,
    }
}

/// The texts that a query gives, as faults.
pub(in crate::store) fn listed(connection: &dyn Connection, sql: &str) -> Outcome<Vec<String>> {
    let mut faults = Faults::default();
    connection.query(sql, &[], &mut |columns| {
        faults.extend([Row(columns).get::<String>(0)?]);
        Ok(())
    })?;
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
