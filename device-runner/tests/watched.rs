//! What a run says of the device that it was on.
#![allow(clippy::unwrap_used, missing_docs)]

mod lab;

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;

use farmctl_engine_kit::{affinity, pin_to};
use farmctl_protocol::{Conditions, Limits, Message, Phase, RunRequest};
use lab::{Lab, QUICK, child_of};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Long enough for shares of processor time.
const SECONDS: Limits = Limits { min_runs: 1, max_runs: 1_000_000, min_seconds: 1.5, max_seconds: 1.5, ..QUICK };

fn conditions(messages: &[Message]) -> Conditions {
    let told: Vec<&Conditions> = messages
        .iter()
        .filter_map(|message| match message {
            Message::Conditions(told) => Some(&**told),
            _ => None,
        })
        .collect();
    assert_eq!(told.len(), 1, "{messages:?}");
    told[0].clone()
}

/// A run on the first processor that is allowed, and no other.
fn pinned(lab: &Lab, run_id: &str) -> RunRequest {
    let mut request = lab.request(run_id, SECONDS);
    request.job.cpus = Some(vec![affinity().unwrap()[0]]);
    request
}

/// A process that does nothing else on this processor; it goes with this value.
struct Neighbour(Child);

impl Neighbour {
    fn on(cpu: u32) -> Neighbour {
        // The pin stays with the thread, and with what it starts.
        let start = move || {
            pin_to(&[cpu]).unwrap();
            Command::new("sh").args(["-c", "while :; do :; done"]).stdin(Stdio::null()).spawn().unwrap()
        };
        Neighbour(thread::spawn(start).join().unwrap())
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_run_says_what_the_device_was_like() {
    let lab = Lab::new();
    let allowed = affinity().unwrap();
    let (messages, code, stderr) = lab.start(&lab.request("watched", SECONDS)).finish();
    assert_eq!(code, 0, "{stderr}");
    let told = conditions(&messages);
    let Message::Accepted { boot_id, .. } = &messages[0] else { panic!("{messages:?}") };
    assert_eq!((&told.boot_id, &told.cpus), (boot_id, &allowed));
    let (from, looks) = if allowed.len() > 1 { (Phase::Measure, 3..10) } else { (Phase::FirstInference, 2..3) };
    assert_eq!(told.watched_from, from);
    assert!(looks.contains(&told.looks) && told.looks as usize == told.series.len(), "{told:?}");
    assert!((1_000_000_000..60_000_000_000).contains(&told.watched_ns), "{}", told.watched_ns);
    assert!(told.before.memory_available_bytes.is_some() && !told.before.cores.is_empty(), "{told:?}");
    assert!(!told.was_stopped, "{told:?}");
}

/// The priority of a process, or of one of its threads: `PID` or `PID/task/ID`; 0 unless it gives way.
fn priority(of: &str) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{of}/stat")).unwrap();
    // The name may hold spaces; priority is the 17th word behind it.
    stat.rsplit_once(") ").unwrap().1.split(' ').nth(16).unwrap().parse().unwrap()
}

/// The processors that a process, or one of its threads, may run on, as the kernel lists them.
fn processors(of: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{of}/status")).unwrap();
    status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim().to_owned()
}

#[test]
fn the_watcher_gives_way_and_the_run_does_not() {
    let lab = Lab::new();
    let request = pinned(&lab, "gives-way");
    let cpu = request.job.cpus.as_ref().unwrap()[0].to_string();
    let mut following = lab.start(&request);
    let supervisor = following.until(Phase::Measure);
    let tasks = fs::read_dir(format!("/proc/{supervisor}/task")).unwrap().flatten();
    let watcher = tasks.map(|task| task.file_name().into_string().unwrap()).find(|task| {
        let name = fs::read_to_string(format!("/proc/{supervisor}/task/{task}/comm")).unwrap_or_default();
        name.trim() == "watcher"
    });
    let (watcher, measuring) = (format!("{supervisor}/task/{}", watcher.unwrap()), child_of(supervisor).to_string());
    assert_eq!(priority(&watcher), 19);
    assert_eq!(priority(&measuring), priority("self"), "what is measured is as it was");
    assert_eq!(processors(&measuring), cpu);
    assert!(affinity().unwrap().len() == 1 || processors(&watcher) != cpu, "it stays where the run is not");
    following.finish();
}

#[test]
fn a_neighbour_on_the_same_processor_is_told() {
    let lab = Lab::new();
    let request = pinned(&lab, "beside");
    let cpu = request.job.cpus.as_ref().unwrap()[0];
    let neighbour = Neighbour::on(cpu);
    let (messages, ..) = lab.start(&request).finish();
    drop(neighbour);
    let told = conditions(&messages);
    let share = told.other_ns.unwrap() as f64 / told.watched_ns as f64;
    assert!(share > 0.25, "{share}: {told:?}");
    // A process that has ended before the last look takes its count along.
    assert!(told.involuntary_switches.is_none_or(|switches| switches > 0), "{told:?}");
}

#[test]
fn a_run_that_was_stopped_for_a_moment_says_so() {
    let lab = Lab::new();
    let mut following = lab.start(&pinned(&lab, "stopped"));
    let process = child_of(following.until(Phase::Measure));
    let send = |signal| kill(Pid::from_raw(process), signal).unwrap();
    send(Signal::SIGSTOP);
    let stat = || fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    while !stat().contains(") T ") {
        thread::yield_now();
    }
    send(Signal::SIGCONT);
    let (messages, ..) = following.finish();
    assert!(conditions(&messages).was_stopped);
}

#[test]
fn a_run_that_failed_had_its_conditions_too() {
    let lab = Lab::new();
    let mut following = lab.start(&pinned(&lab, "killed"));
    let process = child_of(following.until(Phase::Measure));
    kill(Pid::from_raw(process), Signal::SIGKILL).unwrap();
    let (messages, ..) = following.finish();
    assert!(matches!(messages.last(), Some(Message::Failed(_))), "{messages:?}");
    assert!(conditions(&messages).looks >= 2);
}
