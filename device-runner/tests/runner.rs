//! The real runner, asked as the host asks it.
#![allow(clippy::unwrap_used, missing_docs)]

mod lab;

use std::fs;

use farmctl_protocol::Phase;
use farmctl_protocol::{
    CALIBRATION_VERSION, Calibration, DeviceRest, Hello, Limits, Message, Precision, RunnerFailureKind, Scenario,
    StoreFile, StoreStatus, StoreVerification, exit,
};
use lab::{ENDLESS, Lab, QUICK, child_of};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn samples(messages: &[Message]) -> usize {
    let count = |message: &Message| match message {
        Message::Samples { latencies_ns } => latencies_ns.len(),
        _ => 0,
    };
    messages.iter().map(count).sum()
}

fn answer(messages: &[Message]) -> Vec<u32> {
    let mut bits = Vec::new();
    for message in messages {
        if let Message::Output(output) = message {
            bits.extend(output.values().unwrap().iter().map(|value| value.to_bits()));
        }
    }
    bits
}

fn send(signal: Signal, pid: i32) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

#[test]
fn hello_tells_of_device_and_runner() {
    let output = Lab::new().ask(&["hello"]);
    let hello: Hello = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(hello.protocol, farmctl_protocol::PROTOCOL_VERSION);
    let now_ms = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    assert!(hello.unix_ms.abs_diff(now_ms) < 60_000, "{} instead of {now_ms}", hello.unix_ms);
    assert!(!hello.cpus.is_empty() && hello.memory_total_bytes > 0 && hello.kernel.starts_with("Linux "));
    assert_eq!((hello.backends[0].name.as_str(), hello.running), ("tract", None));
    assert_eq!(hello.scenarios, ["single_stream", "offline", "sustained"]);
    assert!(hello.cpus.iter().all(|cpu| hello.present.contains(cpu)), "{:?} {:?}", hello.cpus, hello.present);
}

#[test]
fn store_takes_only_what_is_right() {
    let lab = Lab::new();
    let artifact = lab.push(b"abc");
    let file = StoreFile { sha256: artifact.sha256.clone(), size_bytes: 3 };
    let verified = lab.ask(&["store", "verify"]);
    let verified: StoreVerification = serde_json::from_slice(&verified.stdout).unwrap();
    assert_eq!(verified.intact, [file]);

    fs::write(lab.path("partial").join(&artifact.sha256), b"abd").unwrap();
    let refused = lab.ask(&["store", "commit", &artifact.sha256, "3"]);
    assert_eq!(refused.status.code(), Some(exit::CORRUPT));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("push it again"));
    assert_eq!(lab.ask(&["store", "commit", &"0".repeat(64), "3"]).status.code(), Some(exit::INCOMPLETE));
    fs::write(lab.path("partial").join(&artifact.sha256), b"ab").unwrap();
    assert_eq!(lab.ask(&["store", "commit", &artifact.sha256, "3"]).status.code(), Some(exit::INCOMPLETE));
    assert_eq!(lab.ask(&["store", "remove", "../lock"]).status.code(), Some(exit::USAGE));
    let status = lab.ask(&["store", "remove", &artifact.sha256]);
    let status: StoreStatus = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!((status.files.len(), status.partial.len()), (0, 0));
}

#[test]
fn a_run_tells_everything_in_order_and_answers_the_same_each_time() {
    let lab = Lab::new();
    let mut answers = Vec::new();
    for scenario in [Scenario::SingleStream, Scenario::Offline] {
        let mut request = lab.request(&format!("run-{scenario}"), QUICK);
        request.job.scenario = scenario;
        let (messages, code, stderr) = lab.start(&request).finish();
        assert_eq!(code, 0, "{stderr}");
        let kinds: Vec<String> = messages
            .iter()
            .map(|message| serde_json::to_value(message).unwrap()["kind"].as_str().unwrap().to_owned())
            .collect();
        let expected = "accepted phase phase loaded phase first_inference phase warmed_up phase conditions samples \
                        measured output finished";
        assert_eq!(kinds.join(" "), expected);
        assert_eq!(samples(&messages), 7);
        assert!(matches!(messages[7], Message::WarmedUp { runs: 2, .. }));
        let Message::Measured { samples: 7, threads: 1, peak_rss_bytes, .. } = messages[11] else {
            panic!("{:?}", messages[11])
        };
        assert!(peak_rss_bytes > 1 << 20);
        answers.push(answer(&messages));
    }
    assert_eq!(answers[0].len(), 8);
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn batch_and_threads_are_really_used() {
    let lab = Lab::new();
    let mut request = lab.request("wide", QUICK);
    (request.job.batch, request.job.threads) = (3, 2);
    let (messages, ..) = lab.start(&request).finish();
    let Message::Loaded { inputs, .. } = &messages[3] else { panic!("{messages:?}") };
    let Message::FirstInference { outputs, .. } = &messages[5] else { panic!("{messages:?}") };
    assert_eq!(
        (inputs[0].shape.as_slice(), outputs[0].shape.as_slice()),
        ([3, 3, 32, 32].as_slice(), [3, 8].as_slice())
    );
    assert!(messages.iter().any(|message| matches!(message, Message::Measured { threads: 2, .. })));
    assert_eq!(answer(&messages).len(), 24);
}

#[test]
fn asking_twice_runs_once_and_an_offset_gives_exactly_the_rest() {
    let lab = Lab::new();
    let request = lab.request("same", QUICK);
    let (first, ..) = lab.start(&request).finish();
    let (second, ..) = lab.start(&request).finish();
    assert_eq!(first, second);
    let whole = fs::read(lab.path("runs/same/messages.jsonl")).unwrap();
    for offset in [0, 10, whole.len() / 2, whole.len() - 1, whole.len()] {
        let rest = lab.ask(&["follow", "--run", "same", "--offset", &offset.to_string()]);
        assert_eq!((rest.status.code(), rest.stdout.as_slice()), (Some(0), &whole[offset..]));
    }
    let beyond = (whole.len() + 1).to_string();
    assert_eq!(lab.ask(&["follow", "--run", "same", "--offset", &beyond]).status.code(), Some(exit::USAGE));
    assert_eq!(lab.ask(&["follow", "--run", "other"]).status.code(), Some(exit::UNKNOWN_RUN));
    assert_eq!(lab.ask(&["cancel", "--run", "other"]).status.code(), Some(exit::UNKNOWN_RUN));
}

#[test]
fn runs_never_overlap_and_a_cancelled_one_makes_room() {
    let lab = Lab::new();
    let mut first = lab.start(&lab.request("first", ENDLESS));
    first.until(Phase::WarmUp);
    let second = lab.request("second", QUICK);
    let (messages, code, stderr) = lab.start(&second).finish();
    assert_eq!((messages.len(), code), (0, exit::BUSY));
    assert!(stderr.contains("first"), "{stderr}");
    let hello: Hello = serde_json::from_slice(&lab.ask(&["hello"]).stdout).unwrap();
    assert_eq!(hello.running.as_deref(), Some("first"));

    assert_eq!(lab.ask(&["cancel", "--run", "first"]).status.code(), Some(0));
    assert_eq!(first.failure().failure, RunnerFailureKind::Cancelled);
    assert_eq!(lab.ask(&["cancel", "--run", "first"]).status.code(), Some(0));
    let (messages, ..) = lab.start(&second).finish();
    assert!(matches!(messages.last(), Some(Message::Finished { .. })));
}

#[test]
fn a_device_tells_how_fast_it_is_and_not_while_a_run_is_under_way() {
    let lab = Lab::new();
    let told: Calibration = serde_json::from_slice(&lab.ask(&["calibrate"]).stdout).unwrap();
    assert_eq!(told.kernel_version, CALIBRATION_VERSION);
    assert!(told.compute.fastest_ns > 0 && told.memory.fastest_ns > 0, "{told:?}");
    let mut run = lab.start(&lab.request("under-way", ENDLESS));
    run.until(Phase::WarmUp);
    let refused = lab.ask(&["calibrate"]);
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(exit::BUSY), 0));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("under-way"));
    lab.ask(&["cancel", "--run", "under-way"]);
    run.finish();
    assert!(lab.ask(&["calibrate"]).status.success());
}

#[test]
fn a_device_tells_how_hot_and_how_busy_it_is_between_runs() {
    let lab = Lab::new();
    let rest = |root: &str| -> DeviceRest {
        let output = lab.command(&["rest"]).env("DEVICE_RUNNER_ROOT", lab.path(root)).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    assert_eq!(rest("empty"), DeviceRest::default());
    for (path, text) in [
        ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
        ("sys/class/thermal/thermal_zone0/temp", "61500\n"),
        ("sys/class/thermal/thermal_zone1/type", "battery\n"),
        ("sys/class/thermal/thermal_zone1/temp", "80000\n"),
        ("sys/devices/system/cpu/present", "0-1\n"),
        ("sys/devices/system/cpu/online", "0-1\n"),
        ("proc/uptime", "100.50 12.00\n"),
        ("proc/stat", "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 100 0 0 9 0 0 0 0 0 0\ncpu1 300 0 0 9 0 0 0 0 0 0\n"),
    ] {
        let path = lab.path("board").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let told = rest("board");
    let hottest = told.hottest.unwrap();
    assert_eq!((hottest.sensor.as_str(), hottest.celsius), ("cpu-thermal", 61.5));
    assert_eq!((told.uptime_ms, told.busy_ms, told.cpus), (Some(100_500), Some(4_000), 2));
    assert!(rest("").load_since(&rest("")).is_none_or(|load| (0.0..=1.0).contains(&load)), "the device itself");
}

#[test]
fn the_deadline_ends_a_run() {
    let lab = Lab::new();
    let mut request = lab.request("late", ENDLESS);
    request.deadline_seconds = 1.0;
    let failure = lab.start(&request).failure();
    assert_eq!(failure.failure, RunnerFailureKind::Deadline, "{failure:?}");
}

#[test]
fn a_killed_measuring_process_is_a_failed_run_with_its_signal() {
    let lab = Lab::new();
    // Not SIGSEGV: Rust's handler for stack overflows lets a process go on that was only sent one.
    for signal in [Signal::SIGKILL, Signal::SIGABRT] {
        let mut run = lab.start(&lab.request(signal.as_str(), ENDLESS));
        let supervisor = run.until(Phase::WarmUp);
        send(signal, child_of(supervisor));
        let failure = run.failure();
        assert_eq!(failure.signal, Some(signal as i32));
        let kinds = [RunnerFailureKind::Crashed, RunnerFailureKind::OutOfMemory];
        // Where the kernel doesn't count its own kills, a kill counts as want of memory.
        assert!(kinds[..if signal == Signal::SIGKILL { 2 } else { 1 }].contains(&failure.failure), "{failure:?}");
    }
}

#[test]
fn a_killed_supervisor_leaves_one_last_message_and_no_process() {
    let lab = Lab::new();
    let mut run = lab.start(&lab.request("orphan", ENDLESS));
    let supervisor = run.until(Phase::WarmUp);
    let child = child_of(supervisor);
    send(Signal::SIGKILL, supervisor as i32);
    assert_eq!(run.failure().failure, RunnerFailureKind::Killed);
    assert_eq!(lab.follow("orphan", 0).failure().failure, RunnerFailureKind::Killed);
    while fs::read_to_string(format!("/proc/{child}/status")).is_ok_and(|status| !status.contains("(zombie)")) {
        std::thread::yield_now();
    }
}

#[test]
fn a_run_outlives_the_connection_that_started_it() {
    let lab = Lab::new();
    let limits = Limits { warmup_min_seconds: 1.0, warmup_max_seconds: 1.0, ..QUICK };
    let mut run = lab.start(&lab.request("detached", limits));
    run.until(Phase::WarmUp);
    run.process.kill().unwrap();
    run.process.wait().unwrap();
    let (messages, code, _) = lab.follow("detached", 0).finish();
    assert_eq!((code, samples(&messages)), (0, 7));
    assert!(matches!(messages.last(), Some(Message::Finished { .. })));
}

#[test]
fn what_can_not_run_fails_with_its_kind() {
    let lab = Lab::new();
    let good = lab.request("good", QUICK);
    let cases: [(&str, RunnerFailureKind); 5] = [
        ("missing", RunnerFailureKind::ArtifactMissing),
        ("garbage", RunnerFailureKind::ModelLoad),
        ("engine", RunnerFailureKind::BackendUnsupported),
        ("half", RunnerFailureKind::BackendUnsupported),
        ("pinned", RunnerFailureKind::Device),
    ];
    for (name, kind) in cases {
        let mut request = good.clone();
        request.run_id = name.to_owned();
        match name {
            "missing" => request.job.model.sha256 = "0".repeat(64),
            "garbage" => request.job.model = lab.push(b"this is no network"),
            "engine" => request.job.backend = "abacus".to_owned(),
            "half" => request.job.precision = Precision::Float16,
            _ => request.job.cpus = Some(vec![1000]),
        }
        let failure = lab.start(&request).failure();
        assert_eq!(failure.failure, kind, "{name}: {failure:?}");
    }
    fs::write(lab.path("store").join(&good.job.model.sha256), b"flipped").unwrap();
    assert_eq!(lab.start(&good).failure().failure, RunnerFailureKind::ArtifactCorrupt);
}

#[test]
fn requests_that_are_not_understood_are_refused() {
    let lab = Lab::new();
    let good = lab.request("good", QUICK);
    let mut other_version = good.clone();
    other_version.protocol += 1;
    let mut traversal = good.clone();
    traversal.run_id = "../store".to_owned();
    let mut wild_lab = good.clone();
    wild_lab.fence.lab = "../../x".to_owned();
    let mut no_threads = good.clone();
    no_threads.job.threads = 0;
    for (request, code, part) in [
        (other_version, exit::PROTOCOL, "protocol"),
        (traversal, exit::USAGE, "run id"),
        (wild_lab, exit::USAGE, "fence.lab"),
        (no_threads, exit::USAGE, "threads"),
    ] {
        let (messages, got, stderr) = lab.start(&request).finish();
        assert_eq!((messages.len(), got), (0, code));
        assert!(stderr.contains(part), "{stderr}");
    }
    assert_eq!(lab.start_raw(b"{}").finish().1, exit::USAGE);
    assert_eq!(fs::read_dir(lab.path("runs")).unwrap().count(), 0);
}

#[test]
fn an_order_under_a_lost_lease_starts_nothing_but_finds_what_was_started() {
    let lab = Lab::new();
    let mut newer = lab.request("newer", QUICK);
    newer.fence.epoch = 7;
    assert_eq!(lab.start(&newer).finish().1, exit::OK);
    let older = lab.request("older", QUICK);
    let (messages, code, stderr) = lab.start(&older).finish();
    assert_eq!((messages.len(), code), (0, exit::FENCED));
    assert!(stderr.contains("epoch 7"), "{stderr}");
    assert!(!lab.path("runs/older").exists());
    // Asking for a run that was started before starts nothing.
    let mut again = newer;
    again.fence.epoch = 1;
    assert_eq!(lab.start(&again).finish().1, exit::OK);
    let mut elsewhere = older;
    elsewhere.fence.lab = "lab-2".to_owned();
    assert_eq!(lab.start(&elsewhere).finish().1, exit::OK);
}

#[test]
fn runs_are_listed_with_their_lab_and_removed_once_they_ended() {
    let lab = Lab::new();
    lab.start(&lab.request("ended", QUICK)).finish();
    let mut living = lab.start(&lab.request("living", ENDLESS));
    living.until(Phase::WarmUp);
    let listed = || {
        let hello: Hello = serde_json::from_slice(&lab.ask(&["hello"]).stdout).unwrap();
        let mut runs: Vec<_> = hello.runs.into_iter().map(|run| (run.run_id, run.lab, run.is_live)).collect();
        runs.sort();
        runs
    };
    let run = |name: &str, is_live| (name.to_owned(), Some("lab-1".to_owned()), is_live);
    assert_eq!(listed(), [run("ended", false), run("living", true)]);
    assert!(lab.ask(&["runs", "remove", "ended", "living", "never-there"]).status.success());
    assert_eq!(listed(), [run("living", true)]);
    lab.ask(&["cancel", "--run", "living"]);
}

#[test]
fn pruning_keeps_the_newest_and_the_living() {
    let lab = Lab::new();
    for name in ["old", "new"] {
        lab.start(&lab.request(name, QUICK)).finish();
    }
    let mut living = lab.start(&lab.request("living", ENDLESS));
    living.until(Phase::WarmUp);
    assert!(lab.ask(&["runs", "prune", "--keep", "1"]).status.success());
    let mut left: Vec<String> = fs::read_dir(lab.path("runs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["living", "new"]);
    lab.ask(&["cancel", "--run", "living"]);
}
