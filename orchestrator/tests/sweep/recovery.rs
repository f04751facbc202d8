//! A device that fails again and again: it is brought back by its farm entry's commands, else put into quarantine, and
//! its jobs go to an equal device where the sweep allows that.

use testlab::Board;

use super::support::{Lab, Outcome, QUICK, Running, farm, lasting, ssh_device};

/// Gives up soon, so that a test need not wait.
const RETRY: &str = "attempts: 2, pause_seconds: 0, quarantine_after: 2";
const TIMEOUTS: &str = "timeouts: { connect_seconds: 3, arrive_seconds: 1, reconnect_seconds: 1 }\n";

fn impatient(sweep: &str, more: &str) -> String {
    format!("{sweep}{TIMEOUTS}retry: {{ {RETRY}{more} }}\n")
}

/// A board's entry with commands that write their arguments down, one a line.
fn with_recovery(entry: &str, lab: &Lab, commands: &[&str]) -> String {
    lab.write("note.sh", "#!/bin/sh\nprintf '%s\\n' \"$@\" >> \"$0.told\"\n");
    let script = lab.path("note.sh");
    let lines: String = commands
        .iter()
        .map(|command| format!("      {command}: [sh, {}, {command}, '$(reboot); `x`']\n", script.display()))
        .collect();
    format!("{entry}    recovery:\n{lines}      settle_seconds: 2\n      max_per_hour: 1\n")
}

/// The arguments that the commands of [`with_recovery`] got.
fn arguments(lab: &Lab) -> Vec<String> {
    let told = std::fs::read_to_string(lab.path("note.sh.told")).unwrap_or_default();
    told.lines().map(str::to_owned).collect()
}

/// Waits for the last of a recovery's commands.
fn wait_for_command(running: &mut Running, purpose: &str) {
    while running.wait_for("host_command", None)["purpose"] != purpose {}
}

fn commands(ended: &Outcome) -> Vec<(&str, bool)> {
    let commands = ended.named("host_command").into_iter();
    commands.map(|it| (it["purpose"].as_str().unwrap(), it["succeeded"].as_bool().unwrap())).collect()
}

#[test]
fn a_dead_board_is_powered_off_and_on_and_measured_but_not_twice_in_an_hour() {
    let board = Board::start().unwrap();
    let lab = Lab::new();
    let entry = ssh_device("board", &board, board.port);
    lab.write("farms/lab.yaml", &farm(&[with_recovery(&entry, &lab, &["power_off", "power_on"])]));
    lab.write("configs/quick.yaml", &impatient(QUICK, ""));
    board.kill_daemon().unwrap();
    let mut running = lab.start(&["configs/quick.yaml"]);
    wait_for_command(&mut running, "power_on");
    board.restart_daemon().unwrap();
    let ended = running.finish();
    ended.expect_code(0);
    assert_eq!(commands(&ended), [("power_off", true), ("power_on", true)]);
    // No shell came near them.
    let as_given = ["power_off", "$(reboot); `x`", "power_on", "$(reboot); `x`"];
    assert_eq!(arguments(&lab), as_given);
    assert_eq!(lab.row("board")["status"], "ok");

    board.kill_daemon().unwrap();
    let ended = lab.sweep(&["configs/quick.yaml"]);
    ended.expect_code(5);
    assert_eq!((commands(&ended), arguments(&lab).len()), (vec![], as_given.len()), "once an hour");
    assert_eq!(ended.named("device_quarantined").len(), 1);
    let row = lab.row("board");
    assert_eq!((row["status"].as_str(), row["failure_kind"].as_str()), ("skipped", "quarantined"), "{row:?}");
}

#[test]
fn a_quarantined_board_is_shown_takes_no_jobs_and_is_released() {
    let board = Board::start().unwrap();
    let lab = Lab::new();
    let entry = ssh_device("board", &board, board.port);
    lab.write(
        "farms/lab.yaml",
        &farm(&[with_recovery(&entry, &lab, &["reset"]).replace("[sh, ", "[nothing-like-it, ")]),
    );
    lab.write("configs/quick.yaml", &impatient(QUICK, ""));
    board.kill_daemon().unwrap();
    let ended = lab.sweep(&["configs/quick.yaml"]);
    ended.expect_code(5);
    assert_eq!(commands(&ended), [("reset", false)], "what can't be started is told, and no harm");
    let (_, why, _) = lab.run(&["why", "board"]);
    for part in [
        "board is quarantined since",
        "after 2 failures in a row",
        "refused",
        "devices release board",
        "reset by nothing-like-it",
    ] {
        assert!(why.contains(part), "{part:?} is not in: {why}");
    }
    let (_, why, _) = lab.run(&["why", &lab.row("board")["job_id"]]);
    assert!(why.contains("skipped") && why.contains("quarantined"), "{why}");

    assert_eq!(lab.run(&["devices", "release", "board"]).0, 0);
    let (code, _, stderr) = lab.run(&["devices", "release", "board"]);
    assert!(code == 4 && stderr.contains("board is not quarantined"), "{stderr}");
    let (_, why, _) = lab.run(&["why", "board"]);
    let by_whom = why.split("back in service, by ").nth(1).unwrap_or_default();
    assert!(why.contains("board is in service.") && by_whom.contains('@'), "{why}");
    board.restart_daemon().unwrap();
    lab.sweep(&["--retry-failed", "latest"]).expect_code(0);
    assert_eq!(lab.row("board")["status"], "ok", "what was skipped for it is run again");
}

#[test]
fn a_job_whose_attempts_are_used_up_moves_to_an_equal_board() {
    let (struck, equal, other) = (Board::start().unwrap(), Board::start().unwrap(), Board::start().unwrap());
    let lab = Lab::new();
    let tagged = |name: &str, board: &Board, pool: &str| {
        format!("{}    tags: [pool={pool}]\n", ssh_device(name, board, board.port))
    };
    lab.write(
        "farms/lab.yaml",
        &farm(&[tagged("struck", &struck, "a"), tagged("other", &other, "b"), tagged("equal", &equal, "a")]),
    );
    let slow = impatient(&lasting(3), ", equal_by: pool");
    lab.write("configs/moves.yaml", &format!("{slow}devices: [struck]\n").replace("attempts: 2", "attempts: 1"));
    let mut running = lab.start(&["configs/moves.yaml"]);
    running.wait_for("run_phase", Some("measure"));
    struck.kill_daemon().unwrap();
    let ended = running.finish();
    let moved = ended.named("job_moved");
    assert_eq!((moved.len(), moved[0]["to_device"].as_str()), (1, Some("equal")));
    ended.expect_code(6);
    let (failed, done) = (lab.row("struck"), lab.row("equal"));
    assert_eq!((failed["status"].as_str(), failed["failure_kind"].as_str()), ("failed", "refused"), "{failed:?}");
    assert_eq!((done["status"].as_str(), done["attempt"].as_str()), ("ok", "1"), "{done:?}");
    assert_eq!(moved[0]["to_job_id"], done["job_id"].as_str());
    assert_eq!(lab.rows().len(), 2, "the board that is no equal has nothing to do with it");
}
