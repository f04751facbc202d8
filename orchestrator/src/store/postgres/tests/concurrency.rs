//! Many at the same time: no event is lost to a reader, no job is claimed twice, no lease is two holders'.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{database_of, fresh, open, server};
use crate::domain::{DeviceLock, Event, EventKind, RunId, RunStatus};
use crate::store::conformance::{at, hold, record, sweep};
use crate::store::{
    Claim, EventStore as _, Joined, LeaseOutcome, LeaseStore as _, LockStore as _, MaintenanceStore as _,
    PartStore as _, RunStore as _, StoreError, SweepStore as _, people,
};

const LEASE: Duration = Duration::from_secs(60);
/// Longest time of a test here.
const LIMIT: Duration = Duration::from_secs(120);

fn event(number: usize) -> Event {
    let kind = EventKind::DeviceReleased { by: number.to_string() };
    Event { at: at(1), sweep_id: None, device: Some("a".into()), job_id: None, run_id: None, kind }
}

/// Appends from several connections while one reads on behind the last number; returns how many the reader never saw.
fn lost_to_a_reader(url: &str) -> usize {
    const WRITERS: usize = 4;
    const EACH: usize = 60;
    let is_done = AtomicBool::new(false);
    let reader = open(url);
    let (mut last, mut seen) = (reader.last_event().unwrap(), 0);
    std::thread::scope(|scope| {
        let write = |writer: usize| {
            let store = open(url);
            (0..EACH).for_each(|number| store.append_event(&event(writer * EACH + number)).unwrap());
        };
        let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn(move || write(writer))).collect();
        scope.spawn(|| {
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            is_done.store(true, Ordering::SeqCst);
        });
        let give_up_at = Instant::now() + LIMIT;
        loop {
            // Before it is read: what is there then is read once more.
            let was_done = is_done.load(Ordering::SeqCst);
            let new = reader.new_events(last, 1000).unwrap();
            seen += new.len();
            last = new.last().map_or(last, |(number, _)| *number);
            if was_done && new.is_empty() {
                break;
            }
            assert!(Instant::now() < give_up_at, "the writers do not end");
        }
    });
    WRITERS * EACH - seen
}

/// A commit that takes a moment, as on a disk: so numbers are given in another order than they become visible in.
fn slow_commits(database: &str) {
    let sql = "CREATE FUNCTION wait_a_little() RETURNS trigger LANGUAGE plpgsql AS $$
               BEGIN PERFORM pg_sleep(0.001 + random() * 0.004); RETURN NULL; END $$;
               CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
               FOR EACH ROW EXECUTE FUNCTION wait_a_little()";
    server().run_sql(database, sql).unwrap();
}

#[test]
fn a_reader_loses_no_event() {
    let url = fresh();
    open(&url);
    slow_commits(database_of(&url));
    assert_eq!(lost_to_a_reader(&url), 0);
    // This test sees it when events are not appended in turn.
    server().run_sql(database_of(&url), "DROP TRIGGER events_in_turn ON events").unwrap();
    let mut tries = (0..10).map(|_| lost_to_a_reader(&url));
    assert!(tries.any(|lost| lost > 0), "without the trigger events are lost");
}

#[test]
fn no_job_is_claimed_twice_and_none_under_a_lock() {
    const JOBS: usize = 30;
    let url = fresh();
    let store = open(&url);
    let (row, _) = sweep(&store, "s", &["a", "bb"], JOBS);
    let claimed: Vec<RunId> = std::thread::scope(|scope| {
        let (url, row) = (&url, &row);
        let work = move |device: &'static str, holder: String| {
            let (store, mut claimed, give_up_at) = (open(url), Vec::new(), Instant::now() + LIMIT);
            hold(&store, row, device, &holder, at(0));
            while Instant::now() < give_up_at {
                match store.claim(&row.id, device, &holder, LEASE, at(0)).unwrap() {
                    Claim::Run(run) => {
                        store.prolong_leases(&holder, LEASE, at(1)).unwrap();
                        let ended = record(&row.id, &run.job, Some((&run.run_id, run.attempt)), RunStatus::Ok);
                        store.finish(run.epoch, &ended, None, at(2)).unwrap();
                        claimed.push(run.run_id);
                    }
                    Claim::Locked(_) => {}
                    Claim::Nothing => break,
                    other => panic!("{other:?}"),
                }
            }
            claimed
        };
        let workers: Vec<_> =
            ["a", "a", "bb", "bb"].map(|device| scope.spawn(move || work(device, format!("host of {device}")))).into();
        // Somebody locks and gives free meanwhile: what is locked is not claimed, and both go on.
        let person = open(url);
        for turn in 0..20 {
            let (since, until) = (at(0), at(900));
            let lock = DeviceLock { device: "a".into(), by: "ann".into(), why: turn.to_string(), since, until };
            people::lock_device(&person, &lock).unwrap();
            assert_eq!(person.device_locks(Some("a"), at(0)).unwrap().len(), 1);
            people::unlock_device(&person, "a", "ann", at(0)).unwrap();
        }
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    assert_eq!(claimed.len(), 2 * JOBS);
    assert_eq!(claimed.iter().collect::<BTreeSet<_>>().len(), 2 * JOBS, "each once");
    assert!(store.finish_sweep(&row.id, at(9)).unwrap());
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
}

#[test]
fn a_lease_has_one_holder_at_a_time() {
    let url = fresh();
    open(&url);
    for turn in 0..10 {
        let device = format!("device-{turn}");
        let barrier = std::sync::Barrier::new(4);
        let taken: Vec<u64> = std::thread::scope(|scope| {
            let (url, device, barrier) = (&url, &device, &barrier);
            let take = move |holder: String| {
                let store = open(url);
                barrier.wait();
                match store.lease_device(device, None, &holder, LEASE, at(0)).unwrap() {
                    LeaseOutcome::Taken { epoch } => {
                        store.expire_leases(&format!("not {holder}"), at(1)).unwrap();
                        Some(epoch)
                    }
                    LeaseOutcome::Held(_) => None,
                }
            };
            let takers: Vec<_> = (0..4).map(|number| scope.spawn(move || take(format!("host-{number}")))).collect();
            takers.into_iter().filter_map(|taker| taker.join().unwrap()).collect()
        });
        assert_eq!(taken, [1]);
    }
}

/// One that takes part in a sweep, and one that wants all of it: never both.
#[test]
fn nobody_has_a_part_of_a_sweep_that_another_has_all_of() {
    let url = fresh();
    let store = open(&url);
    let (mut whole, mut parts) = (0, 0);
    for turn in 0..30 {
        let (row, _) = sweep(&store, &format!("s{turn}"), &["a"], 1);
        let barrier = std::sync::Barrier::new(2);
        let (has_all, has_part) = std::thread::scope(|scope| {
            let (url, row, barrier) = (&url, &row, &barrier);
            let all = scope.spawn(move || {
                let store = open(url);
                barrier.wait();
                matches!(store.lease_sweep(&row.id, "all", LEASE, at(0)).unwrap(), LeaseOutcome::Taken { .. })
            });
            let part = scope.spawn(move || {
                let store = open(url);
                barrier.wait();
                matches!(store.join_sweep(&row.id, &[], "part", LEASE, at(0)).unwrap(), Joined::Taken { .. })
            });
            (all.join().unwrap(), part.join().unwrap())
        });
        assert!(has_all != has_part, "turn {turn}: {has_all} and {has_part}");
        whole += usize::from(has_all);
        parts += usize::from(has_part);
    }
    assert_eq!(whole + parts, 30);
}

/// Two that end the same run: one record, and the other is refused with an event of it.
#[test]
fn of_two_that_end_a_run_one_is_refused() {
    let url = fresh();
    let store = open(&url);
    let (row, _) = sweep(&store, "s", &["a"], 8);
    for _ in 0..8 {
        let run = crate::store::conformance::claim(&store, &row, "a", "host", 0);
        let ended = record(&row.id, &run.job, Some((&run.run_id, run.attempt)), RunStatus::Ok);
        let barrier = std::sync::Barrier::new(2);
        let outcomes: Vec<Result<(), StoreError>> = std::thread::scope(|scope| {
            let (url, run, ended, barrier) = (&url, &run, &ended, &barrier);
            let finish = move || {
                let store = open(url);
                barrier.wait();
                store.finish(run.epoch, ended, None, at(2))
            };
            let both = [scope.spawn(finish), scope.spawn(finish)];
            both.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let refused = outcomes.iter().filter(|outcome| matches!(outcome, Err(StoreError::StaleEpoch { .. })));
        assert_eq!((refused.count(), outcomes.iter().filter(|outcome| outcome.is_ok()).count()), (1, 1));
    }
    let refused = store.events(&row.id).unwrap().into_iter().filter(|event| event.kind_is_refusal()).count();
    assert_eq!(refused, 8);
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
}

/// What is told of a write that was refused.
trait IsRefusal {
    fn kind_is_refusal(&self) -> bool;
}

impl IsRefusal for Event {
    fn kind_is_refusal(&self) -> bool {
        matches!(self.kind, EventKind::WriteRefused { .. })
    }
}
