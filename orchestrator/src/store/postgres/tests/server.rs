//! The server and the way to it: what the database refuses, what is wrong with it, and that it goes and comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use testlab::PostgresServer;

use super::{access, database_of, fresh, open, server};
use crate::domain::RunStatus;
use crate::store::conformance::{StateChange, at, claim, hold, record, state_changes, sweep};
use crate::store::postgres::{PostgresStore, ServerAccess};
use crate::store::{EventStore as _, MaintenanceStore as _, RunStore as _, Store, StoreError, SweepStore as _};

/// Every pair of states, tried past the store: what the tables of `domain` do not have, the database refuses.
#[test]
fn steps_that_are_not_in_the_tables_are_refused_by_the_database() {
    let url = fresh();
    let store = open(&url);
    let (row, _) = sweep(&store, "s", &["a"], 1);
    claim(&store, &row, "a", "host", 0);
    let failure = crate::domain::Failure::new(crate::domain::FailureKind::Timeout, "x");
    crate::store::DeviceStore::device_failed(&store, "a", &failure, at(0)).unwrap();
    crate::store::conformance::with_a_host(&store);
    for (table, changes) in state_changes() {
        for StateChange { from, to, is_allowed } in changes {
            // Past the guard, to get it into the state it starts from.
            let set = format!(
                "BEGIN; ALTER TABLE {table} DISABLE TRIGGER USER; UPDATE {table} SET state = '{from}';
                 ALTER TABLE {table} ENABLE TRIGGER USER; COMMIT"
            );
            server().run_sql(database_of(&url), &set).unwrap();
            let taken = server().run_sql(database_of(&url), &format!("UPDATE {table} SET state = '{to}'"));
            assert_eq!(taken.is_ok(), is_allowed, "{table}: {from} to {to}: {taken:?}");
        }
    }
}

#[test]
fn two_that_make_the_store_at_once_both_get_it() {
    let url = fresh();
    let barrier = std::sync::Barrier::new(4);
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (url, barrier) = (&url, &barrier);
            scope.spawn(move || {
                barrier.wait();
                sweep(&open(url), &format!("s{number}"), &["a"], 1);
            });
        }
    });
    assert_eq!(open(&url).sweeps().unwrap().len(), 4);
}

#[test]
fn what_is_another_programs_or_newer_is_refused_and_what_is_wrong_is_told() {
    let foreign = fresh();
    server().run_sql(database_of(&foreign), "CREATE TABLE sweeps (x BIGINT)").unwrap();
    let error = PostgresStore::open(&foreign, &access()).err().unwrap();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    let newer = fresh();
    open(&newer);
    let sql = "UPDATE farmctl_store SET version = 4000; UPDATE works_from SET version = 3999";
    server().run_sql(database_of(&newer), sql).unwrap();
    let error = PostgresStore::open(&newer, &access()).err().unwrap();
    assert!(matches!(error, StoreError::Newer { found: 4000, .. }), "{error}");
    let error = PostgresStore::open(&server().url("lab_of_nobody"), &access()).err().unwrap().to_string();
    assert!(error.contains("does not exist"), "{error}");

    let url = fresh();
    let store = open(&url);
    let (row, _) = sweep(&store, "s", &["a"], 2);
    let run = claim(&store, &row, "a", "host", 0);
    let ended = record(&row.id, &run.job, Some((&run.run_id, run.attempt)), RunStatus::Ok);
    store.finish(run.epoch, &ended, None, at(1)).unwrap();
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
    let cases = [
        ("UPDATE runs SET lease_until_ns = 7 WHERE state = 'recorded'", "has ended and has a lease"),
        ("UPDATE jobs SET job = '{'", "can't be read"),
        ("INSERT INTO lab VALUES ('two')", "2 lab identifiers"),
        ("DROP INDEX live_runs", "lacks its index live_runs"),
        ("DROP TRIGGER events_in_turn ON events", "lacks its trigger events_in_turn"),
    ];
    for (sql, expected) in cases {
        server().run_sql(database_of(&url), sql).unwrap();
        let faults = store.check().unwrap().faults;
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{sql}: {faults:#?}");
    }
}

#[test]
fn an_export_is_one_that_a_file_can_be_made_of_and_space_is_given_back() {
    let url = fresh();
    let store = open(&url);
    let (row, _) = sweep(&store, "s", &["a"], 2);
    let run = claim(&store, &row, "a", "host", 0);
    let ended = record(&row.id, &run.job, Some((&run.run_id, run.attempt)), RunStatus::Ok);
    store.finish(run.epoch, &ended, None, at(1)).unwrap();
    let mut export = Vec::new();
    store.export(&mut export).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    crate::store::import(&mut export.as_slice(), folder.path(), &path).unwrap();
    let copy = crate::store::open(path.to_str().unwrap()).unwrap();
    assert_eq!(exported(&*copy), exported(&store));
    assert!(store.vacuum().unwrap().after_bytes > 0);
    assert_eq!(store.records(&row.id).unwrap(), [ended]);
}

/// The server is gone for a moment in the midst of work: whoever works waits, and goes on.
#[test]
fn a_server_that_comes_back_is_used_again() {
    let own = PostgresServer::start().unwrap_or_else(|error| panic!("failed to {error}"));
    let url = own.create("lab").unwrap();
    let store = open(&url);
    let (row, _) = sweep(&store, "s", &["a"], 40);
    hold(&store, &row, "a", "host", at(0));
    let is_gone = AtomicBool::new(false);
    let (kept, restarted) = std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let mut kept = Vec::new();
            for seconds in (0..40).take_while(|_| !is_gone.load(Ordering::Relaxed)) {
                // What was under way is an error, and may have been done.
                let Ok(claimed) = store.claim(&row.id, "a", "host", Duration::from_secs(60), at(seconds)) else {
                    continue;
                };
                let crate::store::Claim::Run(run) = claimed else { break };
                let ended = record(&row.id, &run.job, Some((&run.run_id, run.attempt)), RunStatus::Ok);
                if store.finish(run.epoch, &ended, None, at(seconds)).is_ok() {
                    kept.push(run.run_id);
                }
            }
            kept
        });
        let restarted = (0..3).try_for_each(|_| {
            own.stop_at_once();
            own.restart()
        });
        is_gone.store(restarted.is_err(), Ordering::Relaxed);
        (worker.join().unwrap(), restarted)
    });
    restarted.unwrap_or_else(|error| panic!("failed to {error}"));
    let records = store.records(&row.id).unwrap();
    let there: Vec<_> = records.into_iter().filter_map(|record| record.run_id).collect();
    assert!(kept.iter().all(|run| there.contains(run)), "what was acknowledged is there");
    assert!(kept.len() > 30, "{} of 40", kept.len());
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
}

#[test]
fn a_server_that_is_not_there_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let began_at = Instant::now();
    let url = format!("postgres://ann@/lab?host={}", folder.path().display());
    let error = PostgresStore::open(&url, &access()).err().unwrap();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("look whether the server runs"), "{error}");
    assert!(began_at.elapsed() < Duration::from_secs(15), "{:?}", began_at.elapsed());
}

/// A call from whatever runs on the calling thread.
#[test]
fn it_is_asked_within_every_kind_of_runtime() {
    let store: Arc<dyn Store> = Arc::new(open(&fresh()));
    let asked = || async { store.lab_id().unwrap() };
    let one = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let many = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    assert_eq!(one.block_on(asked()), many.block_on(asked()));
    assert_eq!(many.block_on(async { store.last_event().unwrap() }), 0);
}

/// What is told of a server that is not there has no secret in it.
#[test]
fn a_password_is_in_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let password = |name: &str| (name == "PGPASSWORD").then(|| "s3cret".to_owned());
    let access = ServerAccess { variable: Arc::new(password), ..access() };
    let url = format!("postgres://ann@/lab?host={}", folder.path().display());
    let error = PostgresStore::open(&url, &access).err().unwrap();
    assert!(!format!("{error} {error:?} {access:?}").contains("s3cret"), "{error:?}");
}

/// The lines of an export; an import may have changed the order of fields within a text.
/// What a store holds, but for leases: a copy begins with higher epochs, so that nobody goes on in it by an old one.
fn exported(store: &dyn Store) -> Vec<serde_json::Value> {
    let mut export = Vec::new();
    store.export(&mut export).unwrap();
    let lines = export.split(|byte| *byte == b'\n');
    let rows = lines.filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
    rows.filter(|row| row["table"] != "device_leases").collect()
}

#[test]
fn a_store_is_copied_to_a_server_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let name = path.to_str().unwrap();
    let lite = crate::store::open(name).unwrap();
    let (row, _) = sweep(&*lite, "s", &["a"], 3);
    let run = claim(&*lite, &row, "a", "host", 0);
    let ended = record(&row.id, &run.job, Some((&run.run_id, run.attempt)), RunStatus::Ok);
    lite.finish(run.epoch, &ended, None, at(1)).unwrap();
    crate::store::people::cancel_sweep(&*lite, &row.id, "ann", at(2)).unwrap();
    crate::store::conformance::with_a_regression(&*lite);

    let url = fresh();
    open(&url);
    // It breaks off where the events come.
    let refuse = "CREATE TRIGGER broken BEFORE INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION refuse('no room')";
    server().run_sql(database_of(&url), refuse).unwrap();
    let error = crate::store::copy(name, &url, &access()).unwrap_err().to_string();
    assert!(error.contains("no room"), "{error}");
    let error = PostgresStore::open(&url, &access()).err().unwrap().to_string();
    assert!(error.contains("has not ended") && error.contains("farmctl store copy"), "{error}");
    server().run_sql(database_of(&url), "DROP TRIGGER broken ON events").unwrap();
    crate::store::copy(name, &url, &access()).unwrap();

    let store = open(&url);
    assert_eq!(exported(&store), exported(&*lite));
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
    let last = lite.last_event().unwrap();
    store.append_event(&store.events(&row.id).unwrap()[0]).unwrap();
    assert_eq!(store.last_event().unwrap(), last + 1, "it goes on with the numbers");
    let error = crate::store::copy(name, &url, &access()).unwrap_err().to_string();
    assert!(error.contains("a store of a lab already"), "{error}");

    let back = folder.path().join("back.db");
    crate::store::copy(&url, back.to_str().unwrap(), &access()).unwrap();
    let back = crate::store::open(back.to_str().unwrap()).unwrap();
    assert_eq!(exported(&*back), exported(&store));
}

/// Who has been in the way for long may be so once more, by a row that is there already.
#[test]
fn a_row_that_is_there_already_is_tried_again_after_many_other_turns() {
    let store = open(&fresh());
    let raise = |code: &str| format!("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{code}'; END $$");
    let (serialization, duplicate) = (raise("40001"), raise("23505"));
    let mut turn = 0;
    let done = store.transaction("try", |transaction| {
        turn += 1;
        match turn {
            1..=12 => transaction.0.execute(&serialization, &[]).map(drop),
            13 => transaction.0.execute(&duplicate, &[]).map(drop),
            _ => Ok(()),
        }
    });
    done.unwrap();
    assert_eq!(turn, 14);
    // One that stays is told.
    let stays = store.transaction("try", |transaction| transaction.0.execute(&duplicate, &[]).map(drop));
    assert!(matches!(stays, Err(StoreError::Database { .. })), "{stays:?}");
}
