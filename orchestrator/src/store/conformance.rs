//! What every store must do, written against the trait. A store's tests call [`store_conformance!`] with a function
//! that gives, for a fresh and empty store, a function that opens it: each call is another connection, as of another
//! process.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{
    AddedJob, AttemptEnd, Claim, ClaimedRun, LeaseOutcome, NewSweep, NotificationKind, PastEvents, Requeue, Store,
    StoreError, SubmittedSweep, SweepCounts, people,
};
use crate::domain::{
    Baseline, Calibration, CheckFigures, CheckVerdict, DeviceChange, DeviceCheck, DeviceIdentity, DeviceLock,
    DeviceState, DueTime, Event, EventKind, Failure, FailureKind, IdleTemperature, Job, JobId, JobState, Judgement,
    KernelTime, LinkHistory, Measurement, Pace, Plan, Record, RunId, RunState, RunStatus, SchedulePause, Setting,
    Skipped, StartState, Submission, SweepDefinition, SweepId, SweepRow, SweepState, Unfit, Verdict, sample,
};

mod regressions;

pub use regressions::{
    each_finished_sweep_of_a_schedule_is_compared_once, what_is_acknowledged_stays_so, with_a_regression,
};

pub type Open = Arc<dyn Fn() -> Arc<dyn Store> + Send + Sync>;

/// Makes a test of each case. `$fresh` is a function `() -> (Open, guard)`; the guard lives as long as the test.
macro_rules! store_conformance {
    ($fresh:path) => {
        $crate::store::conformance::store_conformance!($fresh:
            sweep_is_there_once, claims_in_the_order_of_the_plan, a_run_under_way_is_not_claimed_again,
            a_lost_lease_moves_on_and_the_late_result_is_refused, a_lease_that_nobody_took_still_counts,
            leases_are_prolonged_together, a_gone_holders_leases_run_out, one_record_a_job, jobs_that_wait_get_records,
            given_back_runs_are_tried_again_after_their_pause, jobs_are_claimed_by_their_position,
            a_job_moves_to_another_device,
            records_come_in_the_order_of_the_plan, sweep_finishes_with_its_last_record, a_cancelled_sweep_ends_so,
            sweeps_that_are_long_over_are_told_apart,
            one_process_at_a_time_has_a_sweep, one_process_at_a_time_has_a_device, a_runner_is_pinned_once,
            devices_are_quarantined_and_released, a_found_run_has_an_owner, past_durations_are_of_runs_that_ended_well,
            events_come_back_in_order, no_job_is_claimed_twice, device_changes_are_open_until_they_are_undone,
            a_person_goes_before_a_schedule, a_due_time_is_begun_once, a_schedule_that_changes_begins_anew,
            a_schedule_is_paused_by_one_until_it_is_resumed, new_events_are_those_of_everything,
            a_lock_keeps_claims_off_until_it_ends, what_was_last_heard_of_a_device_is_kept,
            a_sweep_and_its_skipped_cells_are_handed_over_at_once, a_sweep_is_handed_over_and_taken_back,
            the_past_of_devices_is_told, how_fast_a_device_was_is_its_own,
            the_coolest_of_each_day_is_kept_of_a_device,
            a_sweep_leaves_whole_or_not_at_all, a_baseline_keeps_its_sweep,
            a_late_result_takes_the_place_of_a_skipped_job_once, old_events_leave_and_those_of_what_stays_do_not,
            what_nobody_was_told_of_is_news_once,
            the_checks_of_a_device_are_its_own, what_people_begin_by_a_schedule_is_among_its_starts,
            checks_that_found_devices_unfit_are_news_once,
            the_runs_of_a_device_that_ended_well_are_there_newest_first, how_a_device_was_reached_is_told,
            each_finished_sweep_of_a_schedule_is_compared_once, what_is_acknowledged_stays_so
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

pub fn definition() -> SweepDefinition {
    SweepDefinition {
        config: "configs/s.yaml".into(),
        sweep: sample::sweep_definition(),
        retry_of: None,
        due: None,
        ordered: None,
        max_parallel: None,
    }
}

/// A sweep with `jobs` jobs on each of the devices.
pub fn sweep(store: &dyn Store, name: &str, devices: &[&str], jobs: usize) -> (SweepRow, Plan) {
    let id = SweepId(format!("20270115-080000-{name}-7f3a"));
    let row = SweepRow {
        id,
        name: name.to_owned(),
        started_at: at(0),
        finished_at: None,
        farmctl_version: "0.1.0".into(),
        state: SweepState::Open,
    };
    let jobs = devices.iter().flat_map(|device| (0..jobs).map(|number| job(device, number))).collect();
    let plan = Plan { sweep: name.to_owned(), jobs, skipped: Vec::<Skipped>::new() };
    store.create_sweep(&NewSweep::new(&row, &definition(), &plan)).unwrap();
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
        condition: None,
        cooldown: None,
        status,
        failure,
        measurement: Measurement { samples_ns: vec![1_000_000, u64::MAX, 3], ..Measurement::default() },
        judged: None,
        price_per_hour: None,
        started_at: run.map(|_| at(10)),
        finished_at: at(25),
        farmctl_version: "0.1.0".to_owned(),
        runner_sha256: None,
        engine_files: Vec::new(),
    }
}

/// Claims a run that must be there.
pub fn claim(store: &dyn Store, sweep: &SweepRow, device: &str, holder: &str, seconds: i64) -> ClaimedRun {
    match store.claim(&sweep.id, device, holder, LEASE, at(seconds)).unwrap() {
        Claim::Run(run) => *run,
        other => panic!("{other:?} instead of a run"),
    }
}

fn ended(sweep: &SweepRow, run: &ClaimedRun, status: RunStatus) -> Record {
    record(&sweep.id, &run.job, Some((&run.run_id, run.attempt)), status)
}

fn lost() -> Failure {
    Failure::new(FailureKind::ConnectionLost, "the cable")
}

fn taken(outcome: LeaseOutcome) -> u64 {
    match outcome {
        LeaseOutcome::Taken { epoch } => epoch,
        LeaseOutcome::Held(holder) => panic!("{holder:?} has it"),
    }
}

fn is_stale(result: Result<(), StoreError>) -> bool {
    matches!(result, Err(StoreError::StaleEpoch { .. }))
}

pub fn sweep_is_there_once(open: &Open) {
    let store = open();
    let (first, plan) = sweep(&*store, "first", &["a"], 2);
    let again = store.create_sweep(&NewSweep::new(&first, &definition(), &plan));
    assert!(matches!(again, Err(StoreError::SweepExists { .. })));
    let later = SweepRow { id: SweepId("later".into()), started_at: at(5), ..first.clone() };
    let retry = SweepDefinition { retry_of: Some(first.id.clone()), ..definition() };
    store.create_sweep(&NewSweep { jobs: &[], ..NewSweep::new(&later, &retry, &plan) }).unwrap();
    assert_eq!(open().sweeps().unwrap(), [later.clone(), first.clone()]);
    assert_eq!(open().open_jobs(&first.id, None).unwrap(), plan.jobs);
    assert_eq!(open().definition(&later.id).unwrap(), Some(retry));
    assert!(matches!(store.definition(&SweepId("unknown".into())), Err(StoreError::UnknownSweep { .. })));
    assert_eq!(store.lab_id().unwrap(), open().lab_id().unwrap());
}

pub fn claims_in_the_order_of_the_plan(open: &Open) {
    let store = open();
    let (row, plan) = sweep(&*store, "s", &["a", "bb"], 3);
    let claimed: Vec<Job> = (0..3).map(|_| claim(&*store, &row, "bb", "host", 1).job).collect();
    assert_eq!(claimed, plan.jobs[3..]);
    for device in ["bb", "nobody"] {
        assert_eq!(store.claim(&row.id, device, "host", LEASE, at(1)).unwrap(), Claim::Nothing);
    }
    assert_eq!(store.open_jobs(&row.id, Some("bb")).unwrap(), plan.jobs[3..], "claimed jobs stay open");
}

pub fn a_run_under_way_is_not_claimed_again(open: &Open) {
    let (row, _) = sweep(&*open(), "s", &["a"], 1);
    let run = claim(&*open(), &row, "a", "host", 0);
    assert_eq!((run.attempt, run.failed_attempts, run.epoch), (1, 0, 1));
    // Not even when its lease has run out: what became of it on the device must be found out first.
    assert_eq!(open().claim(&row.id, "a", "other", LEASE, at(1000)).unwrap(), Claim::Nothing);
    let live = open().live_runs(&row.id, Some("a")).unwrap();
    assert_eq!((live.len(), &live[0].run_id, live[0].lease.holder.as_str()), (1, &run.run_id, "host"));
    assert_eq!(open().live_runs(&row.id, Some("b")).unwrap(), []);
}

pub fn a_lost_lease_moves_on_and_the_late_result_is_refused(open: &Open) {
    let (store, other) = (open(), open());
    let (row, _) = sweep(&*store, "s", &["a"], 1);
    let lost = claim(&*store, &row, "a", "host", 0);
    assert_eq!(other.take_over(&lost.run_id, "other", LEASE, at(59)).unwrap(), None, "a live lease");
    let taken = other.take_over(&lost.run_id, "other", LEASE, at(60)).unwrap().unwrap();
    assert_eq!((&taken.run_id, taken.attempt, &taken.job), (&lost.run_id, 1, &lost.job));
    assert!(taken.epoch > lost.epoch);
    let again = other.take_over(&lost.run_id, "other", LEASE, at(61)).unwrap().unwrap();
    assert!(again.epoch > taken.epoch, "its own holder may begin anew");
    let taken = again;
    let held = store.prolong_leases("host", LEASE, at(61)).unwrap();
    assert_eq!(held.runs, [], "it is the other's");
    let late = ended(&row, &lost, RunStatus::Ok);
    assert!(is_stale(store.finish(lost.epoch, &late, None, at(62))));
    assert!(is_stale(store.finish(taken.epoch + 1, &late, None, at(62))), "an epoch that was never given");
    let given =
        Requeue { run_id: &lost.run_id, epoch: lost.epoch, failure: &self::lost(), counts: true, not_before: at(0) };
    assert!(is_stale(store.requeue(&given, at(62))));
    let refused = store.events(&row.id).unwrap();
    assert!(refused.iter().all(|event| matches!(event.kind, EventKind::WriteRefused { .. })) && refused.len() == 3);
    let good = ended(&row, &taken, RunStatus::Failed);
    other.finish(taken.epoch, &good, None, at(63)).unwrap();
    assert_eq!(store.records(&row.id).unwrap(), [good]);
    assert_eq!(store.take_over(&lost.run_id, "third", LEASE, at(999)).unwrap(), None, "it has ended");
}

pub fn a_lease_that_nobody_took_still_counts(open: &Open) {
    let store = open();
    let (row, _) = sweep(&*store, "s", &["a"], 1);
    let run = claim(&*store, &row, "a", "host", 0);
    store.finish(run.epoch, &ended(&row, &run, RunStatus::Ok), None, at(1000)).unwrap();
    let strange = Record { run_id: Some(RunId("never-given".into())), ..ended(&row, &run, RunStatus::Ok) };
    assert!(is_stale(store.finish(1, &strange, None, at(1001))));
}

pub fn leases_are_prolonged_together(open: &Open) {
    let store = open();
    let (row, _) = sweep(&*store, "s", &["a", "bb"], 1);
    let sweep_epoch = taken(store.lease_sweep(&row.id, "host", LEASE, at(0)).unwrap());
    let device_epoch = taken(store.lease_device("a", Some(&row.id), "host", LEASE, at(0)).unwrap());
    let run = claim(&*store, &row, "a", "host", 0);
    claim(&*store, &row, "bb", "other", 0);
    let held = store.prolong_leases("host", LEASE, at(50)).unwrap();
    assert_eq!(held.sweeps, [(row.id.clone(), sweep_epoch)]);
    assert_eq!(held.devices, [("a".to_owned(), device_epoch)]);
    assert_eq!(held.runs, [(run.run_id.clone(), run.epoch)]);
    assert_eq!(open().take_over(&run.run_id, "other", LEASE, at(109)).unwrap(), None);
    store.finish(run.epoch, &ended(&row, &run, RunStatus::Ok), None, at(110)).unwrap();
    store.release_device("a", device_epoch).unwrap();
    store.release_sweep(&row.id, sweep_epoch).unwrap();
    assert_eq!(store.prolong_leases("host", LEASE, at(111)).unwrap(), Default::default());
}

pub fn a_gone_holders_leases_run_out(open: &Open) {
    let store = open();
    let (row, _) = sweep(&*store, "s", &["a", "bb"], 1);
    taken(store.lease_sweep(&row.id, "gone", LEASE, at(0)).unwrap());
    taken(store.lease_device("a", Some(&row.id), "gone", LEASE, at(0)).unwrap());
    let run = claim(&*store, &row, "a", "gone", 0);
    let other = claim(&*store, &row, "bb", "alive", 0);
    assert_eq!(store.lease_holders(at(1)).unwrap(), ["alive", "gone"]);
    store.expire_leases("gone", at(1)).unwrap();
    assert_eq!(open().lease_holders(at(1)).unwrap(), ["alive"]);
    assert_eq!(open().devices_left(&row.id).unwrap(), ["a"], "it was never given back");
    taken(open().lease_sweep(&row.id, "host", LEASE, at(1)).unwrap());
    assert_eq!(taken(open().lease_device("a", Some(&row.id), "host", LEASE, at(1)).unwrap()), 2);
    assert!(open().take_over(&run.run_id, "host", LEASE, at(1)).unwrap().is_some());
    assert_eq!(open().take_over(&other.run_id, "host", LEASE, at(1)).unwrap(), None);
}

pub fn one_record_a_job(open: &Open) {
    let store = open();
    let (row, _) = sweep(&*store, "s", &["a"], 1);
    let run = claim(&*store, &row, "a", "host", 0);
    let first = ended(&row, &run, RunStatus::Failed);
    store.finish(run.epoch, &first, None, at(1)).unwrap();
    assert!(is_stale(store.finish(run.epoch, &ended(&row, &run, RunStatus::Ok), None, at(2))));
    assert!(is_stale(store.add_record(&record(&row.id, &run.job, None, RunStatus::Cancelled))));
    assert_eq!(store.claim(&row.id, "a", "host", LEASE, at(1000)).unwrap(), Claim::Nothing);
    assert_eq!(open().records(&row.id).unwrap(), [first]);
    let (state, attempts) = open().attempts(&row.id, &run.job.id).unwrap();
    assert_eq!((state, attempts.len(), attempts[0].state), (JobState::Recorded, 1, RunState::Recorded));
}

pub fn jobs_that_wait_get_records(open: &Open) {
    let store = open();
    let (row, plan) = sweep(&*store, "s", &["a"], 2);
    let run = claim(&*store, &row, "a", "host", 0);
    let cancelled: Vec<_> = plan.jobs.iter().map(|job| record(&row.id, job, None, RunStatus::Cancelled)).collect();
    assert!(is_stale(store.add_record(&cancelled[0])), "a run of it has not ended");
    store.add_record(&cancelled[1]).unwrap();
    assert!(is_stale(store.add_record(&cancelled[1])));
    store.finish(run.epoch, &ended(&row, &run, RunStatus::Ok), None, at(3)).unwrap();
    let strange = Record { sweep_id: SweepId("unknown".into()), ..cancelled[0].clone() };
    assert!(matches!(store.add_record(&strange), Err(StoreError::UnknownSweep { .. })));
    let counts = SweepCounts { jobs: 2, open: 0, ok: 1, failed: 0, skipped: 0, cancelled: 1 };
    assert_eq!(open().counts(&row.id).unwrap(), counts);
}

pub fn jobs_are_claimed_by_their_position(open: &Open) {
    let store = open();
    let (row, mut plan) = sweep(&*store, "listed", &["a"], 3);
    let claimed = |row: &SweepRow, device: &str, times: i64| {
        let runs = (0..times).map(|time| claim(&*open(), row, device, "host", time));
        runs.map(|run| run.job).collect::<Vec<_>>()
    };
    assert_eq!(claimed(&row, "a", 3), plan.jobs, "an older version's, without positions");
    let shuffled = SweepRow { id: SweepId("20270115-080000-shuffled-7f3a".into()), ..row };
    for (job, position) in plan.jobs.iter_mut().zip([3, 1, 2]) {
        job.position = Some(position);
    }
    store.create_sweep(&NewSweep::new(&shuffled, &definition(), &plan)).unwrap();
    assert_eq!(store.jobs(&shuffled.id).unwrap(), plan.jobs, "listed as before");
    let first = claim(&*store, &shuffled, "a", "host", 0);
    let (failure, not_before) = (lost(), at(0));
    let given = Requeue { run_id: &first.run_id, epoch: first.epoch, failure: &failure, counts: true, not_before };
    store.requeue(&given, at(0)).unwrap();
    // One that is tried again has its place again, whoever goes on.
    let expected = [1, 2, 0].map(|index| plan.jobs[index].clone());
    assert_eq!(claimed(&shuffled, "a", 3), expected);
}

pub fn given_back_runs_are_tried_again_after_their_pause(open: &Open) {
    let store = open();
    let (row, plan) = sweep(&*store, "s", &["a"], 2);
    let failed = |run: &ClaimedRun, counts, not_before: i64, now: i64| {
        let failure = lost();
        let not_before = at(not_before);
        let given = Requeue { run_id: &run.run_id, epoch: run.epoch, failure: &failure, counts, not_before };
        store.requeue(&given, at(now)).unwrap();
    };
    let first = claim(&*store, &row, "a", "host", 0);
    failed(&first, true, 30, 5);
    // The other job goes before one that has a pause.
    let other = claim(&*store, &row, "a", "host", 6);
    assert_eq!(other.job, plan.jobs[1]);
    store.finish(other.epoch, &ended(&row, &other, RunStatus::Ok), None, at(7)).unwrap();
    assert_eq!(store.claim(&row.id, "a", "host", LEASE, at(8)).unwrap(), Claim::NotBefore(at(30)));
    let second = claim(&*store, &row, "a", "host", 30);
    assert_eq!((second.attempt, second.failed_attempts, &second.job), (2, 1, &first.job));
    assert!(second.run_id != first.run_id && second.epoch > first.epoch);
    failed(&second, false, 0, 40);
    let third = claim(&*store, &row, "a", "host", 41);
    assert_eq!((third.attempt, third.failed_attempts), (3, 1), "one that its host gave up does not count");
    let (state, attempts) = store.attempts(&row.id, &first.job.id).unwrap();
    let states: Vec<RunState> = attempts.iter().map(|attempt| attempt.state).collect();
    assert_eq!((state, states), (JobState::Running, vec![RunState::Requeued, RunState::Requeued, RunState::Live]));
    assert_eq!(attempts[0].failure, Some(lost()));
    let unknown = store.attempts(&row.id, &JobId("jnone".into()));
    assert!(matches!(unknown, Err(StoreError::UnknownJob { .. })));
}

pub fn a_job_moves_to_another_device(open: &Open) {
    let store = open();
    let (row, plan) = sweep(&*store, "s", &["a"], 1);
    let run = claim(&*store, &row, "a", "host", 0);
    let moved = job("other", 7);
    let added = Some(AddedJob { job: &moved, not_before: at(3) });
    store.finish(run.epoch, &ended(&row, &run, RunStatus::Failed), added, at(1)).unwrap();
    assert_eq!(store.jobs(&row.id).unwrap(), [plan.jobs[0].clone(), moved.clone()]);
    assert!(!store.finish_sweep(&row.id, at(2)).unwrap(), "there is a job more");
    assert_eq!(store.claim(&row.id, "other", "host", LEASE, at(2)).unwrap(), Claim::NotBefore(at(3)));
    let there = claim(&*store, &row, "other", "host", 3);
    assert_eq!(there.job, moved);
    // It is there already: nothing is added twice.
    store.finish(there.epoch, &ended(&row, &there, RunStatus::Ok), added, at(4)).unwrap();
    assert_eq!(store.jobs(&row.id).unwrap().len(), 2);
}

pub fn records_come_in_the_order_of_the_plan(open: &Open) {
    let store = open();
    let (row, plan) = sweep(&*store, "s", &["a"], 3);
    let skipped = [job("elsewhere", 9), job("elsewhere", 8)].map(|job| record(&row.id, &job, None, RunStatus::Skipped));
    skipped.iter().for_each(|record| store.add_record(record).unwrap());
    assert!(is_stale(store.add_record(&skipped[0])), "a cell that is no job has one record too");
    let cells: Vec<_> = plan.jobs.iter().map(|job| record(&row.id, job, None, RunStatus::Cancelled)).collect();
    cells.iter().rev().for_each(|record| store.add_record(record).unwrap());
    assert_eq!(store.records(&row.id).unwrap(), [&cells[..], &skipped[..]].concat());
}

pub fn sweep_finishes_with_its_last_record(open: &Open) {
    let store = open();
    let (row, plan) = sweep(&*store, "s", &["a"], 2);
    store.add_record(&record(&row.id, &plan.jobs[0], None, RunStatus::Cancelled)).unwrap();
    assert!(!store.finish_sweep(&row.id, at(1)).unwrap());
    store.add_record(&record(&row.id, &plan.jobs[1], None, RunStatus::Cancelled)).unwrap();
    assert!(store.finish_sweep(&row.id, at(2)).unwrap());
    assert!(store.finish_sweep(&row.id, at(3)).unwrap());
    let finished = &store.sweeps().unwrap()[0];
    assert_eq!((finished.finished_at, finished.state), (Some(at(2)), SweepState::Finished), "the first time stays");
    assert!(matches!(store.finish_sweep(&SweepId("unknown".into()), at(1)), Err(StoreError::UnknownSweep { .. })));
}

pub fn sweeps_that_are_long_over_are_told_apart(open: &Open) {
    let store = open();
    let end = |name, seconds| {
        let (row, plan) = sweep(&*store, name, &["a"], 1);
        store.add_record(&record(&row.id, &plan.jobs[0], None, RunStatus::Ok)).unwrap();
        assert!(store.finish_sweep(&row.id, at(seconds)).unwrap());
    };
    end("long", 10);
    end("just", 20);
    let (ending, _) = sweep(&*store, "ending", &["a"], 1);
    store.cancel_sweep(&ending.id, None).unwrap();
    sweep(&*store, "open", &["a"], 1);
    let since = |seconds| -> Vec<String> {
        store
            .sweeps_since(at(seconds))
            .unwrap()
            .into_iter()
            .map(|row| row.id.0[16..row.id.0.len() - 5].to_owned())
            .collect()
    };
    assert_eq!(since(10), ["open", "just", "ending"]);
    assert_eq!(since(9), ["open", "long", "just", "ending"]);
    assert_eq!(since(20), ["open", "ending"]);
    let all = store.sweeps().unwrap();
    assert_eq!(store.newest_sweeps("", 2).unwrap(), all[..2]);
    let wanted = all.iter().find(|row| row.name == "long").unwrap();
    assert_eq!(store.newest_sweeps(wanted.id.as_str(), 9).unwrap(), std::slice::from_ref(wanted));
    assert_eq!(store.newest_sweeps("no such", 9).unwrap(), []);
    assert_eq!(store.sweep(&wanted.id).unwrap().as_ref(), Some(wanted));
    assert_eq!(store.sweep(&SweepId("unknown".into())).unwrap(), None);
    let open: Vec<_> = store.open_sweeps().unwrap().into_iter().map(|row| row.name).collect();
    assert_eq!(open, all.iter().filter(|row| !row.state.is_over()).map(|row| row.name.clone()).collect::<Vec<_>>());
    assert_eq!(store.last_start(&wanted.id).unwrap(), None);
}

pub fn a_cancelled_sweep_ends_so(open: &Open) {
    let store = open();
    let (row, plan) = sweep(&*store, "s", &["a"], 1);
    store.cancel_sweep(&row.id, None).unwrap();
    store.cancel_sweep(&row.id, None).unwrap();
    assert_eq!(open().sweep_state(&row.id).unwrap(), SweepState::Cancelling);
    store.add_record(&record(&row.id, &plan.jobs[0], None, RunStatus::Cancelled)).unwrap();
    assert!(store.finish_sweep(&row.id, at(2)).unwrap());
    assert_eq!(open().sweep_state(&row.id).unwrap(), SweepState::Cancelled);
    let error = people::cancel_sweep(&*store, &row.id, "ann", at(3)).unwrap_err();
    assert!(matches!(error, StoreError::IllegalStep { .. }), "{error}");
}

pub fn one_process_at_a_time_has_a_sweep(open: &Open) {
    let (row, _) = sweep(&*open(), "s", &["a"], 1);
    let first = taken(open().lease_sweep(&row.id, "host", LEASE, at(0)).unwrap());
    let LeaseOutcome::Held(holder) = open().lease_sweep(&row.id, "other", LEASE, at(59)).unwrap() else { panic!() };
    assert_eq!((holder.holder.as_str(), holder.until), ("host", at(60)));
    assert_eq!(open().sweep_holder(&row.id, at(59)).unwrap(), Some(holder));
    assert_eq!(open().sweep_holder(&row.id, at(60)).unwrap(), None);
    let second = taken(open().lease_sweep(&row.id, "other", LEASE, at(60)).unwrap());
    assert!(second > first);
    open().release_sweep(&row.id, first).unwrap();
    assert!(open().sweep_holder(&row.id, at(61)).unwrap().is_some(), "what was lost can't be given back");
    open().release_sweep(&row.id, second).unwrap();
    assert_eq!(open().sweep_holder(&row.id, at(61)).unwrap(), None);
}

pub fn one_process_at_a_time_has_a_device(open: &Open) {
    let (row, _) = sweep(&*open(), "s", &["a"], 1);
    let first = taken(open().lease_device("a", Some(&row.id), "host", LEASE, at(0)).unwrap());
    let LeaseOutcome::Held(holder) = open().lease_device("a", None, "other", LEASE, at(59)).unwrap() else { panic!() };
    assert_eq!((holder.holder.as_str(), holder.sweep_id), ("host", Some(row.id.clone())));
    assert_eq!(open().device_leases(at(59)).unwrap()[0].0, "a");
    assert_eq!(open().devices_left(&row.id).unwrap(), ["a"]);
    open().release_device("a", first).unwrap();
    assert_eq!(open().device_leases(at(59)).unwrap(), []);
    assert!(open().devices_left(&row.id).unwrap().is_empty());
    let second = taken(open().lease_device("a", None, "other", LEASE, at(59)).unwrap());
    assert!(second > first, "epochs grow, also over leases that ended");
    open().release_device("a", first).unwrap();
    assert_eq!(open().device_leases(at(60)).unwrap().len(), 1);
}

pub fn a_runner_is_pinned_once(open: &Open) {
    let (row, _) = sweep(&*open(), "s", &["a"], 1);
    assert_eq!(open().pin_runner(&row.id, "arm", "one").unwrap(), "one");
    assert_eq!(open().pin_runner(&row.id, "arm", "two").unwrap(), "one");
    assert_eq!(open().pin_runner(&row.id, "x86", "two").unwrap(), "two");
    let pinned = [("arm", "one"), ("x86", "two")].map(|(target, sha256)| (target.to_owned(), sha256.to_owned()));
    assert_eq!(open().pinned_runners(&row.id).unwrap(), pinned);
}

pub fn devices_are_quarantined_and_released(open: &Open) {
    let store = open();
    assert_eq!(store.device_status("a").unwrap().state, DeviceState::InService);
    assert_eq!(store.device_failed("a", &lost(), at(1)).unwrap().failures_in_row, 1);
    assert_eq!(store.device_failed("a", &lost(), at(2)).unwrap().failures_in_row, 2);
    let status = store.quarantine_device("a", &lost(), at(30), at(3)).unwrap();
    assert_eq!((status.state, status.probe_at, status.failures_in_row), (DeviceState::Quarantined, Some(at(30)), 2));
    let status = store.quarantine_device("a", &lost(), at(90), at(31)).unwrap();
    assert_eq!((status.quarantines_in_row, status.since, status.probe_at), (2, Some(at(3)), Some(at(90))));
    assert_eq!(open().device_statuses().unwrap(), [status]);
    let released = |name, seconds| people::release_device(open().as_ref(), name, "ann", at(seconds)).unwrap();
    assert!(released("a", 91));
    assert!(!released("a", 92));
    let status = store.device_status("a").unwrap();
    assert_eq!((status.state, status.failures_in_row, status.quarantines_in_row), (DeviceState::InService, 0, 2));
    assert_eq!((status.since, status.probe_at, status.failure), (Some(at(91)), None, Some(lost())));
    store.device_worked("a").unwrap();
    assert_eq!(store.device_status("a").unwrap().quarantines_in_row, 0);
    assert!(!released("never-failed", 1));
    assert_eq!(store.device_events("a", 9).unwrap().len(), 1);
    let fresh = store.quarantine_device("b", &lost(), at(30), at(3)).unwrap();
    assert_eq!((fresh.state, fresh.quarantines_in_row), (DeviceState::Quarantined, 1));
}

pub fn a_found_run_has_an_owner(open: &Open) {
    let store = open();
    let (row, _) = sweep(&*store, "s", &["a"], 1);
    let run = claim(&*store, &row, "a", "host", 0);
    let owner = open().run_owner(&run.run_id).unwrap().unwrap();
    assert_eq!((owner.sweep_id, owner.sweep, owner.run), (row.id.clone(), SweepState::Open, RunState::Live));
    store.finish(run.epoch, &ended(&row, &run, RunStatus::Ok), None, at(1)).unwrap();
    assert_eq!(open().run_owner(&run.run_id).unwrap().unwrap().run, RunState::Recorded);
    assert_eq!(open().run_owner(&RunId("another-labs".into())).unwrap(), None);
}

pub fn past_durations_are_of_runs_that_ended_well(open: &Open) {
    let store = open();
    for (name, seconds, status) in [("x", 20, RunStatus::Ok), ("y", 40, RunStatus::Ok), ("z", 70, RunStatus::Failed)] {
        let (row, _) = sweep(&*store, name, &["a"], 1);
        let run = claim(&*store, &row, "a", "host", 0);
        let record = Record { finished_at: at(seconds), ..ended(&row, &run, status) };
        store.finish(run.epoch, &record, None, at(seconds)).unwrap();
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
        sweep_id: Some(row.id.clone()),
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
    let all = store.events_after(&row.id, 0, 9).unwrap();
    assert_eq!(all.iter().map(|(_, event)| event.clone()).collect::<Vec<_>>(), events);
    assert_eq!(open().events_after(&row.id, all[0].0, 1).unwrap(), all[1..2]);
    assert_eq!(open().events_after(&row.id, all[2].0, 9).unwrap(), []);
    let released = Event { sweep_id: None, ..event(5, Some("a"), EventKind::DeviceReleased { by: "me".into() }) };
    store.append_event(&released).unwrap();
    assert_eq!(open().events(&row.id).unwrap(), events, "it is of no sweep");
    assert_eq!(open().device_events("a", 2).unwrap(), [events[2].clone(), released]);
    assert_eq!(open().device_events("b", 2).unwrap(), []);
}

pub fn no_job_is_claimed_twice(open: &Open) {
    let (threads, jobs) = (8, 40);
    let (row, plan) = sweep(&*open(), "s", &["a"], jobs);
    let barrier = std::sync::Barrier::new(threads);
    let claim_all = &|number: usize| {
        let store = open();
        barrier.wait();
        let mut mine = Vec::new();
        while let Claim::Run(run) = store.claim(&row.id, "a", &format!("host {number}"), LEASE, at(0)).unwrap() {
            store.finish(run.epoch, &ended(&row, &run, RunStatus::Ok), None, at(1)).unwrap();
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

pub fn a_lock_keeps_claims_off_until_it_ends(open: &Open) {
    let store = open();
    let (row, _) = sweep(&*store, "s", &["a", "bb"], 1);
    let lock = |by: &str, why: &str, since: i64, until: i64| DeviceLock {
        device: "a".into(),
        by: by.into(),
        why: why.into(),
        since: at(since),
        until: at(until),
    };
    let locked = |wanted: DeviceLock| people::lock_device(open().as_ref(), &wanted).unwrap();
    assert_eq!(locked(lock("ann", "probing", 0, 50)), None);
    let held = locked(lock("bob", "me too", 1, 99));
    assert_eq!(held, Some(lock("ann", "probing", 0, 50)), "somebody else's stays");
    assert_eq!(locked(lock("ann", "longer", 2, 60)), None);
    let in_force = lock("ann", "longer", 0, 60);
    assert_eq!(open().device_locks(Some("a"), at(59)).unwrap(), std::slice::from_ref(&in_force));
    assert_eq!(open().device_locks(Some("bb"), at(59)).unwrap(), []);

    assert_eq!(open().claim(&row.id, "a", "host", LEASE, at(59)).unwrap(), Claim::Locked(in_force.clone()));
    claim(&*open(), &row, "bb", "host", 59);
    assert_eq!(open().device_locks(None, at(60)).unwrap(), [], "it ends by itself");
    claim(&*open(), &row, "a", "host", 60);

    assert_eq!(locked(lock("bob", "now", 70, 99)), None);
    let unlocked = |seconds| people::unlock_device(open().as_ref(), "a", "cyd", at(seconds)).unwrap();
    assert_eq!(unlocked(71), Some(lock("bob", "now", 70, 99)));
    assert_eq!(unlocked(72), None);
    let events = store.device_events("a", 99).unwrap();
    let told: Vec<_> = events.iter().filter(|event| !matches!(event.kind, EventKind::DeviceLocked { .. })).collect();
    assert_eq!((events.len(), told.len(), told[0].at), (4, 1, at(71)), "each change has one event, a refusal none");
    assert_eq!(open().device_locks(None, at(72)).unwrap(), []);
}

pub fn what_was_last_heard_of_a_device_is_kept(open: &Open) {
    let facts = sample::record("a", "mobilenet_v2").device.unwrap();
    let later = crate::domain::DeviceFacts { os: "Android 16".into(), ..facts.clone() };
    open().device_missed("b", &lost(), at(1)).unwrap();
    open().device_seen("a", &facts, 7, at(2)).unwrap();
    open().device_missed("a", &lost(), at(3)).unwrap();
    open().device_missed("a", &lost(), at(4)).unwrap();
    let [a, b] = open().sightings().unwrap().try_into().unwrap();
    assert_eq!((a.asked_at, a.seen_at, a.silent_since), (at(4), Some(at(2)), Some(at(3))));
    assert_eq!((a.facts, a.free_bytes, a.failure), (Some(facts), Some(7), Some(lost())));
    assert_eq!((b.seen_at, b.facts, b.silent_since), (None, None, Some(at(1))));
    open().device_seen("a", &later, 8, at(5)).unwrap();
    let a = open().sightings().unwrap().remove(0);
    assert_eq!((a.seen_at, a.silent_since, a.failure, a.free_bytes), (Some(at(5)), None, None, Some(8)));
    assert_eq!(a.facts, Some(later));
}

pub fn a_due_time_is_begun_once(open: &Open) {
    let store = open();
    assert_eq!(store.settled_until("nightly", "at ten", at(0)).unwrap(), at(0));
    let why = Some("overlap".to_owned());
    store.settle_due("nightly", &[(at(10), None), (at(20), why.clone()), (at(30), None)], at(31)).unwrap();
    store.settle_due("nightly", &[(at(10), why.clone())], at(32)).unwrap();
    assert_eq!(open().settled_until("nightly", "at ten", at(99)).unwrap(), at(30));
    assert_eq!(open().waiting_starts("nightly").unwrap(), [at(30)]);

    let begin = |name: &str, seconds: i64| {
        let row = SweepRow { id: SweepId(name.to_owned()), ..crate::domain::sample::sweep() };
        let row = SweepRow { finished_at: None, state: SweepState::Open, ..row };
        let due = DueTime { schedule: "nightly".into(), due_at: at(seconds) };
        let plan = Plan { sweep: name.to_owned(), jobs: vec![job("a", 0)], skipped: Vec::new() };
        let definition = SweepDefinition { due: Some(due), ..definition() };
        open().create_sweep(&NewSweep::new(&row, &definition, &plan)).map(|()| row)
    };
    let row = begin("one", 30).unwrap();
    for seconds in [10, 20, 30, 40] {
        assert!(matches!(begin("two", seconds), Err(StoreError::NotWaiting { .. })), "{seconds}");
    }
    assert_eq!(open().sweeps().unwrap().len(), 1, "what was refused is not there");
    // Settled again, by a process that did not know: nothing changes.
    store.settle_due("nightly", &[(at(30), None)], at(33)).unwrap();
    store.settle_due("nightly", &[(at(30), why.clone())], at(33)).unwrap();
    assert_eq!(open().waiting_starts("nightly").unwrap(), []);

    let [unfinished] = open().unfinished_sweeps("nightly").unwrap().try_into().unwrap();
    assert_eq!((unfinished.sweep_id, unfinished.due_at, unfinished.state), (row.id.clone(), at(30), SweepState::Open));
    let starts = open().scheduled_starts(Some("nightly"), 2).unwrap();
    let of = |start: &crate::domain::ScheduledStart| {
        (start.due.due_at, start.state, start.why.clone(), start.sweep_id.clone())
    };
    assert_eq!(of(&starts[0]), (at(30), StartState::Begun, None, Some(row.id.clone())));
    assert_eq!(of(&starts[1]), (at(20), StartState::Skipped, why, None));
    assert_eq!(open().scheduled_starts(Some("other"), 9).unwrap(), []);

    let run = claim(&*store, &row, "a", "host", 40);
    store.finish(run.epoch, &ended(&row, &run, RunStatus::Ok), None, at(41)).unwrap();
    store.finish_sweep(&row.id, at(41)).unwrap();
    assert_eq!(open().unfinished_sweeps("nightly").unwrap(), []);
}

pub fn what_people_begin_by_a_schedule_is_among_its_starts(open: &Open) {
    let begin = |name: &str, seconds: i64, schedule: Option<&str>| {
        let row = SweepRow { id: SweepId(name.to_owned()), started_at: at(seconds), ..crate::domain::sample::sweep() };
        let row = SweepRow { finished_at: None, state: SweepState::Open, ..row };
        let ordered = crate::domain::SweepOrder { by: "anna".into(), schedule: schedule.map(str::to_owned) };
        let definition = SweepDefinition { ordered: Some(ordered), ..definition() };
        let plan = Plan { sweep: name.to_owned(), jobs: vec![job("a", 0)], skipped: Vec::new() };
        let order = crate::store::people::order(&row.id, "anna", "it", at(seconds));
        let new = NewSweep { order: Some(&order), ..NewSweep::new(&row, &definition, &plan) };
        open().create_sweep(&new).unwrap();
    };
    open().settled_until("nightly", "at ten", at(0)).unwrap();
    begin("one", 10, Some("nightly"));
    begin("two", 20, None);
    begin("three", 30, Some("nightly"));
    open().settle_due("nightly", &[(at(20), Some("overlap".to_owned()))], at(21)).unwrap();
    let starts = open().scheduled_starts(Some("nightly"), 9).unwrap();
    let told: Vec<_> = starts.iter().map(|it| (it.due.due_at, it.by.as_deref(), it.sweep_id.clone())).collect();
    let id = |name: &str| Some(SweepId(name.to_owned()));
    assert_eq!(told, [(at(30), Some("anna"), id("three")), (at(20), None, None), (at(10), Some("anna"), id("one"))]);
    assert_eq!(open().scheduled_starts(None, 1).unwrap().len(), 1);
    assert!(open().unfinished_sweeps("nightly").unwrap().is_empty(), "none of them keeps the schedule's own off");
    let acts = open().past_events(crate::store::PastEvents::Acts, None, 9).unwrap();
    assert_eq!(acts.len(), 3, "who began a sweep is kept with it");
}

pub fn a_schedule_that_changes_begins_anew(open: &Open) {
    open().settled_until("nightly", "at ten", at(0)).unwrap();
    open().settle_due("nightly", &[(at(10), None)], at(10)).unwrap();
    assert_eq!(open().settled_until("nightly", "at ten", at(50)).unwrap(), at(10));
    assert_eq!(open().settled_until("nightly", "at four", at(60)).unwrap(), at(60));
    assert_eq!(open().settled_until("nightly", "at four", at(70)).unwrap(), at(60));
    assert_eq!(open().waiting_starts("nightly").unwrap(), [at(10)], "what waits is not forgotten");
    assert_eq!(open().settled_until("weekly", "at four", at(80)).unwrap(), at(80));
}

pub fn a_schedule_is_paused_by_one_until_it_is_resumed(open: &Open) {
    let pause = |by: &str| SchedulePause { schedule: "nightly".into(), by: by.into(), since: at(5) };
    assert_eq!(open().schedule_pauses().unwrap(), []);
    assert!(people::pause_schedule(open().as_ref(), &pause("anna")).unwrap());
    assert!(!people::pause_schedule(open().as_ref(), &pause("ben")).unwrap(), "it is paused already");
    assert_eq!(open().schedule_pauses().unwrap(), [pause("anna")]);
    let resumed = |name| people::resume_schedule(open().as_ref(), name, "anna", at(6)).unwrap();
    assert!(!resumed("weekly") && resumed("nightly") && !resumed("nightly"));
    assert_eq!(open().last_event().unwrap(), 2, "each change has one event");
    assert_eq!(open().schedule_pauses().unwrap(), []);
}

pub fn new_events_are_those_of_everything(open: &Open) {
    let store = open();
    assert_eq!(store.last_event().unwrap(), 0);
    let (row, _) = sweep(&*store, "s", &["a"], 1);
    let event = |sweep_id: Option<SweepId>, device: Option<&str>| Event {
        at: at(1),
        sweep_id,
        device: device.map(str::to_owned),
        job_id: None,
        run_id: None,
        kind: EventKind::DeviceReleased { by: "anna".into() },
    };
    let all = [event(Some(row.id.clone()), Some("a")), event(None, Some("bb")), event(None, None)];
    all.iter().for_each(|event| store.append_event(event).unwrap());
    let told = open().new_events(0, 2).unwrap();
    assert_eq!(told.iter().map(|(_, event)| event.clone()).collect::<Vec<_>>(), all[..2]);
    let rest = open().new_events(told[1].0, 9).unwrap();
    assert_eq!((rest.len(), &rest[0].1), (1, &all[2]));
    assert_eq!(open().last_event().unwrap(), rest[0].0);
    assert_eq!(open().new_events(rest[0].0, 9).unwrap(), []);
}

pub fn a_person_goes_before_a_schedule(open: &Open) {
    let store = open();
    store.settled_until("nightly", "at ten", at(0)).unwrap();
    store.settle_due("nightly", &[(at(1), None)], at(1)).unwrap();
    let due = DueTime { schedule: "nightly".into(), due_at: at(1) };
    let row = SweepRow { id: SweepId("night".into()), finished_at: None, state: SweepState::Open, ..sample::sweep() };
    let plan = Plan { sweep: "night".into(), jobs: vec![job("a", 0), job("a", 1)], skipped: Vec::new() };
    let definition = SweepDefinition { due: Some(due), ..definition() };
    store.create_sweep(&NewSweep::new(&row, &definition, &plan)).unwrap();
    let (person, _) = sweep(&*store, "person", &["a"], 2);
    let (other, _) = sweep(&*store, "other", &["a"], 1);

    store.add_device_waiter("a", &person.id, at(40)).unwrap();
    assert_eq!(open().claim(&row.id, "a", "host", LEASE, at(10)).unwrap(), Claim::Preempted(person.id.clone()));
    assert_eq!(open().preempted_by("a", &row.id, at(39)).unwrap(), Some(person.id.clone()));
    assert_eq!(open().preempted_by("b", &row.id, at(39)).unwrap(), None);
    assert_eq!(open().preempted_by("a", &other.id, at(39)).unwrap(), None, "people are equal");
    assert_eq!(open().preempted_by("a", &row.id, at(40)).unwrap(), None, "whoever waited is gone");
    store.add_device_waiter("a", &person.id, at(90)).unwrap();
    store.remove_device_waiter("a", &person.id).unwrap();
    claim(&*open(), &row, "a", "host", 50);
    store.add_device_waiter("a", &row.id, at(90)).unwrap();
    claim(&*open(), &person, "a", "host", 51);
}

fn handed(by: &str, seconds: i64) -> Submission {
    Submission { by: by.to_owned(), at: at(seconds), max_devices: 4 }
}

pub fn a_sweep_and_its_skipped_cells_are_handed_over_at_once(open: &Open) {
    let store = open();
    let (first, plan) = sweep(&*store, "first", &["a"], 1);
    let row = SweepRow { id: SweepId("given".into()), ..first };
    let (definition, submission) = (definition(), handed("ann", 1));
    let twice = [(); 2].map(|()| record(&row.id, &job("bb", 9), None, RunStatus::Skipped));
    let new = NewSweep { submission: Some(&submission), skipped: &twice, ..NewSweep::new(&row, &definition, &plan) };
    // A cell has one record: all of it is undone.
    assert!(store.create_sweep(&new).is_err());
    assert_eq!((store.sweeps().unwrap().len(), store.submitted_to_daemon().unwrap()), (1, vec![]));
    store.create_sweep(&NewSweep { skipped: &twice[..1], ..new }).unwrap();
    assert_eq!(open().records(&row.id).unwrap(), twice[..1]);
    assert_eq!(
        open().submitted_to_daemon().unwrap(),
        [SubmittedSweep { sweep_id: row.id, state: SweepState::Open, submission }]
    );
}

pub fn a_sweep_is_handed_over_and_taken_back(open: &Open) {
    let store = open();
    let (one, _) = sweep(&*store, "one", &["a"], 1);
    let (two, _) = sweep(&*store, "two", &["a"], 0);
    assert!(store.submit_to_daemon(&SweepId("unknown".into()), &handed("ann", 1)).is_err());
    store.submit_to_daemon(&one.id, &handed("ann", 1)).unwrap();
    store.submit_to_daemon(&two.id, &handed("bob", 2)).unwrap();
    store.submit_to_daemon(&one.id, &handed("cyd", 3)).unwrap();
    let given = || open().submitted_to_daemon().unwrap().into_iter().map(|it| (it.sweep_id, it.submission.by));
    assert_eq!(given().collect::<Vec<_>>(), [(two.id.clone(), "bob".into()), (one.id.clone(), "cyd".to_owned())]);
    assert!(store.finish_sweep(&two.id, at(4)).unwrap());
    store.cancel_sweep(&one.id, None).unwrap();
    assert_eq!(
        store.submitted_to_daemon().unwrap()[0].state,
        SweepState::Cancelling,
        "what is over is the daemon's no more"
    );
    assert!(store.withdraw(&one.id).unwrap() && !store.withdraw(&one.id).unwrap());
    assert_eq!(given().count(), 0);
}

pub fn the_past_of_devices_is_told(open: &Open) {
    let store = open();
    let (row, _) = sweep(&*store, "s", &["a"], 4);
    let ok = claim(&*store, &row, "a", "host", 10);
    store.finish(ok.epoch, &ended(&row, &ok, RunStatus::Ok), None, at(20)).unwrap();
    let failed = claim(&*store, &row, "a", "host", 30);
    store.finish(failed.epoch, &ended(&row, &failed, RunStatus::Failed), None, at(40)).unwrap();
    for (seconds, counts) in [(50, true), (70, false)] {
        let run = claim(&*store, &row, "a", "host", seconds);
        let failure = lost();
        let given =
            Requeue { run_id: &run.run_id, epoch: run.epoch, failure: &failure, counts, not_before: at(seconds) };
        store.requeue(&given, at(seconds + 5)).unwrap();
    }
    claim(&*store, &row, "a", "host", 90);
    let past = open().attempt_history(at(0)).unwrap();
    let told: Vec<_> = past.iter().map(|one| (one.from, one.until, one.end)).collect();
    let of = |from, until, end| (at(from), at(until), end);
    let kinds = [FailureKind::Crashed, FailureKind::ConnectionLost].map(AttemptEnd::Failed);
    let expected = [
        of(10, 20, AttemptEnd::Ok),
        of(30, 40, kinds[0]),
        of(50, 55, kinds[1]),
        of(70, 75, AttemptEnd::Other),
        of(90, 150, AttemptEnd::Other),
    ];
    assert_eq!(told, expected);
    assert_eq!(open().attempt_history(at(40)).unwrap(), past[2..]);

    let event = |sweep_id: Option<&SweepId>, kind| {
        let (sweep_id, device) = (sweep_id.cloned(), Some("a".to_owned()));
        Event { at: at(1), sweep_id, device, job_id: None, run_id: None, kind }
    };
    let quarantined = EventKind::DeviceQuarantined { failure: lost(), failures: 1, pause_ns: 1 };
    let events = [event(Some(&row.id), quarantined), event(None, EventKind::DeviceReleased { by: "me".into() })];
    store.append_event(&events[0]).unwrap();
    store.append_event(&event(Some(&row.id), EventKind::DeviceConnecting)).unwrap();
    store.append_event(&events[1]).unwrap();
    assert_eq!(open().availability_events(at(0)).unwrap(), events);
    assert_eq!(open().availability_events(at(1_000_000)).unwrap(), events, "what was so before is told");
    store.append_event(&events[0]).unwrap();
    let after = open().availability_events(at(1_000_000)).unwrap();
    assert_eq!(after.len(), 2, "the last one of each kind: {after:?}");
}

pub fn a_late_result_takes_the_place_of_a_skipped_job_once(open: &Open) {
    let store = open();
    let (row, _) = sweep(&*store, "late", &["a"], 2);
    let (left, failed) = (claim(&*store, &row, "a", "host", 1), claim(&*store, &row, "a", "host", 2));
    let skipped = ended(&row, &left, RunStatus::Skipped);
    store.finish(left.epoch, &skipped, None, at(20)).unwrap();
    store.finish(failed.epoch, &ended(&row, &failed, RunStatus::Failed), None, at(21)).unwrap();
    assert!(store.finish_sweep(&row.id, at(30)).unwrap());
    assert_eq!(open().record_without(&left.run_id).unwrap(), Some(skipped));
    assert_eq!(open().record_without(&failed.run_id).unwrap(), None, "what failed stays");
    let late = Record { finished_at: at(9000), ..ended(&row, &left, RunStatus::Ok) };
    store.amend_record(&late).unwrap();
    assert!(open().records(&row.id).unwrap().contains(&late));
    assert_eq!(open().record_without(&left.run_id).unwrap(), None);
    for again in [&late, &ended(&row, &failed, RunStatus::Ok)] {
        assert!(matches!(store.amend_record(again), Err(StoreError::StaleEpoch { .. })));
    }
}

/// A sweep that is over, with a run, a record that names an output, and an event.
fn over(store: &dyn Store, name: &str) -> SweepRow {
    let (row, _) = sweep(store, name, &["a"], 1);
    let run = claim(store, &row, "a", "host", 10);
    let mut record = ended(&row, &run, RunStatus::Ok);
    record.measurement.outputs = vec![sample::output("logits", name)];
    store.finish(run.epoch, &record, None, at(20)).unwrap();
    let (sweep_id, kind) = (Some(row.id.clone()), EventKind::StopRequested { times: 1 });
    store.append_event(&Event { at: at(5), sweep_id, device: None, job_id: None, run_id: None, kind }).unwrap();
    store.submit_to_daemon(&row.id, &handed("ann", 1)).unwrap();
    assert!(store.finish_sweep(&row.id, at(30)).unwrap());
    row
}

pub fn a_sweep_leaves_whole_or_not_at_all(open: &Open) {
    let store = open();
    let (pinned, gone) = (over(&*store, "pinned"), over(&*store, "gone"));
    let (still_open, _) = sweep(&*store, "open", &["a"], 1);
    people::pin_sweep(&*store, &pinned.id, "ann", at(40)).unwrap();
    assert!(!people::pin_sweep(&*store, &pinned.id, "bob", at(41)).unwrap());
    assert_eq!(open().pinned_sweeps().unwrap(), [(pinned.id.clone(), "ann".to_owned())]);
    assert!(people::pin_sweep(&*store, &SweepId("unknown".into()), "ann", at(40)).is_err());
    let bytes: Vec<SweepId> =
        store.sweep_bytes().unwrap().into_iter().filter(|(_, bytes)| *bytes > 100).map(|(id, _)| id).collect();
    assert_eq!(bytes, [gone.id.clone(), pinned.id.clone()]);
    assert_eq!(store.outputs_named().unwrap().into_iter().collect::<Vec<_>>(), ["gone", "pinned"]);

    assert!(!store.remove_sweep(&pinned.id).unwrap() && !store.remove_sweep(&still_open.id).unwrap());
    store.append_event(&people::order(&gone.id, "ann", "configs/all.yaml", at(1))).unwrap();
    let acts = || store.past_events(PastEvents::Acts, None, 9).unwrap();
    let before = acts();
    assert!(store.remove_sweep(&gone.id).unwrap() && !store.remove_sweep(&gone.id).unwrap());
    assert_eq!(acts(), before, "who began it is told for longer than the sweep");
    let kinds: Vec<_> = before.iter().map(|(_, event)| &event.kind).collect();
    let pinned_by_ann = EventKind::SweepPinned { by: "ann".into(), sweep: pinned.id.clone() };
    let ordered = EventKind::SweepOrdered { by: "ann".into(), what: "configs/all.yaml".into() };
    assert_eq!(kinds, [&ordered, &pinned_by_ann]);
    let left: BTreeSet<SweepId> = open().sweeps().unwrap().into_iter().map(|row| row.id).collect();
    assert_eq!(left, BTreeSet::from([pinned.id.clone(), still_open.id]));
    assert_eq!((store.records(&gone.id).unwrap().len(), store.events(&gone.id).unwrap().len()), (0, 0));
    assert_eq!(store.outputs_named().unwrap().into_iter().collect::<Vec<_>>(), ["pinned"]);
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
    let unpin = || people::unpin_sweep(&*store, &pinned.id, "ann", at(50)).unwrap();
    assert!(unpin() && !unpin());
    for kind in [
        EventKind::TokenAdded { by: "ann".into(), name: "ben".into(), role: "view".into() },
        EventKind::TokenRemoved { by: "ann".into(), name: "ben".into() },
    ] {
        people::note(&*store, None, kind, at(51)).unwrap();
    }
    people::note(&*store, Some("a"), EventKind::DeviceEdited { by: "ann".into(), what: "x".into() }, at(52)).unwrap();
    let removed = |by: Option<&str>| EventKind::Removed {
        kind: "sweep".into(),
        name: "gone".into(),
        bytes: 1,
        why: "old".into(),
        by: by.map(str::to_owned),
    };
    people::note(&*store, None, removed(None), at(53)).unwrap();
    people::note(&*store, None, removed(Some("ann")), at(54)).unwrap();
    assert_eq!(acts().len(), before.len() + 5, "what the daemon did by itself is nobody's act");
    assert_eq!(acts()[0].1.kind, removed(Some("ann")));
    let older = store.past_events(PastEvents::Acts, Some(before[0].0), 9).unwrap();
    assert_eq!(older, before[1..], "one page after the other");
    assert!(store.remove_sweep(&pinned.id).unwrap());
}

pub fn a_baseline_keeps_its_sweep(open: &Open) {
    let store = open();
    let (first, second) = (over(&*store, "first"), over(&*store, "second"));
    let baseline = |name: &str, sweep: &SweepId, seconds| Baseline {
        name: name.into(),
        sweep: sweep.clone(),
        by: "ann".into(),
        at: at(seconds),
    };
    let set = |baseline: &Baseline| people::set_baseline(&*store, baseline);
    assert_eq!(set(&baseline("main", &first.id, 40)).unwrap(), None);
    assert_eq!(set(&baseline("main", &first.id, 41)).unwrap().as_ref(), Some(&first.id), "nothing is new");
    assert_eq!(set(&baseline("edge", &first.id, 42)).unwrap(), None);
    assert!(set(&baseline("x", &SweepId("unknown".into()), 43)).is_err());
    assert_eq!(open().baselines().unwrap(), [baseline("edge", &first.id, 42), baseline("main", &first.id, 40)]);
    assert_eq!(store.pinned_sweeps().unwrap(), [(first.id.clone(), "ann as the baseline edge".to_owned())]);
    assert!(!store.remove_sweep(&first.id).unwrap());
    assert_eq!(store.old_events(at(50)).unwrap(), 3, "two acts, and what happened in the second sweep");
    let acts: Vec<_> = store.past_events(PastEvents::Acts, None, 9).unwrap();
    let set_main = EventKind::BaselineSet { by: "ann".into(), name: "main".into(), sweep: first.id.clone() };
    assert_eq!((acts.len(), &acts[1].1.kind), (2, &set_main));

    assert_eq!(set(&baseline("main", &second.id, 60)).unwrap().as_ref(), Some(&first.id));
    assert!(people::unset_baseline(&*store, "edge", "ben", at(61)).unwrap());
    assert!(!people::unset_baseline(&*store, "edge", "ben", at(62)).unwrap());
    assert!(store.remove_sweep(&first.id).unwrap() && !store.remove_sweep(&second.id).unwrap());
    people::pin_sweep(&*store, &second.id, "ben", at(63)).unwrap();
    assert_eq!(store.pinned_sweeps().unwrap(), [(second.id.clone(), "ben".to_owned())], "the pin's word goes before");
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
}

pub fn old_events_leave_and_those_of_what_stays_do_not(open: &Open) {
    let store = open();
    let (pinned, finished) = (over(&*store, "pinned"), over(&*store, "finished"));
    let (still_open, _) = sweep(&*store, "open", &["a"], 1);
    people::pin_sweep(&*store, &pinned.id, "ann", at(60)).unwrap();
    for (sweep_id, seconds) in [(Some(&still_open.id), 5), (None, 5), (None, 60)] {
        let (sweep_id, device) = (sweep_id.cloned(), Some("a".to_owned()));
        let kind = EventKind::DeviceReleased { by: "me".into() };
        store.append_event(&Event { at: at(seconds), sweep_id, device, job_id: None, run_id: None, kind }).unwrap();
    }
    assert_eq!(store.old_events(at(50)).unwrap(), 2);
    assert_eq!((store.remove_old_events(at(50)).unwrap(), open().old_events(at(50)).unwrap()), (2, 0));
    let left = [&pinned, &still_open, &finished].map(|row| store.events(&row.id).unwrap().len());
    assert_eq!((left, store.device_events("a", 9).unwrap().len()), ([1, 1, 0], 2));
}

pub fn what_nobody_was_told_of_is_news_once(open: &Open) {
    let store = open();
    let (done, _) = (over(&*store, "done"), sweep(&*store, "open", &["a"], 1));
    let news = || open().pending_sweeps().unwrap().into_iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(news(), std::slice::from_ref(&done.id));
    store.mark_sweep_notified(&done.id).unwrap();
    assert_eq!(news(), []);

    let happens = |device: &str, kind| {
        let device = Some(device.to_owned());
        store.append_event(&Event { at: at(1), sweep_id: None, device, job_id: None, run_id: None, kind }).unwrap();
    };
    let quarantined = || EventKind::DeviceQuarantined { failure: lost(), failures: 3, pause_ns: 1 };
    happens("a", quarantined());
    happens("b", quarantined());
    happens("a", quarantined());
    let devices = || -> Vec<(u64, String)> {
        let pending = open().pending(NotificationKind::Quarantines).unwrap();
        pending.into_iter().map(|(sequence, event)| (sequence, event.device.unwrap())).collect()
    };
    let names = || devices().into_iter().map(|(_, device)| device).collect::<Vec<_>>();
    assert_eq!(names(), ["a", "b"], "one that is prolonged is no news");
    store.mark_notified(NotificationKind::Quarantines, devices()[0].0).unwrap();
    assert_eq!(names(), ["b"]);
    happens("a", EventKind::DeviceReleased { by: "me".into() });
    happens("a", quarantined());
    assert_eq!(names(), ["b", "a"]);
    store.mark_notified(NotificationKind::Quarantines, devices()[1].0).unwrap();
    assert_eq!(names(), Vec::<String>::new());
}

pub fn the_checks_of_a_device_are_its_own(open: &Open) {
    let store = open();
    let check = |round_trip_ms: f64, schedule: Option<&str>| DeviceCheck {
        verdict: CheckVerdict::Warning,
        findings: vec![crate::domain::Finding { what: "slow".into(), remedy: "cool".into() }],
        schedule: schedule.map(str::to_owned),
        figures: CheckFigures {
            target: Some("t".into()),
            round_trip_ms: Some(round_trip_ms),
            clock_off_ms: Some(-7_000),
            calibration: Some(crate::domain::Calibration {
                kernel_version: 1,
                compute: crate::domain::KernelTime { samples: 3, median_ns: 5, fastest_ns: 4 },
                memory: crate::domain::KernelTime { samples: 3, median_ns: 7, fastest_ns: 6 },
            }),
            ..CheckFigures::default()
        },
    };
    let happens = |device: &str, seconds, kind| {
        let device = Some(device.to_owned());
        let event = Event { at: at(seconds), sweep_id: None, device, job_id: None, run_id: None, kind };
        store.append_event(&event).unwrap();
    };
    let checked = |check: DeviceCheck| EventKind::DeviceChecked(Box::new(check));
    happens("a", 1, checked(check(1.5, None)));
    happens("b", 2, checked(check(2.5, None)));
    happens("a", 3, EventKind::DeviceReleased { by: "me".into() });
    happens("a", 4, checked(check(3.5, Some("nightly"))));
    happens("a", 5, checked(DeviceCheck { figures: CheckFigures::default(), ..check(0.0, None) }));
    let checks = open().device_checks("a", 9).unwrap();
    assert_eq!(checks.iter().map(|past| past.at).collect::<Vec<_>>(), [at(1), at(4), at(5)], "oldest first");
    assert_eq!(checks[0].check, check(1.5, None));
    assert_eq!(checks[1].check, check(3.5, Some("nightly")));
    assert_eq!(checks[2].check.figures, CheckFigures::default(), "it failed before anything was measured");
    assert_eq!(open().device_checks("a", 2).unwrap(), checks[1..], "the newest ones");
    assert_eq!(open().device_checks("c", 9).unwrap(), []);
}

pub fn how_fast_a_device_was_is_its_own(open: &Open) {
    let store = open();
    let pace = |median_ns| {
        let time = KernelTime { samples: 9, median_ns, fastest_ns: median_ns };
        let calibration = Calibration { kernel_version: 1, compute: time, memory: time };
        Pace { target: "t".into(), calibration, usual_compute_ns: Some(7).filter(|_| median_ns > 1) }
    };
    let happens = |device: &str, kind| {
        let device = Some(device.to_owned());
        store.append_event(&Event { at: at(0), sweep_id: None, device, job_id: None, run_id: None, kind }).unwrap();
    };
    for (device, median_ns) in [("a", 1), ("b", 2), ("a", 3), ("a", 4)] {
        happens(device, EventKind::DeviceCalibrated(Box::new(pace(median_ns))));
        happens(device, EventKind::DeviceReleased { by: "me".into() });
    }
    assert_eq!(open().device_paces("a", 9).unwrap(), [1, 3, 4].map(pace), "oldest first");
    assert_eq!(open().device_paces("a", 2).unwrap(), [3, 4].map(pace), "the newest ones");
    assert_eq!(open().device_paces("c", 9).unwrap(), []);
}

pub fn the_coolest_of_each_day_is_kept_of_a_device(open: &Open) {
    const DAY: i64 = 24 * 60 * 60;
    let store = open();
    let idle = |seconds, celsius| IdleTemperature { at: at(seconds), sensor: format!("cpu {celsius}"), celsius };
    let seen = [(0, 45.5), (60, 43.0), (120, 43.5), (DAY, 41.0), (2 * DAY, 60.25), (2 * DAY + 1, 60.0)];
    for (seconds, celsius) in seen {
        store.note_idle_temperature("a", &idle(seconds, celsius)).unwrap();
    }
    store.note_idle_temperature("b", &idle(0, 30.0)).unwrap();
    let since = |seconds| open().idle_temperatures("a", at(seconds)).unwrap();
    assert_eq!(since(0), [idle(60, 43.0), idle(DAY, 41.0), idle(2 * DAY + 1, 60.0)]);
    assert_eq!(since(61), [idle(DAY, 41.0), idle(2 * DAY + 1, 60.0)]);
    assert_eq!((since(3 * DAY), open().idle_temperatures("c", at(0)).unwrap()), (vec![], vec![]));
    // What is a month old leaves.
    store.note_idle_temperature("a", &idle(33 * DAY, 44.0)).unwrap();
    assert_eq!(since(0), [idle(2 * DAY + 1, 60.0), idle(33 * DAY, 44.0)]);
    assert_eq!(open().idle_temperatures("b", at(0)).unwrap(), [idle(0, 30.0)]);
}

pub fn checks_that_found_devices_unfit_are_news_once(open: &Open) {
    let store = open();
    let unfit = Unfit { device: "a".into(), verdict: CheckVerdict::Failed, findings: Vec::new() };
    let happens = |schedule: &str, unfit: &[Unfit]| {
        let (schedule, devices) = (schedule.to_owned(), unfit.to_vec());
        let kind = EventKind::ScheduleChecked { schedule, checked: 3, unfit: devices.len() as u64, devices };
        let event = Event { at: at(1), sweep_id: None, device: None, job_id: None, run_id: None, kind };
        store.append_event(&event).unwrap();
        event
    };
    let one = happens("one", std::slice::from_ref(&unfit));
    happens("all well", &[]);
    let two = happens("two", &[unfit.clone(), unfit.clone()]);
    let pending = || open().pending(NotificationKind::Checks).unwrap();
    assert_eq!(pending().into_iter().map(|(_, event)| event).collect::<Vec<_>>(), [one, two.clone()]);
    store.mark_notified(NotificationKind::Checks, pending()[0].0).unwrap();
    let left = pending();
    assert_eq!(left.iter().map(|(_, event)| event).collect::<Vec<_>>(), [&two]);
    store.mark_notified(NotificationKind::Checks, left[0].0).unwrap();
    assert_eq!(pending(), []);
}

pub fn the_runs_of_a_device_that_ended_well_are_there_newest_first(open: &Open) {
    let store = open();
    let (first, plan) = sweep(&*store, "first", &["a", "bb"], 3);
    let (second, again) = sweep(&*store, "second", &["a"], 1);
    let finished = |sweep: &SweepRow, job: &Job, seconds, status, samples_ns: &[u64]| {
        let judged = (seconds == 3).then(|| Judgement {
            verdict: Verdict::Noisy,
            reason: "two modes".to_owned(),
            half_interval_percent: Some(6.5),
            temp_max_c: Some(41.5),
            other_load_percent: None,
        });
        let measurement = Measurement { samples_ns: samples_ns.to_vec(), ..Measurement::default() };
        let (finished_at, record) = (at(seconds), record(&sweep.id, job, None, status));
        store.add_record(&Record { measurement, judged, finished_at, ..record }).unwrap();
    };
    let of_a: Vec<&Job> = plan.jobs.iter().filter(|job| job.device == "a").collect();
    let of_bb = plan.jobs.iter().find(|job| job.device == "bb").unwrap();
    finished(&first, of_a[0], 1, RunStatus::Ok, &[10, 11, 9]);
    finished(&first, of_bb, 2, RunStatus::Ok, &[20]);
    finished(&second, &again.jobs[0], 3, RunStatus::Ok, &[30]);
    finished(&first, of_a[1], 4, RunStatus::Failed, &[40]);
    finished(&first, of_a[2], 5, RunStatus::Ok, &[]);
    let runs = open().past_runs_of_device("a", 9).unwrap();
    let told: Vec<(u64, Timestamp, &str)> = runs.iter().map(|run| (run.median_ns, run.at, &*run.model)).collect();
    let model = of_a[0].model.name.as_str();
    assert_eq!(told, [(30, at(3), model), (10, at(1), model)], "none of one that failed, or has no median");
    assert_eq!(runs[0].judged.as_ref().map(|it| (it.verdict, it.temp_max_c)), Some((Verdict::Noisy, Some(41.5))));
    assert_eq!((runs[1].judged.as_ref(), &runs[0].cell), (None, &runs[1].cell));
    let newest: Vec<u64> = open().past_runs_of_device("a", 1).unwrap().iter().map(|run| run.median_ns).collect();
    assert_eq!(newest, [30]);
    assert_eq!(open().past_runs_of_device("c", 9).unwrap(), []);
}

pub fn how_a_device_was_reached_is_told(open: &Open) {
    let store = open();
    let happens = |device: &str, seconds, kind| {
        let (device, at) = (Some(device.to_owned()), at(seconds));
        store.append_event(&Event { at, sweep_id: None, device, job_id: None, run_id: None, kind }).unwrap();
    };
    let broke = || EventKind::DeviceReconnecting { cause: "closed".into() };
    let pushed = |sent_bytes, duration_ns| EventKind::PushFinished { name: "x".into(), sent_bytes, duration_ns };
    happens("a", 1, broke());
    happens("a", 2, pushed(40_000_000, 1_000_000_000));
    happens("b", 3, broke());
    happens("a", 4, EventKind::DeviceConnecting);
    happens("a", 5, pushed(999_999, 1));
    happens("a", 6, broke());
    happens("a", 7, pushed(3_000_000, 2_000_000_000));
    let told = |seconds, limit| open().link_history("a", at(seconds), limit).unwrap();
    let (slow, quick) = (1.5e6, 40e6);
    assert_eq!(told(0, 9), LinkHistory { broke: 2, push_bytes_per_s: vec![slow, quick] });
    assert_eq!(told(2, 9), LinkHistory { broke: 1, push_bytes_per_s: vec![slow, quick] });
    assert_eq!(told(0, 2), LinkHistory { broke: 1, push_bytes_per_s: vec![slow] }, "the newest");
    assert_eq!(open().link_history("c", at(0), 9).unwrap(), LinkHistory::default());
}
