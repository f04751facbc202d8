//! Sweeps that several processes carry out at the same time.

use super::*;
use crate::store::{Joined, LeaseHolder, SweepPart};

fn names(devices: &[&str]) -> Vec<String> {
    devices.iter().map(|name| (*name).to_owned()).collect()
}

fn joined(store: &dyn Store, sweep: &SweepRow, holder: &str, seconds: i64) -> Joined {
    store.join_sweep(&sweep.id, &names(&["a", "of its own"]), holder, LEASE, at(seconds)).unwrap()
}

fn live(store: &dyn Store, sweep: &SweepRow, seconds: i64) -> Vec<String> {
    let parts = store.sweep_parts(&sweep.id, at(seconds)).unwrap();
    parts.into_iter().filter(|part| part.is_live).map(|part| part.holder).collect()
}

pub fn several_have_a_part_of_a_sweep(open: &Open) {
    let store = open();
    let (row, _) = sweep(&*store, "s", &["a"], 1);
    assert_eq!(joined(&*store, &row, "one", 0), Joined::Taken { is_first: true });
    assert_eq!(joined(&*open(), &row, "two", 10), Joined::Taken { is_first: false });
    let part =
        SweepPart { holder: "one".to_owned(), devices: names(&["a", "of its own"]), until: at(60), is_live: true };
    assert_eq!(open().sweep_parts(&row.id, at(10)).unwrap()[0], part);
    assert_eq!(live(&*store, &row, 10), ["one", "two"]);
    assert_eq!(open().lease_holders(at(10)).unwrap(), ["one", "two"]);
    // Prolonged with the holder's other leases; one that is not ends, and is still told of.
    assert_eq!(store.prolong_leases("two", LEASE, at(50)).unwrap().parts, std::slice::from_ref(&row.id));
    assert_eq!(live(&*store, &row, 60), ["two"]);
    let left = store.sweep_parts(&row.id, at(60)).unwrap();
    assert_eq!((left[0].holder.as_str(), left[0].is_live), ("one", false));
    assert_eq!(joined(&*store, &row, "one", 61), Joined::Taken { is_first: false }, "it is there again");
    store.expire_leases("one", at(62)).unwrap();
    assert_eq!(live(&*store, &row, 62), ["two"]);
    store.leave_sweep(&row.id, "two").unwrap();
    assert_eq!(store.prolong_leases("two", LEASE, at(63)).unwrap(), Default::default());
    let told = store.sweep_parts(&row.id, at(63)).unwrap();
    assert_eq!(
        told.iter().map(|part| part.holder.as_str()).collect::<Vec<_>>(),
        ["one"],
        "given back: nothing to tell"
    );
    let unknown = SweepId("unknown".into());
    let refused = store.join_sweep(&unknown, &[], "one", LEASE, at(0));
    assert!(matches!(refused, Err(StoreError::UnknownSweep { .. })), "{refused:?}");
}

pub fn who_has_a_whole_sweep_has_it_alone(open: &Open) {
    let store = open();
    let (row, _) = sweep(&*store, "s", &["a"], 1);
    joined(&*store, &row, "one", 0);
    let held = LeaseHolder { holder: "one".to_owned(), sweep_id: Some(row.id.clone()), until: at(60) };
    assert_eq!(open().lease_sweep(&row.id, "whole", LEASE, at(59)).unwrap(), LeaseOutcome::Held(held));
    assert_eq!(open().sweep_holder(&row.id, at(59)).unwrap(), None, "nobody has all of it");
    let epoch = taken(open().lease_sweep(&row.id, "whole", LEASE, at(60)).unwrap());
    let held = LeaseHolder { holder: "whole".to_owned(), sweep_id: Some(row.id.clone()), until: at(120) };
    assert_eq!(joined(&*store, &row, "two", 61), Joined::Held(held));
    // Whoever was away for long finds that its part is lost.
    assert_eq!(store.prolong_leases("one", LEASE, at(61)).unwrap().parts, []);
    store.release_sweep(&row.id, epoch).unwrap();
    assert_eq!(joined(&*store, &row, "two", 62), Joined::Taken { is_first: false });
    store.leave_sweep(&row.id, "two").unwrap();
    taken(store.lease_sweep(&row.id, "the last", LEASE, at(63)).unwrap());
}

pub fn a_sweep_is_halted_for_all_by_the_first_reason(open: &Open) {
    let store = open();
    let (row, _) = sweep(&*store, "s", &["a"], 1);
    assert_eq!(store.halted(&row.id).unwrap(), None);
    store.halt_sweep(&row.id, "a run failed").unwrap();
    open().halt_sweep(&row.id, "another run failed").unwrap();
    assert_eq!(open().halted(&row.id).unwrap().as_deref(), Some("a run failed"));
}

pub fn the_devices_with_open_jobs_are_told(open: &Open) {
    let store = open();
    let (row, _) = sweep(&*store, "s", &["bb", "a"], 2);
    assert_eq!(store.devices_with_open_jobs(&row.id).unwrap(), ["a", "bb"]);
    for _ in 0..2 {
        assert!(store.has_open_jobs(&row.id, "a").unwrap());
        let run = claim(&*store, &row, "a", "host", 0);
        assert!(store.has_open_jobs(&row.id, "a").unwrap(), "one under way is open");
        store.finish(run.epoch, &ended(&row, &run, RunStatus::Ok), None, at(1)).unwrap();
    }
    assert!(!open().has_open_jobs(&row.id, "a").unwrap() && !open().has_open_jobs(&row.id, "none").unwrap());
    assert_eq!(open().devices_with_open_jobs(&row.id).unwrap(), ["bb"]);
}
