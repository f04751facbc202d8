//! Two sides in turn: settled early, gone on with after a kill, and told as a table.

use std::collections::BTreeMap;

use farmctl::domain::sha256_hex;
use serde_json::Value;

use super::daemon::json;
use super::networks::convolution;
use super::regressions::{SWEEP, add_busy, backends};
use super::support::{HOST_TARGET, Lab, built_runner, farm, local_device};

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
    // Three looks are planned: what is shown is for all, and only the first took place.
    let p = format!("(p={:.3}, pairs=6)", cell["p_adjusted"].as_f64().unwrap());
    assert!(stdout.contains(&p) && cell["p"].as_f64().unwrap() > 0.03, "{p}\n{stdout}");
    assert!(stdout.contains("looked at after 6 pairs. p is for 3 looks that were planned, and 1 cell."), "{stdout}");
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
fn a_side_that_cannot_run_is_the_one_to_blame_and_the_other_is_measured_no_more() {
    let lab = lab();
    lab.write("configs/tract.yaml", &SWEEP.replace("busy", "tract"));
    let (code, stdout, stderr) = lab.run(&["ab", "configs/tract.yaml", "--b", "threads=64", "--pairs", "8"]);
    assert_eq!(code, 6, "{stdout}\n{stderr}");
    assert!(stdout.contains("no time in B: failed"), "{stdout}\n{stderr}");
    assert!(stdout.contains("threads 1 → 64") && !stdout.contains("threads threads"), "{stdout}");
    let rows = lab.rows();
    let of =
        |side: &str, status: &str| rows.iter().filter(|row| row["side"] == side && row["status"] == status).count();
    assert_eq!((of("a", "ok"), of("b", "failed"), of("a", "skipped"), of("b", "skipped")), (1, 1, 7, 7));
    let skipped = rows.iter().find(|row| row["status"] == "skipped").unwrap();
    assert!(skipped["failure"].contains("B can't run: backend_unsupported"), "{}", skipped["failure"]);
    let gated = |more: &[&str]| lab.run(&[&["ab", "--show", "latest", "--gate", "slower > 3%"], more].concat());
    for more in [&[][..], &["--unclear", "fail"]] {
        let (code, stdout, stderr) = gated(more);
        assert!(code == 7 && stdout.contains("FAILED"), "{stdout}\n{stderr}");
    }

    let (code, _, stderr) = lab.run(&["ab", "configs/tract.yaml", "--b", "threads=2", "--b", "threads=4"]);
    assert!(code == 2 && stderr.contains("--b gives threads several values"), "{stderr}");
}

#[test]
fn a_budget_that_is_spent_is_no_answer() {
    let lab = lab();
    let words = [&["ab", "configs/quick.yaml", "--minutes", "0.0000001", "--pairs", "6"][..], &SIDES[..]].concat();
    let (code, _, stderr) = lab.run(&words);
    assert_eq!(code, 4, "{stderr}");
    assert!(
        stderr.contains("the time of this comparison (0.0000001 min) is over") && stderr.contains("more `--minutes`"),
        "{stderr}"
    );
    assert!(lab.rows().iter().all(|row| row["failure_kind"] == "budget_spent"), "{:?}", lab.rows()[0]);
    let (_, stdout, _) = lab.run(&["why", "latest"]);
    assert!(!stdout.contains("what was measured tells"), "{stdout}");
}

/// Begins a sweep and kills farmctl when three of its runs have their record.
fn kill_after_three_runs(lab: &Lab, words: &[&str]) {
    let mut child = lab.command(words).stdout(std::process::Stdio::null()).spawn().unwrap();
    let recorded = || {
        let (_, stdout, _) = lab.run(&["sweeps", "list", "--format", "json"]);
        let sweeps: Value = serde_json::from_str(&stdout).unwrap_or_default();
        sweeps[0]["jobs"].as_u64().zip(sweeps[0]["open"].as_u64()).map_or(0, |(jobs, open)| jobs - open)
    };
    super::daemon::wait_until(|| recorded() >= 3, || "three runs".to_owned());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_sweep_of_two_sides_that_was_killed_is_gone_on_with() {
    let lab = lab();
    let words = [&["--format", "json", "ab", "configs/quick.yaml", "--pairs", "6", "--local"][..], &SIDES[..]].concat();
    kill_after_three_runs(&lab, &words);
    let gone_on = lab.sweep(&["--resume", "--local"]);
    gone_on.expect_code(0);
    let rows = lab.rows();
    assert_eq!(rows.iter().filter(|row| row["status"] == "ok").count(), 12, "each run once: {}", gone_on.stderr);
    assert_eq!(cell(&lab)["verdict"], "slower");
}

/// How many rows that are ok each side has by a column's value: `a 1f… 6`.
fn by_side(lab: &Lab, column: &str) -> Vec<String> {
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for row in lab.rows().iter().filter(|row| row["status"] == "ok") {
        *counts.entry((row["side"].clone(), row[column].clone())).or_default() += 1;
    }
    counts.into_iter().map(|((side, value), count)| format!("{side} {value} {count}")).collect()
}

/// Two runners of the same program whose files differ, with their hashes.
fn two_runners(lab: &Lab) -> [String; 2] {
    let program = std::fs::read(built_runner(HOST_TARGET)).unwrap();
    ["one", "two"].map(|name| {
        let content = [program.as_slice(), name.as_bytes()].concat();
        std::fs::write(lab.path(name), &content).unwrap();
        sha256_hex(&content)
    })
}

#[test]
fn two_runners_are_sides_each_with_its_rows_also_after_a_kill() {
    let lab = lab();
    let [one, two] = two_runners(&lab);
    let words = ["ab", "configs/quick.yaml", "--a", "runner=one", "--b", "runner=two", "--pairs", "6", "--local"];
    kill_after_three_runs(&lab, &words);

    // Another file in its place is another runner.
    std::fs::rename(lab.path("two"), lab.path("aside")).unwrap();
    std::fs::copy(lab.path("one"), lab.path("two")).unwrap();
    let (code, _, stderr) = lab.run(&["sweep", "--resume", "--local"]);
    assert!(code != 0 && stderr.contains(&two) && stderr.contains("when the sweep began"), "{stderr}");
    std::fs::rename(lab.path("aside"), lab.path("two")).unwrap();
    lab.sweep(&["--resume", "--local"]).expect_code(0);
    assert_eq!(by_side(&lab, "runner_sha256"), [format!("a {one} 6"), format!("b {two} 6")]);
    let (code, stdout, stderr) = lab.run(&["ab", "--show", "latest"]);
    assert!(code == 0 && stdout.contains(&format!("A: runner {}", &one[..8])), "{stdout}\n{stderr}");
    assert!(stdout.contains(&format!("B: runner {}", &two[..8])), "{stdout}");
    assert_eq!(lab.run(&["store", "check"]).0, 0);

    let (code, stdout, stderr) = lab.run(&["compare", "latest", "latest", "--format", "json"]);
    assert!(code == 2 && stderr.contains("are the same runs"), "{stdout}\n{stderr}");
    let (_, stdout, _) = lab.run(&["score", "latest", "--kind", "throughput", "--format", "json"]);
    let runs: Value = serde_json::from_str(&stdout).unwrap();
    assert!(runs.to_string().contains("\"runs\":6"), "of A alone: {runs}");

    let (code, _, stderr) = lab.run(&["ab", "configs/quick.yaml", "--b", "runner=configs/quick.yaml"]);
    assert!(code == 2 && stderr.contains("for a runner"), "{stderr}");
}

#[test]
fn a_runner_beside_that_of_the_lab_and_one_that_does_not_start() {
    let lab = lab();
    let [one, _] = two_runners(&lab);
    let own = sha256_hex(&std::fs::read(built_runner(HOST_TARGET)).unwrap());
    let (code, _, stderr) = lab.run(&["ab", "configs/quick.yaml", "--b", "runner=one", "--pairs", "6"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains(&format!("B: one, sha256 {one}: device-runner")), "{stderr}");
    assert_eq!(by_side(&lab, "runner_sha256"), [format!("a {own} 6"), format!("b {one} 6")]);

    // It says that it is a runner, and is none.
    let program = std::fs::read(lab.path("one")).unwrap();
    let start = b"device-runner 0.";
    let at = program.windows(start.len()).position(|some| some == start).unwrap();
    let line = program[at..].split(|byte| *byte == b'\n').next().unwrap();
    std::fs::write(lab.path("none"), [b"#!/bin/sh\nexit 3\n# ", line, b"\n"].concat()).unwrap();
    let (code, _, stderr) = lab.run(&["ab", "configs/quick.yaml", "--b", "runner=none", "--pairs", "6"]);
    assert_eq!(code, 5, "{stderr}");
    let rows = lab.rows();
    assert!(rows.iter().all(|row| row["failure"].contains("does not take the runner of B")), "{:?}", rows[0]);
}

#[test]
fn two_files_of_a_network_are_sides() {
    let lab = lab();
    let [old, new] = [("configs/old.onnx", "16"), ("configs/new.onnx", "96")].map(|(name, size)| {
        let content = convolution(&["1", "3", size, size]);
        std::fs::write(lab.path(name), &content).unwrap();
        sha256_hex(&content)
    });
    lab.write("configs/models.yaml", "models: [{ name: net, weights: { trained: { path: old.onnx } } }]\n");
    lab.write("configs/net.yaml", &SWEEP.replace("digits", "net").replace("busy", "tract"));
    let words = ["ab", "configs/net.yaml", "--a", "model=configs/old.onnx", "--b", "model=configs/new.onnx"];
    let (code, stdout, stderr) = lab.run(&[&words[..], &["--pairs", "6"]].concat());
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("old → new") && stdout.contains("slower"), "{stdout}\n{stderr}");
    assert_eq!(by_side(&lab, "model"), ["a old 6", "b new 6"]);
    assert_eq!(by_side(&lab, "model_sha256"), [format!("a {old} 6"), format!("b {new} 6")]);

    let (code, _, stderr) = lab.run(&["ab", "configs/net.yaml", "--b", "model=configs/nwe.onnx"]);
    assert!(code == 2 && stderr.contains("named by its path"), "{stderr}");
}

#[test]
fn an_engine_of_another_file_is_a_side() {
    let lab = lab();
    std::fs::create_dir(lab.path("next")).unwrap();
    std::fs::copy(lab.path("configs/slow"), lab.path("next/busy")).unwrap();
    lab.write("next/backends.yaml", &backends(&["busy"]).replace("'1'", "'2'"));
    let words = ["ab", "configs/quick.yaml", "--b", "backend=busy@next/backends.yaml", "--pairs", "6"];
    let (code, stdout, stderr) = lab.run(&words);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("busy → busy-2") && stdout.contains("slower"), "{stdout}\n{stderr}");
    assert_eq!(by_side(&lab, "backend"), ["a busy 6", "b busy-2 6"]);
    assert_eq!(by_side(&lab, "backend_version"), ["a '1 6", "b '2 6"]);
}

/// Also where the other programs of this machine disturbed one of the sides.
const ANYWAY: &str = "--anyway";
const RERUN: [&str; 7] = ["--gate", "slower > 3%", "--unclear", "rerun", "--pairs", "6", ANYWAY];

#[test]
fn what_is_unclear_is_measured_again_as_it_was_and_then_gated() {
    let lab = lab();
    lab.sweep(&["configs/quick.yaml"]).expect_code(0);
    let first = json(&lab, &["sweeps", "list"])[0]["id"].as_str().unwrap().to_owned();
    lab.sweep(&["configs/quick.yaml"]).expect_code(0);
    let compare = |more: &[&str]| lab.run(&[&["compare", &first, "latest"], &RERUN[..], more].concat());

    // Of a file or a folder nothing can be measured.
    let folder = format!("reports/{first}");
    let (code, _, stderr) = lab.run(&[&["compare", &folder, "latest"], &RERUN[..]].concat());
    assert!(code == 2 && stderr.contains("can't be measured again") && stderr.contains("--unclear fail"), "{stderr}");

    // The lab's runner is another by now: both sides take the one of then.
    two_runners(&lab);
    std::fs::copy(built_runner(HOST_TARGET), lab.path("then")).unwrap();
    lab.change_runner_to(&lab.path("one"));
    let sweeps = || json(&lab, &["sweeps", "list"]).len();
    let (code, stdout, stderr) = compare(&[]);
    assert!(code == 7 && stderr.contains("`--a-runner FILE` names the one of then"), "{stdout}\n{stderr}");
    assert!(stdout.contains("it can't be measured again"), "{stdout}");
    assert_eq!(sweeps(), 2, "nothing was begun");
    let runners = ["--a-runner", "then", "--b-runner", "then", "--format", "json"];
    let (code, stdout, stderr) = compare(&runners);
    let said: Value = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{stdout}\n{stderr}"));
    assert_eq!((code, &said["cells"][0]["verdict"]), (0, &Value::from("same")), "{said}");
    assert_eq!(said["cells"][0]["a"]["runs"], 6);
    assert!(said["notes"].to_string().contains("1 cell that was unclear"), "{said}");
    assert!(by_side(&lab, "backend") == ["a busy 6", "b busy 6"] && sweeps() == 3);
}

#[test]
fn what_is_unclear_within_a_sweep_is_measured_again_along_its_axis() {
    let lab = lab();
    lab.write("configs/both.yaml", &SWEEP.replace("[busy]", "[busy, slow]"));
    lab.sweep(&["configs/both.yaml"]).expect_code(0);
    let words = ["compare", "latest", "--across", "backends"];
    let (code, stdout, stderr) = lab.run(&[&words[..], &[ANYWAY]].concat());
    assert!(code == 0 && stdout.contains("1 unclear"), "{stdout}\n{stderr}");
    let (code, stdout, stderr) = lab.run(&[&words[..], &RERUN[..]].concat());
    assert!(code == 7 && stdout.contains("1 slower"), "{stdout}\n{stderr}");
    assert_eq!(by_side(&lab, "backend"), ["a busy 6", "b slow 6"]);
    let (code, _, stderr) = lab.run(&[&["compare", "latest", "--across", "devices"], &RERUN[..]].concat());
    assert!(code == 2 && stderr.contains("a pair is of one device"), "{stderr}");
}
