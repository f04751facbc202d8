//! What is kept of each run for histories follows its record.

use rusqlite::Connection;

use super::fresh;
use super::migrations::copy_as_of;
use crate::domain::{Event, EventKind, Judgement, PastRun, Record, RunStatus, SweepId, SweepRow, Verdict};
use crate::store::conformance::{Open, at, definition, job, record, sweep};
use crate::store::sqlite::schema::MIGRATIONS;
use crate::store::{NewSweep, PastRuns, Store};

const ALL: PastRuns<'_> = PastRuns { model: "mobilenet_v2", device: None, since: None, limit: 100 };

/// A record of a run whose samples are these, `seconds` after the first.
fn run(sweep: &SweepId, device: &str, number: usize, seconds: i64, samples_ns: &[u64]) -> Record {
    let mut record = record(sweep, &job(device, number), None, RunStatus::Ok);
    record.measurement.samples_ns = samples_ns.to_vec();
    record.finished_at = at(seconds);
    record
}

/// Adds a sweep that has these records from the start.
fn add(store: &dyn Store, name: &str, records: impl Fn(&SweepId) -> Vec<Record>) -> SweepId {
    let row = SweepRow { id: SweepId(name.into()), ..sweep(store, &format!("of-{name}"), &[], 0).0 };
    let records = records(&row.id);
    let plan = crate::domain::Plan { sweep: name.into(), jobs: vec![], skipped: vec![] };
    store.create_sweep(&NewSweep { skipped: &records, ..NewSweep::new(&row, &definition(), &plan) }).unwrap();
    row.id
}

fn noisy() -> Judgement {
    let (half_interval_percent, temp_max_c) = (Some(7.5), Some(61.5));
    let reason = "two modes".to_owned();
    Judgement { verdict: Verdict::Noisy, reason, half_interval_percent, temp_max_c, other_load_percent: None }
}

fn half_filled() -> (Open, tempfile::TempDir) {
    let (open, folder) = fresh();
    let store = open();
    add(&*store, "one", |id| vec![run(id, "a", 1, 1, &[30, 10, 20, 40]), run(id, "bb", 1, 2, &[7])]);
    add(&*store, "two", |id| {
        let mut warm = run(id, "a", 1, 3, &[50, 60, 70]);
        warm.runner_sha256 = Some("ef".repeat(32));
        let failed = record(id, &job("a", 2), None, RunStatus::Failed);
        vec![warm, failed, run(id, "a", 3, 4, &[])]
    });
    (open, folder)
}

#[test]
fn runs_are_had_by_network_device_and_time_the_newest_first() {
    let (open, _folder) = half_filled();
    let store = open();
    let medians = |wanted: PastRuns<'_>| -> Vec<u64> {
        store.past_runs(wanted).unwrap().iter().map(|run| run.median_ns).collect()
    };
    assert_eq!(medians(ALL), [60, 7, 20], "by nearest rank; none of a failed run, and of one without samples");
    assert_eq!(medians(PastRuns { device: Some("a"), ..ALL }), [60, 20]);
    assert_eq!(medians(PastRuns { since: Some(at(2)), ..ALL }), [60, 7]);
    assert_eq!(medians(PastRuns { limit: 1, ..ALL }), [60]);
    assert_eq!(medians(PastRuns { model: "other", ..ALL }), [0u64; 0]);
    assert_eq!(store.models_run().unwrap(), ["mobilenet_v2"]);
    let runs = store.past_runs(ALL).unwrap();
    let expected = job("a", 1);
    assert_eq!((runs[0].sweep_id.as_str(), runs[0].at, &*runs[0].cell.device), ("two", at(3), "a"));
    assert_eq!((&runs[0].cell.threads, runs[0].cell.precision), (&expected.threads, expected.precision));
    assert_eq!(runs[0].environment["runner"], "ef".repeat(32));
    assert_ne!(runs[0].environment, runs[2].environment);
    assert_eq!(runs[1].environment, runs[2].environment, "the device is no environment");
}

#[test]
fn no_record_is_refused_for_what_a_device_says() {
    let (open, _folder) = fresh();
    let store = open();
    let id = add(&*store, "odd", |id| vec![run(id, "a", 1, 1, &[u64::MAX, u64::MAX - 1, u64::MAX])]);
    assert_eq!(store.records(&id).unwrap().len(), 1, "JSON has no whole number that is so large");
    let known = store.past_runs(ALL).unwrap();
    assert_eq!(known.iter().map(|run| run.median_ns).collect::<Vec<_>>(), [i64::MAX as u64]);
}

#[test]
fn what_is_asked_is_found_by_the_key() {
    let (_open, folder) = half_filled();
    let connection = Connection::open(folder.path().join("state/farm.db")).unwrap();
    let sql = format!("EXPLAIN QUERY PLAN {}", crate::store::sql::run_history::PAST_RUNS);
    let mut statement = connection.prepare(&sql).unwrap();
    let parameters = rusqlite::named_params! { ":model": "m", ":since_ns": 0, ":limit": 9 };
    let found = statement.query_map(parameters, |row| row.get("detail")).unwrap();
    let steps: Vec<String> = found.map(Result::unwrap).collect();
    assert!(steps[0].starts_with("SEARCH h USING PRIMARY KEY (model=? AND at_ns>?)"), "{steps:?}");
    assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{steps:?}");
    let sql = format!("EXPLAIN QUERY PLAN {}", crate::store::sql::run_history::PAST_RUNS_OF_DEVICE);
    let mut statement = connection.prepare(&sql).unwrap();
    let parameters = rusqlite::named_params! { ":device": "a", ":limit": 9 };
    let found = statement.query_map(parameters, |row| row.get("detail")).unwrap();
    let steps: Vec<String> = found.map(Result::unwrap).collect();
    assert!(steps[0].starts_with("SEARCH h USING INDEX run_history_by_device (device=?)"), "{steps:?}");
    assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{steps:?}");
    let sql = format!("EXPLAIN QUERY PLAN {}", crate::store::sql::run_history::PAST_RUNS_ON_DEVICE);
    let mut statement = connection.prepare(&sql).unwrap();
    let parameters = rusqlite::named_params! { ":model": "m", ":device": "a", ":since_ns": 0, ":limit": 9 };
    let found = statement.query_map(parameters, |row| row.get("detail")).unwrap();
    let steps: Vec<String> = found.map(Result::unwrap).collect();
    assert!(steps[0].contains("run_history_by_model_and_device (model=? AND device=? AND at_ns>?)"), "{steps:?}");
    assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{steps:?}");
}

#[test]
fn it_leaves_with_its_record_and_comes_back_with_an_import() {
    let (open, folder) = half_filled();
    let store = open();
    let mut export = Vec::new();
    store.export(&mut export).unwrap();
    let copy = folder.path().join("copy.db");
    crate::store::sqlite::import(&mut export.as_slice(), folder.path(), &copy).unwrap();
    let copied = crate::store::open(copy.to_str().unwrap()).unwrap();
    assert_eq!(copied.past_runs(ALL).unwrap(), store.past_runs(ALL).unwrap());
    assert!(store.finish_sweep(&SweepId("two".into()), at(9)).unwrap());
    assert!(store.remove_sweep(&SweepId("two".into())).unwrap());
    assert_eq!(store.past_runs(ALL).unwrap().len(), 2);
}

#[test]
fn the_records_of_an_older_store_are_taken_in() {
    let (open, folder) = half_filled();
    let store = open();
    let expected = store.past_runs(ALL).unwrap();
    // What was found of a run stood in its event only.
    let kind = EventKind::RunFinished {
        name: "x".into(),
        status: RunStatus::Ok,
        p50_ns: Some(60),
        judged: Some(noisy()),
        failure: None,
    };
    let (sweep_id, device, job_id) = (Some(SweepId("two".into())), Some("a".into()), Some(job("a", 1).id));
    store.append_event(&Event { at: at(3), sweep_id, device, job_id, run_id: None, kind }).unwrap();
    let before = MIGRATIONS.iter().position(|step| step.contains("CREATE TABLE run_history")).unwrap();
    let old = copy_as_of(before, folder.path());
    let found = crate::store::open(old.to_str().unwrap()).unwrap().past_runs(ALL).unwrap();
    assert_eq!(found.iter().map(|run| run.judged.as_deref().cloned()).collect::<Vec<_>>(), [Some(noisy()), None, None]);
    let bare = |mut run: PastRun| {
        run.judged = None;
        run
    };
    assert_eq!(found.into_iter().map(bare).collect::<Vec<_>>(), expected, "as the program has them today");
}
