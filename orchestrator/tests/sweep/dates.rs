//! By which clock sweeps are dated, and by which people are told.

use super::daemon::{Daemon, json, schedule, wait_until};
use super::http::{address, post};
use super::keeper::wrong_clock;
use super::support::{Lab, Outcome, QUICK, farm, local_device};

fn lab() -> Lab {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    lab.write("configs/quick.yaml", QUICK);
    lab
}

/// The sweep that `reports/latest` points at.
fn latest(lab: &Lab) -> String {
    std::fs::read_link(lab.path("reports/latest")).unwrap().display().to_string()
}

/// Runs farmctl by a clock that is so much ahead.
fn at(lab: &Lab, offset: &str, words: &[&str]) -> (i32, String) {
    let mut command = lab.command(words);
    command.env("LD_PRELOAD", wrong_clock()).env("FAKETIME", offset).env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let output = command.output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_sweep_by_hand_says_that_its_date_is_in_doubt_and_is_not_the_latest() {
    let lab = lab();
    let Outcome { code, .. } = lab.sweep(&["configs/quick.yaml"]);
    assert_eq!(code, 0);
    let right = latest(&lab);
    let (code, stderr) = at(&lab, "+3653d", &["sweep", "configs/quick.yaml"]);
    assert_eq!(code, 0, "it is carried out all the same: {stderr}");
    for part in ["the clock of this host jumped", "ahead", "reports/latest", "farmctl clock accept"] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    assert_eq!(latest(&lab), right);
    let (_, listed, _) = lab.run(&["sweeps", "list", "--format", "csv"]);
    let of_the_future = listed.lines().find(|line| line.starts_with("203")).expect(&listed).to_owned();
    let of_the_future = of_the_future.split(',').next().unwrap().to_owned();
    // What the first one has dated is no reason to believe the clock.
    let (code, stderr) = at(&lab, "+3653d", &["sweep", "configs/quick.yaml"]);
    assert!(code == 0 && stderr.contains("the clock of this host jumped"), "{stderr}");
    assert_eq!(latest(&lab), right);
    let (code, _) = at(&lab, "+3653d", &["clock", "show"]);
    assert_eq!(code, 1);
    // The clock is right again, and a person says so.
    assert_eq!(lab.run(&["clock", "accept"]).0, 0);
    let (_, shown, _) = lab.run(&["sweeps", "show", "latest", "--format", "json"]);
    assert!(shown.contains(&right) && !shown.contains(&of_the_future), "{shown}");
    assert_eq!(lab.run(&["report", &of_the_future]).0, 0, "its reports are written anew");
    assert_eq!(latest(&lab), right);
    lab.sweep(&["configs/quick.yaml"]).expect_code(0);
    assert!(latest(&lab) > right && latest(&lab) < of_the_future, "{}", latest(&lab));
}

#[test]
fn people_are_told_times_by_the_labs_clocks() {
    let lab = lab();
    lab.write("configs/daemon.yaml", "timezone: Asia/Kolkata\n");
    lab.sweep(&["configs/quick.yaml"]).expect_code(0);
    let (_, stdout, _) = lab.run(&["sweeps", "list"]);
    assert!(stdout.contains(" IST") && !stdout.contains("Z "), "{stdout}");
    let rows: Vec<&str> = stdout.lines().collect();
    assert_eq!(rows[0].find("config"), rows[1].find("configs/quick.yaml"), "columns stand below each other: {stdout}");
    let (_, _, stderr) = lab.run(&["devices", "lock", "this-host", "--for", "1h", "--why", "x"]);
    assert!(stderr.contains(" IST"), "{stderr}");
    let told = std::fs::read_to_string(lab.path("reports/latest/results.md")).unwrap();
    assert!(told.contains(" IST"), "{told}");
    // Programs get what they always got.
    let (_, json, _) = lab.run(&["sweeps", "list", "--format", "json"]);
    assert!(json.contains("Z\"") && !json.contains("IST"), "{json}");
    assert!(lab.row("this-host")["started_at"].ends_with('Z'));
    // A file with a fault elsewhere does not change the clock.
    lab.write("configs/daemon.yaml", "timezone: Asia/Kolkata\nnonsense: 1\n");
    assert!(lab.run(&["sweeps", "list"]).1.contains(" IST"));
}

#[test]
fn whoever_begins_a_sweep_over_the_api_is_told_that_its_date_is_in_doubt() {
    let lab = lab();
    lab.write("configs/daemon.yaml", &schedule(3600, "").replace("*/3600 * * * * *", "0 0 1 1 *"));
    lab.sweep(&["configs/quick.yaml"]).expect_code(0);
    let environment = [("LD_PRELOAD", &*wrong_clock()), ("FAKETIME", "+3653d"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
    let daemon = Daemon::start(&lab, "d", &environment);
    let address = address(&lab, &daemon);
    let file = serde_json::json!({"file": "configs/quick.yaml"});
    for (path, body, wanted) in [
        ("/api/v1/preview", &file, 200),
        ("/api/v1/sweeps", &file, 201),
        ("/api/v1/schedules/often/run", &serde_json::json!({}), 201),
    ] {
        let (status, answer) = post(address, path, body);
        assert_eq!(status, wanted, "{path}: {answer}");
        let remarks = answer["remarks"].to_string();
        assert!(remarks.contains("the clock of this host jumped") && remarks.contains("clock accept"), "{answer}");
    }
    let at_work = || json(&lab, &["sweeps", "list"]).iter().any(|sweep| sweep["state"] != "finished");
    wait_until(|| !at_work(), || daemon.told());
    assert!(daemon.stop().success());
}
