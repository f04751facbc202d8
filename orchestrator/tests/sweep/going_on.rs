//! A sweep that was stopped goes on, is cancelled, or is asked about: as a person does it, on real devices.

use testlab::Board;

use super::support::{Lab, QUICK, farm, lasting, local_device, quick, ssh_device};
use super::workdir::Workdir;

/// A run that goes on long enough for its host to be killed and to come back.
fn slow() -> String {
    lasting(4)
}

fn lab_of(devices: &[String]) -> Lab {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(devices));
    lab
}

/// Runs farmctl, which must end so; gives all it printed.
#[track_caller]
fn told(lab: &Lab, words: &[&str], code: i32) -> String {
    let (ended, stdout, stderr) = lab.run(words);
    assert_eq!(ended, code, "{words:?}: {stdout}{stderr}");
    stdout + &stderr
}

#[track_caller]
fn has_all(text: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(text.contains(part), "{part:?} is not in: {text}"));
}

#[test]
fn a_run_whose_host_was_killed_is_followed_to_its_end_and_its_sweep_is_explained_meanwhile() {
    let board = Board::start().unwrap();
    let lab = lab_of(&[ssh_device("board", &board, board.port)]);
    lab.write("configs/slow.yaml", &format!("{}repeats: 2\n", slow()));
    let mut running = lab.start(&["configs/slow.yaml"]);
    let measuring = running.wait_for("run_phase", Some("measure"));
    running.kill();
    let (sweep, run) = (measuring["sweep_id"].as_str().unwrap(), measuring["run_id"].as_str().unwrap());

    has_all(&told(&lab, &["sweeps", "list"], 0), &[sweep, "stopped"]);
    has_all(
        &told(&lab, &["sweeps", "show", sweep], 0),
        &["0 of 2 have their record", &format!("sweep --resume {sweep}")],
    );
    has_all(&told(&lab, &["why", sweep], 0), &["is stopped", "Open on board", "--resume"]);
    has_all(&told(&lab, &["why", measuring["job_id"].as_str().unwrap()], 0), &["Attempt 1 was left by", "--resume"]);

    // Who begins anew is told, however lately the other ended.
    let mut other = lab.start(&["configs/slow.yaml"]);
    other.wait_for("sweep_started", None);
    other.kill();
    let stderr = std::fs::read_to_string(lab.path("stderr")).unwrap();
    has_all(&stderr, &[&format!("sweep {sweep} of this file was stopped with 2 of 2 jobs open")]);

    let resumed = lab.sweep(&["--resume", sweep]);
    resumed.expect_code(0);
    let taken_over = resumed.named("run_taken_over");
    assert_eq!((taken_over.len(), taken_over[0]["run_id"].as_str()), (1, Some(run)));
    let rows = lab.rows();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| (row["status"].as_str(), row["attempt"].as_str()) == ("ok", "1")), "{rows:?}");
    assert_eq!((rows[0]["run_id"].as_str(), rows[0]["sweep_id"].as_str()), (run, sweep));
    has_all(&told(&lab, &["sweeps", "list"], 0), &[sweep, "finished"]);
    has_all(&told(&lab, &["sweep", "--resume", sweep], 4), &["each of its jobs has its record"]);
}

#[test]
fn a_run_that_vanished_while_its_host_was_dead_is_a_failed_attempt() {
    let board = Board::start().unwrap();
    let lab = lab_of(&[ssh_device("board", &board, board.port)]);
    lab.write("configs/slow.yaml", &slow());
    let mut running = lab.start(&["configs/slow.yaml"]);
    let measuring = running.wait_for("run_phase", Some("measure"));
    running.kill();
    board.reboot().unwrap();

    let resumed = lab.sweep(&["--resume"]);
    resumed.expect_code(0);
    let given_back = resumed.named("run_given_back");
    assert_eq!((given_back.len(), &given_back[0]["run_id"]), (1, &measuring["run_id"]));
    assert_eq!(given_back[0]["failure"]["kind"], "rebooted");
    let row = lab.row("board");
    assert_eq!((row["status"].as_str(), row["attempt"].as_str()), ("ok", "2"));
    has_all(&told(&lab, &["why", &row["job_id"]], 0), &["Attempt 1", "rebooted", "Attempt 2", "ended with the record"]);
}

#[test]
fn a_sweep_that_was_interrupted_is_mentioned_gone_on_with_and_what_failed_is_run_again() {
    let lab = lab_of(&[local_device()]);
    // Nothing has so many processors: a fault of whoever asks for it.
    let threads = "threads: [1, 99]\norder: listed\n";
    lab.write("configs/all.yaml", &format!("{}{threads}", slow()));
    let mut running = lab.start(&["configs/all.yaml"]);
    let first = running.wait_for("run_phase", Some("measure"));
    running.interrupt();
    running.finish().expect_code(130);
    let sweep = first["sweep_id"].as_str().unwrap();
    has_all(&told(&lab, &["why", sweep], 0), &["is stopped: 1 of 2 jobs"]);

    // Another file makes other jobs: results of the two are never mixed.
    lab.write("configs/all.yaml", &format!("{QUICK}{threads}"));
    has_all(&told(&lab, &["sweep", "configs/all.yaml", "--resume"], 2), &["makes other jobs now", sweep]);
    let other = lab.start(&["configs/all.yaml"]).finish();
    other.expect_code(6);
    let mention = format!("sweep {sweep} of this file was stopped with 1 of 2 jobs open");
    has_all(&other.stderr, &[&mention, &format!("sweep --resume {sweep}"), &format!("cancel {sweep}")]);

    let resumed = lab.sweep(&["--resume", sweep]);
    resumed.expect_code(6);
    assert_eq!(resumed.named("run_started").len(), 1, "the other has its record");
    let rows = lab.rows();
    let kept = rows.iter().find(|row| row["run_id"] == first["run_id"].as_str().unwrap()).unwrap();
    assert_eq!((rows.len(), kept["status"].as_str(), kept["sweep_id"].as_str()), (2, "ok", sweep));
    let failed = rows.iter().find(|row| row["status"] == "failed").unwrap();

    let again = lab.sweep(&["--retry-failed", sweep]);
    again.expect_code(6);
    let (rows, before) = (lab.rows(), &failed["job_id"]);
    assert_eq!((rows.len(), &rows[0]["job_id"], rows[0]["attempt"].as_str()), (1, before, "1"));
    assert_ne!(rows[0]["sweep_id"], sweep);
    has_all(&told(&lab, &["sweeps", "show", "latest"], 0), &["retry of", sweep]);
}

#[test]
fn what_is_another_now_than_when_the_sweep_began_is_said_and_never_mixed() {
    let lab = lab_of(&[local_device()]);
    lab.write("configs/slow.yaml", &format!("{}repeats: 2\n", slow()));
    let mut running = lab.start(&["configs/slow.yaml"]);
    running.wait_for("run_phase", Some("measure"));
    running.interrupt();
    running.finish().expect_code(130);
    lab.change_runner(Some("#!/bin/sh\nexit 3\n"));
    has_all(&told(&lab, &["sweep", "--resume"], 2), &["is another now", "results of two programs are not mixed"]);
    lab.change_runner(None);
    lab.sweep(&["--resume"]).expect_code(0);
    let rows = lab.rows();
    assert_eq!(rows[0]["runner_sha256"], rows[1]["runner_sha256"]);
}

#[test]
fn a_cancelled_sweep_ends_its_runs_on_the_devices_and_keeps_what_is_there() {
    let board = Board::start().unwrap();
    let lab = lab_of(&[local_device(), ssh_device("board", &board, board.port)]);
    let workdirs = [Workdir::on_host(&lab), Workdir::on_board(&board)];
    // A job that fails at once, then an endless one, then one that never starts.
    let endless = lasting(50);
    lab.write("configs/endless.yaml", &format!("{endless}threads: [99, 1, all]\norder: listed\n"));
    for is_killed in [true, false] {
        let mut running = lab.start(&["configs/endless.yaml"]);
        for _ in &workdirs {
            running.wait_for("run_phase", Some("measure"));
        }
        let mut carrier = Some(running);
        if is_killed {
            carrier.take().unwrap().kill();
            assert!(workdirs.iter().all(|workdir| !workdir.leavings().is_empty()), "they go on without a host");
        }
        told(&lab, &["cancel", "latest"], 6);
        if let Some(running) = carrier {
            let ended = running.finish();
            ended.expect_code(130);
            assert_eq!(ended.named("run_started").len(), 4, "no more were started");
        }
        let rows = lab.rows();
        let statuses: Vec<&str> = rows.iter().map(|row| row["status"].as_str()).collect();
        assert_eq!(statuses, ["failed", "cancelled", "cancelled", "failed", "cancelled", "cancelled"]);
        let partial = rows.iter().filter(|row| row["status"] == "cancelled" && !row["load_ms"].is_empty());
        assert_eq!(partial.count(), workdirs.len(), "what the ended runs had told: {rows:?}");
        for workdir in &workdirs {
            assert_eq!(workdir.leavings(), Vec::<String>::new());
        }
        has_all(&told(&lab, &["sweeps", "show"], 0), &["cancelled", "6 of 6 have their record", "2 failed"]);
        has_all(&told(&lab, &["sweep", "--resume", "latest"], 4), &["is cancelled"]);
    }
}

#[test]
fn two_farmctl_on_one_folder_take_turns_on_each_device() {
    let board = Board::start().unwrap();
    let lab = lab_of(&[local_device(), ssh_device("board", &board, board.port)]);
    lab.write("configs/one.yaml", &format!("{}repeats: 4\n", quick("squeezenet1_0")));
    lab.write("configs/two.yaml", &format!("{}repeats: 3\n", quick("squeezenet1_0")));
    let mut first = lab.start(&["configs/one.yaml"]);
    first.wait_for("device_ready", None);
    let second = lab.start(&["configs/two.yaml"]);
    let (first, second) = (first.finish(), second.finish());
    first.expect_code(0);
    second.expect_code(0);
    assert!(!second.named("device_waiting").is_empty() || !first.named("device_waiting").is_empty());

    let mut used: Vec<(String, String, String)> = Vec::new();
    for sweep in [&first, &second] {
        let id = sweep.named("sweep_started")[0]["sweep_id"].as_str().unwrap();
        let file = std::fs::File::open(lab.path("reports").join(id).join("results.csv")).unwrap();
        for row in csv::Reader::from_reader(file).deserialize::<std::collections::HashMap<String, String>>() {
            let row = row.unwrap();
            assert_eq!((row["status"].as_str(), row["attempt"].as_str()), ("ok", "1"), "{row:?}");
            used.push((row["device"].clone(), row["started_at"].clone(), row["finished_at"].clone()));
        }
    }
    assert_eq!(used.len(), 2 * (4 + 3));
    used.sort();
    for pair in used.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        let [ended, began] = [&pair[0].2, &pair[1].1].map(|moment| moment.parse::<jiff::Timestamp>().unwrap());
        assert!(ended <= began, "at once: {pair:?}");
    }
}
