//! What every store must do, written against the trait. A store's tests call [`store_conformance!`] with a function
//! that gives, for a fresh and empty store, a function that opens it: each call is another connection, as of another
//! process.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{
    AddedJob, AttemptEnd, Claim, ClaimedRun, LeaseOutcome, NewSweep, NotificationKind, PastEvents, PastRuns, Requeue,
    Store, StoreError, SubmittedSweep, SweepCounts, people,
};
use crate::domain::{
    Baseline, Calibration, CheckFigures, CheckVerdict, DeviceChange, DeviceCheck, DeviceIdentity, DeviceLock,
    DeviceState, DueTime, Event, EventKind, Failure, FailureKind, IdleTemperature, Job, JobId, JobState, Judgement,
    KernelTime, LinkHistory, Measurement, Pace, PairSide, Plan, Record, Rerun, RunId, RunState, RunStatus,
    SchedulePause, Setting, Skipped, StartState, Submission, SweepDefinition, SweepId, SweepRow, SweepState, Unfit,
    Verdict, sample,
};

mod claims;
mod devices;
mod events;
mod hosts;
mod parts;
mod regressions;
mod report_files;
mod schedules;
mod sweeps;

pub use claims::*;
pub use devices::*;
pub use events::*;
pub use hosts::*;
pub use parts::*;
pub use regressions::{
    each_finished_sweep_of_a_schedule_is_compared_once, what_is_acknowledged_stays_so, with_a_regression,
};
pub use report_files::*;
pub use schedules::*;
pub use sweeps::*;

pub type Open = Arc<dyn Fn() -> Arc<dyn Store> + Send + Sync>;

/// `tests $fresh`: makes a test of each case; `$fresh` is a function `() -> (Open, guard)`, and the guard lives as long
/// as the test. `list`: the cases with their names.
macro_rules! store_conformance {
    ($what:ident $($fresh:path)?) => {
        $crate::store::conformance::store_conformance! { @$what $($fresh)?;
            sweep_is_there_once, claims_in_the_order_of_the_plan, a_run_under_way_is_not_claimed_again,
            a_lost_lease_moves_on_and_the_late_result_is_refused, a_run_that_is_left_is_anybodys_at_once,
            a_lease_that_nobody_took_still_counts,
            leases_are_prolonged_together, a_gone_holders_leases_run_out, one_record_a_job, jobs_that_wait_get_records,
            given_back_runs_are_tried_again_after_their_pause, jobs_are_claimed_by_their_position,
            a_job_moves_to_another_device,
            records_come_in_the_order_of_the_plan, sweep_finishes_with_its_last_record, a_cancelled_sweep_ends_so,
            sweeps_that_are_long_over_are_told_apart,
            several_have_a_part_of_a_sweep, who_has_a_whole_sweep_has_it_alone,
            a_sweep_is_halted_for_all_by_the_first_reason, the_devices_with_open_jobs_are_told,
            one_process_at_a_time_has_a_sweep, one_process_at_a_time_has_a_device, a_runner_is_pinned_once,
            devices_are_quarantined_and_released, a_found_run_has_an_owner, past_durations_are_of_runs_that_ended_well,
            events_come_back_in_order, no_job_is_claimed_twice,
            nothing_is_claimed_without_the_lease_of_the_device, device_changes_are_open_until_they_are_undone,
            a_person_goes_before_a_schedule, a_due_time_is_begun_once, a_schedule_that_changes_begins_anew,
            a_schedule_is_paused_by_one_until_it_is_resumed, new_events_are_those_of_everything,
            a_lock_keeps_claims_off_until_it_ends, what_was_last_heard_of_a_device_is_kept,
            a_host_registers_beats_and_says_goodbye, a_name_that_another_daemon_has_is_refused,
            a_host_is_drained_resumed_and_forgotten, what_hosts_declare_leaves_with_them,
            a_sweep_and_its_skipped_cells_are_handed_over_at_once, a_sweep_is_handed_over_and_taken_back,
            the_past_of_devices_is_told, how_fast_a_device_was_is_its_own,
            the_coolest_of_each_day_is_kept_of_a_device,
            a_sweep_leaves_whole_or_not_at_all, a_baseline_keeps_its_sweep,
            a_late_result_takes_the_place_of_a_skipped_job_once, old_events_leave_and_those_of_what_stays_do_not,
            what_nobody_was_told_of_is_news_once,
            the_checks_of_a_device_are_its_own, what_people_begin_by_a_schedule_is_among_its_starts,
            checks_that_found_devices_unfit_are_news_once,
            the_runs_of_a_device_that_ended_well_are_there_newest_first, how_a_device_was_reached_is_told,
            each_finished_sweep_of_a_schedule_is_compared_once, what_is_acknowledged_stays_so,
            reports_that_hosts_share_are_those_said_last_and_leave_with_their_sweep,
            the_history_of_a_network_knows_what_was_measured_again_and_nothing_of_pairs
        }
    };
    (@tests $fresh:path; $($case:ident),+ $(,)?) => {
        $(#[test] fn $case() { let (open, _guard) = $fresh(); $crate::store::conformance::$case(&open); })+
    };
    (@list; $($case:ident),+ $(,)?) => {
        [$((stringify!($case), $crate::store::conformance::$case as fn(&$crate::store::conformance::Open))),+]
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

/// Has this holder have the lease of a device for a sweep, as whoever claims its jobs must.
pub fn hold(store: &dyn Store, sweep: &SweepRow, device: &str, holder: &str, now: Timestamp) {
    match store.lease_device(device, Some(&sweep.id), holder, LEASE, now).unwrap() {
        LeaseOutcome::Held(other) if other.holder != holder => panic!("{other:?} has {device}"),
        LeaseOutcome::Taken { .. } | LeaseOutcome::Held(_) => {}
    }
}

/// Claims a run that must be there. Where its holder has not the lease of the device, it has that for the claim alone.
pub fn claim(store: &dyn Store, sweep: &SweepRow, device: &str, holder: &str, seconds: i64) -> ClaimedRun {
    let leased = store.lease_device(device, Some(&sweep.id), holder, LEASE, at(seconds)).unwrap();
    let claimed = store.claim(&sweep.id, device, holder, LEASE, at(seconds)).unwrap();
    if let LeaseOutcome::Taken { epoch } = leased {
        store.release_device(device, epoch).unwrap();
    }
    match claimed {
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

fn handed(by: &str, seconds: i64) -> Submission {
    Submission { by: by.to_owned(), at: at(seconds), max_devices: 4 }
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

/// From one state of a row to another.
pub(crate) struct StateChange {
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
    /// Whether the tables of `domain` have it.
    pub(crate) is_allowed: bool,
}

/// Every pair of states of each table that has some.
pub(crate) fn state_changes() -> [(&'static str, Vec<StateChange>); 5] {
    use crate::domain::{DeviceStep, HostState, HostStep, JobStep, RunStep, SweepStep};
    macro_rules! changes {
        ($state:ident, $step:ident) => {{
            let all = $state::ALL.iter().flat_map(|from| $state::ALL.iter().map(move |to| (*from, *to)));
            all.filter(|(from, to)| from != to)
                .map(|(from, to)| {
                    let is_allowed = $step::ALL.iter().any(|step| step.may_follow(from) && step.to() == to);
                    StateChange { from: from.as_str(), to: to.as_str(), is_allowed }
                })
                .collect()
        }};
    }
    [
        ("sweeps", changes!(SweepState, SweepStep)),
        ("jobs", changes!(JobState, JobStep)),
        ("runs", changes!(RunState, RunStep)),
        ("devices", changes!(DeviceState, DeviceStep)),
        ("hosts", changes!(HostState, HostStep)),
    ]
}
