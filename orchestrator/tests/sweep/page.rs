//! The page of the daemon in a real browser: scripts in `tests/page/`, each with a lab of its own.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use testlab::Board;

use super::support::{Lab, QUICK, farm, lasting, local_device, quick, ssh_device};

/// No script takes longer, however slow the machine.
const TIMEOUT: Duration = Duration::from_secs(600);

/// A device that nobody answers for, and one that is switched off.
const OTHERS: &str = "  - { name: gone, transport: { ssh: { host: 127.0.0.1, port: 1, user: nobody } } }
  - { name: off, disabled: broken screen, transport: { ssh: { host: 127.0.0.1, port: 1, user: nobody } } }
";

/// It listens where there is room. Its schedules are due on a leap day.
const DAEMON: &str = "listen: 127.0.0.1:0
schedules:
  - { name: rarely, cron: 0 0 29 2 *, timezone: Etc/UTC, sweep: quick.yaml }
  - { name: never, cron: 0 0 29 2 *, timezone: Etc/UTC, sweep: quick.yaml, enabled: false }
";

/// Runs a script on a lab with node's test runner.
#[track_caller]
fn run(script: &str, lab: &Lab) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page");
    assert!(folder.join("node_modules").is_dir(), "what the browser's tests need is missing: scripts/prepare gets it");
    let farmctl = lab.command(&[]);
    let words: Vec<_> = std::iter::once(farmctl.get_program()).chain(farmctl.get_args()).collect();
    let words: Vec<&str> = words.iter().map(|word| word.to_str().unwrap()).collect();
    let output = lab.path("page-test");
    let mut child = Command::new("node")
        .args(["--test", script])
        .current_dir(folder)
        .env("PAGE_TEST_FARMCTL", serde_json::to_string(&words).unwrap())
        .env("PAGE_TEST_LAB", lab.path(""))
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&output).unwrap())
        .process_group(0)
        .spawn()
        .unwrap();
    let give_up_at = Instant::now() + TIMEOUT;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if Instant::now() > give_up_at {
            break None;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    // The browser and the daemon of a script that failed.
    let _ = killpg(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGKILL);
    let _ = child.wait();
    let told = std::fs::read_to_string(output).unwrap();
    assert!(status.is_some_and(|status| status.success()), "{script} ({status:?}):\n{told}");
}

#[test]
fn parts_compute_what_they_should() {
    run("parts.test.mjs", &Lab::new());
}

#[test]
fn a_lab_is_seen_and_ruled_in_a_browser() {
    let board = Board::start().unwrap();
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &(farm(&[ssh_device("board", &board, board.port)]) + OTHERS));
    lab.write("configs/daemon.yaml", DAEMON);
    let timeouts = "timeouts: { arrive_seconds: 1 }";
    lab.write("configs/quick.yaml", &format!("{}repeats: 2\n{timeouts}\n", quick("squeezenet1_0, mobilenet_v2")));
    lab.write("configs/long.yaml", &format!("{}repeats: 9\n", lasting(20)));
    let retry = "retry: { attempts: 2, pause_seconds: 0, quarantine_after: 2 }";
    lab.write("configs/away.yaml", &format!("{QUICK}devices: [gone]\n{retry}\n{timeouts}\n"));
    run("lab.test.mjs", &lab);
}

/// Two repeats with one thread and with two: cells with an interval, and a ranking of two systems. One cell is skipped.
#[test]
fn a_report_is_read_in_a_browser() {
    let lab = Lab::new();
    let off = "  - { name: off, disabled: broken screen, transport: local }\n".to_owned();
    lab.write("farms/lab.yaml", &farm(&[local_device(), off]));
    lab.write("configs/daemon.yaml", DAEMON);
    let limits = "limits:\n  measure: { min_runs: 40, max_runs: 60, min_seconds: 0, max_seconds: 60 }\n";
    let sweep = format!("models: [digits]\nweights: [trained]\ndataset: digits\nthreads: [1, 2]\nrepeats: 2\n{limits}");
    lab.write("configs/digits.yaml", &sweep);
    lab.write("configs/quick.yaml", QUICK);
    run("report.test.mjs", &lab);
}

#[test]
fn five_hundred_devices_are_shown_smoothly() {
    let device = |number| {
        let ssh = "ssh: { host: 127.0.0.1, port: 1, user: nobody }";
        format!("  - {{ name: device-{number}, tags: [rack={}], transport: {{ {ssh} }} }}\n", number % 20)
    };
    let devices: Vec<String> = (1..=500).map(device).collect();
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&devices));
    // Nobody asks them: what changes is what the script changes.
    lab.write("configs/daemon.yaml", &format!("probe_minutes: 0\n{DAEMON}"));
    lab.write("configs/quick.yaml", QUICK);
    run("many.test.mjs", &lab);
}

#[test]
fn a_token_lets_in_and_says_what_one_may() {
    let lab = Lab::new();
    lab.write(
        "farms/lab.yaml",
        &farm(&["  - { name: board, transport: { ssh: { host: 127.0.0.1, port: 1 } } }\n".to_owned()]),
    );
    lab.write("configs/daemon.yaml", &format!("tokens: {{ file: ../.farm/tokens }}\nprobe_minutes: 0\n{DAEMON}"));
    lab.write("configs/quick.yaml", QUICK);
    run("tokens.test.mjs", &lab);
}
