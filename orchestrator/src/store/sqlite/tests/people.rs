//! What a person did and the event that tells of it are one: neither is there without the other, whenever the process
//! is killed.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;

use crate::domain::{DeviceLock, EventKind, Failure, FailureKind, SchedulePause};
use crate::store::conformance::{at, sweep};
use crate::store::sqlite::SqliteStore;
use crate::store::{DeviceStore as _, EventStore as _, LockStore as _, ScheduleStore as _, SweepStore as _, people};

/// In the child's folder: makes it the child.
const CHILD: &str = "child";
/// How often the child is killed.
const KILLS: u64 = 12;

fn lock(device: &str) -> DeviceLock {
    DeviceLock { device: device.into(), by: "ann".into(), why: "probing".into(), since: at(0), until: at(900) }
}

#[test]
fn what_a_person_did_is_undone_when_its_event_can_not_be_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = SqliteStore::open(&path).unwrap();
    let (row, _) = sweep(&store, "s", &["a"], 1);
    let pause = SchedulePause { schedule: "nightly".into(), by: "ann".into(), since: at(0) };
    people::lock_device(&store, &lock("locked")).unwrap();
    people::pause_schedule(&store, &SchedulePause { schedule: "weekly".into(), ..pause.clone() }).unwrap();
    let failure = Failure::new(FailureKind::ConnectionLost, "gone");
    store.quarantine_device("a", &failure, at(30), at(1)).unwrap();
    let refuse = "CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT raise(ABORT, 'no room'); END";
    Connection::open(&path).unwrap().execute_batch(refuse).unwrap();

    let state = || {
        let locks = store.device_locks(None, at(2)).unwrap();
        (
            locks,
            store.schedule_pauses().unwrap(),
            store.sweep_state(&row.id).unwrap(),
            store.device_status("a").unwrap(),
        )
    };
    let before = state();
    people::lock_device(&store, &lock("a")).unwrap_err();
    people::unlock_device(&store, "locked", "ann", at(2)).unwrap_err();
    people::pause_schedule(&store, &pause).unwrap_err();
    people::resume_schedule(&store, "weekly", "ann", at(2)).unwrap_err();
    people::cancel_sweep(&store, &row.id, "ann", at(2)).unwrap_err();
    people::release_device(&store, "a", "ann", at(2)).unwrap_err();
    assert_eq!(state(), before);
}

#[test]
#[ignore = "the child of the test below"]
fn child() {
    // Only in the folder that the test made for it.
    std::fs::read(CHILD).unwrap();
    let store = SqliteStore::open(Path::new("state.db")).unwrap();
    loop {
        people::lock_device(&store, &lock("a")).unwrap();
        people::unlock_device(&store, "a", "ann", at(1)).unwrap();
    }
}

#[test]
fn whoever_is_killed_leaves_no_lock_without_its_event() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(CHILD), "").unwrap();
    let store = SqliteStore::open(&folder.path().join("state.db")).unwrap();
    for kill in 1..=KILLS {
        let before = store.last_event().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::sqlite::tests::people::child", "--ignored", "--test-threads=1"])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // At another moment of its work each time.
        while store.last_event().unwrap() < before + 5 {
            assert!(child.try_wait().unwrap().is_none(), "the child ended by itself");
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_micros(700 * kill));
        child.kill().unwrap();
        child.wait().unwrap();
        let is_locked = !store.device_locks(Some("a"), at(1)).unwrap().is_empty();
        let last = store.device_events("a", 1).unwrap().remove(0);
        let is_lock_told = matches!(last.kind, EventKind::DeviceLocked { .. });
        assert_eq!(is_locked, is_lock_told, "kill {kill}: {last:?}");
        let events = store.device_events("a", u32::MAX).unwrap();
        let is_same = |pair: &[crate::domain::Event]| {
            std::mem::discriminant(&pair[0].kind) == std::mem::discriminant(&pair[1].kind)
        };
        // A lock that the killed child left is replaced by the next one's.
        let repeated = events.windows(2).filter(|pair| is_same(pair)).count() as u64;
        assert!(repeated < kill, "an event is missing: {repeated} come twice after {kill} kills");
    }
}
