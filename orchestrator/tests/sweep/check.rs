//! Whether devices are fit for a night's work.

use farmctl::domain::{DeviceCheck, Event, EventKind};
use serde_json::Value;
use testlab::{AdbServer, Board, Phone, SmallDisk};

use super::daemon::{Daemon, schedule, wait_until};
use super::support::{HOST_TARGET, Lab, QUICK, adb_device, built_runner, farm, lasting, local_device, ssh_device};

fn check(lab: &Lab) -> (i32, Vec<Value>) {
    let (code, stdout, stderr) = lab.run(&["devices", "check", "--format", "json"]);
    (code, serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}\n{stderr}")))
}

#[test]
fn each_device_has_its_verdict_and_nothing_is_left_there() {
    // Before the board, which then sees it.
    let disk = SmallDisk::mount(64 << 20, false).unwrap();
    let (board, small) = (Board::start().unwrap(), Board::start().unwrap());
    let (server, phone) = (AdbServer::start().unwrap(), Phone::start().unwrap());
    let home = small.home.join("farmctl").display().to_string();
    let cramped = ssh_device("cramped", &small, small.port).replace(&home, &disk.path().display().to_string());
    let lab = Lab::new();
    lab.write(
        "farms/lab.yaml",
        &farm(&[
            ssh_device("board", &board, board.port),
            adb_device("phone", phone.address(), &server),
            cramped,
            ssh_device("away", &board, 1),
        ]),
    );
    let (code, answers) = check(&lab);
    assert_eq!(code, 6, "{answers:?}");
    let of = |name: &str| answers.iter().find(|answer| answer["device"] == name).unwrap();
    assert!(of("board")["push_bytes_per_second"].as_f64().unwrap() > 1e5, "{answers:?}");
    assert!(of("board")["round_trip_ms"].as_f64().unwrap() > 0.0 && of("board")["sensors"].is_array());
    for (device, kernel) in [("board", "compute"), ("board", "memory"), ("phone", "compute"), ("phone", "memory")] {
        assert!(of(device)["calibration"][kernel]["median_ns"].as_u64().unwrap() > 0, "{answers:?}");
    }
    let battery = &of("phone")["battery"];
    assert!(battery["temperature_c"].is_number() && battery == &of("phone")["facts"]["battery"], "{answers:?}");
    assert_eq!((&of("away")["failure"]["kind"], &of("away")["verdict"]), (&"refused".into(), &"failed".into()));
    assert!(!board.home.join("farmctl/check").exists());
    let (_, table, _) = lab.run(&["devices", "check", "--format", "csv"]);
    assert!(table.contains("cramped,warning") && table.contains("make room"), "{table}");
    assert!(table.contains("away,failed"), "{table}");
}

#[test]
fn a_device_that_is_measured_is_not_asked() {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    lab.write("configs/slow.yaml", &lasting(5));
    let mut running = lab.start(&["configs/slow.yaml"]);
    running.wait_for("run_phase", Some("measure"));
    let (code, answers) = check(&lab);
    assert!(code == 0 && answers[0]["used_by"].as_str().unwrap().contains("for sweep"), "{answers:?}");
    assert!(answers[0]["hello"].is_null());
    running.finish().expect_code(0);
    assert!(check(&lab).1[0]["used_by"].is_null());
}

fn history(lab: &Lab, device: &str) -> String {
    lab.run(&["devices", "history", device]).1
}

/// Notes that the device was so fast in three earlier checks: its kernel took a share of what it takes.
fn was_faster(lab: &Lab, device: &str, share: u64) -> DeviceCheck {
    let store = farmctl::store::open(lab.path(".farm/state.db").to_str().unwrap()).unwrap();
    let last = store.device_checks(device, 1).unwrap().remove(0);
    let mut faster = last.check.clone();
    faster.figures.calibration.as_mut().unwrap().compute.median_ns /= share;
    for _ in 0..3 {
        let (device, kind) = (Some(device.to_owned()), EventKind::DeviceChecked(Box::new(faster.clone())));
        let event = Event { at: last.at, sweep_id: None, device, job_id: None, run_id: None, kind };
        store.append_event(&event).unwrap();
    }
    faster
}

#[test]
fn a_device_that_is_slower_than_it_was_is_told_of_and_its_records_lead_there() {
    let board = Board::start().unwrap();
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[ssh_device("board", &board, board.port)]));
    lab.write("configs/quick.yaml", QUICK);
    check(&lab);
    check(&lab);
    assert!(!history(&lab, "board").contains("slower than usual"), "nothing is usual yet");
    let faster = was_faster(&lab, "board", 8);
    let answer = check(&lab).1.remove(0);
    assert_eq!(answer["verdict"], "warning");
    let usual_ns = faster.figures.calibration.unwrap().compute.median_ns;
    assert_eq!(answer["usual"]["compute_ns"].as_u64(), Some(usual_ns));
    let what = answer["findings"][0]["what"].as_str().unwrap();
    assert!(what.starts_with("it computes ") && what.contains(" % slower than usual"), "{answer}");
    assert!(answer["findings"][0]["remedy"].as_str().unwrap().contains("cool down"), "{answer}");
    assert!(history(&lab, "board").contains(&format!("board: checked, warning: {what}")), "{}", history(&lab, "board"));

    let ended = lab.sweep(&["configs/quick.yaml"]);
    ended.expect_code(0);
    // It is said before the first run.
    let place = |name: &str| ended.events.iter().position(|event| event["event"] == name).unwrap();
    let warning = ended.events[place("device_warning")]["message"].as_str().unwrap();
    assert!(warning.starts_with("it computes ") && warning.contains(" % slower than usual"), "{warning}");
    assert!(place("device_warning") < place("run_started"));
    let results = std::fs::read(lab.path("reports/latest/results.json")).unwrap();
    let results: Value = serde_json::from_slice(&results).unwrap();
    let row = &results["results"][0];
    assert_eq!(row["check_verdict"], "warning", "{row}");
    let now_ns = answer["calibration"]["compute"]["median_ns"].as_u64().unwrap();
    assert_eq!(row["check_kernel_ms"].as_f64(), Some(now_ns as f64 / 1e6), "{row}");
    assert!(row["device_free_bytes"].as_u64().unwrap() > 0, "{row}");
    assert!(row["kernel_ms"].as_f64().unwrap() > usual_ns as f64 / 1e6, "{row}");
    assert!(row["kernel_slower_percent"].as_f64().unwrap() > 20.0, "{row}");
    let moments = ["check_at", "device_asked_at", "finished_at"].map(|name| row[name].as_str().unwrap());
    assert!(moments.is_sorted() && moments[0] < moments[1], "{moments:?}");
}

/// A runner like the real one, on a device whose clock stands at 1970.
fn without_a_clock() -> String {
    let real = built_runner(HOST_TARGET).display().to_string();
    format!(
        "#!/bin/sh
case $1 in
hello)
  self=$(sha256sum \"$0\" | cut -d' ' -f1)
  {real} \"$@\" | sed -e 's/\"unix_ms\":[0-9]*/\"unix_ms\":7000/' |
    sed -e \"s/\\\"runner_sha256\\\":\\\"[0-9a-f]*/\\\"runner_sha256\\\":\\\"$self/\" ;;
*) exec {real} \"$@\" ;;
esac
"
    )
}

#[test]
fn a_clock_that_is_off_is_told_of_and_that_it_is_right_again() {
    let lab = Lab::with_runner(&without_a_clock());
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    let answer = check(&lab).1.remove(0);
    let clock =
        answer["findings"].as_array().unwrap().iter().find(|it| it["remedy"].as_str().unwrap().contains("set it"));
    let what = clock.unwrap_or_else(|| panic!("{answer}"))["what"].as_str().unwrap();
    let days = what.strip_prefix("its clock is ").unwrap().strip_suffix(" days behind").unwrap();
    assert!(days.parse::<u32>().unwrap() > 20_000, "{what}");
    assert_eq!(history(&lab, "this-host").matches("clock changed: right before, ").count(), 1);
    check(&lab);
    assert_eq!(history(&lab, "this-host").matches("clock changed").count(), 1, "it is told of once");
    lab.change_runner(None);
    check(&lab);
    assert!(history(&lab, "this-host").contains(&format!("clock changed: {days} days behind before, right now")));
}

#[test]
fn devices_are_checked_before_the_sweep_of_a_schedule_that_says_so() {
    let board = Board::start().unwrap();
    let lab = Lab::new();
    let locked = ssh_device("locked", &board, board.port);
    lab.write("farms/lab.yaml", &farm(&[local_device(), ssh_device("away", &board, 1), locked]));
    lab.write("configs/quick.yaml", QUICK);
    let told = "notifications:\n  - command: [sh, -c, 'cat >> told; echo $FARMCTL_EVENT $FARMCTL_ABOUT >> told']\n";
    assert_eq!(lab.run(&["devices", "lock", "locked", "--for", "1h", "--why", "mine"]).0, 0);
    lab.write("configs/daemon.yaml", &schedule(20, &format!("    check_first: true\nprobe_minutes: 0\n{told}")));
    let daemon = Daemon::start(&lab, "d", &[]);
    let store = farmctl::store::open(lab.path(".farm/state.db").to_str().unwrap()).unwrap();
    let names = |event: &Event| serde_json::to_value(event).unwrap()["event"].as_str().unwrap().to_owned();
    let begun = || store.new_events(0, 999).unwrap().iter().any(|(_, event)| names(event) == "device_connecting");
    wait_until(begun, || daemon.told());
    let events: Vec<Event> = store.new_events(0, 999).unwrap().into_iter().map(|(_, event)| event).collect();
    let place = |name: &str| events.iter().position(|event| names(event) == name).unwrap();
    assert!(place("device_checked") < place("schedule_checked") && place("schedule_checked") < place("sweep_started"));
    let EventKind::ScheduleChecked { schedule: of, checked, unfit, devices } = &events[place("schedule_checked")].kind
    else {
        panic!("{events:?}")
    };
    assert_eq!((of.as_str(), *checked), ("often", 2), "a locked device is left alone");
    assert!(*unfit >= 1 && devices.iter().any(|unfit| unfit.device == "away"), "{devices:?}");
    let check = store.device_checks("this-host", 9).unwrap().remove(0).check;
    assert!(check.schedule.as_deref() == Some("often") && check.figures.calibration.is_some(), "{check:?}");
    let told = || std::fs::read_to_string(lab.path("told")).unwrap_or_default();
    wait_until(|| told().contains("devices_checked often"), told);
    let text = told();
    assert!(text.contains("away: refused: ") && text.contains("start the ssh or adb server"), "{text}");
    assert!(text.contains("Before the sweep of schedule often, ") && text.contains("devices check "), "{text}");
    lab.write("configs/daemon.yaml", &schedule(20, "    check_first: true\n    enabled: false\n"));
    daemon.wait_for("was read again");
    assert!(daemon.stop().success());
}
