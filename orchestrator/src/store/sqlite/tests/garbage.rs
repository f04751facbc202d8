//! Rows that were written by something else: errors that say which, never a panic.

use proptest::prelude::*;
use rusqlite::Connection;

use super::fresh;
use crate::domain::{Failure, FailureKind, RunStatus};
use crate::store::conformance::{at, claim, record, sweep};
use crate::store::{Requeue, Store};

/// Columns that hold more than a word of ours, and those that hold words, numbers and times.
const COLUMNS: [(&str, &str); 16] = [
    ("jobs", "job"),
    ("jobs", "run_prefix"),
    ("records", "record"),
    ("events", "event"),
    ("sweeps", "definition"),
    ("runs", "failure"),
    ("devices", "failure"),
    ("sweeps", "state"),
    ("jobs", "state"),
    ("runs", "state"),
    ("devices", "state"),
    ("runs", "claimed_at_ns"),
    ("runs", "lease_epoch"),
    ("sweeps", "started_at_ns"),
    ("devices", "failures_in_row"),
    ("jobs", "not_before_ns"),
];

fn garbage() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,40}",
        any::<i64>().prop_map(|number| number.to_string()),
        prop::sample::select(vec![
            "",
            "{}",
            "[]",
            "null",
            "1e999",
            "{\"id\":5}",
            "\u{0}",
            "9223372036854775807",
            "-9223372036854775808",
            "{\"event\":\"job_moved\"}",
            "'; DROP TABLE jobs; --",
            "\"\\ud800\"",
        ])
        .prop_map(str::to_owned),
        (1usize..3000).prop_map(|depth| "[".repeat(depth)),
        (1usize..300).prop_map(|depth| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth))),
    ]
}

/// Calls everything that reads.
fn read_all(store: &dyn Store) {
    let _ = store.check().map(|check| check.faults);
    let _ = store.export(&mut std::io::sink());
    let _ = store.device_statuses();
    let _ = store.device_events("a", 9);
    let _ = store.lease_holders(at(0));
    let _ = store.device_leases(at(0));
    for sweep in store.sweeps().unwrap_or_default() {
        let _ = (store.definition(&sweep.id), store.counts(&sweep.id), store.events(&sweep.id));
        let _ = (store.records(&sweep.id), store.live_runs(&sweep.id, None), store.sweep_holder(&sweep.id, at(0)));
        for job in store.jobs(&sweep.id).unwrap_or_default() {
            let _ = (store.attempts(&sweep.id, &job.id), store.past_durations(&job.id, 3));
        }
        let _ = store.claim(&sweep.id, "a", "x", std::time::Duration::MAX, at(0));
        let _ = store.cancel_sweep(&sweep.id, None);
    }
    let _ = store.device_failed("a", &Failure::new(FailureKind::Timeout, "x"), at(1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn garbage_in_rows_ends_in_errors(
        changes in prop::collection::vec((prop::sample::select(COLUMNS.to_vec()), garbage()), 1..4),
    ) {
        let (open, folder) = fresh();
        let store = open();
        let (row, _) = sweep(&*store, "s", &["a"], 3);
        let run = claim(&*store, &row, "a", "host", 0);
        let kept = record(&row.id, &run.job, Some((&run.run_id, run.attempt)), RunStatus::Ok);
        store.finish(run.epoch, &kept, None, at(1)).unwrap();
        let run = claim(&*store, &row, "a", "host", 0);
        let failure = Failure::new(FailureKind::ConnectionLost, "x");
        let (run_id, epoch) = (&run.run_id, run.epoch);
        let given = Requeue { run_id, epoch, failure: &failure, counts: true, not_before: at(0) };
        store.requeue(&given, at(1)).unwrap();
        store.device_failed("a", &failure, at(1)).unwrap();
        let connection = Connection::open(folder.path().join("state/farm.db")).unwrap();
        connection.execute_batch(
            "DROP TRIGGER sweep_steps; DROP TRIGGER job_steps; DROP TRIGGER run_steps; DROP TRIGGER device_steps;
             DROP TRIGGER records_stay").unwrap();
        for ((table, column), value) in changes {
            // What the column's type refuses stays as it was.
            let _ = connection.execute(&format!("UPDATE {table} SET {column} = ?1"), [value]);
        }
        read_all(&*store);
    }
}
