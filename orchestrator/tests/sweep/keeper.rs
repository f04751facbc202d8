//! What a keeper of a lab is spared: wrong clocks, foreign locks, faulty files found at night, late addresses.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;

use serde_json::Value;

use super::daemon::{Daemon, json, schedule, wait_until};
use super::support::{Lab, QUICK, farm, local_device};

fn lab() -> Lab {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    lab.write("configs/quick.yaml", QUICK);
    lab.write("configs/daemon.yaml", &schedule(3600, "    enabled: false\n"));
    lab
}

fn ended(lab: &Lab) -> usize {
    json(lab, &["sweeps", "list"]).iter().filter(|sweep| sweep["state"] == "finished").count()
}

/// What the daemon says is wrong.
fn troubles(lab: &Lab) -> String {
    let said = std::fs::read(lab.path(".farm/daemon.json")).unwrap_or_default();
    let said: Value = serde_json::from_slice(&said).unwrap_or_default();
    said["troubles"].to_string()
}

/// Debian's libfaketime, which lets a test set the clock that a process sees.
pub fn wrong_clock() -> String {
    let found = std::fs::read_dir("/usr/lib").unwrap().flatten().find_map(|folder| {
        let library = folder.path().join("faketime/libfaketimeMT.so.1");
        library.is_file().then(|| library.display().to_string())
    });
    found.expect("libfaketime: `scripts/prepare` installs it")
}

#[test]
fn a_clock_that_is_years_ahead_for_a_moment_takes_nothing_out_and_begins_nothing() {
    let lab = lab();
    for _ in 0..3 {
        lab.sweep(&["configs/quick.yaml"]).expect_code(0);
    }
    let daily = "retention: { at: '04:30', sweeps: { days: 730 }, events_days: 30 }\n";
    let nightly = schedule(3600, "").replace("*/3600 * * * * *", "0 0 1 1 *");
    lab.write("configs/daemon.yaml", &format!("{daily}{nightly}"));
    let (clock, library) = (lab.path("clock"), wrong_clock());
    let set = |offset: &str| {
        // Whole or not at all: the daemon reads it at each look.
        std::fs::write(lab.path("clock.new"), format!("{offset}\n")).unwrap();
        std::fs::rename(lab.path("clock.new"), &clock).unwrap();
    };
    set("+0");
    let environment = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let mut daemon = Daemon::start(&lab, "right", &environment);
    daemon.wait_for("page and API");
    for (round, offset) in ["+3653d", "-3653d", "+3h", "-3h"].into_iter().enumerate() {
        set(offset);
        wait_until(|| troubles(&lab).contains("clock: it jumped"), || format!("{offset}: {}", daemon.told()));
        // A process that begins meanwhile knows as much.
        let mut ask = lab.command(&["clock", "show", "--format", "json"]);
        let said = ask.envs(environment).output().unwrap();
        let said: Value = serde_json::from_slice(&said.stdout).unwrap();
        assert_eq!(said["is_believed"], false, "{offset}: {said}");
        let mut tidy = lab.command(&["retention", "--yes"]);
        let refused = tidy.envs(environment).output().unwrap();
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && text.contains("farmctl clock accept"), "{offset}: {text}");
        if round % 2 == 0 {
            daemon.kill();
            daemon = Daemon::start(&lab, &format!("again-{round}"), &environment);
            wait_until(|| daemon.told().contains("clock: it jumped"), || format!("{offset}: {}", daemon.told()));
        }
        set("+0");
        wait_until(|| troubles(&lab) == "[]", || format!("{offset}: {}", daemon.told()));
    }
    // A person says that it is right.
    set("+3h");
    wait_until(|| troubles(&lab).contains("clock: it jumped"), || daemon.told());
    let mut accept = lab.command(&["clock", "accept"]);
    assert!(accept.envs(environment).status().unwrap().success());
    wait_until(|| troubles(&lab) == "[]", || daemon.told());
    assert!(daemon.stop().success());
    assert_eq!(ended(&lab), 3, "no sweep was begun, and none has left");
}

#[test]
fn who_holds_the_lock_is_told_from_a_daemon() {
    let lab = lab();
    let daemon = Daemon::start(&lab, "first", &[]);
    daemon.wait_for("page and API");
    let path = lab.path(".farm/daemon.lock");
    let mode = std::fs::metadata(&path).unwrap().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let left = std::fs::read(&path).unwrap();
    assert!(daemon.stop().success());
    assert_eq!(std::fs::read(&path).unwrap(), b"", "the name goes with the daemon");
    // As one that was killed leaves it.
    std::fs::write(&path, left).unwrap();
    let somebody = File::options().write(true).open(&path).unwrap();
    somebody.lock().unwrap();
    let (_, _, stderr) = lab.run(&["schedules", "list"]);
    assert!(!stderr.contains("a daemon runs"), "{stderr}");
    let (code, _, stderr) = lab.run(&["daemon"]);
    let process = format!("locked by process {}, which is no daemon", std::process::id());
    assert!(code == 1 && stderr.contains(&process), "{code}: {stderr}");
    lab.sweep(&["configs/quick.yaml"]).expect_code(0);
    drop(somebody);
    // Who shares it only asks.
    let asking = File::open(&path).unwrap();
    asking.lock_shared().unwrap();
    let (_, _, stderr) = lab.run(&["schedules", "list"]);
    assert!(!stderr.contains("a daemon runs"), "{stderr}");
}

#[test]
fn a_faulty_file_is_told_of_when_it_is_made() {
    let lab = lab();
    let rules = schedule(3600, "").replace("*/3600 * * * * *", "0 0 1 1 *");
    lab.write("configs/daemon.yaml", &format!("probe_minutes: 0\n{rules}"));
    let daemon = Daemon::start(&lab, "d", &[]);
    daemon.wait_for("page and API");
    for (file, fault) in [("farms/lab.yaml", "devices: [\n"), ("configs/quick.yaml", "models: [nosuch]\n")] {
        let right = std::fs::read_to_string(lab.path(file)).unwrap();
        lab.write(file, fault);
        wait_until(|| troubles(&lab).contains(file), || format!("word of {file}: {}", daemon.told()));
        lab.write(file, &right);
        wait_until(|| troubles(&lab) == "[]", || format!("the end of it: {}", daemon.told()));
    }
    assert!(daemon.stop().success());
}

#[test]
fn an_address_that_comes_late_is_waited_for_while_the_nights_go_on() {
    let lab = lab();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let listen = |text: String| text.replace("127.0.0.1:0", &address.to_string());
    lab.write("configs/daemon.yaml", &listen(schedule(5, "")));
    let daemon = Daemon::start(&lab, "d", &[]);
    wait_until(|| troubles(&lab).contains("listen: failed to listen at"), || daemon.told());
    wait_until(|| ended(&lab) > 0, || format!("a sweep without a page: {}", daemon.told()));
    drop(taken);
    daemon.wait_for(&format!("page and API: http://{address}/"));
    lab.write("configs/daemon.yaml", &listen(schedule(5, "    enabled: false\n")));
    daemon.wait_for("was read again");
    assert!(daemon.stop().success());
}

#[test]
fn a_backup_made_under_a_sweep_is_whole_and_is_put_back() {
    let lab = lab();
    lab.write("configs/many.yaml", &format!("{QUICK}repeats: 6\n"));
    let mut running = lab.start(&["configs/many.yaml"]);
    running.wait_for("run_finished", None);
    let (code, _, stderr) = lab.run(&["store", "backup", "half.db"]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(std::fs::metadata(lab.path("half.db")).unwrap().mode() & 0o777, 0o600);
    running.finish().expect_code(0);
    assert_eq!(lab.run(&["store", "backup", "half.db"]).0, 1, "it is there");
    lab.sweep(&["configs/quick.yaml"]).expect_code(0);
    assert_eq!(lab.run(&["store", "export", "--to", "all.jsonl"]).0, 0);

    let (code, _, stderr) = lab.run(&["store", "restore", "half.db"]);
    assert!(code == 0 && stderr.contains("state.db.before-1"), "{stderr}");
    assert_eq!(lab.run(&["store", "check"]).0, 0);
    assert_eq!(json(&lab, &["sweeps", "list"]).len(), 1);
    lab.start(&["--resume"]).finish().expect_code(0);
    assert_eq!(ended(&lab), 1);
    lab.write("garbage.db", "no store at all");
    assert_ne!(lab.run(&["store", "restore", "garbage.db"]).0, 0);
    assert_eq!(ended(&lab), 1, "the store is as it was");

    assert_eq!(lab.run(&["store", "import", "all.jsonl"]).0, 2, "there is a store");
    let other = Lab::new();
    other.write("farms/lab.yaml", &farm(&[local_device()]));
    other.write("configs/quick.yaml", QUICK);
    let all = std::fs::read_to_string(lab.path("all.jsonl")).unwrap();
    other.write("cut.jsonl", all.rsplit_once("{\"end\"").unwrap().0);
    let (code, _, stderr) = other.run(&["store", "import", "cut.jsonl"]);
    assert!(code != 0 && stderr.contains("not whole"), "{stderr}");
    assert!(!other.path(".farm/state.db").exists());
    other.write("all.jsonl", &all);
    let (code, _, stderr) = other.run(&["store", "import", "all.jsonl"]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(ended(&other), 2);
    let (code, stdout, _) = other.run(&["store", "check"]);
    assert!(code == 3 && stdout.contains("output file"), "files are no rows: {stdout}");
    std::fs::rename(lab.path(".farm/outputs"), other.path(".farm/outputs")).unwrap();
    assert_eq!(other.run(&["store", "check"]).0, 0);
    other.sweep(&["configs/quick.yaml"]).expect_code(0);
}

#[test]
fn a_daemon_whose_store_is_another_ends_with_the_reason() {
    let lab = lab();
    let daemon = Daemon::start(&lab, "d", &[]);
    daemon.wait_for("page and API");
    std::fs::rename(lab.path(".farm/state.db"), lab.path(".farm/away.db")).unwrap();
    daemon.wait_for("state.db is gone: what was in it is in");
    assert_eq!(daemon.ended().code(), Some(1));
    assert!(lab.path(".farm/state.db.lost-1").exists() && !lab.path(".farm/state.db-wal").exists());
}

#[test]
fn a_sweep_whose_store_is_another_ends_with_the_reason_and_loses_nothing() {
    let lab = lab();
    lab.sweep(&["configs/quick.yaml"]).expect_code(0);
    assert_eq!(lab.run(&["store", "backup", "one.db"]).0, 0);
    lab.write("configs/many.yaml", &format!("{QUICK}repeats: 40\n"));
    let mut running = lab.start(&["--local", "configs/many.yaml"]);
    running.wait_for("run_finished", None);
    std::fs::rename(lab.path("one.db"), lab.path(".farm/state.db")).unwrap();
    let ended = running.finish();
    ended.expect_code(1);
    assert!(ended.stderr.contains("state.db was replaced by another file"), "{}", ended.stderr);
    assert_eq!(lab.run(&["store", "check"]).0, 0);
    assert_eq!(json(&lab, &["sweeps", "list"]).len(), 1);
    let (code, _, stderr) = lab.run(&["store", "restore", ".farm/state.db.lost-1"]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(json(&lab, &["sweeps", "list"]).len(), 2);
}

#[test]
fn a_lock_that_is_removed_under_a_daemon_lets_no_second_one_in() {
    let lab = lab();
    let daemon = Daemon::start(&lab, "d", &[]);
    daemon.wait_for("page and API");
    let path = lab.path(".farm/daemon.lock");
    std::fs::remove_file(&path).unwrap();
    wait_until(|| std::fs::metadata(&path).is_ok_and(|about| about.len() > 0), || daemon.told());
    let (code, _, stderr) = lab.run(&["daemon"]);
    assert!(code == 2 && stderr.contains("a daemon runs in this lab already"), "{code}: {stderr}");
    assert!(daemon.stop().success());
}

#[test]
fn the_labs_own_files_are_its_owners_and_doctor_tells_of_old_ones() {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    std::fs::remove_dir_all(lab.path(".farm")).unwrap();
    let (code, _, stderr) = lab.run(&["tokens", "add", "anna", "--role", "admin", "--for", "90d"]);
    assert!(code == 0 && stderr.contains("it lets in until"), "{stderr}");
    let (_, listed, _) = lab.run(&["tokens", "list", "--format", "csv"]);
    assert!(listed.contains("anna,admin,") && listed.trim_end().ends_with(",never"), "{listed}");
    lab.run(&["devices", "list"]);
    lab.run(&["store", "check"]);
    for (name, mode) in [(".farm", 0o700), (".farm/tokens", 0o600)] {
        assert_eq!(std::fs::metadata(lab.path(name)).unwrap().mode() & 0o777, mode, "{name}");
    }
    std::fs::set_permissions(lab.path(".farm"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let (_, stdout, _) = lab.run(&["doctor"]);
    assert!(stdout.contains("chmod go-rwx .farm"), "{stdout}");
}

#[test]
fn tokens_do_not_go_over_the_network_in_clear_text() {
    let lab = lab();
    assert_eq!(lab.run(&["tokens", "add", "anna", "--role", "admin"]).0, 0);
    let open = schedule(3600, "    enabled: false\n").replace("127.0.0.1:0", "0.0.0.0:0");
    lab.write("configs/daemon.yaml", &format!("tokens: {{ file: ../.farm/tokens }}\n{open}"));
    let daemon = Daemon::start(&lab, "refused", &[]);
    daemon.wait_for("in clear text, so page and API are not served");
    wait_until(|| troubles(&lab).contains("--insecure"), || format!("word of the remedy: {}", daemon.told()));
    assert!(!daemon.told().contains("page and API: "), "{}", daemon.told());
    assert!(daemon.stop().success());
    let daemon = Daemon::start_with(&lab, "d", &["daemon", "--insecure"], &[]);
    daemon.wait_for("in clear text (--insecure)");
    daemon.wait_for("page and API");
    assert!(daemon.stop().success());
}

#[test]
fn a_renewed_certificate_is_served_and_a_key_that_others_may_read_is_not() {
    let lab = lab();
    let renew = || {
        let words =
            ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
        let files = ["-subj", "/CN=localhost", "-keyout", "configs/key.pem", "-out", "configs/cert.pem"];
        let made = Command::new("openssl").args(words).args(files).current_dir(lab.path("")).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let only_mine = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(lab.path("configs/key.pem"), only_mine).unwrap();
    };
    renew();
    let tls = "listen: 127.0.0.1:0\ntls: { certificate: cert.pem, key: key.pem }";
    let rules = schedule(3600, "    enabled: false\n").replace("listen: 127.0.0.1:0", tls);
    lab.write("configs/daemon.yaml", &rules);
    let daemon = Daemon::start(&lab, "d", &[]);
    daemon.wait_for("page and API: https://");
    let address = daemon.told().split("page and API: https://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let served = || {
        let script = format!("echo | openssl s_client -connect {address} 2>/dev/null | openssl x509 -noout -serial");
        String::from_utf8(Command::new("sh").args(["-c", &script]).output().unwrap().stdout).unwrap()
    };
    let first = served();
    assert!(first.starts_with("serial="), "{first}");
    renew();
    wait_until(|| served() != first, || format!("the new certificate: {}", daemon.told()));
    let second = served();
    std::fs::set_permissions(lab.path("configs/key.pem"), std::fs::Permissions::from_mode(0o666)).unwrap();
    wait_until(|| troubles(&lab).contains("chmod 600"), || format!("word of the key: {}", daemon.told()));
    assert_eq!(served(), second);
    assert!(daemon.stop().success());
}

#[test]
fn a_leaked_token_is_out_whatever_is_faulty_meanwhile() {
    let lab = lab();
    assert_eq!(lab.run(&["tokens", "add", "leaked", "--role", "admin"]).0, 0);
    assert_eq!(lab.run(&["tokens", "add", "other", "--role", "view"]).0, 0);
    std::fs::rename(lab.path(".farm/tokens"), lab.path("configs/tokens")).unwrap();
    let rules = "tokens: { file: tokens }\nnonsense: 1\nschedules:\n  - { name: x, sweep: nosuch.yaml }\n";
    lab.write("configs/daemon.yaml", rules);
    lab.write("farms/lab.yaml", "devices: [\n");
    lab.write("configs/models.yaml", "models: 7\n");
    let (code, stdout, stderr) = lab.run(&["tokens", "list"]);
    assert!(code == 0 && stdout.contains("leaked"), "{code}: {stdout}{stderr}");
    let (code, _, stderr) = lab.run(&["tokens", "remove", "leaked"]);
    assert!(code == 0 && stderr.contains("leaked is out"), "{code}: {stderr}");
    let (_, acts, _) = lab.run(&["audit"]);
    for act in ["made a token of leaked, role admin", "took out the token of leaked"] {
        assert!(acts.contains(act), "{acts}");
    }
    // What the daemon goes by is not known: that is told, and the usual file is meant.
    lab.write("configs/daemon.yaml", "tokens: [\n");
    let (code, _, stderr) = lab.run(&["tokens", "remove", "other"]);
    assert!(code == 4 && stderr.contains(".farm/tokens") && stderr.contains("daemon.yaml:"), "{code}: {stderr}");
}

#[test]
fn every_faulty_file_is_told_of_and_a_pipe_keeps_nobody() {
    let lab = lab();
    lab.write("farms/other.yaml", "devices: 7\n");
    lab.write("configs/backends.yaml", "engines: 7\n");
    lab.write("configs/models.yaml", "models: 7\n");
    lab.write("configs/quick.yaml", "modles: 7\n");
    let made = Command::new("mkfifo").arg(lab.path("farms/pipe.yaml")).status().unwrap();
    assert!(made.success());
    let files = ["farms/other.yaml", "farms/pipe.yaml", "configs/models.yaml", "configs/backends.yaml", "quick.yaml"];
    for words in [vec!["plan", "configs/quick.yaml"], vec!["daemon"], vec!["daemon", "install"]] {
        let (code, _, stderr) = lab.run(&words);
        assert_eq!(code, 3, "{words:?}: {stderr}");
        let missing: Vec<_> = files.iter().filter(|file| !stderr.contains(**file)).collect();
        assert!(missing.is_empty(), "{words:?} lacks {missing:?}: {stderr}");
    }
}

#[test]
fn secrets_and_models_that_the_night_needs_are_looked_at_by_day() {
    let lab = lab();
    lab.write_secret("configs/hook", "s3cret\n");
    let hook = "notifications:\n  - webhook: { url: 'http://127.0.0.1:9/', secret: { file: hook } }\n";
    let nightly = schedule(3600, "").replace("*/3600 * * * * *", "0 0 1 1 *");
    lab.write("configs/daemon.yaml", &format!("probe_minutes: 0\n{hook}{nightly}"));
    let mode =
        |mode| std::fs::set_permissions(lab.path("configs/hook"), std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o666);
    let daemon = Daemon::start(&lab, "d", &[]);
    wait_until(|| troubles(&lab).contains("notifications' secrets"), || format!("at the start: {}", daemon.told()));
    assert!(lab.run(&["doctor"]).1.contains("chmod 600"));
    mode(0o600);
    wait_until(|| troubles(&lab) == "[]", || format!("the end of it: {}", daemon.told()));
    std::fs::remove_file(lab.path("configs/hook")).unwrap();
    wait_until(|| troubles(&lab).contains("configs/hook"), || format!("one that is gone: {}", daemon.told()));
    lab.write_secret("configs/hook", "s3cret\n");
    wait_until(|| troubles(&lab) == "[]", || format!("it is back: {}", daemon.told()));
    // A model's file that is no model, and then none.
    let models = "models:\n  - name: mine\n    weights:\n      trained: { path: ../mine.onnx }\n";
    lab.write("mine.onnx", "<html>not found</html>");
    lab.write("configs/models.yaml", models);
    lab.write("configs/quick.yaml", &QUICK.replace("[digits]", "[mine]"));
    wait_until(|| troubles(&lab).contains("files of models: mine:"), || format!("a broken one: {}", daemon.told()));
    std::fs::remove_file(lab.path("mine.onnx")).unwrap();
    wait_until(|| troubles(&lab).contains("No such file"), || format!("one that is gone: {}", daemon.told()));
    assert!(daemon.stop().success());
}
