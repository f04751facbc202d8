use rusqlite::Connection;

use super::fresh;
use crate::domain::{EventKind, RunStatus};
use crate::store::conformance::{Open, at, claim, record, sweep};
use crate::store::{StoreError, people};

/// A sweep of two jobs, one with its record and one under way.
fn half_done(open: &Open) {
    let store = open();
    let (row, _) = sweep(&*store, "s", &["a"], 2);
    let run = claim(&*store, &row, "a", "host", 0);
    let ended = record(&row.id, &run.job, Some((&run.run_id, run.attempt)), RunStatus::Ok);
    store.finish(run.epoch, &ended, None, at(1)).unwrap();
    claim(&*store, &row, "a", "host", 2);
    let kind = EventKind::DeviceEdited { by: "ann".into(), what: "x".into() };
    people::note(&*store, Some("a"), kind, at(3)).unwrap();
}

#[test]
fn a_sound_store_has_no_faults_and_each_invariant_that_breaks_is_told() {
    let (open, _folder) = fresh();
    half_done(&open);
    assert_eq!(open().check().unwrap().faults, Vec::<String>::new());
    let cases = [
        ("DELETE FROM records", "has ended and has 0 records"),
        ("DELETE FROM records", "has ended with its record, which is not there"),
        ("UPDATE jobs SET state = 'waiting' WHERE state = 'recorded'", "is waiting and has a record"),
        ("UPDATE jobs SET state = 'waiting' WHERE state = 'running'", "is waiting with 1 runs under way"),
        ("UPDATE runs SET state = 'given_back' WHERE state = 'live'", "is running with 0 runs under way"),
        ("UPDATE runs SET state = 'given_back' WHERE state = 'recorded'", "is given_back and has a record"),
        ("UPDATE runs SET lease_until_ns = 7 WHERE state = 'recorded'", "has ended and has a lease"),
        ("UPDATE sweeps SET state = 'finished'", "has jobs without a record"),
        ("UPDATE sweeps SET state = 'odd'", "is in no known state: odd"),
        ("INSERT INTO device_leases VALUES ('other', 1, 'h', 'gone', 5)", "has a lease for sweep gone"),
        ("INSERT INTO lab VALUES ('two')", "2 lab identifiers"),
        ("UPDATE records SET status = 'failed'", "its columns say"),
        ("UPDATE records SET failure_kind = 'crashed'", "its columns say"),
        ("UPDATE events SET kind = 'odd'", "its columns say"),
        ("UPDATE jobs SET job = '{'", "can't be read"),
        (
            "INSERT INTO runs SELECT 'stray', id, 'none', 1, 0, 1, 'h', 0, 'given_back', 0, NULL, 1, NULL FROM sweeps",
            "refers to a row of jobs that is not there",
        ),
        ("DROP TABLE sweep_runners", "the schema lacks its table sweep_runners"),
        ("DROP INDEX live_runs", "the schema lacks its index live_runs"),
        ("CREATE TABLE more (x)", "the schema has a foreign table more"),
    ];
    for (sql, expected) in cases {
        let (open, folder) = fresh();
        half_done(&open);
        let connection = Connection::open(folder.path().join("state/farm.db")).unwrap();
        let guards =
            "DROP TRIGGER sweep_steps; DROP TRIGGER job_steps; DROP TRIGGER run_steps; DROP TRIGGER records_stay";
        connection.execute_batch(&format!("PRAGMA foreign_keys = OFF; {guards}; {sql}")).unwrap();
        let faults = open().check().unwrap().faults;
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{sql}: {faults:#?}");
    }
}

#[test]
fn space_is_given_back_and_nothing_while_another_writes() {
    let (open, folder) = fresh();
    let store = open();
    sweep(&*store, "s", &["a"], 500);
    let other = Connection::open(folder.path().join("state/farm.db")).unwrap();
    other.execute_batch("DELETE FROM jobs; BEGIN IMMEDIATE").unwrap();
    assert!(matches!(store.vacuum(), Err(StoreError::Busy { .. })));
    other.execute_batch("COMMIT").unwrap();
    let vacuumed = store.vacuum().unwrap();
    assert!(vacuumed.after_bytes * 2 < vacuumed.before_bytes, "{vacuumed:?}");
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
}

#[test]
fn an_export_has_every_row_and_says_that_it_is_whole() {
    let (open, folder) = fresh();
    half_done(&open);
    let mut bytes = Vec::new();
    let rows = open().export(&mut bytes).unwrap();
    let lines: Vec<serde_json::Value> =
        std::str::from_utf8(&bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let check = open().check().unwrap();
    let connection = Connection::open(folder.path().join("state/farm.db")).unwrap();
    // What is about the schema is written by its steps.
    let tables = "SELECT count(*) FROM sqlite_schema
                  WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name <> 'works_from'";
    let tables: u32 = connection.query_row(tables, [], |row| row.get(0)).unwrap();
    assert_eq!(check.rows.len(), tables as usize, "every table is in the list of those that are counted and exported");
    assert_eq!(lines.len() as u64, rows + 2);
    assert_eq!(
        (&lines[0]["export"], &lines[0]["schema_version"]),
        (&"farmctl store".into(), &check.schema_version.into())
    );
    assert_eq!(lines[lines.len() - 1]["rows"], rows);
    for (table, count) in check.rows {
        assert_eq!(lines.iter().filter(|line| line["table"] == *table).count() as u64, count, "{table}");
    }
    let record = lines.iter().find(|line| line["table"] == "records").unwrap();
    assert_eq!(record["row"]["record"]["measurement"]["samples_ns"][1], u64::MAX);
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    assert!(matches!(open().export(&mut Full), Err(StoreError::Export { .. })));
}
