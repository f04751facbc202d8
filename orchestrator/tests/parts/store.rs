//! The store's verbs as a person calls them, on stores that are sound, damaged, newer, or have no room.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rusqlite::Connection;
use tempfile::TempDir;

/// A lab with a store that has a sweep.
fn lab() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".farm/state.db");
    farmctl::store::open(path.to_str().unwrap()).unwrap();
    let sweep = "INSERT INTO sweeps (id, name, started_at_ns, farmctl_version) VALUES ('20270115-all', 'all', 5, '0')";
    Connection::open(&path).unwrap().execute_batch(sweep).unwrap();
    (folder, path)
}

fn farmctl(lab: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_farmctl")).arg("--lab").arg(lab).args(words).output().unwrap()
}

#[track_caller]
fn expect(output: &Output, code: i32, words: &[&str]) {
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "no «{word}» in: {said}");
    }
}

#[test]
fn a_sound_store_is_checked_shrunk_and_exported() {
    let (lab, _) = lab();
    expect(&farmctl(lab.path(), &["store", "check"]), 0, &["the store is sound", "1 sweeps"]);
    expect(&farmctl(lab.path(), &["store", "vacuum"]), 0, &["bytes before"]);
    let printed = farmctl(lab.path(), &["store", "export"]);
    expect(&printed, 0, &["20270115-all", "{\"end\":\"farmctl store\""]);
    let file = lab.path().join("a/export.jsonl");
    expect(&farmctl(lab.path(), &["store", "export", "--to", file.to_str().unwrap()]), 0, &["rows in"]);
    assert_eq!(std::fs::read(&file).unwrap(), printed.stdout);
    let nowhere = lab.path().join(".farm/state.db/x");
    expect(&farmctl(lab.path(), &["store", "export", "--to", nowhere.to_str().unwrap()]), 1, &["state.db/x"]);
}

#[test]
fn a_lab_without_a_store_gets_none() {
    let lab = tempfile::tempdir().unwrap();
    for verb in ["check", "vacuum", "export"] {
        expect(&farmctl(lab.path(), &["store", verb]), 4, &["no store yet"]);
    }
    assert_eq!(std::fs::read_dir(lab.path()).unwrap().count(), 0);
}

#[test]
fn faults_damage_and_newer_stores_are_told_with_code_3() {
    let (lab, path) = lab();
    let damage = "UPDATE sweeps SET definition = '{'";
    Connection::open(&path).unwrap().execute_batch(damage).unwrap();
    expect(&farmctl(lab.path(), &["store", "check"]), 3, &["fault: the definition of sweep 20270115-all", "backup"]);
    expect(&farmctl(lab.path(), &["store", "export"]), 3, &["sweeps.definition"]);
    let half = lab.path().join("half.jsonl");
    expect(&farmctl(lab.path(), &["store", "export", "--to", half.to_str().unwrap()]), 3, &["sweeps.definition"]);
    assert!(!half.exists(), "an export that failed leaves nothing");

    let whole = std::fs::read(&path).unwrap();
    let newer = "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA user_version = 99; UPDATE works_from SET version = 99";
    Connection::open(&path).unwrap().execute_batch(newer).unwrap();
    let before = std::fs::read(&path).unwrap();
    for words in [&["store", "check"][..], &["sweeps", "list"], &["store", "vacuum"]] {
        expect(&farmctl(lab.path(), words), 3, &["state.db", "schema version 99", "use the newer farmctl"]);
    }
    assert!(std::fs::read(&path).unwrap() == before, "a newer store was touched");

    let mut damaged = whole;
    damaged[4096..8192].fill(0xa5);
    std::fs::write(&path, damaged).unwrap();
    expect(&farmctl(lab.path(), &["store", "check"]), 3, &[]);
    std::fs::write(&path, "no database at all, but long enough to be taken for one").unwrap();
    expect(&farmctl(lab.path(), &["sweeps", "list"]), 3, &["state.db", "no farmctl store"]);
}

/// Blocks of 512 bytes into which the index of SQLite's log fits, so that the store can be opened.
const LOG_INDEX_FITS: u32 = 72;

/// Without root: a limit on the size of files, which the system enforces as a full disk would.
#[test]
fn without_room_the_error_is_clear_and_nothing_is_half_written() {
    let limited = |lab: &Path, blocks: u32, words: &[&str]| {
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_farmctl"), "--lab"]).arg(lab).args(words);
        command.output().unwrap()
    };
    let empty = tempfile::tempdir().unwrap();
    expect(&limited(empty.path(), 8, &["sweeps", "list"]), 1, &["state.db", "ulimit -f", "nothing was half-written"]);
    expect(&farmctl(empty.path(), &["store", "check"]), 0, &["sound"]);

    let (lab, path) = lab();
    let rows = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 500)
                INSERT INTO events (at_ns, kind, is_news, is_notable, is_act, event)
                SELECT i, 'device_connecting', 0, 0, 0,
                    '{\"at\":\"2027-01-15T08:00:00Z\",\"event\":\"device_connecting\"}' FROM n";
    Connection::open(&path).unwrap().execute_batch(rows).unwrap();
    let file = lab.path().join("export.jsonl");
    let words = ["store", "export", "--to", file.to_str().unwrap()];
    expect(&limited(lab.path(), LOG_INDEX_FITS, &words), 1, &["export.jsonl"]);
    let left: Vec<_> = std::fs::read_dir(lab.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [".farm"], "nothing half-written is left");
    expect(&limited(lab.path(), LOG_INDEX_FITS, &["store", "vacuum"]), 1, &["state.db"]);
    expect(&farmctl(lab.path(), &["store", "check"]), 0, &["500 events"]);
}

/// The same verbs with the store on a server: named by `lab.yaml`, or by a variable.
#[test]
fn a_store_on_a_server_is_used_by_every_verb() {
    let server = testlab::PostgresServer::start().unwrap_or_else(|error| panic!("failed to {error}"));
    let url = server.create("lab").unwrap();
    let (lab, path) = lab();
    let copied = farmctl(lab.path(), &["store", "copy", path.to_str().unwrap(), &url]);
    expect(&copied, 0, &["copied and compared"]);
    expect(&farmctl(lab.path(), &["store", "copy", path.to_str().unwrap(), &url]), 3, &["a store of a lab already"]);

    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(elsewhere.path().join("lab.yaml"), format!("store: {url}\n")).unwrap();
    expect(&farmctl(elsewhere.path(), &["store", "check"]), 0, &["the store is sound", "1 sweeps"]);
    expect(&farmctl(elsewhere.path(), &["sweeps", "list"]), 0, &["20270115-all"]);
    expect(&farmctl(elsewhere.path(), &["store", "vacuum"]), 0, &["bytes before"]);
    expect(&farmctl(elsewhere.path(), &["store", "export"]), 0, &["{\"end\":\"farmctl store\""]);
    expect(&farmctl(elsewhere.path(), &["store", "backup", "x.db"]), 2, &["pg_dump"]);
    expect(&farmctl(elsewhere.path(), &["store", "restore", "x.db"]), 2, &["on a server"]);
    assert!(!elsewhere.path().join(".farm/state.db").exists(), "no file was made besides");

    let named = |value: &str, words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_farmctl"));
        command.env("FARMCTL_STORE", value).arg("--lab").arg(lab.path()).args(words).output().unwrap()
    };
    let empty = server.create("empty").unwrap();
    expect(&named(&empty, &["store", "check"]), 0, &["the store is sound"]);
    expect(&named("postgres://ann:s3cret@db/lab", &["store", "check"]), 2, &["PGPASSWORD"]);
    let told = named("mysql://s3cret", &["store", "check"]);
    expect(&told, 2, &["no address of a server"]);
    assert!(!String::from_utf8_lossy(&told.stderr).contains("s3cret"));
    std::fs::write(elsewhere.path().join("lab.yaml"), "store: postgres://ann:s3cret@db/lab\n").unwrap();
    let told = farmctl(elsewhere.path(), &["store", "check"]);
    expect(&told, 3, &["lab.yaml:1", "has a password"]);
    assert!(!String::from_utf8_lossy(&told.stderr).contains("s3cret"));
}

/// However much is logged, and whether the server takes it or not.
#[test]
fn a_password_is_in_no_output() {
    let let_in = vec!["host all all 127.0.0.1/32 scram-sha-256".to_owned()];
    let options = testlab::PostgresOptions { let_in, ..testlab::PostgresOptions::default() };
    let server = testlab::PostgresServer::start_with(options).unwrap_or_else(|error| panic!("failed to {error}"));
    server.run_sql("postgres", "CREATE ROLE ann LOGIN PASSWORD 'fl4mingo'").unwrap();
    server.run_sql("postgres", "CREATE DATABASE lab OWNER ann").unwrap();
    let url = format!("postgres://ann@{}/lab?sslmode=disable", server.address());
    let folder = tempfile::tempdir().unwrap();
    for (password, code) in [("fl4mingo", 0), ("h3ron", 1)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_farmctl"));
        command.env("FARMCTL_STORE", &url).env("PGPASSWORD", password);
        let output = command.arg("--lab").arg(folder.path()).args(["-vvv", "store", "check"]).output().unwrap();
        let words = if code == 0 { ["the store is sound"] } else { ["the password is that of PGPASSWORD"] };
        expect(&output, code, &words);
        for said in [&output.stdout, &output.stderr] {
            assert!(!String::from_utf8_lossy(said).contains(password), "{}", String::from_utf8_lossy(said));
        }
    }
    assert!(!server.log().contains("fl4mingo") && !server.log().contains("h3ron"), "{}", server.log());
}
