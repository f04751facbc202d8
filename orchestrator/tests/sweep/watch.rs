//! A sweep that is watched from another terminal.

use std::process::{Child, Output, Stdio};

use serde_json::Value;

use super::support::{Lab, farm, lasting, local_device};

fn lab() -> Lab {
    let lab = Lab::new();
    lab.write("farms/lab.yaml", &farm(&[local_device()]));
    lab.write("configs/slow.yaml", &format!("{}repeats: 2\n", lasting(2)));
    lab
}

fn watcher(lab: &Lab, words: &[&str]) -> Child {
    lab.command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn ended(watcher: Child) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = watcher.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn a_sweep_is_watched_to_its_end_and_the_watcher_ends_as_it_does() {
    let lab = lab();
    let (code, _, stderr) = lab.run(&["watch"]);
    assert!(code == 4 && stderr.contains("no sweep is under way"), "{code}: {stderr}");
    let mut sweep = lab.start(&["configs/slow.yaml"]);
    let id = sweep.wait_for("run_started", None)["sweep_id"].as_str().unwrap().to_owned();
    let (programs, people) = (watcher(&lab, &["watch", "--format", "json"]), watcher(&lab, &["watch"]));
    sweep.finish().expect_code(0);

    let (code, stdout, stderr) = ended(programs);
    assert_eq!(code, Some(0), "{stderr}");
    let events: Vec<Value> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let named = |name: &str| events.iter().filter(|event| event["event"] == name).count();
    assert_eq!((named("sweep_started"), named("run_finished"), named("sweep_finished")), (1, 2, 1), "{stdout}");
    assert!(events.iter().all(|event| event["sweep_id"] == id.as_str()), "{stdout}");

    let (code, stdout, stderr) = ended(people);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("squeezenet1_0") && stdout.contains("2 ok"), "{stdout}");
    assert!(stderr.lines().count() > 3 && !stderr.contains('\x1b'), "{stderr}");

    // Of one that is over there is the table, and the same exit code.
    let (code, stdout, _) = lab.run(&["watch", &id]);
    assert!(code == 0 && stdout.contains("squeezenet1_0"), "{code}: {stdout}");
    let (code, stdout, _) = lab.run(&["watch", &id, "--format", "json"]);
    let state: Value = serde_json::from_str(&stdout).unwrap();
    assert!(code == 0 && state["id"] == id.as_str() && state["state"] == "finished", "{code}: {stdout}");
}

#[test]
fn watching_ends_with_the_process_that_is_watched() {
    let lab = lab();
    let mut sweep = lab.start(&["configs/slow.yaml"]);
    let id = sweep.wait_for("run_started", None)["sweep_id"].as_str().unwrap().to_owned();
    let watcher = watcher(&lab, &["watch", &id]);
    sweep.kill();
    let (code, _, stderr) = ended(watcher);
    let says = format!("sweep {id} was stopped before its end: `farmctl sweep --resume {id}` goes on");
    assert!(code == Some(130) && stderr.contains(&says), "{code:?}: {stderr}");
}
