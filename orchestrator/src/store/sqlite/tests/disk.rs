//! A file that gets damaged, and a disk that gets full: a clear error, and nothing half-written.

use rusqlite::Connection;
use testlab::SmallDisk;

use crate::domain::{Record, RunStatus, SweepRow};
use crate::store::conformance::{at, claim, record, sweep};
use crate::store::sqlite::SqliteStore;
use crate::store::{Claim, RunStore, Store, StoreError, open};

/// Ends runs with records until the store refuses; returns the records that it took, and the refusal.
fn fill(store: &dyn Store, row: &SweepRow) -> (Vec<Record>, StoreError) {
    let mut kept = Vec::new();
    loop {
        let lease = std::time::Duration::from_secs(60);
        if let Err(error) = store.lease_device("a", Some(&row.id), "host", lease, at(0)) {
            return (kept, error);
        }
        let run = match store.claim(&row.id, "a", "host", lease, at(0)) {
            Ok(Claim::Run(run)) => run,
            Ok(other) => panic!("{other:?}: the sweep has too few jobs to fill the disk"),
            Err(error) => return (kept, error),
        };
        let mut record = record(&row.id, &run.job, Some((&run.run_id, run.attempt)), RunStatus::Ok);
        record.measurement.samples_ns = vec![1_234_567_890; 1000];
        match store.finish(run.epoch, &record, None, at(1)) {
            Ok(()) => kept.push(record),
            Err(error) => return (kept, error),
        }
    }
}

fn assert_whole(store: &dyn Store, row: &SweepRow, kept: &[Record]) {
    assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
    assert_eq!(store.records(&row.id).unwrap(), kept);
}

#[test]
fn a_store_without_room_refuses_and_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = SqliteStore::open(&path).unwrap();
    let (row, _) = sweep(&store, "s", &["a"], 60);
    let limit = |pages: u32| {
        let sql = format!("PRAGMA max_page_count = {pages}");
        store.with_connection(|connection| connection.query_row(&sql, [], |_| Ok(())))
    };
    let pages: u32 =
        store.with_connection(|connection| connection.query_row("PRAGMA page_count", [], |row| row.get(0))).unwrap();
    limit(pages + 40).unwrap();
    let (mut kept, error) = fill(&store, &row);
    let text = error.to_string();
    assert!(
        matches!(error, StoreError::Full { .. }) && text.contains("state.db") && text.contains("free some"),
        "{text}"
    );
    assert!(!kept.is_empty());
    assert_whole(&store, &row, &kept);
    limit(1 << 20).unwrap();
    let live = store.live_runs(&row.id, None).unwrap();
    let lease = std::time::Duration::from_secs(60);
    let run = match live.first() {
        Some(live) => store.take_over(&live.run_id, "host", lease, at(2)).unwrap().unwrap(),
        None => claim(&store, &row, "a", "host", 2),
    };
    kept.push(record(&row.id, &run.job, Some((&run.run_id, run.attempt)), RunStatus::Ok));
    store.finish(run.epoch, &kept[kept.len() - 1], None, at(3)).unwrap();
    assert_whole(&store, &row, &kept);
}

#[test]
fn a_disk_that_gets_full_loses_nothing() {
    let disk = SmallDisk::mount(2 << 20, false).unwrap_or_else(|error| panic!("failed to {error}"));
    let path = disk.path().join("state.db");
    let store = open(path.to_str().unwrap()).unwrap();
    let (row, _) = sweep(&*store, "s", &["a"], 400);
    let (kept, error) = fill(&*store, &row);
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert!(kept.len() > 5);
    assert!(matches!(store.vacuum(), Err(StoreError::Full { .. })), "there is no room for a copy");
    assert_eq!(store.records(&row.id).unwrap(), kept);
    drop(store);
    // What is there now, on a disk that has room: all that was acknowledged, and nothing of what was refused.
    let roomy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(disk.path()).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), roomy.path().join(entry.file_name())).unwrap();
    }
    let store = open(roomy.path().join("state.db").to_str().unwrap()).unwrap();
    assert_whole(&*store, &row, &kept);
}

#[test]
fn a_full_disk_makes_no_half_store() {
    let disk = SmallDisk::mount(1 << 20, false).unwrap_or_else(|error| panic!("failed to {error}"));
    disk.fill().unwrap();
    let path = disk.path().join("state.db");
    let error = super::open_error(&path);
    assert!(matches!(error, StoreError::Full { .. }) && error.to_string().contains("state.db"), "{error}");
    disk.free().unwrap();
    assert_eq!(open(path.to_str().unwrap()).unwrap().check().unwrap().faults, Vec::<String>::new());
}

#[test]
fn a_store_that_is_opened_on_a_full_disk_says_so() {
    let disk = SmallDisk::mount(2 << 20, false).unwrap_or_else(|error| panic!("failed to {error}"));
    let path = disk.path().join("state.db");
    drop(open(path.to_str().unwrap()).unwrap());
    disk.fill().unwrap();
    let error = super::open_error(&path);
    assert!(matches!(error, StoreError::Full { .. }) && error.to_string().contains("free some"), "{error}");
    disk.free().unwrap();
    assert_eq!(open(path.to_str().unwrap()).unwrap().check().unwrap().faults, Vec::<String>::new());
}

/// Bytes of the file overwritten at seeded places: opened, checked and read, it gives errors and no panic, and a check
/// that finds nothing wrong has read every record as it was written.
#[test]
fn damage_anywhere_is_told_and_not_taken_for_content() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let store = open(path.to_str().unwrap()).unwrap();
    let (row, _) = sweep(&*store, "s", &["a"], 8);
    let mut kept = Vec::new();
    for _ in 0..8 {
        let run = claim(&*store, &row, "a", "host", 0);
        kept.push(record(&row.id, &run.job, Some((&run.run_id, run.attempt)), RunStatus::Ok));
        store.finish(run.epoch, &kept[kept.len() - 1], None, at(1)).unwrap();
    }
    drop(store);
    Connection::open(&path).unwrap().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    let whole = std::fs::read(&path).unwrap();
    let (mut told, mut harmless) = (0, 0);
    for seed in 0..80usize {
        let mut bytes = whole.clone();
        // A page's header, or a whole sector.
        let at = (seed * 2_654_435_761) % (bytes.len() / 512) * 512;
        let length = if seed % 2 == 0 { 8 } else { 512 };
        bytes[at..at + length].fill(if seed % 3 == 0 { 0 } else { 0xa5 });
        if bytes == whole {
            continue;
        }
        std::fs::write(&path, &bytes).unwrap();
        for beside in ["state.db-wal", "state.db-shm"] {
            let _ = std::fs::remove_file(folder.path().join(beside));
        }
        match open(path.to_str().unwrap()).and_then(|store| Ok((store.check()?.faults, store.records(&row.id)))) {
            Err(error) => {
                assert!(error.to_string().contains("state.db"), "{error}");
                told += 1;
            }
            Ok((faults, _)) if !faults.is_empty() => told += 1,
            Ok((_, records)) => {
                assert!(records.unwrap() == kept, "damage at {at} of {length} bytes");
                harmless += 1;
            }
        }
    }
    // Pages are mostly free space.
    assert!(told > 10, "{told} told, {harmless} not");
}
