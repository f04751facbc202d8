//! A device that was there a moment ago is not given up, whatever it refuses; one that is about to be there is waited
//! for; and what is final ends at once, without a failed run.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use testlab::{Board, BoardOptions, Direction, FaultProxy};

use super::support::{Lab, Outcome, QUICK, Running, farm, lasting, runtime, ssh_device};
use super::workdir::Workdir;

/// How long the bad moment lasts.
const MOMENT: Duration = Duration::from_secs(2);

/// A lab with one device `board`, which answered already.
fn lab_of(device: &str, lab: Lab) -> Lab {
    lab.write("farms/lab.yaml", &farm(&[device.to_owned()]));
    lab.write("configs/quick.yaml", &format!("{QUICK}repeats: 3\n"));
    lab.write("configs/run.yaml", &format!("{}timeouts: {{ connect_seconds: 4 }}\n", lasting(3)));
    let (code, _, stderr) = lab.run(&["devices", "probe"]);
    assert_eq!(code, 0, "{stderr}");
    lab
}

/// Starts a run, and lets it measure.
fn measuring(lab: &Lab) -> Running {
    let mut running = lab.start(&["configs/run.yaml"]);
    running.wait_for("run_phase", Some("measure"));
    running
}

/// The run that was under way has its result, which was measured once.
fn expect_one_run(lab: &Lab, ended: &Outcome) {
    ended.expect_code(0);
    let row = lab.row("board");
    assert_eq!((row["status"].as_str(), row["attempt"].as_str()), ("ok", "1"), "{row:?}");
    assert_eq!(ended.named("run_started").len(), 1);
}

#[test]
fn a_login_that_is_cut_at_any_byte_is_made_again() {
    let board = Board::start().unwrap();
    let runtime = runtime();
    let proxy = runtime.block_on(FaultProxy::start(board.address())).unwrap();
    let lab = lab_of(&ssh_device("board", &board, proxy.address().port()), Lab::new());
    for bytes in [500, 1340, 1500, 1700, 1800, 1900] {
        proxy.cut_next(Direction::ToClient, bytes);
    }
    let ended = lab.sweep(&["configs/quick.yaml"]);
    ended.expect_code(0);
    assert!(lab.rows().iter().all(|row| row["status"] == "ok" && row["attempt"] == "1"));
    for retrying in ended.named("device_retrying") {
        assert_eq!(retrying["failure"]["kind"], "connection_lost", "{retrying}");
    }
}

#[test]
fn a_run_that_the_end_of_its_login_took_along_is_repeated_and_says_what_would_help() {
    let board = Board::start().unwrap();
    let runtime = runtime();
    let proxy = runtime.block_on(FaultProxy::start(board.address())).unwrap();
    let lab = lab_of(&ssh_device("board", &board, proxy.address().port()), Lab::new());
    let mut running = measuring(&lab);
    proxy.refuse();
    proxy.cut();
    running.wait_for("device_reconnecting", None);
    Workdir::on_board(&board).kill_processes();
    proxy.pass();
    let ended = running.finish();
    ended.expect_code(0);
    let row = lab.row("board");
    assert_eq!((row["status"].as_str(), row["attempt"].as_str()), ("ok", "2"), "{row:?}");
    let [given_back] = ended.named("run_given_back").try_into().expect("one");
    let message = given_back["failure"]["message"].as_str().unwrap();
    for part in ["the login ended, and took along", "KillUserProcesses=yes", "loginctl enable-linger USER"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(ended.named("device_quarantined").is_empty());
}

#[test]
fn a_run_is_not_lost_with_who_follows_it_and_is_repeated_where_it_was_killed_too() {
    let board = Board::start().unwrap();
    let lab = lab_of(&ssh_device("board", &board, board.port), Lab::new());
    let mut running = measuring(&lab);
    // As where memory lacks for a moment.
    Workdir::on_board(&board).kill_followers();
    running.wait_for("device_reconnecting", None);
    expect_one_run(&lab, &running.finish());
    // As in a shutdown that has not reached the server yet.
    let running = measuring(&lab);
    Workdir::on_board(&board).kill_processes();
    let ended = running.finish();
    ended.expect_code(0);
    let row = lab.row("board");
    assert_eq!((row["status"].as_str(), row["attempt"].as_str()), ("ok", "2"), "{row:?}");
    assert_eq!(ended.named("run_given_back")[0]["failure"]["kind"], "killed");
}

#[test]
fn a_board_that_refuses_its_key_for_a_moment_is_waited_for() {
    let board = Board::start().unwrap();
    let lab = lab_of(&ssh_device("board", &board, board.port), Lab::new());
    let mut running = measuring(&lab);
    board.lock_out().unwrap();
    board.kill_daemon().unwrap();
    board.restart_daemon().unwrap();
    running.wait_for("device_reconnecting", None);
    std::thread::sleep(MOMENT);
    board.let_in().unwrap();
    expect_one_run(&lab, &running.finish());

    // It is known, so that it may be booting.
    board.lock_out().unwrap();
    let mut running = lab.start(&["configs/quick.yaml"]);
    assert_eq!(running.wait_for("device_retrying", None)["failure"]["kind"], "login_refused");
    board.let_in().unwrap();
    running.finish().expect_code(0);
}

#[test]
fn a_port_at_which_nothing_listens_yet_is_waited_for() {
    let board = Board::start().unwrap();
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[ssh_device("board", &board, board.port)]));
    lab.write("configs/quick.yaml", QUICK);
    board.kill_daemon().unwrap();
    let mut running = lab.start(&["configs/quick.yaml"]);
    // Longer than a few failures in a row would take.
    for _ in 0..4 {
        assert_eq!(running.wait_for("device_retrying", None)["failure"]["kind"], "refused");
    }
    board.restart_daemon().unwrap();
    let ended = running.finish();
    ended.expect_code(0);
    assert!(ended.named("device_quarantined").is_empty());
}

/// Three runs on a board whose disk becomes full during the first.
fn runs_of_a_full_disk(reconnect_seconds: u32) -> (Board, Lab, Running) {
    let of_its_own = BoardOptions { disk_size_bytes: Some(96 << 20), ..BoardOptions::default() };
    let board = Board::start_with(&of_its_own).unwrap();
    let lab = lab_of(&ssh_device("board", &board, board.port), Lab::new());
    let timeouts = format!("timeouts: {{ reconnect_seconds: {reconnect_seconds} }}\n");
    lab.write("configs/runs.yaml", &format!("{}repeats: 3\n{timeouts}", lasting(2)));
    let mut running = lab.start(&["configs/runs.yaml"]);
    running.wait_for("run_phase", Some("measure"));
    board.disk().unwrap().fill().unwrap();
    (board, lab, running)
}

#[test]
fn a_disk_that_is_full_for_a_moment_costs_no_row() {
    let (board, lab, mut running) = runs_of_a_full_disk(60);
    assert_eq!(running.wait_for("device_retrying", None)["failure"]["kind"], "disk_full");
    std::thread::sleep(MOMENT);
    board.disk().unwrap().free().unwrap();
    running.finish().expect_code(0);
    assert!(lab.rows().len() == 3 && lab.rows().iter().all(|row| row["status"] == "ok"));
}

#[test]
fn a_disk_that_stays_full_keeps_no_run_from_its_record() {
    let (_board, lab, running) = runs_of_a_full_disk(2);
    running.finish();
    let rows = lab.rows();
    let is_told =
        |row: &HashMap<String, String>| row["remarks"].contains("disk_full") || row["failure_kind"] == "disk_full";
    assert!(rows.len() == 3 && rows.iter().all(is_told), "{rows:?}");
}

#[test]
fn a_board_that_never_let_anybody_in_fails_no_run_and_keeps_nobody_waiting() {
    let board = Board::start().unwrap();
    board.lock_out().unwrap();
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[ssh_device("board", &board, board.port)]));
    lab.write("configs/quick.yaml", &format!("{QUICK}repeats: 3\n"));
    let started = Instant::now();
    lab.sweep(&["configs/quick.yaml"]).expect_code(5);
    assert!(started.elapsed() < Duration::from_secs(30));
    let rows = lab.rows();
    assert_eq!(rows.len(), 3);
    for row in rows {
        assert_eq!((row["status"].as_str(), row["failure_kind"].as_str()), ("skipped", "login_refused"), "{row:?}");
        assert!(row["failure"].starts_with("device board: ") && row["failure"].contains("id"), "{row:?}");
    }
    board.let_in().unwrap();
    lab.sweep(&["--retry-failed", "latest"]).expect_code(0);
}

#[test]
fn a_board_that_is_about_to_boot_says_so_and_is_waited_for() {
    let lab = Lab::new();
    let closed = lab.path("closed");
    let shell = lab.path("shell");
    let script =
        format!("#!/bin/sh\n[ ! -e {0} ] || {{ cat {0}; exit 254; }}\nexec /bin/sh \"$@\"\n", closed.display());
    lab.write("shell", &script);
    std::fs::set_permissions(&shell, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    // As sshd does with /etc/nologin.
    let board = Board::start_with(&BoardOptions { login_shell: Some(shell), ..BoardOptions::default() }).unwrap();
    lab.write("closed", "System is booting up.\n");
    lab.write("farms/lab.yaml", &farm(&[ssh_device("board", &board, board.port)]));
    lab.write("configs/run.yaml", &lasting(3));
    let mut running = lab.start(&["configs/run.yaml"]);
    let retrying = running.wait_for("device_retrying", None);
    assert_eq!(retrying["failure"]["kind"], "login_closed");
    assert!(retrying["failure"]["message"].as_str().unwrap().contains("«System is booting up.»"), "{retrying}");
    std::fs::remove_file(&closed).unwrap();
    running.wait_for("run_phase", Some("measure"));
    lab.write("closed", "System is going down.\n");
    board.kill_daemon().unwrap();
    board.restart_daemon().unwrap();
    running.wait_for("device_reconnecting", None);
    std::thread::sleep(MOMENT);
    std::fs::remove_file(&closed).unwrap();
    expect_one_run(&lab, &running.finish());
}

#[test]
fn a_name_that_nobody_can_look_up_for_a_moment_is_looked_up_again() {
    let board = Board::start().unwrap();
    let lab = Lab::with_own_names();
    let device = ssh_device("board", &board, board.port).replace("host: 127.0.0.1", "host: pi5.lab");
    lab.write("farms/lab.yaml", &farm(&[device]));
    lab.write("configs/run.yaml", &format!("{}timeouts: {{ connect_seconds: 4 }}\n", lasting(3)));
    let mut running = lab.start(&["configs/run.yaml"]);
    assert_eq!(running.wait_for("device_retrying", None)["failure"]["kind"], "name_unavailable");
    lab.name(Some("pi5.lab"));
    running.wait_for("run_phase", Some("measure"));
    lab.name(None);
    board.kill_daemon().unwrap();
    board.restart_daemon().unwrap();
    running.wait_for("device_reconnecting", None);
    std::thread::sleep(MOMENT);
    lab.name(Some("pi5.lab"));
    expect_one_run(&lab, &running.finish());
}

#[test]
fn another_machine_at_the_address_is_refused_and_the_right_one_waited_for() {
    let (board, other) = (Board::start().unwrap(), Board::start().unwrap());
    let runtime = runtime();
    let proxy = runtime.block_on(FaultProxy::start(board.address())).unwrap();
    let lab = lab_of(&ssh_device("board", &board, proxy.address().port()), Lab::new());
    let mut running = measuring(&lab);
    proxy.redirect(other.address());
    running.wait_for("device_reconnecting", None);
    std::thread::sleep(MOMENT);
    proxy.redirect(board.address());
    expect_one_run(&lab, &running.finish());
    assert!(!other.home.join("farmctl").exists(), "nothing went to the other machine");

    // The same before the board has answered.
    proxy.redirect(other.address());
    let mut running = lab.start(&["configs/quick.yaml"]);
    assert_eq!(running.wait_for("device_retrying", None)["failure"]["kind"], "host_key_changed");
    proxy.redirect(board.address());
    running.finish().expect_code(0);
}

#[test]
fn a_run_whose_board_stays_away_for_longer_is_looked_for_by_its_name() {
    let (board, other) = (Board::start().unwrap(), Board::start().unwrap());
    let lab = Lab::new();
    let devices = [ssh_device("board", &board, board.port), ssh_device("other", &other, other.port)];
    lab.write("farms/lab.yaml", &farm(&devices));
    let timeouts = "timeouts: { connect_seconds: 3, reconnect_seconds: 1 }\n";
    lab.write("configs/run.yaml", &format!("{}repeats: 3\n{timeouts}", lasting(4)));
    let mut running = lab.start(&["configs/run.yaml"]);
    while running.wait_for("run_phase", Some("measure"))["device"] != "board" {}
    board.kill_daemon().unwrap();
    running.wait_for("run_left", None);
    running.wait_for("device_quarantined", None);
    board.restart_daemon().unwrap();
    assert_eq!(lab.run(&["devices", "release", "board"]).0, 0);
    let ended = running.finish();
    ended.expect_code(0);
    assert!(lab.rows().iter().all(|row| row["status"] == "ok" && row["attempt"] == "1"), "{:?}", lab.rows());
    assert_eq!(ended.named("run_taken_over").len(), 1);
}

#[test]
fn what_a_board_measured_while_its_sweep_ended_is_collected_by_the_next() {
    let board = Board::start().unwrap();
    let lab = lab_of(&ssh_device("board", &board, board.port), Lab::new());
    let timeouts = "timeouts: { connect_seconds: 3, reconnect_seconds: 1 }\n";
    lab.write("configs/run.yaml", &format!("{}{timeouts}", lasting(3)));
    let running = measuring(&lab);
    board.kill_daemon().unwrap();
    let ended = running.finish();
    ended.expect_code(5);
    assert_eq!(lab.row("board")["status"], "skipped");
    let sweep = ended.events[0]["sweep_id"].as_str().unwrap().to_owned();
    board.restart_daemon().unwrap();
    let next = lab.sweep(&["configs/quick.yaml"]);
    next.expect_code(0);
    assert_eq!(next.named("run_collected")[0]["of_sweep"], sweep.as_str());
    let path = lab.path("reports").join(&sweep).join("results.csv");
    let text = std::fs::read_to_string(path).unwrap();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let row: std::collections::HashMap<String, String> = reader.deserialize().next().unwrap().unwrap();
    assert_eq!((row["status"].as_str(), row["attempt"].as_str()), ("ok", "1"), "{row:?}");
}
