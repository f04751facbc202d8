//! Stores that a newer program has brought further.

use std::sync::Arc;

use rusqlite::Connection;

use crate::store::conformance::{Open, store_conformance, sweep};
use crate::store::neighbours::works_from;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::schema::known_version;
use crate::store::{MaintenanceStore as _, StoreError, SweepStore as _, open};

/// What a program of the next release could add, and its version.
fn add(path: &std::path::Path) {
    let added = "CREATE TABLE later (x TEXT) STRICT; CREATE INDEX later_ones ON later (x);
                 ALTER TABLE sweeps ADD COLUMN later TEXT; ALTER TABLE runs ADD COLUMN later INTEGER;
                 ALTER TABLE jobs ADD COLUMN later TEXT NOT NULL DEFAULT ''; ALTER TABLE records ADD COLUMN later TEXT;
                 ALTER TABLE events ADD COLUMN later INTEGER NOT NULL DEFAULT 0;";
    let newer = known_version() + 1;
    Connection::open(path).unwrap().execute_batch(&format!("{added} PRAGMA user_version = {newer}")).unwrap();
}

#[test]
fn a_store_that_a_newer_program_has_only_added_to_does_what_every_store_must() {
    for (name, case) in store_conformance!(list) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        drop(SqliteStore::open(&path).unwrap());
        add(&path);
        println!("{name}");
        let opened: Open = Arc::new(move || open(path.to_str().unwrap()).unwrap());
        case(&opened);
    }
}

#[test]
fn a_program_that_is_too_old_is_told_so_at_its_next_look_and_another_works_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = SqliteStore::open(&path).unwrap();
    sweep(&store, "s", &["a"], 2);
    assert_eq!(store.may_work().unwrap(), None);
    add(&path);
    let (known, newer) = (known_version(), known_version() + 1);
    assert_eq!(store.may_work().unwrap(), Some(newer));
    assert_eq!(SqliteStore::open(&path).unwrap().sweeps().unwrap().len(), 1);
    let check = store.check().unwrap();
    assert_eq!((check.schema_version, check.faults), (newer, Vec::<String>::new()));
    // What it does not know of would be left out.
    let error = store.export(&mut Vec::new()).err().unwrap();
    assert!(matches!(error, StoreError::Newer { .. }), "{error}");

    let too_old = format!("UPDATE works_from SET version = {newer}");
    Connection::open(&path).unwrap().execute_batch(&too_old).unwrap();
    for error in [store.may_work().err().unwrap(), SqliteStore::open(&path).err().unwrap()] {
        assert!(matches!(error, StoreError::Newer { found, known: k, .. } if found == newer && k == known), "{error}");
    }
}

#[test]
fn a_store_says_from_which_version_on_a_program_may_work_with_it() {
    let store = SqliteStore::in_memory().unwrap();
    let said: u32 =
        store.with_connection(|it| it.query_row("SELECT version FROM works_from", [], |row| row.get(0))).unwrap();
    assert_eq!(said, works_from(known_version()));
}
