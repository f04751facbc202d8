//! A person's sweep that a running daemon carries out: the same view, the same end, and nothing lost when either is
//! gone.

use serde_json::Value;
use testlab::Board;

use super::daemon::{Daemon, schedule, wait_until};
use super::support::{Lab, QUICK, farm, lasting, local_device, ssh_device};

/// A lab with a daemon that starts nothing by itself.
fn lab(devices: &[String]) -> Lab {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(devices));
    lab.write("configs/quick.yaml", QUICK);
    let slow = lasting(2);
    lab.write("configs/slow.yaml", &format!("{slow}repeats: 3\n"));
    lab.write("configs/daemon.yaml", &schedule(5, "    enabled: false\n"));
    lab
}

fn daemon(lab: &Lab, name: &str) -> Daemon {
    let daemon = Daemon::start(lab, name, &[]);
    daemon.wait_for("goes by");
    daemon
}

fn show(lab: &Lab, sweep: &str) -> Value {
    let (code, stdout, stderr) = lab.run(&["sweeps", "show", sweep, "--format", "json"]);
    assert_eq!(code, 0, "{stderr}");
    serde_json::from_str(&stdout).unwrap()
}

fn is_by(sweep: &Value, daemon: &Daemon) -> bool {
    sweep["holder"].as_str().is_some_and(|holder| holder.contains(&format!(":{}:", daemon.pid())))
}

#[test]
fn handed_over_a_sweep_ends_as_it_would_here() {
    let board = Board::start().unwrap();
    let lab = lab(&[local_device(), ssh_device("away", &board, 1)]);
    lab.write("configs/here.yaml", &format!("{QUICK}devices: [this-host]\n"));
    lab.write("configs/away.yaml", &format!("{QUICK}devices: [away]\nretry: {{ attempts: 1 }}\n"));
    let daemon = daemon(&lab, "d");
    for (file, code) in [("configs/here.yaml", 0), ("configs/away.yaml", 5)] {
        let given = lab.sweep(&[file]);
        let id =
            given.events.first().unwrap_or_else(|| panic!("{}", given.stderr))["sweep_id"].as_str().unwrap().to_owned();
        let here = lab.sweep(&[file, "--local"]);
        assert_eq!((given.code, here.code), (code, code), "{file}: {}{}", given.stderr, here.stderr);
        let kinds = |outcome: &super::support::Outcome| {
            let kinds: Vec<String> =
                outcome.events.iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect();
            (kinds.first().cloned(), kinds.last().cloned(), outcome.named("run_finished").len())
        };
        assert_eq!(kinds(&given), kinds(&here), "{file}");
        assert!(lab.path("reports").join(&id).join("results.csv").is_file());
        assert!(show(&lab, &id)["handed_over_by"].is_null(), "what is over is nobody's");
    }
    // The table, and where the reports are, as ever.
    let (code, stdout, stderr) = lab.run(&["sweep", "configs/here.yaml"]);
    assert!(code == 0 && stdout.contains("digits") && stderr.contains("reports: "), "{code} {stdout}{stderr}");
    // A daemon that reads other files is no help.
    let other = lab.sweep(&["configs/here.yaml", "--farm", "farms"]);
    assert!(other.code == 0 && other.stderr.contains("this is carried out here"), "{}", other.stderr);
    assert!(daemon.stop().success());
}

#[test]
fn a_killed_daemon_is_followed_into_the_next_one_and_every_job_is_done_once() {
    let lab = lab(&[local_device()]);
    let first = daemon(&lab, "one");
    let mut running = lab.start(&["configs/slow.yaml"]);
    let measuring = running.wait_for("run_phase", Some("measure"));
    let id = measuring["sweep_id"].as_str().unwrap();
    let sweep = show(&lab, id);
    assert!(is_by(&sweep, &first) && sweep["handed_over_by"].is_string(), "{sweep}");
    first.kill();
    let stderr = || std::fs::read_to_string(lab.path("stderr")).unwrap();
    wait_until(|| stderr().contains("no daemon runs any more"), stderr);
    assert_eq!(show(&lab, id)["standing"], "waiting");
    let second = daemon(&lab, "two");
    let outcome = running.finish();
    outcome.expect_code(0);
    assert!(outcome.stderr.contains("a daemon runs again"), "{}", outcome.stderr);
    assert_eq!(outcome.named("run_taken_over").len(), 1, "the run that was under way");
    let rows = lab.rows();
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row["status"] == "ok" && row["attempt"] == "1"), "{rows:?}");
    assert!(second.stop().success());
}

#[test]
fn ctrl_c_leaves_the_sweep_with_the_daemon_and_resume_follows_it_again() {
    let lab = lab(&[local_device()]);
    let daemon = daemon(&lab, "d");
    let mut running = lab.start(&["configs/slow.yaml"]);
    let id = running.wait_for("run_phase", Some("measure"))["sweep_id"].as_str().unwrap().to_owned();
    running.interrupt();
    let left = running.finish();
    left.expect_code(130);
    for part in ["goes on in the daemon", &format!("farmctl sweeps show {id}"), &format!("farmctl cancel {id}")] {
        assert!(left.stderr.contains(part), "{part} in: {}", left.stderr);
    }
    let again = lab.sweep(&["--resume", &id]);
    again.expect_code(0);
    assert_eq!((again.named("sweep_started").len(), again.named("sweep_finished").len()), (1, 1));
    assert_eq!(lab.rows().len(), 3);

    // What one person carries out here is not the daemon's.
    let mut here = lab.start(&["configs/slow.yaml", "--local"]);
    let id = here.wait_for("run_phase", Some("measure"))["sweep_id"].as_str().unwrap().to_owned();
    let sweep = show(&lab, &id);
    assert!(!is_by(&sweep, &daemon) && sweep["handed_over_by"].is_null(), "{sweep}");
    here.interrupt();
    here.finish().expect_code(130);
    assert_eq!(show(&lab, &id)["standing"], "stopped");

    // Given to the daemon now, and cancelled there.
    let mut given = lab.start(&["--resume", &id]);
    given.wait_for("run_started", None);
    let (code, _, stderr) = lab.run(&["cancel", &id]);
    assert!(code == 0 || code == 6, "{stderr}");
    let followed = given.finish();
    followed.expect_code(130);
    assert_eq!(show(&lab, &id)["state"], "cancelled");
    assert!(daemon.stop().success());
}
