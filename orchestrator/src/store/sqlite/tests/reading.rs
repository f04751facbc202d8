//! Who only reads is not kept waiting, and nobody else can read.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::store::open;

#[test]
fn a_store_is_opened_and_read_while_somebody_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("farm").join("state.db");
    let url = format!("sqlite:{}", path.display());
    let lab = open(&url).unwrap().lab_id().unwrap();
    let writer = Connection::open(&path).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began_at = Instant::now();
    assert_eq!(open(&url).unwrap().lab_id().unwrap(), lab);
    assert!(began_at.elapsed() < Duration::from_secs(20), "{:?}", began_at.elapsed());
}

#[test]
fn its_files_are_for_its_owner_alone() {
    use std::os::unix::fs::MetadataExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("farm").join("state.db");
    let store = open(&format!("sqlite:{}", path.display())).unwrap();
    store.lab_id().unwrap();
    let mode = |name: &str| std::fs::metadata(folder.path().join("farm").join(name)).unwrap().mode() & 0o777;
    assert_eq!(mode(""), 0o700);
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
}
