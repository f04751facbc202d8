//! A store's file and its log that do not belong together: refused, and nothing of either is lost.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::TempDir;

use super::open_error;
use crate::store::conformance::sweep;
use crate::store::sqlite::{SqliteStore, import, is_there, restore};
use crate::store::{MaintenanceStore as _, StoreError, SweepStore as _};

/// A lab's folder.
struct Lab(TempDir);

impl Lab {
    fn new() -> Lab {
        Lab(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn store(&self) -> PathBuf {
        self.path("state.db")
    }

    /// As a process leaves it that was killed: one sweep in the file, one in the log; and a backup from in between.
    fn killed() -> Lab {
        let (live, left) = (Lab::new(), Lab::new());
        let store = SqliteStore::open(&live.store()).unwrap();
        sweep(&store, "first", &["a"], 200);
        store.back_up(&left.path("backup.db")).unwrap();
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        store.with_connection(|connection| connection.query_row(checkpoint, [], |_| Ok(()))).unwrap();
        sweep(&store, "second", &["a"], 3);
        for name in ["state.db", "state.db-wal", "state.db-shm"] {
            std::fs::copy(live.path(name), left.path(name)).unwrap();
        }
        left
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    #[track_caller]
    fn assert_has(&self, sweeps: usize) {
        let store = SqliteStore::open(&self.store()).unwrap();
        assert_eq!(store.check().unwrap().faults, Vec::<String>::new());
        assert_eq!(store.sweeps().unwrap().len(), sweeps);
    }
}

/// A store of another history, as it is in one file.
fn other(lab: &Lab) -> PathBuf {
    let path = lab.path("other.db");
    let store = SqliteStore::open(&path).unwrap();
    (0..5).for_each(|number| drop(sweep(&store, &format!("other-{number}"), &["a"], 200)));
    drop(store);
    path
}

#[track_caller]
fn assert_parted(path: &Path, words: &str) {
    let error = open_error(path);
    assert!(matches!(error, StoreError::Parted { .. }) && error.to_string().contains(words), "{error}");
}

#[test]
fn what_a_killed_process_left_is_taken_over() {
    Lab::killed().assert_has(2);
}

#[test]
fn a_log_whose_file_is_gone_or_empty_is_not_thrown_away() {
    for is_empty in [false, true] {
        let lab = Lab::killed();
        std::fs::remove_file(lab.store()).unwrap();
        if is_empty {
            std::fs::write(lab.store(), "").unwrap();
        }
        let log = lab.bytes("state.db-wal");
        assert_parted(&lab.store(), "state.db-wal is left");
        assert!(is_there(&lab.store()).is_err());
        assert_eq!(lab.bytes("state.db-wal"), log);
        assert_eq!(lab.store().exists(), is_empty, "none was made");
    }
}

#[test]
fn a_store_that_was_emptied_is_no_new_one() {
    let lab = Lab::new();
    drop(SqliteStore::open(&lab.store()).unwrap());
    std::fs::write(lab.store(), "").unwrap();
    assert_parted(&lab.store(), "empty");
    std::fs::rename(lab.store(), lab.path("away.db")).unwrap();
    lab.assert_has(0);
}

#[test]
fn a_file_beside_the_log_of_another_is_refused_and_both_stay() {
    for is_moved in [false, true] {
        let lab = Lab::killed();
        let other = other(&lab);
        if is_moved {
            std::fs::rename(&other, lab.store()).unwrap();
        } else {
            std::fs::copy(&other, lab.store()).unwrap();
        }
        let before = [lab.bytes("state.db"), lab.bytes("state.db-wal")];
        assert_parted(&lab.store(), "is of another file");
        assert!(before == [lab.bytes("state.db"), lab.bytes("state.db-wal")], "nothing was touched");
        for name in ["state.db-wal", "state.db-shm"] {
            std::fs::rename(lab.path(name), lab.path(&format!("away-{name}"))).unwrap();
        }
        lab.assert_has(5);
    }
}

#[test]
fn a_backup_is_put_back_over_what_is_left_of_a_store() {
    let lab = Lab::killed();
    std::fs::remove_file(lab.store()).unwrap();
    let log = lab.bytes("state.db-wal");
    let aside = restore(&lab.path("backup.db"), &lab.store()).unwrap().unwrap();
    assert_eq!((aside.is_whole, aside.path), (false, lab.path("state.db.before-1-wal")));
    assert_eq!(lab.bytes("state.db.before-1-wal"), log);
    lab.assert_has(1);

    let lab = Lab::killed();
    let mut export = Vec::new();
    SqliteStore::open(&lab.path("backup.db")).unwrap().export(&mut export).unwrap();
    std::fs::remove_file(lab.store()).unwrap();
    import(&mut export.as_slice(), Path::new("all.jsonl"), &lab.store()).unwrap();
    assert_eq!(std::fs::metadata(lab.store()).unwrap().mode() & 0o777, 0o600);
    lab.assert_has(1);
}

#[test]
fn a_plain_copy_is_put_back_with_the_log_that_lies_beside_it() {
    let (lab, left) = (Lab::new(), Lab::killed());
    restore(&left.store(), &lab.store()).unwrap();
    lab.assert_has(2);
}

#[test]
fn what_is_no_store_is_not_put_back_and_is_told_by_its_own_name() {
    let lab = Lab::new();
    sweep(&SqliteStore::open(&lab.store()).unwrap(), "s", &["a"], 1);
    let made = |name: &str, text: &str| {
        std::fs::write(lab.path(name), text).unwrap();
        lab.path(name)
    };
    let blank = lab.path("blank.db");
    Connection::open(&blank).unwrap().execute_batch("PRAGMA journal_mode = WAL; VACUUM").unwrap();
    for from in [made("empty.db", ""), made("text.db", "no store"), blank] {
        let error = restore(&from, &lab.store()).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, StoreError::Unfit { .. }), "{text}");
        assert!(text.contains(&from.display().to_string()) && !text.contains(".restoring"), "{text}");
    }
    let error = import(&mut &b"\xff\n"[..], Path::new("all.jsonl"), &lab.path("new.db")).unwrap_err().to_string();
    assert!(error.contains("all.jsonl") && error.contains("line 1") && !error.contains(".importing"), "{error}");
    assert!(!lab.path("new.db").exists());
    lab.assert_has(1);
}

/// While a process has it open, another file gets its name: nothing more is written, what was is kept, and the new file
/// is not read with the log of the old one.
#[test]
fn a_store_that_is_replaced_or_gone_is_kept_and_takes_nothing_more() {
    for is_replaced in [true, false] {
        let lab = Lab::new();
        let store = SqliteStore::open(&lab.store()).unwrap();
        sweep(&store, "first", &["a"], 3);
        store.back_up(&lab.path("backup.db")).unwrap();
        sweep(&store, "second", &["a"], 3);
        if is_replaced {
            std::fs::rename(lab.path("backup.db"), lab.store()).unwrap();
        } else {
            std::fs::remove_file(lab.store()).unwrap();
        }
        assert_parted(&lab.store(), if is_replaced { "is of another file" } else { "is gone" });
        let error = store.sweeps().unwrap_err();
        let what = if is_replaced { "was replaced by another file" } else { "is gone" };
        assert!(matches!(&error, StoreError::Lost { why } if why.contains(what) && why.contains("lost-1")), "{error}");
        assert!(!lab.path("state.db-wal").exists() && !lab.path("state.db-shm").exists());
        lab.assert_has(usize::from(is_replaced));
        drop(store);
        lab.assert_has(usize::from(is_replaced));
        restore(&lab.path("state.db.lost-1"), &lab.store()).unwrap();
        lab.assert_has(2);
    }
}

#[test]
fn a_file_behind_a_link_is_its_owners_alone_and_keeps_its_place() {
    let lab = Lab::new();
    let far = lab.path("far");
    std::fs::create_dir(&far).unwrap();
    std::os::unix::fs::symlink("far/real.db", lab.store()).unwrap();
    let store = SqliteStore::open(&lab.store()).unwrap();
    assert_eq!(std::fs::metadata(far.join("real.db")).unwrap().mode() & 0o777, 0o600);
    store.back_up(&lab.path("backup.db")).unwrap();
    drop(store);
    let aside = restore(&lab.path("backup.db"), &lab.store()).unwrap().unwrap();
    assert_eq!(aside.path, lab.0.path().join("far/real.db.before-1"));
    assert!(lab.store().is_symlink());
    lab.assert_has(0);
}

#[test]
fn a_backup_that_can_not_be_written_says_why() {
    let lab = Lab::new();
    let store = SqliteStore::open(&lab.store()).unwrap();
    for (name, why) in [("state.db", "it is there already"), ("nowhere/b.db", "is no folder; make it first")] {
        let error = store.back_up(&lab.path(name)).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(why), "{error}");
    }
}
