//! A store that an older version wrote becomes one of this version, with every row and its meaning.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};

use crate::domain::{
    CheckVerdict, Event, EventKind, Failure, FailureKind, IdleTemperature, JobState, Plan, Record, RunId, RunState,
    RunStatus, SweepDefinition, SweepId, SweepOrder, SweepRow, SweepState, Unfit, sample,
};
use crate::store::conformance::{at, claim, definition, job, record, sweep, with_a_regression};
use crate::store::sql::maintenance::TABLES;
use crate::store::sqlite::schema::{self, APPLICATION_ID, MIGRATIONS};
use crate::store::{NewSweep, PastEvents, PastRuns, Requeue, Store, open, people};

fn id() -> SweepId {
    SweepId("20270115-080000-old-7f3a".into())
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

/// A lab's store as that version had it: a sweep that had ended, and one that was stopped with a job recorded at its
/// second attempt, one under way, one that waits, and a skipped cell. Its rows were written by version 1 or 2, and a
/// later version has them from there.
fn write_old(path: &Path, version: usize) {
    let connection = Connection::open(path).unwrap();
    let (before, since) = MIGRATIONS[..version].split_at(version.min(2));
    before.iter().for_each(|step| connection.execute_batch(step).unwrap());
    write_rows(&connection, version);
    since.iter().for_each(|step| connection.execute_batch(step).unwrap());
    connection
        .execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version}"))
        .unwrap();
}

fn write_rows(connection: &Connection, version: usize) {
    let of_sweep = "INSERT INTO sweeps VALUES (?1, 'old', ?2, ?3, '0.1.0')";
    let ns = |seconds| crate::store::sql::nanoseconds(at(seconds));
    connection.execute(of_sweep, params!["done", ns(-100), ns(-50)]).unwrap();
    connection.execute(of_sweep, params![id().0, ns(0), None::<i64>]).unwrap();
    for number in 0..3 {
        let job = job("a", number);
        let of_job = "INSERT INTO jobs VALUES (?1, ?2, ?3, 'a', ?4, ?5, 0)";
        connection
            .execute(of_job, params![id().0, job.id.0, number as i64, format!("old-{number}-"), json(&job)])
            .unwrap();
    }
    for (number, attempt) in [(0, 1), (0, 2), (1, 1)] {
        let of_run = "INSERT INTO runs VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'host:1', ?7)";
        let run = format!("old-{number}-{attempt}");
        let job = job("a", number).id.0;
        connection.execute(of_run, params![run, id().0, job, attempt, ns(1), attempt, ns(61)]).unwrap();
    }
    let run = RunId("old-0-2".into());
    let ended = ended(&run);
    let skipped = record(&id(), &job("bb", 7), None, RunStatus::Skipped);
    for (record, duration_ns) in [(ended, Some(15_000_000_000i64)), (skipped, None)] {
        let of_record = "INSERT INTO records (sweep_id, job_id, run_id, status, finished_at_ns, duration_ns, record)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let run = record.run_id.as_ref().map(RunId::as_str);
        let values = params![id().0, record.job.id.0, run, record.status.as_str(), ns(25), duration_ns, json(&record)];
        connection.execute(of_record, values).unwrap();
    }
    for event in events() {
        let of_event = "INSERT INTO events (sweep_id, at_ns, event) VALUES (?1, ?2, ?3)";
        connection.execute(of_event, params![id().0, ns(2), json(&event)]).unwrap();
    }
    if version >= 2 {
        let change =
            "INSERT INTO device_changes (identity, device, setting, previous, made_at_ns, holder, undone_at_ns)
                      VALUES ('phone x', 'a', 'airplane_mode', '0', ?1, 'host:1', ?2)";
        connection.execute(change, params![ns(3), None::<i64>]).unwrap();
        connection.execute(change, params![ns(1), ns(2)]).unwrap();
    }
}

/// A record that names an output.
fn ended(run: &RunId) -> Record {
    let mut ended = record(&id(), &job("a", 0), Some((run, 2)), RunStatus::Ok);
    ended.measurement.outputs = vec![sample::output("logits", "old")];
    ended
}

fn events() -> [Event; 2] {
    let event = |device: Option<&str>, kind| Event {
        at: at(2),
        sweep_id: Some(id()),
        device: device.map(str::to_owned),
        job_id: None,
        run_id: None,
        kind,
    };
    [
        event(None, EventKind::CancelRequested { by: "x".into() }),
        event(Some("a"), EventKind::DeviceReleased { by: "x".into() }),
    ]
}

#[test]
fn every_older_version_comes_over_with_its_rows() {
    for version in 1..MIGRATIONS.len() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        write_old(&path, version);
        let store = open(path.to_str().unwrap()).unwrap();
        assert_moved(store.as_ref(), version);
        let check = store.check().unwrap();
        assert_eq!((check.schema_version, check.faults), (schema::known_version(), vec![]), "from version {version}");
        assert_goes_on(store.as_ref());
        assert_eq!(store.check().unwrap().faults, Vec::<String>::new(), "from version {version}, gone on");
    }
}

fn assert_moved(store: &dyn Store, version: usize) {
    let states: Vec<(String, SweepState)> =
        store.sweeps().unwrap().into_iter().map(|sweep| (sweep.id.0, sweep.state)).collect();
    assert_eq!(states, [(id().0, SweepState::Open), ("done".to_owned(), SweepState::Finished)]);
    assert_eq!(store.definition(&id()).unwrap(), None);
    let counts = store.counts(&id()).unwrap();
    assert_eq!((counts.jobs, counts.open, counts.ok, counts.skipped), (3, 2, 1, 1));
    let state = |number| {
        let (state, attempts) = store.attempts(&id(), &job("a", number).id).unwrap();
        (state, attempts.iter().map(|attempt| attempt.state).collect::<Vec<_>>())
    };
    assert_eq!(state(0), (JobState::Recorded, vec![RunState::Requeued, RunState::Recorded]));
    assert_eq!(state(1), (JobState::Running, vec![RunState::Live]));
    assert_eq!(state(2), (JobState::Waiting, vec![]));
    let run = RunId("old-0-2".into());
    let records = store.records(&id()).unwrap();
    assert_eq!(records[0], ended(&run));
    let outputs = ended(&run).measurement.outputs.into_iter().map(|output| output.sha256);
    assert_eq!(store.outputs_named().unwrap(), outputs.collect());
    assert_eq!((records.len(), records[1].status), (2, RunStatus::Skipped));
    assert_eq!(store.past_durations(&job("a", 0).id, 5).unwrap().len(), 1);
    assert_eq!(store.events(&id()).unwrap(), events());
    assert_eq!(store.device_events("a", 5).unwrap(), events()[1..]);
    let past = |which| store.past_events(which, None, 9).unwrap().into_iter().map(|(_, event)| event);
    assert_eq!(past(PastEvents::Acts).rev().collect::<Vec<_>>(), events());
    assert_eq!(past(PastEvents::NotableOfDevice("a")).collect::<Vec<_>>(), events()[1..]);
    let open = store.open_device_changes(None).unwrap();
    assert_eq!(open.len(), usize::from(version >= 2), "the change that was not undone");
}

/// The stopped sweep goes on to its end: the run under way is taken over, the waiting job claimed.
fn assert_goes_on(store: &dyn Store) {
    let row = store.sweeps().unwrap().remove(0);
    let lease = std::time::Duration::from_secs(60);
    let taken = store.take_over(&RunId("old-1-1".into()), "new", lease, at(100)).unwrap().expect("its lease ran out");
    assert_eq!((taken.attempt, taken.epoch), (1, 2));
    finish(store, &row, &taken);
    finish(store, &row, &claim(store, &row, "a", "new", 100));
    assert!(store.finish_sweep(&id(), at(110)).unwrap());
}

fn finish(store: &dyn Store, row: &SweepRow, run: &crate::store::ClaimedRun) {
    let record = record(&row.id, &run.job, Some((&run.run_id, run.attempt)), RunStatus::Ok);
    store.finish(run.epoch, &record, None, at(101)).unwrap();
}

/// Copies the store of [`fresh`](super::fresh) in this folder to one of an older version: the rows, and of those what
/// that version had.
pub(super) fn copy_as_of(version: usize, folder: &Path) -> PathBuf {
    let (path, now) = (folder.join(format!("as-of-{version}.db")), folder.join("state/farm.db"));
    let old = Connection::open(&path).unwrap();
    MIGRATIONS[..version].iter().for_each(|step| old.execute_batch(step).unwrap());
    old.execute("ATTACH ?1 AS now", [now.to_str().unwrap()]).unwrap();
    old.execute_batch("DELETE FROM lab; DELETE FROM told").unwrap();
    let columns = |schema: &str, table: &str| -> BTreeSet<String> {
        let mut statement = old.prepare(&format!("PRAGMA {schema}.table_info({table})")).unwrap();
        statement.query_map([], |row| row.get("name")).unwrap().map(Result::unwrap).collect()
    };
    // Those were made from the records.
    for table in TABLES.iter().filter(|table| !["run_history", "environments"].contains(&table.name)) {
        let (before, now) = (columns("main", table.name), columns("now", table.name));
        let both = before.intersection(&now).cloned().collect::<Vec<_>>().join(", ");
        let (name, celsius) = (table.name, "device, day, at_ns, sensor");
        let copy = match (name, before.is_empty()) {
            (_, true) => continue,
            ("idle_temperatures", _) => format!(
                "INSERT INTO main.{name} ({celsius}, celsius) SELECT {celsius}, temp_mc / 1000.0 FROM now.{name}"
            ),
            _ => format!("INSERT INTO main.{name} ({both}) SELECT {both} FROM now.{name}"),
        };
        old.execute_batch(&copy).unwrap();
    }
    old.execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {version}")).unwrap();
    path
}

/// Something of each kind whose columns stood in JSON only.
fn fill_with_what_had_no_column(store: &dyn Store) {
    let (row, _) = sweep(store, "s", &["a"], 2);
    let ordered = SweepOrder { by: "Anna".into(), schedule: Some("nightly".into()) };
    let by_hand = SweepRow { id: SweepId("by-hand".into()), ..row.clone() };
    let plan = Plan { sweep: "s".into(), jobs: vec![], skipped: vec![] };
    let definition = SweepDefinition { ordered: Some(ordered), ..definition() };
    store.create_sweep(&NewSweep::new(&by_hand, &definition, &plan)).unwrap();
    let run = claim(store, &row, "a", "host", 0);
    let mut ended = record(&row.id, &run.job, Some((&run.run_id, run.attempt)), RunStatus::Ok);
    ended.measurement.outputs = vec![sample::output("logits", "x")];
    store.finish(run.epoch, &ended, None, at(1)).unwrap();
    let run = claim(store, &row, "a", "host", 2);
    let failure = Failure::new(FailureKind::ConnectionLost, "x");
    let given = Requeue { run_id: &run.run_id, epoch: run.epoch, failure: &failure, counts: true, not_before: at(3) };
    store.requeue(&given, at(3)).unwrap();
    let run = claim(store, &row, "a", "host", 4);
    let failed = record(&row.id, &run.job, Some((&run.run_id, run.attempt)), RunStatus::Failed);
    store.finish(run.epoch, &failed, None, at(5)).unwrap();
    with_a_regression(store);
    let found = store.regressions(true).unwrap().remove(0);
    people::acknowledge_regression(store, &found, "ben", at(50)).unwrap();
    let idle = IdleTemperature { at: at(6), sensor: "cpu".into(), celsius: 41.37 };
    store.note_idle_temperature("a", &idle).unwrap();
    let unfit = Unfit { device: "a".into(), verdict: CheckVerdict::Failed, findings: vec![] };
    let finished =
        |status| EventKind::RunFinished { name: "m".into(), status, p50_ns: None, failure: None, judged: None };
    let checked = |unfit: Vec<Unfit>| EventKind::ScheduleChecked {
        schedule: "nightly".into(),
        checked: 3,
        unfit: unfit.len() as u64,
        devices: unfit,
    };
    let removed = |by: Option<&str>| EventKind::Removed {
        kind: "sweep".into(),
        name: "x".into(),
        bytes: 1,
        why: "old".into(),
        by: by.map(str::to_owned),
    };
    let kinds = [
        EventKind::DeviceConnecting,
        EventKind::DeviceQuarantined { failure, failures: 3, pause_ns: 1 },
        EventKind::ClockJumped { off_seconds: 5, says: at(7) },
        EventKind::PushFinished { name: "m".into(), sent_bytes: 5_000_000, duration_ns: 1_000_000_000 },
        EventKind::DeviceReconnecting { cause: "gone".into() },
        finished(RunStatus::Ok),
        finished(RunStatus::Failed),
        checked(vec![]),
        checked(vec![unfit]),
        removed(None),
        removed(Some("anna")),
    ];
    for kind in kinds {
        let device = Some("a".to_owned());
        store.append_event(&Event { at: at(8), sweep_id: None, device, job_id: None, run_id: None, kind }).unwrap();
    }
}

/// A store of version 21 has JSON only, and gets columns by the migration; whoever writes today gives them. Both are
/// the same, to the last byte of an export.
#[test]
fn columns_that_a_migration_fills_are_as_those_that_are_written() {
    let (open_now, folder) = super::fresh();
    let now = open_now();
    fill_with_what_had_no_column(now.as_ref());
    let old = copy_as_of(21, folder.path());
    let moved = open(old.to_str().unwrap()).unwrap();
    let lines = |store: &dyn Store| -> Vec<String> {
        let mut export = Vec::new();
        store.export(&mut export).unwrap();
        // The order of fields within one of its texts is not settled.
        let is_settled = |line: &&str| !line.contains(r#""table":"environments""#);
        String::from_utf8(export).unwrap().lines().filter(is_settled).map(str::to_owned).collect()
    };
    let (expected, found) = (lines(now.as_ref()), lines(moved.as_ref()));
    for (expected, found) in expected.iter().zip(&found) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
    let runs = |store: &dyn Store| store.past_runs(PastRuns { model: "mobilenet_v2", limit: 9, ..PastRuns::default() });
    assert_eq!(runs(moved.as_ref()).unwrap(), runs(now.as_ref()).unwrap());
    assert_eq!(moved.check().unwrap().faults, Vec::<String>::new());
}

/// A store as it really is, with rows and in WAL mode, of one version more than this program knows.
#[test]
fn a_newer_store_with_rows_is_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = open(path.to_str().unwrap()).unwrap();
    sweep(&*store, "s", &["a"], 20);
    drop(store);
    let newer = schema::known_version() + 1;
    let sql = format!("UPDATE works_from SET version = {newer}; PRAGMA user_version = {newer}");
    Connection::open(&path).unwrap().execute_batch(&sql).unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = super::open_error(&path).to_string();
    assert!(error.contains("state.db") && error.contains("use the newer farmctl"), "{error}");
    assert!(std::fs::read(&path).unwrap() == before, "the file was touched");
    let mut names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["state.db", "state.db-open"], "nothing else is left beside it");
}
