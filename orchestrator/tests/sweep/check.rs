//! Whether devices are fit for a night's work.

use serde_json::Value;
use testlab::{Board, SmallDisk};

use super::support::{Lab, QUICK, farm, local_device, ssh_device};

fn check(lab: &Lab) -> (i32, Vec<Value>) {
    let (code, stdout, stderr) = lab.run(&["devices", "check", "--format", "json"]);
    (code, serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}\n{stderr}")))
}

#[test]
fn each_device_has_its_verdict_and_nothing_is_left_there() {
    // Before the board, which then sees it.
    let disk = SmallDisk::mount(64 << 20, false).unwrap();
    let (board, small) = (Board::start().unwrap(), Board::start().unwrap());
    let home = small.home.join("farmctl").display().to_string();
    let cramped = ssh_device("cramped", &small, small.port).replace(&home, &disk.path().display().to_string());
    let lab = Lab::new();
    lab.write(
        "farms/lab.yaml",
        &farm(&[ssh_device("board", &board, board.port), cramped, ssh_device("away", &board, 1)]),
    );
    let (code, answers) = check(&lab);
    assert_eq!(code, 6, "{answers:?}");
    let of = |name: &str| answers.iter().find(|answer| answer["device"] == name).unwrap();
    assert!(of("board")["push_bytes_per_second"].as_f64().unwrap() > 1e5, "{answers:?}");
    assert!(of("board")["round_trip_ms"].as_f64().unwrap() > 0.0 && of("board")["sensors"].is_array());
    assert_eq!(of("away")["failure"]["kind"], "refused");
    assert!(!board.home.join("farmctl/check").exists());
    let (_, table, _) = lab.run(&["devices", "check", "--format", "csv"]);
    assert!(table.contains("cramped,warning") && table.contains("make room"), "{table}");
    assert!(table.contains("away,failed"), "{table}");
}

#[test]
fn a_device_that_is_measured_is_not_asked() {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    lab.write("configs/slow.yaml", &QUICK.replace("min_runs: 2, max_runs: 2, min_seconds: 0", "min_seconds: 5"));
    let mut running = lab.start(&["configs/slow.yaml"]);
    running.wait_for("run_phase", Some("measure"));
    let (code, answers) = check(&lab);
    assert!(code == 0 && answers[0]["used_by"].as_str().unwrap().contains("for sweep"), "{answers:?}");
    assert!(answers[0]["hello"].is_null());
    running.finish().expect_code(0);
    assert!(check(&lab).1[0]["used_by"].is_null());
}
