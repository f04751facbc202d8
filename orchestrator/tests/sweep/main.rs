//! The main job, with the real programs: farmctl as a process, OpenSSH's sshd as boards, the runner that users get.
//! Tests begin in the order of their names: the longest, which waits most of its time, is among the first.
#![allow(clippy::unwrap_used, missing_docs)]

mod ab;
mod abuse;
mod accuracy;
mod alike;
mod all_night;
mod android;
mod api;
mod blinking;
mod check;
mod clocks;
mod crash;
mod cut_off;
mod daemon;
mod dates;
mod engines;
mod fair;
mod faults;
mod going_on;
mod handed_over;
mod hostile;
mod hosts_crash;
mod hosts_lab;
mod how_long;
mod http;
mod inventory;
mod keeper;
mod locks;
mod models;
mod moments;
mod networks;
mod notices;
mod odd_models;
mod outages;
mod page;
mod phones;
mod read_only;
mod recovery;
mod regressions;
mod results_in_sql;
mod retention;
mod shared_files;
mod support;
mod terminal;
mod together;
mod upgrade;
mod watch;
mod workdir;

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;
use support::{Lab, QUICK, farm, lasting, local_device, quick, ssh_device};
use testlab::Board;

const NETWORKS: [&str; 6] = ["resnet50", "inception_v3", "densenet121", "squeezenet1_0", "mobilenet_v2", "mnasnet1_0"];

#[test]
fn six_networks_on_this_host_and_four_boards() {
    let _room = support::room();
    let boards: Vec<Board> = (0..4).map(|_| Board::start().unwrap()).collect();
    let lab = Lab::new();
    let mut devices = vec![local_device()];
    devices.extend(
        boards.iter().enumerate().map(|(index, board)| ssh_device(&format!("board-{index}"), board, board.port)),
    );
    lab.write("farms/lab.yaml", &farm(&devices));
    lab.write("configs/six.yaml", &quick(&NETWORKS.join(", ")));

    let first = lab.sweep(&["configs/six.yaml"]);
    first.expect_code(0);
    let rows = lab.rows();
    let cells: BTreeSet<(&str, &str)> =
        rows.iter().map(|row| (row["device"].as_str(), row["model"].as_str())).collect();
    assert_eq!((rows.len(), cells.len()), (30, 30));
    for row in &rows {
        assert_eq!((row["status"].as_str(), row["runs"].as_str()), ("ok", "2"), "{row:?}");
        assert!(row["p50_ms"].parse::<f64>().unwrap() > 0.0);
        // Equal programs on equal machines answer alike, to the last bits of 32-bit floats.
        assert!(row["output_error"].parse::<f64>().unwrap() < 1e-4, "{row:?}");
        assert_eq!(row["weights"], "synthetic");
    }
    let samples = std::fs::read(lab.path("reports/latest/samples.csv.zst")).unwrap();
    let samples = zstd::decode_all(samples.as_slice()).unwrap();
    assert_eq!(samples.iter().filter(|byte| **byte == b'\n').count(), 1 + 60, "a header and two samples a run");
    assert!(first.pushed_bytes() > 5 * 250_000_000, "each device got all six files");
    assert_scored(&lab, &rows);

    let second = lab.sweep(&["configs/six.yaml"]);
    second.expect_code(0);
    assert_eq!(second.pushed_bytes(), 0, "a second sweep sends nothing");
    assert_eq!(second.named("push_started").len(), 0);
}

/// Each device has a place, by six terms, each of a run of the table; from the store and from the report alike.
fn assert_scored(lab: &Lab, rows: &[HashMap<String, String>]) {
    let score = |results: &str| -> Value {
        let words = ["score", results, "--accuracy", "published", "--format", "json"];
        let (code, stdout, stderr) = lab.run(&words);
        assert_eq!(code, 0, "{stderr}");
        serde_json::from_str(&stdout).unwrap()
    };
    let (stored, reported) = (score("latest"), score("reports/latest"));
    let (stored, reported) = (stored["ranking"].as_array().unwrap(), reported["ranking"].as_array().unwrap());
    assert_eq!((stored.len(), reported.len()), (5, 5));
    let mut traced = BTreeSet::new();
    for (stored, reported) in stored.iter().zip(reported) {
        assert_eq!((&stored["device"], &stored["rank"]), (&reported["device"], &reported["rank"]));
        let vips = |row: &Value| row["values"]["vips"].as_f64().unwrap();
        assert!(vips(stored) > 0.0 && (vips(stored) / vips(reported) - 1.0).abs() < 1e-7);
        traced.extend(stored["terms"].as_array().unwrap().iter().map(|term| term["run_id"].as_str().unwrap()));
    }
    assert_eq!(traced, rows.iter().map(|row| row["run_id"].as_str()).collect::<BTreeSet<_>>());
}

#[test]
fn a_sweep_for_people_ends_in_a_table_and_reports() {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    lab.write("configs/quick.yaml", QUICK);
    let (code, stdout, stderr) = lab.run(&["sweep", "configs/quick.yaml"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("this-host") && stdout.contains("digits"), "{stdout}");
    assert!(stderr.contains("reports: reports/"), "{stderr}");
    let tables = ["results.csv", "results.parquet", "samples.csv.zst", "samples.parquet"];
    let others = ["results.json", "results.md", "index.html", "log.jsonl", "summary.md", "junit.xml"];
    for file in tables.iter().chain(&others).chain(&["summary.csv", "ranking.csv"]) {
        assert!(lab.path("reports/latest").join(file).is_file(), "{file}");
    }
    let log = std::fs::read_to_string(lab.path("reports/latest/log.jsonl")).unwrap();
    let entries: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(
        entries.iter().any(|entry| entry["fields"]["event"].as_str().is_some_and(|it| it.contains("run_finished")))
    );
    assert_eq!(lab.row("this-host")["price_per_hour"], "0.25", "as the farm file says");
    let written = std::fs::read(lab.path("reports/latest/results.csv")).unwrap();
    std::fs::remove_file(lab.path("reports/latest/results.csv")).unwrap();
    assert_eq!(lab.run(&["report"]).0, 0);
    let again = std::fs::read(lab.path("reports/latest/results.csv")).unwrap();
    assert_eq!(written, again, "reports are a function of the store");
}

#[test]
fn interrupted_once_running_runs_end_and_no_more_start() {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    lab.write("configs/slow.yaml", &format!("{}repeats: 3\n", lasting(1)));
    let mut running = lab.start(&["configs/slow.yaml"]);
    running.wait_for("run_phase", Some("measure"));
    running.interrupt();
    let ended = running.finish();
    ended.expect_code(130);
    let statuses: Vec<String> = lab.rows().iter().map(|row| row["status"].clone()).collect();
    assert_eq!(statuses, ["ok", "cancelled", "cancelled"]);
}

#[test]
fn interrupted_twice_runs_are_ended_on_the_device() {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    lab.write("configs/endless.yaml", &lasting(60));
    let mut running = lab.start(&["configs/endless.yaml"]);
    running.wait_for("run_phase", Some("measure"));
    running.interrupt();
    running.wait_for("stop_requested", None);
    running.interrupt();
    let ended = running.finish();
    ended.expect_code(130);
    assert_eq!(lab.row("this-host")["status"], "cancelled");
    // Nothing runs there any more: the next sweep gets the device at once.
    lab.write("configs/quick.yaml", QUICK);
    lab.sweep(&["configs/quick.yaml"]).expect_code(0);
}

#[test]
fn a_plan_touches_nothing_and_is_always_the_same() {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    lab.write("configs/quick.yaml", QUICK);
    let (code, first, _) = lab.run(&["plan", "configs/quick.yaml"]);
    assert_eq!(code, 0);
    assert_eq!(lab.run(&["plan", "configs/quick.yaml"]).1, first);
    assert!(!lab.path(".farm/state.db").exists());
    assert!(!lab.path("here").exists());
}

#[test]
fn exit_codes_tell_what_was_wrong() {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device().replace("workdir: here", "disabled: at the repair shop")]));
    lab.write("configs/quick.yaml", QUICK);
    lab.write("configs/wrong.yaml", "models: [squeezenet]\n");
    let (code, _, stderr) = lab.run(&["sweep", "configs/wrong.yaml"]);
    assert_eq!(code, 3);
    assert!(stderr.contains("configs/wrong.yaml:1:10") && stderr.contains("did you mean"), "{stderr}");
    let (code, _, stderr) = lab.run(&["sweep", "configs/quick.yaml"]);
    assert_eq!(code, 4, "{stderr}");
    assert!(stderr.contains("at the repair shop"), "{stderr}");
    assert_eq!(lab.run(&["sweep"]).0, 2);
    assert_eq!(lab.run(&["report", "nothing-like-it"]).0, 2);
}

#[test]
fn what_is_unavailable_is_skipped_with_its_reason() {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    lab.write(
        "configs/models.yaml",
        &format!(
            "models:
  - name: nowhere
    input_range: [0, 1]
    weights:
      trained: {{ urls: ['http://127.0.0.1:1/x.onnx'], sha256: {}, size_bytes: 5 }}
  - name: squeezenet1_0
    input_range: [0, 1]
    weights:
      synthetic:
        builtin: squeezenet1_0
        sha256: 2c1512b6339774f8e1337541bed1182e8dec065d74bc06fdb4bd45c285d277c3
        size_bytes: 5001406
",
            "a".repeat(64)
        ),
    );
    lab.write("configs/mixed.yaml", &format!("{}weights: [synthetic, trained]\n", quick("squeezenet1_0, nowhere")));
    lab.sweep(&["configs/mixed.yaml"]).expect_code(0);
    let rows = lab.rows();
    let skipped: Vec<&str> =
        rows.iter().filter(|row| row["status"] == "skipped").map(|row| row["failure"].as_str()).collect();
    assert!(skipped.iter().any(|reason| reason.contains("127.0.0.1:1")), "{skipped:?}");
    assert_eq!(rows.iter().filter(|row| row["status"] == "ok").count(), 1);
}
