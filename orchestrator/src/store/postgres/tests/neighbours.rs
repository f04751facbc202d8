//! Stores that a newer program has brought further, and one that hosts of an older one work with.

use super::{access, all_cases_hold, database_of, fresh, open, server};
use crate::store::conformance::sweep;
use crate::store::neighbours::works_from;
use crate::store::postgres::{PostgresStore, schema};
use crate::store::sql::Database as _;
use crate::store::{MaintenanceStore as _, StoreError, SweepStore as _};

fn run(url: &str, sql: &str) {
    server().run_sql(database_of(url), sql).unwrap();
}

/// What a program of the next release could add, and its version.
fn add(url: &str) {
    run(
        url,
        "CREATE TABLE later (x TEXT); CREATE INDEX later_ones ON later (x); ALTER TABLE sweeps ADD COLUMN later TEXT;
         ALTER TABLE jobs ADD COLUMN later TEXT NOT NULL DEFAULT ''; ALTER TABLE records ADD COLUMN later TEXT;
         ALTER TABLE runs ADD COLUMN later BIGINT; ALTER TABLE events ADD COLUMN later BIGINT NOT NULL DEFAULT 0;
         UPDATE farmctl_store SET version = version + 1",
    );
}

#[test]
fn a_store_that_a_newer_program_has_only_added_to_does_what_every_store_must() {
    all_cases_hold(server(), &|| {
        let url = fresh();
        open(&url);
        add(&url);
        url
    });
}

#[test]
fn a_program_that_is_too_old_is_told_so_at_its_next_look_and_another_works_on() {
    let url = fresh();
    let store = open(&url);
    sweep(&store, "s", &["a"], 2);
    assert_eq!(store.may_work().unwrap(), None);
    add(&url);
    let (known, newer) = (schema::known_version(), schema::known_version() + 1);
    assert_eq!(store.may_work().unwrap(), Some(newer));
    assert_eq!(open(&url).sweeps().unwrap().len(), 1);
    let check = store.check().unwrap();
    assert_eq!((check.schema_version, check.faults), (newer, Vec::<String>::new()));
    // What it does not know of would be left out.
    let error = store.export(&mut Vec::new()).err().unwrap();
    assert!(matches!(error, StoreError::Newer { .. }), "{error}");

    run(&url, &format!("UPDATE works_from SET version = {newer}"));
    for error in [store.may_work().err().unwrap(), PostgresStore::open(&url, &access()).err().unwrap()] {
        assert!(matches!(error, StoreError::Newer { found, known: k, .. } if found == newer && k == known), "{error}");
    }
}

/// A step that keeps older programs out waits until none of them is at work.
#[test]
fn a_store_that_older_hosts_work_with_is_not_brought_further() {
    let url = fresh();
    let store = open(&url);
    crate::store::conformance::with_a_host(&store);
    let older = works_from(schema::known_version()) - 1;
    run(&url, &format!("UPDATE farmctl_store SET version = {older}"));
    let error = PostgresStore::open(&url, &access()).err().unwrap();
    let told = error.to_string();
    assert!(matches!(error, StoreError::NeededAsItIs { found, .. } if found == older), "{told}");
    assert!(told.contains("host ") && told.contains("(farmctl ") && told.contains("end their daemons"), "{told}");
    let left_behind = || {
        let mut hosts = Vec::new();
        store
            .database
            .connected(&mut |session| {
                hosts = schema::left_behind(session, older)?;
                Ok(())
            })
            .unwrap();
        hosts.len()
    };
    assert_eq!(left_behind(), 1);
    let undone = [
        "UPDATE hosts SET ended_at_ns = beat_at_ns",
        "UPDATE hosts SET ended_at_ns = NULL, beat_at_ns = beat_at_ns - 61000000000",
    ];
    for sql in undone {
        run(&url, sql);
        assert_eq!(left_behind(), 0, "{sql}");
    }
}
