//! Two sides in turn: settled early, gone on with after a kill, and told as a table.

use serde_json::Value;

use super::regressions::{SWEEP, add_busy, backends};
use super::support::{Lab, farm, local_device};

/// A lab with an engine and another that is busy for a fifth longer with each inference.
fn lab() -> Lab {
    let lab = Lab::new();
    add_busy(&lab, "busy", 2_000_000);
    add_busy(&lab, "slow", 2_400_000);
    lab.write("configs/backends.yaml", &backends(&["busy", "slow"]));
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    lab.write("configs/quick.yaml", SWEEP);
    lab
}

const SIDES: [&str; 4] = ["--a", "backend=busy", "--b", "backend=slow"];

/// What `farmctl ab` says of the only cell of the newest sweep.
fn cell(lab: &Lab) -> Value {
    let (code, stdout, stderr) = lab.run(&["ab", "--show", "latest", "--format", "json"]);
    assert_eq!(code, 0, "{stderr}");
    let said: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(said["cells"].as_array().unwrap().len(), 1, "{said}");
    said["cells"][0].clone()
}

#[test]
fn a_slower_side_is_settled_after_six_pairs_and_the_others_are_left_out() {
    let lab = lab();
    let words = [&["ab", "configs/quick.yaml", "--pairs", "12", "--gate", "slower > 3%"][..], &SIDES[..]].concat();
    let (code, stdout, stderr) = lab.run(&words);
    assert_eq!(code, 7, "the gate fails:\n{stdout}\n{stderr}");
    assert!(stdout.contains("busy → slow") && stdout.contains("slower"), "{stdout}");
    let cell = cell(&lab);
    assert_eq!(cell["verdict"], "slower", "{cell}");
    let rows = lab.rows();
    let count = |status: &str| rows.iter().filter(|row| row["status"] == status).count();
    assert_eq!((rows.len(), count("ok"), count("skipped")), (24, 12, 12));
    let skipped = rows.iter().find(|row| row["status"] == "skipped").unwrap();
    assert_eq!(skipped["failure_kind"], "not_needed");
    assert!(skipped["failure"].contains("6 pairs settle it: B is slower"), "{}", skipped["failure"]);
    assert_eq!(lab.run(&["store", "check"]).0, 0);

    let (code, _, stderr) = lab.run(&["ab", "configs/quick.yaml", "--b", "backend=sloww"]);
    assert!(code == 2 && stderr.contains("did you mean `slow`?"), "{stderr}");
    let (code, _, stderr) = lab.run(&["ab", "configs/quick.yaml", "--pairs", "5"]);
    assert!(code == 2 && stderr.contains("from 6"), "{stderr}");
}

#[test]
fn a_sweep_of_two_sides_that_was_killed_is_gone_on_with() {
    let lab = lab();
    let words = [&["--format", "json", "ab", "configs/quick.yaml", "--pairs", "6", "--local"][..], &SIDES[..]].concat();
    let mut child = lab.command(&words).stdout(std::process::Stdio::null()).spawn().unwrap();
    let recorded = || {
        let (_, stdout, _) = lab.run(&["sweeps", "list", "--format", "json"]);
        let sweeps: Value = serde_json::from_str(&stdout).unwrap_or_default();
        sweeps[0]["jobs"].as_u64().zip(sweeps[0]["open"].as_u64()).map_or(0, |(jobs, open)| jobs - open)
    };
    super::daemon::wait_until(|| recorded() >= 3, || "three runs".to_owned());
    child.kill().unwrap();
    child.wait().unwrap();
    let gone_on = lab.sweep(&["--resume", "--local"]);
    gone_on.expect_code(0);
    let rows = lab.rows();
    assert_eq!(rows.iter().filter(|row| row["status"] == "ok").count(), 12, "each run once: {}", gone_on.stderr);
    assert_eq!(cell(&lab)["verdict"], "slower");
}
