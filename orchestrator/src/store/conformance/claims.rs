//! Jobs and their runs: claimed, taken over, given back, recorded.

use super::*;

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

pub fn a_run_that_is_left_is_anybodys_at_once(open: &Open) {
    let store = open();
    let (row, _) = sweep(&*store, "s", &["a", "bb"], 1);
    let (left, kept) = (claim(&*store, &row, "a", "host", 0), claim(&*store, &row, "bb", "host", 0));
    store.leave_runs(&row.id, "a", "another").unwrap();
    assert_eq!(open().take_over(&left.run_id, "other", LEASE, at(1)).unwrap(), None, "it is not theirs to leave");
    store.leave_runs(&row.id, "a", "host").unwrap();
    let held = store.prolong_leases("host", LEASE, at(2)).unwrap();
    assert_eq!(held.runs, [(kept.run_id.clone(), kept.epoch)], "what was left is not prolonged");
    assert_eq!(open().take_over(&kept.run_id, "other", LEASE, at(3)).unwrap(), None);
    let taken = open().take_over(&left.run_id, "other", LEASE, at(3)).unwrap().unwrap();
    assert!(
        taken.epoch > left.epoch && is_stale(store.finish(left.epoch, &ended(&row, &left, RunStatus::Ok), None, at(4)))
    );
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

pub fn no_job_is_claimed_twice(open: &Open) {
    let (threads, jobs) = (8, 40);
    let (row, plan) = sweep(&*open(), "s", &["a"], jobs);
    hold(&*open(), &row, "a", "host", at(0));
    let barrier = std::sync::Barrier::new(threads);
    let claim_all = &|| {
        let store = open();
        barrier.wait();
        let mut mine = Vec::new();
        while let Claim::Run(run) = store.claim(&row.id, "a", "host", LEASE, at(0)).unwrap() {
            store.finish(run.epoch, &ended(&row, &run, RunStatus::Ok), None, at(1)).unwrap();
            mine.push(run.job.id);
        }
        mine
    };
    let mut claimed: Vec<JobId> = std::thread::scope(|scope| {
        let claimers: Vec<_> = (0..threads).map(|_| scope.spawn(claim_all)).collect();
        claimers.into_iter().flat_map(|claimer| claimer.join().unwrap()).collect()
    });
    claimed.sort();
    let mut all: Vec<_> = plan.jobs.iter().map(|job| job.id.clone()).collect();
    all.sort();
    assert_eq!(claimed, all);
    assert!(open().finish_sweep(&row.id, at(1)).unwrap());
}

pub fn nothing_is_claimed_without_the_lease_of_the_device(open: &Open) {
    let store = open();
    let (row, _) = sweep(&*store, "s", &["a"], 3);
    let (next, _) = sweep(&*store, "next", &["a"], 1);
    let claims =
        |row: &SweepRow, holder: &str, seconds| open().claim(&row.id, "a", holder, LEASE, at(seconds)).unwrap();
    assert_eq!(claims(&row, "host", 0), Claim::LeaseLost, "nobody has it");
    hold(&*store, &row, "a", "host", at(0));
    assert_eq!(claims(&row, "other", 1), Claim::LeaseLost);
    assert_eq!(claims(&next, "host", 1), Claim::LeaseLost, "it is for another sweep");
    assert!(matches!(claims(&row, "host", 50), Claim::Run(_)));
    let held = store.lease_device("a", Some(&next.id), "other", LEASE, at(109)).unwrap();
    assert!(matches!(held, LeaseOutcome::Held(_)), "the claim prolonged it");
    // Nobody took it meanwhile: it is still theirs.
    assert!(matches!(claims(&row, "host", 200), Claim::Run(_)));
    let epoch = taken(store.lease_device("a", Some(&row.id), "other", LEASE, at(260)).unwrap());
    assert_eq!(claims(&row, "host", 261), Claim::LeaseLost, "who stood still begins nothing");
    store.release_device("a", epoch).unwrap();
    assert_eq!(claims(&row, "other", 262), Claim::LeaseLost, "it was given back");
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
