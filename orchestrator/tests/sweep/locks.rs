//! A person keeps sweeps off a device.

use std::collections::BTreeSet;
use std::time::Duration;

use farmctl::domain::EventKind;
use serde_json::Value;
use testlab::Board;

use super::api::RARELY;
use super::daemon::{Daemon, json, wait_until};
use super::http::{address, post};
use super::support::{Lab, QUICK, farm, lasting, local_device, ssh_device};

fn devices(lab: &Lab) -> Value {
    let (code, stdout, stderr) = lab.run(&["devices", "list", "--format", "json"]);
    assert_eq!(code, 0, "{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

fn device<'a>(devices: &'a Value, name: &str) -> &'a Value {
    devices.as_array().unwrap().iter().find(|device| device["name"] == name).unwrap()
}

#[test]
fn a_locked_device_is_left_alone_and_gets_its_turn_when_the_lock_ends() {
    let board = Board::start().unwrap();
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device(), ssh_device("board", &board, board.port)]));
    lab.write("configs/quick.yaml", &format!("{QUICK}repeats: 3\n"));
    assert_eq!(device(&devices(&lab), "board")["status"], "unknown");

    let (code, _, stderr) = lab.run(&["devices", "lock", "board", "--for", "2h", "--why", "soldering"]);
    assert_eq!(code, 0, "{stderr}");
    let listed = devices(&lab);
    assert_eq!(device(&listed, "board")["status"], "locked");
    assert_eq!(device(&listed, "board")["lock"]["why"], "soldering");
    let ended = lab.sweep(&["configs/quick.yaml"]);
    ended.expect_code(6);
    let rows = lab.rows();
    let of = |name: &str, field: &str| -> Vec<String> {
        rows.iter().filter(|row| row["device"] == name).map(|row| row[field].clone()).collect()
    };
    assert_eq!(
        (of("this-host", "status"), of("board", "status")),
        (vec!["ok".to_owned(); 3], vec!["skipped".to_owned(); 3])
    );
    assert!(of("board", "failure").iter().all(|why| why.contains("soldering")), "{rows:?}");
    assert!(of("board", "failure_kind").iter().all(|kind| kind == "locked"));
    let (_, told, _) = lab.run(&["why", "board"]);
    assert!(told.contains("soldering") && told.contains("devices unlock board"), "{told}");
    assert_eq!(device(&devices(&lab), "this-host")["status"], "idle");

    // What was left out is run once the lock has ended.
    assert_eq!(lab.run(&["devices", "unlock", "board"]).0, 0);
    lab.sweep(&["--retry-failed", "latest"]).expect_code(0);
    assert_eq!(lab.rows().iter().filter(|row| row["status"] == "ok" && row["device"] == "board").count(), 3);
    let (code, history, _) = lab.run(&["devices", "history", "board", "--runs", "--format", "csv"]);
    assert_eq!(code, 0);
    for what in ["soldering", "unlocked by", "run ok"] {
        assert!(history.contains(what), "{what}: {history}");
    }
}

#[test]
fn a_lock_in_the_middle_of_a_sweep_lets_the_run_end_and_holds_up_the_next() {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    lab.write("configs/two.yaml", &format!("{}repeats: 2\n", lasting(2)));
    let mut running = lab.start(&["configs/two.yaml"]);
    running.wait_for("run_phase", Some("measure"));
    let (code, _, told) = lab.run(&["devices", "lock", "this-host", "--for", "5s", "--why", "a look"]);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("squeezenet1_0") && told.contains("ends first"), "{told}");
    running.wait_for("run_finished", None);
    let waiting = running.wait_for("device_waiting", None);
    assert!(waiting["cause"].as_str().unwrap().contains("a look"), "{waiting}");
    let ended = running.finish();
    ended.expect_code(0);
    let at = |event: &Value| event["at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let starts = ended.named("run_started");
    assert_eq!(starts.len(), 2);
    let (code, history, _) = lab.run(&["devices", "history", "this-host", "--format", "json"]);
    assert_eq!(code, 0);
    let history: Vec<Value> = serde_json::from_str(&history).unwrap();
    let locked = history.iter().find(|event| event["event"] == "device_locked").unwrap();
    let until: jiff::Timestamp = locked["until"].as_str().unwrap().parse().unwrap();
    assert!(at(starts[0]) < at(locked) && at(starts[1]) >= until, "{starts:?}, {locked}");
    assert!(Duration::try_from(at(starts[1]).duration_since(until)).unwrap() < Duration::from_secs(10));
}

#[test]
fn a_lock_belongs_to_a_person_until_it_is_taken_over() {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    let lock = |words: &[&str]| lab.run(&[&["devices", "lock", "this-host", "--for", "1h"], words].concat());
    assert_eq!(lock(&["--why", " "]).0, 2);
    assert_eq!(lab.run(&["devices", "lock", "this-host", "--for", "soon", "--why", "x"]).0, 2);
    assert_eq!(lab.run(&["devices", "lock", "nobody", "--for", "1h", "--why", "x"]).0, 2);
    assert_eq!(lock(&["--why", "one"]).0, 0);
    assert_eq!(lock(&["--why", "two"]).0, 0, "my own is changed");
    assert_eq!(lab.run(&["devices", "unlock", "this-host"]).0, 0);
    assert_eq!(lab.run(&["devices", "unlock", "this-host"]).0, 4);
}

/// Devices that share a machine, and those of a farm that takes one at a time: no two are ever worked on at once.
#[test]
fn devices_that_share_a_machine_never_measure_at_once() {
    let device = |name: &str, more: &str| format!("  - {{ name: {name}, transport: local, workdir: {name}{more} }}\n");
    let farms = [
        format!(
            "farm: lab\ndevices:\n{}{}",
            device("a", ", exclusive: bench-pc"),
            device("b", ", exclusive: bench-pc")
        ),
        format!("farm: lab\nmax_parallel: 1\ndevices:\n{}{}", device("a", ""), device("b", "")),
        // Two names of this host share it, whatever else they say.
        format!("farm: lab\ndevices:\n{}{}", device("a", ", exclusive: one"), device("b", "")),
    ];
    for text in farms {
        let lab = Lab::new();
        lab.write("farms/lab.yaml", &text);
        lab.write("configs/quick.yaml", &format!("{QUICK}repeats: 2\n"));
        let ended = lab.sweep(&["configs/quick.yaml"]);
        ended.expect_code(0);
        let mut working = None;
        let mut turns = 0;
        for event in &ended.events {
            match event["event"].as_str().unwrap() {
                "device_connecting" => {
                    assert_eq!(working, None, "{} beside {working:?}", event["device"]);
                    working = event["device"].as_str();
                    turns += 1;
                }
                "run_started" => assert_eq!(event["device"].as_str(), working),
                "run_finished" if event["status"] == "ok" => assert_eq!(event["device"].as_str(), working),
                "device_waiting" => working = working.filter(|device| event["device"] != *device),
                _ => {}
            }
            // A turn ends with the second run of its device.
            let done = ended.named("run_finished");
            let own: Vec<_> = done.iter().filter(|it| it["device"].as_str() == working).collect();
            if own.last().is_some_and(|last| std::ptr::eq(**last, event)) {
                working = None;
            }
        }
        assert_eq!((turns, ended.named("run_finished").len()), (2, 4));
    }
}

/// A schedule may be gentle with what its boards share, whatever the farm allows.
#[test]
fn a_schedule_never_has_more_devices_at_work_than_it_says() {
    let boards = [(); 4].map(|()| Board::start().unwrap());
    let lab = Lab::new();
    let devices = boards.iter().enumerate().map(|(index, board)| ssh_device(&format!("b{index}"), board, board.port));
    lab.write("farms/lab.yaml", &farm(&devices.collect::<Vec<_>>()));
    lab.write("configs/quick.yaml", &format!("{}repeats: 2\n", lasting(1)));
    lab.write("configs/daemon.yaml", &RARELY.replace("sweep: quick.yaml", "sweep: quick.yaml, max_parallel: 2"));
    let daemon = Daemon::start(&lab, "d", &[]);
    let (status, sweep) = post(address(&lab, &daemon), "/api/v1/schedules/rarely/run", &serde_json::json!({}));
    assert_eq!(status, 201, "{sweep}");
    let is_over = || json(&lab, &["sweeps", "list"])[0]["state"] == "finished";
    wait_until(is_over, || daemon.told());
    assert!(daemon.stop().success());
    let store = farmctl::store::open(lab.path(".farm/state.db").to_str().unwrap()).unwrap();
    let (mut at_work, mut most, mut runs) = (BTreeSet::new(), 0, 0);
    for (_, event) in store.new_events(0, 9_999).unwrap() {
        let device = event.device.clone();
        match event.kind {
            EventKind::RunStarted { .. } => assert!(at_work.insert(device), "twice at once: {event:?}"),
            EventKind::RunFinished { .. } => {
                assert!(at_work.remove(&device), "{event:?}");
                runs += 1;
            }
            _ => {}
        }
        most = most.max(at_work.len());
    }
    assert_eq!((most, runs), (2, 8), "two at once, and never three");
}
