//! Benchmark programs of other people under the real runner.

use std::fs;

use farmctl_protocol::{Dialect, Message, NamedArtifact, Phase, Reported, RunRequest, RunnerFailureKind};

use super::lab::echo::{request, samples};
use super::lab::{Lab, QUICK};

/// A benchmark program of somebody's: a shell script.
fn foreign(lab: &Lab, dialect: Dialect, script: &str) -> RunRequest {
    let mut request = request(lab, QUICK, &[]);
    let program =
        NamedArtifact { name: "bench".to_owned(), artifact: lab.push(format!("#!/bin/sh\n{script}").as_bytes()) };
    let command = ["bench", "--graph={model}", "--threads={threads}", "--runs={runs}"];
    let engine = request.job.engine.as_mut().unwrap();
    (engine.files, engine.command) = (vec![program], command.map(str::to_owned).to_vec());
    engine.dialect = dialect;
    request.job.threads = 3;
    request
}

#[test]
fn a_programs_averages_are_its_report() {
    let lab = Lab::new();
    let script = r#"
        [ "$2 $3" = "--threads=3 --runs=7" ] && [ -r "${1#--graph=}" ] || exit 9
        echo "INFO: count=50 first=3 curr=3 min=2 max=5 avg=3.5 std=1" >&2
        echo "Inference timings in us: Init: 855, First inference: 9, Warmup (avg): 8, Inference (avg): 3.5"
    "#;
    let mut request = foreign(&lab, Dialect::TfliteBenchmarkModel, script);
    request.job.cpus = Some(vec![0]);
    let (messages, code, stderr) = lab.start(&request).finish();
    assert_eq!(code, 0, "{stderr}");
    let Message::Reported(reported) = &messages[messages.len() - 2] else { panic!("{messages:?}") };
    assert_eq!((reported.samples, reported.threads), (0, 3));
    assert_eq!((reported.figures.mean_ns, reported.figures.runs), (Some(3500), Some(50)));
    assert!(reported.peak_rss_bytes > 1 << 16 && reported.process_wall_ns > 0);
    assert!(matches!(messages.last(), Some(Message::Finished { .. })));
}

#[test]
fn a_programs_samples_arrive() {
    let lab = Lab::new();
    let script = r#"for n in 1 2 3 4 5; do echo "{\"latency_ns\": $n}"; done; echo '{"load_ns": 7}'"#;
    let (messages, ..) = lab.start(&foreign(&lab, Dialect::JsonLines, script)).finish();
    assert_eq!(samples(&messages), [1, 2, 3, 4, 5], "{messages:?}");
    let is_meant = |told: &Reported| told.samples == 5 && told.figures.load_ns == Some(7);
    let told = |message: &Message| matches!(message, Message::Reported(told) if is_meant(told));
    assert!(messages.iter().any(told), "{messages:?}");
}

#[test]
fn what_a_program_does_wrong_fails_its_run() {
    let lab = Lab::new();
    let lines = "i=0; while [ $i -lt 8 ]; do echo '{\"latency_ns\": 1}'; i=$((i+1)); done";
    let cases = [
        (Dialect::TfliteBenchmarkModel, "echo oh dear; exit 3", RunnerFailureKind::Inference, "exit status: 3"),
        (Dialect::Benchncnn, "echo hello", RunnerFailureKind::Inference, "0 networks"),
        (Dialect::JsonLines, "echo hello", RunnerFailureKind::Inference, "no latency"),
        (Dialect::JsonLines, "kill -SEGV $$", RunnerFailureKind::Inference, "signal: 11"),
        (Dialect::JsonLines, lines, RunnerFailureKind::Internal, "8 samples"),
    ];
    for (index, (dialect, script, kind, part)) in cases.into_iter().enumerate() {
        let mut request = foreign(&lab, dialect, script);
        request.run_id = format!("case-{index}");
        let failure = lab.start(&request).failure();
        assert_eq!(failure.failure, kind, "{failure:?}");
        assert!(failure.message.contains(part), "{failure:?}");
        assert!(index > 0 || failure.stderr_tail == ["oh dear"], "{failure:?}");
    }
}

#[test]
fn a_program_ends_with_its_supervisor() {
    let lab = Lab::new();
    let request = foreign(&lab, Dialect::JsonLines, "echo $$ > pid.new; mv pid.new pid; exec sleep 3600");
    let mut run = lab.start(&request);
    let supervisor = run.until(Phase::Measure);
    let pid = loop {
        match fs::read_to_string(lab.path("runs/run/engine/pid")) {
            Ok(pid) => break pid,
            Err(_) => std::thread::yield_now(),
        }
    };
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(supervisor as i32), nix::sys::signal::Signal::SIGKILL).unwrap();
    assert_eq!(run.failure().failure, RunnerFailureKind::Killed);
    while fs::read_to_string(format!("/proc/{}/status", pid.trim())).is_ok_and(|status| !status.contains("(zombie)")) {
        std::thread::yield_now();
    }
}

#[test]
fn a_program_that_hangs_is_ended_at_the_deadline() {
    let lab = Lab::new();
    let mut request = foreign(&lab, Dialect::JsonLines, "sleep 3600");
    request.deadline_seconds = 0.5;
    assert_eq!(lab.start(&request).failure().failure, RunnerFailureKind::Deadline);
}
