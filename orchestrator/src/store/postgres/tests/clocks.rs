//! Hosts whose clocks are a day apart: the server's says who has what.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::{fresh, open};
use crate::domain::{DeviceLock, Failure, FailureKind, RunStatus};
use crate::store::conformance::{hold, record, sweep};
use crate::store::postgres::PostgresStore;
use crate::store::{
    AddedJob, Claim, ClaimedRun, LeaseOutcome, LeaseStore as _, LockStore as _, Requeue, RunStore as _, people,
};

const LEASE: Duration = Duration::from_secs(60);
/// A lease that ends while a test looks on.
const SHORT: Duration = Duration::from_millis(300);
/// Longest time of a wait here; far less than the clocks differ by.
const LIMIT: Duration = Duration::from_secs(60);

/// A host: its connection, and by how much its clock is wrong.
struct Host {
    name: &'static str,
    store: PostgresStore,
    wrong_by: SignedDuration,
}

impl Host {
    fn now(&self) -> Timestamp {
        Timestamp::now() + self.wrong_by
    }

    fn takes(&self, device: &str, lease: Duration) -> bool {
        match self.store.lease_device(device, None, self.name, lease, self.now()).unwrap() {
            LeaseOutcome::Taken { .. } => true,
            LeaseOutcome::Held(holder) => {
                assert!(holder.until <= self.now() + SignedDuration::from_mins(2), "told by its own clock: {holder:?}");
                false
            }
        }
    }
}

/// Two hosts of one store: one is right, and one is wrong by a day, ahead or behind.
fn hosts(wrong_by: SignedDuration) -> (Host, Host) {
    let url = fresh();
    let right = Host { name: "right", store: open(&url), wrong_by: SignedDuration::ZERO };
    (right, Host { name: "wrong", store: open(&url), wrong_by })
}

/// A day ahead, and a day behind.
const DAYS: [SignedDuration; 2] = [SignedDuration::from_hours(24), SignedDuration::from_hours(-24)];

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let give_up_at = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < give_up_at, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

#[test]
fn no_host_takes_a_live_lease_and_none_holds_on_to_a_dead_one() {
    for wrong_by in DAYS {
        let (right, wrong) = hosts(wrong_by);
        for (one, other) in [(&right, &wrong), (&wrong, &right)] {
            let device = format!("of {}", one.name);
            assert!(one.takes(&device, LEASE) && !other.takes(&device, LEASE), "{wrong_by}: {device}");
            assert!(other.store.device_leases(other.now()).unwrap().iter().any(|(held, _)| *held == device));
            let held = one.store.prolong_leases(one.name, LEASE, one.now()).unwrap();
            assert!(held.devices.iter().any(|(held, _)| *held == device), "{held:?}");
            // One that nobody prolongs ends, whatever its holder's clock says.
            let device = format!("left by {}", one.name);
            assert!(one.takes(&device, SHORT));
            wait_until("the end of a lease", || other.takes(&device, LEASE));
            let gone = one.store.prolong_leases(one.name, LEASE, one.now()).unwrap();
            assert!(gone.devices.iter().all(|(held, _)| *held != device), "{gone:?}");
            one.store.expire_leases(one.name, one.now()).unwrap();
            assert!(other.takes(&format!("of {}", one.name), LEASE), "a gone holder's are free at once");
            other.store.expire_leases(other.name, other.now()).unwrap();
        }
        assert_eq!(right.store.lease_holders(wrong.now()).unwrap(), Vec::<String>::new());
    }
}

#[test]
fn sweeps_and_runs_go_by_it_too() {
    for wrong_by in DAYS {
        let (right, wrong) = hosts(wrong_by);
        for (one, other) in [(&right, &wrong), (&wrong, &right)] {
            let (row, _) = sweep(&one.store, &format!("of-{}", one.name), &["a"], 1);
            let taken = one.store.lease_sweep(&row.id, one.name, LEASE, one.now()).unwrap();
            assert!(matches!(taken, LeaseOutcome::Taken { .. }));
            let held = other.store.sweep_holder(&row.id, other.now()).unwrap().unwrap();
            assert!(held.holder == one.name && held.until > other.now(), "{held:?}");
            hold(&one.store, &row, "a", one.name, one.now());
            let Claim::Run(run) = one.store.claim(&row.id, "a", one.name, SHORT, one.now()).unwrap() else {
                panic!("nothing to claim")
            };
            let mut taken = None;
            wait_until("the end of a run's lease", || {
                taken = other.store.take_over(&run.run_id, other.name, LEASE, other.now()).unwrap();
                taken.is_some()
            });
            let epoch = taken.unwrap().epoch;
            assert_eq!(one.store.take_over(&run.run_id, one.name, LEASE, one.now()).unwrap(), None, "a live one");
            let ended = record(&row.id, &run.job, Some((&run.run_id, run.attempt)), RunStatus::Ok);
            other.store.finish(epoch, &ended, None, other.now()).unwrap();
            one.store.expire_leases(one.name, one.now()).unwrap();
        }
    }
}

/// A pause, a person's lock, and who waits for a device: each as long as was said, for every host.
#[test]
fn what_waits_does_so_as_long_as_was_said_by_whichever_clock() {
    for wrong_by in DAYS {
        let (right, wrong) = hosts(wrong_by);
        for (one, other) in [(&right, &wrong), (&wrong, &right)] {
            let (row, _) = sweep(&one.store, &format!("of-{}", one.name), &["a"], 1);
            let claims = |host: &Host| host.store.claim(&row.id, "a", host.name, LEASE, host.now()).unwrap();
            let (now, minute) = (one.now(), SignedDuration::from_mins(1));
            let (by, why) = (one.name.to_owned(), "looked at".to_owned());
            let lock = DeviceLock { device: "a".to_owned(), by, why, since: now, until: now + minute };
            assert_eq!(people::lock_device(&one.store, &lock).unwrap(), None);
            let Claim::Locked(seen) = claims(other) else { panic!("claimed under a lock") };
            let left = seen.until.duration_since(other.now());
            assert!(left > SignedDuration::ZERO && left <= minute + SignedDuration::from_secs(1), "{left}");
            assert_eq!(one.store.device_locks(Some("a"), one.now()).unwrap()[0].until, lock.until, "as it was said");
            assert!(people::unlock_device(&other.store, "a", other.name, other.now()).unwrap().is_some());

            hold(&one.store, &row, "a", one.name, one.now());
            let Claim::Run(run) = claims(one) else { panic!("nothing to claim") };
            give_back(one, &run, one.now() + minute);
            let Claim::NotBefore(moment) = claims(other) else { panic!("claimed in a pause") };
            let left = moment.duration_since(other.now());
            assert!(left > SignedDuration::ZERO && left <= minute + SignedDuration::from_secs(1), "{left}");
            one.store.expire_leases(one.name, one.now()).unwrap();
        }
    }
}

fn give_back(host: &Host, run: &ClaimedRun, not_before: Timestamp) {
    let failure = Failure::new(FailureKind::ConnectionLost, "the cable");
    let requeue = Requeue { run_id: &run.run_id, epoch: run.epoch, failure: &failure, counts: true, not_before };
    host.store.requeue(&requeue, host.now()).unwrap();
}

/// A job that comes with a record may begin when that was said, and not a day later.
#[test]
fn a_job_that_is_added_begins_as_soon_as_was_said() {
    for wrong_by in DAYS {
        let (right, wrong) = hosts(wrong_by);
        let (row, _) = sweep(&wrong.store, "added", &["a"], 1);
        hold(&wrong.store, &row, "a", wrong.name, wrong.now());
        let Claim::Run(run) = wrong.store.claim(&row.id, "a", wrong.name, LEASE, wrong.now()).unwrap() else {
            panic!("nothing to claim")
        };
        let ended = record(&row.id, &run.job, Some((&run.run_id, run.attempt)), RunStatus::Failed);
        let moved = crate::store::conformance::job("bb", 7);
        let added = AddedJob { job: &moved, not_before: wrong.now() };
        wrong.store.finish(run.epoch, &ended, Some(added), wrong.now()).unwrap();
        hold(&right.store, &row, "bb", right.name, right.now());
        wait_until("the job that moved", || {
            matches!(right.store.claim(&row.id, "bb", right.name, LEASE, right.now()).unwrap(), Claim::Run(_))
        });
    }
}
