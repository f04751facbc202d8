#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::*;
use crate::domain::sample;
use crate::store::LeaseStore as _;
use crate::store::conformance::{at, claim, sweep};
use crate::store::sqlite::SqliteStore;

fn view(store: &SqliteStore, name: &str) -> DeviceView {
    let gone = |holder: &str| holder == "gone";
    device_views(store, vec![sample::device(name)], &gone, at(100)).unwrap().remove(0)
}

#[test]
fn a_device_is_what_a_person_must_know_first() {
    let store = SqliteStore::in_memory().unwrap();
    assert_eq!(view(&store, "a").status, Availability::Unknown);

    let facts = sample::record("a", "mobilenet_v2").device.unwrap();
    crate::store::SightingStore::device_seen(&store, "a", &facts, 5, at(1)).unwrap();
    assert_eq!(view(&store, "a").status, Availability::Idle);

    let refused = Failure::new(FailureKind::Refused, "nobody listens");
    crate::store::SightingStore::device_missed(&store, "a", &refused, at(2)).unwrap();
    let offline = view(&store, "a");
    assert_eq!(offline.status, Availability::Offline);
    assert!(offline.detail.contains("nobody listens") && offline.detail.contains(&format!("{:.0}", at(2))));
    assert_eq!(offline.sighting.unwrap().free_bytes, Some(5), "what it was is kept");

    let login = Failure::new(FailureKind::LoginRefused, "no");
    crate::store::SightingStore::device_missed(&store, "a", &login, at(3)).unwrap();
    let unauthorized = view(&store, "a");
    assert_eq!(unauthorized.status, Availability::Unauthorized);
    assert_eq!(unauthorized.sighting.unwrap().silent_since, Some(at(2)));

    let (row, _) = sweep(&store, "s", &["a"], 2);
    store.lease_device("a", Some(&row.id), "host", Duration::from_secs(600), at(4)).unwrap();
    let run = claim(&store, &row, "a", "host", 50);
    let busy = view(&store, "a");
    let used = busy.used.unwrap();
    assert_eq!((busy.status, used.open_jobs, used.run_id), (Availability::Busy, 2, Some(run.run_id)));
    assert!(used.done_at.unwrap() >= at(100) && busy.detail.contains("mobilenet_v2"), "{}", busy.detail);

    crate::store::DeviceStore::quarantine_device(&store, "a", &refused, at(200), at(5)).unwrap();
    assert_eq!(view(&store, "a").status, Availability::Quarantined);

    let lock = DeviceLock { device: "a".into(), by: "ann".into(), why: "probing".into(), since: at(6), until: at(900) };
    assert_eq!(crate::store::people::lock_device(&store, &lock).unwrap(), None);
    let locked = view(&store, "a");
    assert_eq!((locked.status, locked.lock), (Availability::Locked, Some(lock)));
    assert!(locked.detail.contains("ann") && locked.detail.contains("has ended"), "{}", locked.detail);
}

#[test]
fn what_a_process_that_is_gone_holds_is_free() {
    let store = SqliteStore::in_memory().unwrap();
    store.lease_device("a", None, "gone", Duration::from_secs(600), at(4)).unwrap();
    assert_eq!(view(&store, "a").used, None);
}
