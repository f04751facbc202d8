#![allow(clippy::unwrap_used)]

mod apart;
mod disk;
mod garbage;
mod hosts;
mod maintenance;
mod migrations;
mod neighbours;
mod open_jobs;
mod people;
mod power_loss;
mod reading;
mod run_history;

use std::sync::Arc;

use rusqlite::Connection;
use tempfile::TempDir;

use super::schema::{self, APPLICATION_ID, MIGRATIONS};
use crate::store::conformance::{Open, StateChange, at, state_changes, store_conformance, sweep};
use crate::store::{StoreError, open};

fn fresh() -> (Open, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("state/farm.db").display());
    (Arc::new(move || open(&url).unwrap()), folder)
}

store_conformance!(tests fresh);

fn open_error(path: &std::path::Path) -> StoreError {
    open(path.to_str().unwrap()).err().expect("is refused")
}

#[test]
fn scheme_picks_the_store() {
    assert!(matches!(open("mongodb://host/db"), Err(StoreError::UnknownScheme { .. })));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd:name.db");
    open(path.to_str().unwrap()).unwrap();
    assert!(path.is_file());
    let error = open("").err().unwrap().to_string();
    assert!(error.contains("empty"), "{error}");
}

#[test]
fn migrates_from_nothing_and_step_by_step() {
    let folder = tempfile::tempdir().unwrap();
    let mut connection = Connection::open(folder.path().join("farm.db")).unwrap();
    assert_eq!(schema::version(&connection).unwrap(), 0);
    schema::migrate(&mut connection, MIGRATIONS).unwrap();
    assert_eq!(schema::version(&connection).unwrap(), schema::known_version());
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0)).unwrap();
    assert_eq!(application, APPLICATION_ID);
    schema::migrate(&mut connection, MIGRATIONS).unwrap();

    let mut steps = MIGRATIONS.to_vec();
    steps.extend(["CREATE TABLE later (x TEXT) STRICT", "ALTER TABLE later ADD COLUMN y TEXT"]);
    schema::migrate(&mut connection, &steps).unwrap();
    connection.execute("INSERT INTO later (x, y) VALUES ('a', 'b')", []).unwrap();
    assert_eq!(schema::version(&connection).unwrap(), schema::known_version() + 2);
}

#[test]
fn broken_step_leaves_the_version_before_it() {
    let mut connection = Connection::open_in_memory().unwrap();
    let steps = ["CREATE TABLE good (x TEXT)", "CREATE TABLE half (x TEXT); CREATE TABLE nonsense"];
    assert!(schema::migrate(&mut connection, &steps).is_err());
    assert_eq!(schema::version(&connection).unwrap(), 1);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 1);
}

#[test]
fn newer_store_is_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("farm.db");
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("PRAGMA application_id = 0x6661726d; PRAGMA user_version = 4000").unwrap();
    drop(connection);
    let before = std::fs::read(&path).unwrap();
    let error = open_error(&path);
    assert!(matches!(error, StoreError::Newer { found: 4000, .. }), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn database_of_another_program_is_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photos.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE photos (x)").unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = open_error(&path);
    assert!(matches!(error, StoreError::Foreign { .. }) && error.to_string().contains("photos.db"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn file_that_is_no_database_is_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    for length in [10, 5000] {
        let path = folder.path().join(format!("notes-{length}.txt"));
        std::fs::write(&path, "n".repeat(length)).unwrap();
        let error = open_error(&path);
        assert!(matches!(error, StoreError::Foreign { .. }), "{length}: {error}");
        assert_eq!(std::fs::read(&path).unwrap().len(), length);
    }
    let error = open_error(folder.path());
    assert!(matches!(error, StoreError::Database { .. }), "{error}");
}

#[test]
fn truncated_store_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("farm.db");
    let store = open(path.to_str().unwrap()).unwrap();
    sweep(&*store, "s", &["a"], 200);
    drop(store);
    let whole = std::fs::read(&path).unwrap();
    for length in [100, whole.len() / 2] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = open_error(&path);
        let is_clear = matches!(error, StoreError::Damaged { .. } | StoreError::Foreign { .. });
        assert!(is_clear && error.to_string().contains("farm.db"), "{length}: {error}");
    }
}

#[test]
fn two_that_make_the_store_at_once_both_get_it() {
    for _ in 0..10 {
        let (open, _folder) = fresh();
        let barrier = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            for number in 0..4 {
                let (open, barrier) = (&open, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    sweep(&*open(), &format!("s{number}"), &["a"], 1);
                });
            }
        });
        assert_eq!(open().sweeps().unwrap().len(), 4);
    }
}

#[test]
fn changed_json_is_reported_with_what_it_was() {
    let (open, folder) = fresh();
    let (row, _) = sweep(&*open(), "s", &["a"], 1);
    let connection = Connection::open(folder.path().join("state/farm.db")).unwrap();
    connection.execute("UPDATE jobs SET job = '{\"id\": 5}'", []).unwrap();
    let error = open().open_jobs(&row.id, None).unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }) && error.to_string().contains("a job"), "{error}");
}

/// Every pair of states, tried past the store: what the tables of `domain` do not have, the database refuses.
#[test]
fn steps_that_are_not_in_the_tables_are_refused_by_the_database() {
    for (table, changes) in state_changes() {
        for StateChange { from, to, is_allowed } in changes {
            let (open, folder) = fresh();
            let (row, _) = sweep(&*open(), "s", &["a"], 1);
            crate::store::conformance::claim(&*open(), &row, "a", "host", 0);
            let failure = crate::domain::Failure::new(crate::domain::FailureKind::Timeout, "x");
            open().device_failed("a", &failure, at(0)).unwrap();
            crate::store::conformance::with_a_host(&*open());
            let connection = Connection::open(folder.path().join("state/farm.db")).unwrap();
            // Past the guard, to get it into the state it starts from.
            connection.execute_batch(&format!("DROP TRIGGER {}_steps", &table[..table.len() - 1])).unwrap();
            connection.execute(&format!("UPDATE {table} SET state = ?1"), [from]).unwrap();
            let mut made = MIGRATIONS.iter().flat_map(|step| step.split("CREATE TRIGGER "));
            let guard = made.find(|part| part.starts_with(&format!("{}_steps", &table[..table.len() - 1])));
            let guard = guard.unwrap().split("END;").next().unwrap();
            connection.execute_batch(&format!("CREATE TRIGGER {guard}END;")).unwrap();
            let taken = connection.execute(&format!("UPDATE {table} SET state = ?1"), [to]);
            assert_eq!(taken.is_ok(), is_allowed, "{table}: {from} to {to}: {taken:?}");
        }
    }
}
