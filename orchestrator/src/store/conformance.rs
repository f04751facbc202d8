//! What every store must do, written against the trait. A store's tests call [`store_conformance!`] with a function that
//! gives, for a fresh and empty store, a function that opens it: each call is another connection, as of another process.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{Store, StoreError};
use crate::domain::{
    DeviceChange, DeviceIdentity, Event, EventKind, Failure, FailureKind, Job, JobId, Measurement, Plan, Record, RunId,
    RunStatus, Setting, Skipped, SweepId, SweepRow, sample,
};

pub type Open = Arc<dyn Fn() -> Arc<dyn Store> + Send + Sync>;

/// Makes a test of each case. `$fresh` is a function `() -> (Open, guard)`; the guard lives as long as the test.
macro_rules! store_conformance {
    ($fresh:path) => {
        $crate::store::conformance::store_conformance!($fresh:
            sweep_is_there_once, claims_in_the_order_of_the_plan, live_lease_is_not_claimed,
            expired_lease_moves_on_and_the_late_result_is_refused, expired_lease_that_nobody_took_still_counts,
            heartbeat_prolongs, one_record_a_job, unclaimed_jobs_get_records, records_come_in_the_order_of_the_plan,
            sweep_finishes_with_its_last_record, past_durations_are_of_runs_that_ended_well,
            events_come_back_in_order, no_job_is_claimed_twice, device_changes_are_open_until_they_are_undone
        );
    };
    ($fresh:path: $($case:ident),+ $(,)?) => {
        $(#[test] fn $case() { let (open, _guard) = $fresh(); $crate::store::conformance::$case(&open); })+
    };
}
pub(crate) use store_conformance;

const LEASE: Duration = Duration::from_secs(60);

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

pub fn job(device: &str, number: usize) -> Job {
    Job { id: JobId(format!("{number:015x}{}", device.len())), ..sample::job(device, "mobilenet_v2") }
}

/// A sweep with `jobs` jobs on each of the devices.
pub fn sweep(store: &dyn Store, name: &str, devices: &[&str], jobs: usize) -> (SweepRow, Plan) {
    let id = SweepId(format!("20270115-080000-{name}-7f3a"));
    let row =
        SweepRow { id, name: name.to_owned(), started_at: at(0), finished_at: None, farmctl_version: "0.1.0".into() };
    let jobs = devices.iter().flat_map(|device| (0..jobs).map(|number| job(device, number))).collect();
    let plan = Plan { sweep: name.to_owned(), jobs, skipped: Vec::<Skipped>::new() };
    store.create_sweep(&row, &plan).unwrap();
    (row, plan)
}

pub fn record(sweep: &SweepId, job: &Job, run: Option<(&RunId, u32)>, status: RunStatus) -> Record {
    let failure =
        (status != RunStatus::Ok).then(|| Failure::new(FailureKind::Crashed, "signal 11 in «conv2d»\nline 2"));
    Record {
        sweep_id: sweep.clone(),
        job: job.clone(),
        run_id: run.map(|(id, _)| id.clone()),
        attempt: run.map_or(0, |(_, attempt)| attempt),
        farm: "lab".to_owned(),
        tags: Default::default(),
        transport: "local".to_owned(),
        device: None,
        status,
        failure,
        measurement: Measurement { samples_ns: vec![1_000_000, u64::MAX, 3], ..Measurement::default() },
        price_per_hour: None,
        started_at: run.map(|_| at(10)),
        finished_at: at(25),
        farmctl_version: "0.1.0".to_owned(),
        runner_sha256: None,
    }
}

fn is_stale(result: Result<(), StoreError>) -> bool {
    matches!(result, Err(StoreError::StaleEpoch { .. }))
}

pub fn sweep_is_there_once(open: &Open) {
    let store = open();
    let (first, plan) = sweep(&*store, "first", &["a"], 2);
    assert!(matches!(store.create_sweep(&first, &plan), Err(StoreError::SweepExists { .. })));
    let later = SweepRow { id: SweepId("later".into()), started_at: at(5), ..first.clone() };
    store.create_sweep(&later, &Plan { jobs: vec![], ..plan.clone() }).unwrap();
    assert_eq!(open().sweeps().unwrap(), [later, first.clone()]);
    assert_eq!(open().open_jobs(&first.id, None).unwrap(), plan.jobs);
}

pub fn claims_in_the_order_of_the_plan(open: &Open) {
    let store = open();
    let (row, plan) = sweep(&*store, "s", &["a", "bb"], 3);
    let claimed: Vec<_> =
        std::iter::from_fn(|| store.claim(&row.id, "bb", "host", LEASE, at(1)).unwrap()).map(|run| run.job).collect();
    assert_eq!(claimed, plan.jobs[3..]);
    assert_eq!(store.claim(&row.id, "nobody", "host", LEASE, at(1)).unwrap(), None);
    assert_eq!(store.open_jobs(&row.id, Some("bb")).unwrap(), plan.jobs[3..], "claimed jobs stay open");
}

pub fn live_lease_is_not_claimed(open: &Open) {
    let (row, _) = sweep(&*open(), "s", &["a"], 1);
    let run = open().claim(&row.id, "a", "host", LEASE, at(0)).unwrap().unwrap();
    assert_eq!((run.attempt, run.epoch), (1, 1));
    assert_eq!(open().claim(&row.id, "a", "other", LEASE, at(59)).unwrap(), None);
}

pub fn expired_lease_moves_on_and_the_late_result_is_refused(open: &Open) {
    let (store, other) = (open(), open());
    let (row, _) = sweep(&*store, "s", &["a"], 1);
    let lost = store.claim(&row.id, "a", "host", LEASE, at(0)).unwrap().unwrap();
    let taken = other.claim(&row.id, "a", "other", LEASE, at(60)).unwrap().unwrap();
    assert_eq!((taken.attempt, &taken.job), (2, &lost.job));
    assert!(taken.epoch > lost.epoch && taken.run_id != lost.run_id);
    assert!(is_stale(store.heartbeat(&lost.run_id, lost.epoch, LEASE, at(61))));
    let late = record(&row.id, &lost.job, Some((&lost.run_id, 1)), RunStatus::Ok);
    assert!(is_stale(store.finish(lost.epoch, &late)));
    assert!(is_stale(store.finish(taken.epoch, &late)), "the epoch of another run");
    let good = record(&row.id, &taken.job, Some((&taken.run_id, 2)), RunStatus::Ok);
    assert!(is_stale(other.finish(taken.epoch + 1, &good)), "an epoch that was never given");
    other.finish(taken.epoch, &good).unwrap();
    assert_eq!(store.records(&row.id).unwrap(), [good]);
}

pub fn expired_lease_that_nobody_took_still_counts(open: &Open) {
    let store = open();
    let (row, _) = sweep(&*store, "s", &["a"], 1);
    let run = store.claim(&row.id, "a", "host", LEASE, at(0)).unwrap().unwrap();
    store.heartbeat(&run.run_id, run.epoch, LEASE, at(1000)).unwrap();
    assert_eq!(store.claim(&row.id, "a", "other", LEASE, at(1059)).unwrap(), None);
    store.finish(run.epoch, &record(&row.id, &run.job, Some((&run.run_id, 1)), RunStatus::Ok)).unwrap();
}

pub fn heartbeat_prolongs(open: &Open) {
    let store = open();
    let (row, _) = sweep(&*store, "s", &["a"], 1);
    let run = store.claim(&row.id, "a", "host", LEASE, at(0)).unwrap().unwrap();
    store.heartbeat(&run.run_id, run.epoch, LEASE, at(30)).unwrap();
    assert_eq!(store.claim(&row.id, "a", "other", LEASE, at(89)).unwrap(), None);
    assert!(is_stale(store.heartbeat(&RunId("no-such-run".into()), 1, LEASE, at(30))));
    store.finish(run.epoch, &record(&row.id, &run.job, Some((&run.run_id, 1)), RunStatus::Ok)).unwrap();
    assert!(is_stale(store.heartbeat(&run.run_id, run.epoch, LEASE, at(31))));
}

pub fn one_record_a_job(open: &Open) {
    let store = open();
    let (row, _) = sweep(&*store, "s", &["a"], 1);
    let run = store.claim(&row.id, "a", "host", LEASE, at(0)).unwrap().unwrap();
    let first = record(&row.id, &run.job, Some((&run.run_id, 1)), RunStatus::Failed);
    store.finish(run.epoch, &first).unwrap();
    assert!(is_stale(store.finish(run.epoch, &record(&row.id, &run.job, Some((&run.run_id, 1)), RunStatus::Ok))));
    assert!(is_stale(store.add_record(&record(&row.id, &run.job, None, RunStatus::Cancelled), at(1000))));
    assert_eq!(store.claim(&row.id, "a", "host", LEASE, at(1000)).unwrap(), None);
    assert_eq!(open().records(&row.id).unwrap(), [first]);
}

pub fn unclaimed_jobs_get_records(open: &Open) {
    let store = open();
    let (row, plan) = sweep(&*store, "s", &["a"], 2);
    let run = store.claim(&row.id, "a", "host", LEASE, at(0)).unwrap().unwrap();
    let cancelled: Vec<_> = plan.jobs.iter().map(|job| record(&row.id, job, None, RunStatus::Cancelled)).collect();
    assert!(is_stale(store.add_record(&cancelled[0], at(59))), "claimed under a live lease");
    store.add_record(&cancelled[1], at(59)).unwrap();
    store.add_record(&cancelled[0], at(60)).unwrap();
    assert!(is_stale(store.finish(run.epoch, &record(&row.id, &run.job, Some((&run.run_id, 1)), RunStatus::Ok))));
    assert_eq!(store.records(&row.id).unwrap(), cancelled);
    let strange = Record { sweep_id: SweepId("unknown".into()), ..cancelled[0].clone() };
    assert!(matches!(store.add_record(&strange, at(60)), Err(StoreError::UnknownSweep { .. })));
}

pub fn records_come_in_the_order_of_the_plan(open: &Open) {
    let store = open();
    let (row, plan) = sweep(&*store, "s", &["a"], 3);
    let skipped = [job("elsewhere", 9), job("elsewhere", 8)].map(|job| record(&row.id, &job, None, RunStatus::Skipped));
    skipped.iter().for_each(|record| store.add_record(record, at(0)).unwrap());
    let cells: Vec<_> = plan.jobs.iter().map(|job| record(&row.id, job, None, RunStatus::Cancelled)).collect();
    cells.iter().rev().for_each(|record| store.add_record(record, at(0)).unwrap());
    assert_eq!(store.records(&row.id).unwrap(), [&cells[..], &skipped[..]].concat());
}

pub fn sweep_finishes_with_its_last_record(open: &Open) {
    let store = open();
    let (row, plan) = sweep(&*store, "s", &["a"], 2);
    store.add_record(&record(&row.id, &plan.jobs[0], None, RunStatus::Cancelled), at(0)).unwrap();
    assert!(!store.finish_sweep(&row.id, at(1)).unwrap());
    store.add_record(&record(&row.id, &plan.jobs[1], None, RunStatus::Cancelled), at(0)).unwrap();
    assert!(store.finish_sweep(&row.id, at(2)).unwrap());
    assert!(store.finish_sweep(&row.id, at(3)).unwrap());
    assert_eq!(store.sweeps().unwrap()[0].finished_at, Some(at(2)), "the first time stays");
    assert!(matches!(store.finish_sweep(&SweepId("unknown".into()), at(1)), Err(StoreError::UnknownSweep { .. })));
}

pub fn past_durations_are_of_runs_that_ended_well(open: &Open) {
    let store = open();
    for (name, seconds, status) in [("x", 20, RunStatus::Ok), ("y", 40, RunStatus::Ok), ("z", 70, RunStatus::Failed)] {
        let (row, _) = sweep(&*store, name, &["a"], 1);
        let run = store.claim(&row.id, "a", "host", LEASE, at(0)).unwrap().unwrap();
        let record = Record { finished_at: at(seconds), ..record(&row.id, &run.job, Some((&run.run_id, 1)), status) };
        store.finish(run.epoch, &record).unwrap();
    }
    let id = &job("a", 0).id;
    assert_eq!(store.past_durations(id, 9).unwrap(), [30, 10].map(Duration::from_secs));
    assert_eq!(store.past_durations(id, 1).unwrap(), [Duration::from_secs(30)]);
    assert_eq!(store.past_durations(&job("a", 5).id, 9).unwrap(), Vec::<std::time::Duration>::new());
}

pub fn events_come_back_in_order(open: &Open) {
    let store = open();
    let (row, plan) = sweep(&*store, "s", &["a"], 1);
    let event = |seconds, device: Option<&str>, kind| Event {
        at: at(seconds),
        sweep_id: row.id.clone(),
        device: device.map(str::to_owned),
        job_id: device.map(|_| plan.jobs[0].id.clone()),
        run_id: None,
        kind,
    };
    let failure = Failure { stderr_tail: vec!["a".into(), "b".into()], ..Failure::new(FailureKind::Refused, "no") };
    let events = [
        event(3, None, EventKind::SweepStarted { name: "s".into(), jobs: 1, skipped: 0, devices: 1 }),
        event(2, Some("a"), EventKind::DeviceConnecting),
        event(4, Some("a"), EventKind::DeviceFailed { failure }),
    ];
    events.iter().for_each(|event| store.append_event(event).unwrap());
    assert_eq!(open().events(&row.id).unwrap(), events);
}

pub fn no_job_is_claimed_twice(open: &Open) {
    let (threads, jobs) = (8, 40);
    let (row, plan) = sweep(&*open(), "s", &["a"], jobs);
    let barrier = std::sync::Barrier::new(threads);
    let claim_all = &|number: usize| {
        let store = open();
        barrier.wait();
        let mut mine = Vec::new();
        while let Some(run) = store.claim(&row.id, "a", &format!("host {number}"), LEASE, at(0)).unwrap() {
            let record = record(&row.id, &run.job, Some((&run.run_id, run.attempt)), RunStatus::Ok);
            store.finish(run.epoch, &record).unwrap();
            mine.push(run.job.id);
        }
        mine
    };
    let mut claimed: Vec<JobId> = std::thread::scope(|scope| {
        let claimers: Vec<_> = (0..threads).map(|number| scope.spawn(move || claim_all(number))).collect();
        claimers.into_iter().flat_map(|claimer| claimer.join().unwrap()).collect()
    });
    claimed.sort();
    let mut all: Vec<_> = plan.jobs.iter().map(|job| job.id.clone()).collect();
    all.sort();
    assert_eq!(claimed, all);
    assert!(open().finish_sweep(&row.id, at(1)).unwrap());
}

pub fn device_changes_are_open_until_they_are_undone(open: &Open) {
    let store = open();
    let change = |phone: &str, setting, previous: &str| DeviceChange {
        identity: DeviceIdentity(phone.to_owned()),
        device: "desk".to_owned(),
        setting,
        previous: previous.to_owned(),
        made_at: at(3),
        holder: "host-1".to_owned(),
    };
    let made = [change("a/1", Setting::StayAwake, "0"), change("a/1", Setting::Screen, "Awake; or «x»")];
    let first = store.add_device_changes(&made).unwrap();
    let second = store.add_device_changes(&[change("b/2", Setting::StayAwake, "null")]).unwrap();
    assert_eq!(first.iter().map(|open| &open.change).collect::<Vec<_>>(), made.iter().collect::<Vec<_>>());
    assert!(first[0].number < first[1].number && first[1].number < second[0].number);

    let other = open();
    let of_a = DeviceIdentity("a/1".to_owned());
    assert_eq!(other.open_device_changes(Some(&of_a)).unwrap(), first);
    assert_eq!(other.open_device_changes(None).unwrap(), [first.clone(), second.clone()].concat());
    other.close_device_changes(&[first[1].number, u64::MAX], at(9)).unwrap();
    assert_eq!(store.open_device_changes(Some(&of_a)).unwrap(), first[..1]);
    store.close_device_changes(&[first[0].number, first[1].number, second[0].number], at(10)).unwrap();
    assert_eq!(open().open_device_changes(None).unwrap(), []);
    assert_eq!(store.add_device_changes(&[]).unwrap(), []);
}
