//! Engine programs under the real runner: the protocol, the loop in C, and what a program may do wrong.
#![allow(clippy::unwrap_used, missing_docs)]

mod foreign;
mod images;
#[path = "../lab/mod.rs"]
mod lab;

use std::fs;

use farmctl_protocol::{
    ElementType, EngineSpec, InputRange, InputSpec, Layout, Limits, Message, NamedArtifact, Phase, RemarkKind,
    RunnerFailureKind, Scenario, exit,
};
use lab::echo::{ECHO, request, samples};
use lab::{ENDLESS, Lab, QUICK};

/// Values 0, 1, 2 … of the sequence of seed 42 in [-2, 2.5), as the runner's own unit test pins them.
const SEEDED: [u32; 4] = [0x3fab_2430, 0xbfa3_e441, 0xbf3f_0d30, 0xbee6_fc17];

fn answer(messages: &[Message]) -> Vec<u32> {
    let outputs = messages.iter().filter_map(|message| match message {
        Message::Output(output) => Some(output.values().unwrap()),
        _ => None,
    });
    outputs.flatten().map(f32::to_bits).collect()
}

#[test]
fn an_engine_program_tells_the_same_as_an_engine_inside() {
    let lab = Lab::new();
    let mut inside = lab.request("inside", QUICK);
    inside.job.cpus = Some(vec![0]);
    let mut outside = request(&lab, QUICK, &[("behave", "library")]);
    outside.job.cpus = Some(vec![0]);
    outside.job.batch = 3;
    outside.job.threads = 2;
    let kinds = |messages: &[Message]| {
        let kind = |message| serde_json::to_value(message).unwrap()["kind"].as_str().unwrap().to_owned();
        messages.iter().map(kind).collect::<Vec<String>>().join(" ")
    };
    let (expected, ..) = lab.start(&inside).finish();
    let (messages, code, stderr) = lab.start(&outside).finish();
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(kinds(&messages), kinds(&expected), "{messages:?}");
    let Message::Loaded { inputs, engine, .. } = &messages[3] else { panic!("{messages:?}") };
    let Message::FirstInference { outputs, .. } = &messages[5] else { panic!("{messages:?}") };
    assert_eq!((inputs[0].name.as_str(), inputs[0].shape.as_slice()), ("x", [3, 2, 2, 3].as_slice()));
    assert_eq!((outputs[0].name.as_str(), outputs[0].element.as_str()), ("the \"same\"\té?", "f32"));
    assert_eq!(engine.as_deref(), Some("echo 1 (whole)"));
    let Message::Measured { samples: 7, threads: 2, peak_rss_bytes, cpus, .. } = &messages[11] else {
        panic!("{messages:?}")
    };
    assert!(*peak_rss_bytes > 1 << 16 && *cpus == [0]);
    assert_eq!(answer(&messages).len(), 36);
    assert_eq!(answer(&messages)[..4], SEEDED);
    let engine = lab.path("runs/run/engine/echo");
    assert!(fs::symlink_metadata(engine).unwrap().is_symlink());
}

#[test]
fn both_loops_end_at_the_same_inference() {
    let lab = Lab::new();
    let second = Limits { min_runs: 1, max_runs: 40, min_seconds: 0.0, max_seconds: 0.0, ..QUICK };
    let cases = [
        (second, 1),
        (Limits { min_runs: 5, max_seconds: 60.0, ..second }, 5),
        (Limits { min_seconds: 30.0, max_seconds: 60.0, ..second }, 40),
    ];
    for (index, (limits, count)) in cases.into_iter().enumerate() {
        for scenario in Scenario::ALL.iter().copied() {
            let mut inside = lab.request(&format!("inside-{scenario}-{index}"), limits);
            inside.job.scenario = scenario;
            let mut outside = request(&lab, limits, &[]);
            (outside.run_id, outside.job.scenario) = (format!("outside-{scenario}-{index}"), scenario);
            for request in [inside, outside] {
                let (messages, ..) = lab.start(&request).finish();
                let warm = |message: &Message| matches!(message, Message::WarmedUp { runs: 2, .. });
                assert!(messages.iter().any(warm));
                let latencies = samples(&messages);
                assert_eq!(latencies.len(), count, "{messages:?}");
                let wall = messages.iter().find_map(|message| match message {
                    Message::Measured { wall_ns, .. } => Some(*wall_ns),
                    _ => None,
                });
                let sum = latencies.iter().sum::<u64>();
                assert!(if scenario == Scenario::SingleStream { Some(sum) <= wall } else { Some(sum) == wall });
            }
        }
    }
}

#[test]
fn the_loop_in_c_times_the_inference() {
    let lab = Lab::new();
    let limits = Limits { warmup_min_seconds: 0.02, warmup_max_seconds: 0.03, ..QUICK };
    let (messages, ..) = lab.start(&request(&lab, limits, &[("sleep_ns", "5000000")])).finish();
    assert!(samples(&messages).iter().all(|latency| (5_000_000..1_000_000_000).contains(latency)), "{messages:?}");
    let first = |message: &Message| matches!(message, Message::FirstInference { latency_ns: 5_000_000.., .. });
    let warm = |message: &Message| matches!(message, Message::WarmedUp { runs: 2..=6, duration_ns: 20_000_000.., .. });
    assert!(messages.iter().any(first) && messages.iter().any(warm), "{messages:?}");
}

#[test]
fn images_are_the_same_in_both_orders() {
    let lab = Lab::new();
    let mut rows_first = request(&lab, QUICK, &[]);
    rows_first.job.layout = Layout::Nhwc;
    let (messages, ..) = lab.start(&rows_first).finish();
    // [1, 2, 2, 3]: value 1 of the first channel is the second pixel's first.
    let answer = answer(&messages);
    assert_eq!([answer[0], answer[3], answer[6], answer[9]], SEEDED);
}

#[test]
fn parts_of_a_model_are_found_and_verified() {
    let lab = Lab::new();
    let part = NamedArtifact { name: "part".to_owned(), artifact: lab.push(b"the rest") };
    let mut request = request(&lab, QUICK, &[]);
    request.job.model_parts = vec![part.clone()];
    let (messages, ..) = lab.start(&request).finish();
    let in_parts =
        |message: &Message| matches!(message, Message::Loaded { engine: Some(name), .. } if name.contains("in parts"));
    assert!(messages.iter().any(in_parts), "{messages:?}");
    fs::write(lab.path("store").join(&part.artifact.sha256), b"rotten!!").unwrap();
    request.run_id = "rotten".to_owned();
    let failure = lab.start(&request).failure();
    assert_eq!(failure.failure, RunnerFailureKind::ArtifactCorrupt);
    assert!(failure.message.contains("the model's part part"), "{failure:?}");
}

#[test]
fn a_crash_is_that_runs_failure() {
    let lab = Lab::new();
    let failure = lab.start(&request(&lab, QUICK, &[("behave", "crash")])).failure();
    assert_eq!((failure.failure, failure.signal), (RunnerFailureKind::Crashed, Some(11)));
    assert_eq!(failure.stderr_tail, ["a library that prints", "last words"]);
    assert!(failure.message.ends_with("SIGSEGV; its last line: last words"), "{failure:?}");
}

#[test]
fn an_engine_that_is_refused_memory_says_so_by_its_exit_code() {
    let lab = Lab::new();
    let failure = lab.start(&request(&lab, QUICK, &[("behave", "starve")])).failure();
    assert_eq!((failure.failure, failure.exit_code), (RunnerFailureKind::OutOfMemory, Some(exit::NO_MEMORY)));
}

#[test]
fn what_an_engine_does_wrong_fails_its_run() {
    let lab = Lab::new();
    type Case = (&'static [(&'static str, &'static str)], RunnerFailureKind, &'static str);
    let cases: [Case; 6] = [
        (&[("behave", "refuse")], RunnerFailureKind::BackendUnsupported, "this engine refuses onnx"),
        (&[("colour", "red")], RunnerFailureKind::BackendUnsupported, "no option colour"),
        (&[("behave", "huge")], RunnerFailureKind::BackendUnsupported, "larger than"),
        (&[("say", "hello")], RunnerFailureKind::Internal, "no message"),
        (&[("say", r#"{"kind":"finished","finished_unix_ms":1}"#)], RunnerFailureKind::Internal, "not its to send"),
        (
            &[("say", r#"{"kind":"samples","latencies_ns":[1,2,3,4,5,6,7,8]}"#)],
            RunnerFailureKind::Internal,
            "8 samples",
        ),
    ];
    for (index, (options, kind, part)) in cases.into_iter().enumerate() {
        let mut request = request(&lab, QUICK, options);
        request.run_id = format!("case-{index}");
        let failure = lab.start(&request).failure();
        assert_eq!(failure.failure, kind, "{failure:?}");
        assert!(failure.message.contains(part), "{failure:?}");
    }
}

#[test]
fn what_can_not_start_says_why() {
    let lab = Lab::new();
    let mut other_machine = ECHO.to_vec();
    other_machine[18] = 0xf7; // e_machine: eBPF, which no kernel starts as a program
    for (index, (program, part)) in
        [(other_machine, "another kind of processor"), (b"text".to_vec(), "another kind of")].into_iter().enumerate()
    {
        let mut request = request(&lab, QUICK, &[]);
        request.run_id = format!("case-{index}");
        request.job.engine.as_mut().unwrap().files[0].artifact = lab.push(&program);
        let failure = lab.start(&request).failure();
        assert_eq!(failure.failure, RunnerFailureKind::BackendUnsupported, "{failure:?}");
        assert!(failure.message.contains(part), "{failure:?}");
    }
}

#[test]
fn a_program_whose_loader_is_not_there_says_so() {
    let lab = Lab::new();
    let loader = ECHO.windows(7).position(|bytes| bytes == b"/lib64/").expect("a dynamic program");
    let mut program = ECHO.to_vec();
    program[loader + 1..loader + 6].copy_from_slice(b"nolib");
    let mut request = request(&lab, QUICK, &[]);
    request.job.engine.as_mut().unwrap().files[0].artifact = lab.push(&program);
    let failure = lab.start(&request).failure();
    assert_eq!(failure.failure, RunnerFailureKind::BackendUnsupported, "{failure:?}");
    assert!(failure.message.contains("dynamic loader"), "{failure:?}");
}

#[test]
fn an_engine_leaves_with_its_supervisor() {
    let lab = Lab::new();
    let mut run = lab.start(&request(&lab, ENDLESS, &[("sleep_ns", "1000000")]));
    let supervisor = run.until(Phase::WarmUp);
    let child = lab::child_of(supervisor);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(supervisor as i32), nix::sys::signal::Signal::SIGKILL).unwrap();
    assert_eq!(run.failure().failure, RunnerFailureKind::Killed);
    while fs::read_to_string(format!("/proc/{child}/status")).is_ok_and(|status| !status.contains("(zombie)")) {
        std::thread::yield_now();
    }
}

#[test]
fn requests_that_would_leave_the_folder_are_refused() {
    let lab = Lab::new();
    let good = request(&lab, QUICK, &[]);
    let change = |change: fn(&mut EngineSpec)| {
        let mut request = good.clone();
        change(request.job.engine.as_mut().unwrap());
        request
    };
    let cases = [
        (change(|engine| engine.files[1].name = "../x".to_owned()), "no file name"),
        (change(|engine| engine.files[1].name = ".hidden".to_owned()), "no file name"),
        (change(|engine| engine.files[1].name = "echo".to_owned()), "twice"),
        (change(|engine| engine.command = vec!["/bin/sh".to_owned()]), "none of engine.files"),
        (change(|engine| engine.command = Vec::new()), "engine.command is empty"),
        (change(|engine| engine.files[1].artifact.sha256 = "../x".to_owned()), "SHA-256"),
        (change(|engine| drop(engine.options.insert("a".to_owned(), "b\nc=d".to_owned()))), "may have"),
    ];
    for (request, part) in cases {
        let (messages, code, stderr) = lab.start(&request).finish();
        assert_eq!((messages.len(), code), (0, exit::USAGE));
        assert!(stderr.contains(part), "{stderr}");
    }
}

/// The text of the run's one remark.
fn remark(messages: &[Message], kind: RemarkKind) -> String {
    let told = messages.iter().filter_map(|message| match message {
        Message::Remark(remark) => Some(remark),
        _ => None,
    });
    let remarks: Vec<_> = told.collect();
    assert!(remarks.len() == 1 && remarks[0].remark == kind, "{messages:?}");
    remarks[0].message.clone()
}

#[test]
fn an_engine_program_gets_values_of_every_type() {
    let lab = Lab::new();
    for element in ElementType::ALL {
        let mut request = request(&lab, QUICK, &[("element", element.as_str())]);
        request.run_id = format!("element-{element}");
        let range = InputRange { low: 0.0, high: if *element == ElementType::Bool { 2.0 } else { 100.0 } };
        let shape = vec![5, 2, 2, 3];
        request.job.inputs = vec![InputSpec { name: "x".to_owned(), element: *element, shape, range, values: None }];
        let (messages, code, stderr) = lab.start(&request).finish();
        assert_eq!(code, 0, "{stderr}");
        let Message::Loaded { inputs, .. } = &messages[3] else { panic!("{messages:?}") };
        assert_eq!(inputs[0].to_string(), format!("{element} [5, 2, 2, 3]"));
        let values: Vec<f32> = answer(&messages).into_iter().map(f32::from_bits).collect();
        assert!(values.len() == 60 && values.iter().all(|value| (0.0..=range.high).contains(value)), "{values:?}");
        let is_real = matches!(element, ElementType::Float16 | ElementType::Float32 | ElementType::Float64);
        // The echo engine's 8-bit integers are quantised, and it gives back the real numbers.
        let are_whole = values.iter().all(|value| value.fract() == 0.0);
        assert_eq!(are_whole, !is_real, "{element}: {values:?}");
        let top = values.iter().fold(0f32, |top, value| top.max(*value));
        assert!(top > range.high * if *element == ElementType::Bool { 0.4 } else { 0.9 }, "{element}: {values:?}");
    }
}

#[test]
fn an_engine_program_sets_what_the_job_says_or_the_run_fails() {
    let lab = Lab::new();
    type Case = (&'static str, &'static [u64], &'static [(&'static str, &'static str)], &'static str);
    let cases: [Case; 4] = [
        ("x", &[5, 2, 2, 4], &[], "x is f32 [?, 2, 2, 3] in the model's file, the job says f32 [5, 2, 2, 4]"),
        ("x", &[12], &[], "the job says f32 [12]"),
        ("x", &[5, 2, 2, 3], &[("element", "i32")], "x is i32 [?, 2, 2, 3] in the model's file, the job says f32"),
        ("x", &[5, 2, 2, 3], &[("behave", "other")], "has set other inputs than the job says"),
    ];
    for (index, (name, shape, options, part)) in cases.into_iter().enumerate() {
        let mut request = request(&lab, QUICK, options);
        request.run_id = format!("case-{index}");
        let range = request.job.input_range;
        let (name, shape) = (name.to_owned(), shape.to_vec());
        request.job.inputs = vec![InputSpec { name, element: ElementType::Float32, shape, range, values: None }];
        let failure = lab.start(&request).failure();
        assert_eq!(failure.failure, RunnerFailureKind::BackendUnsupported, "{failure:?}");
        assert!(failure.message.contains(part), "{failure:?}");
    }
}

#[test]
fn what_can_not_be_kept_of_an_answer_is_a_remark() {
    let lab = Lab::new();
    let cases = [
        ("wide", "17", 12, "wide (f32 [17, 1024, 1024])"),
        ("wide", "100000", 12, "wide (f32 [100000, 1024, 1024])"),
        ("behave", "text", 12, "text (string [0])"),
    ];
    for (index, (option, value, kept, part)) in cases.into_iter().enumerate() {
        let mut request = request(&lab, QUICK, &[(option, value)]);
        request.run_id = format!("case-{index}");
        let (messages, code, stderr) = lab.start(&request).finish();
        assert_eq!((code, answer(&messages).len(), samples(&messages).len()), (0, kept, 7), "{stderr}");
        let text = remark(&messages, RemarkKind::OutputsLeftOut);
        assert!(text.contains(part), "{text}");
        assert!(matches!(messages.last(), Some(Message::Finished { .. })));
    }
    for behave in ["many", "high rank"] {
        let mut request = request(&lab, QUICK, &[("behave", behave)]);
        request.run_id = behave.replace(' ', "-");
        let (messages, ..) = lab.start(&request).finish();
        assert!(matches!(messages.last(), Some(Message::Finished { .. })), "{:?}", messages.last());
        let outputs = messages.iter().filter(|message| matches!(message, Message::Output(_))).count();
        assert_eq!(outputs, if behave == "many" { 301 } else { 1 });
    }
}

#[test]
fn further_files_lie_beside_the_model() {
    let lab = Lab::new();
    let mut request = request(&lab, QUICK, &[("behave", "beside")]);
    request.job.model_parts = ["init", "weights/a b=é.bin"]
        .map(|name| NamedArtifact { name: name.to_owned(), artifact: lab.push(name.as_bytes()) })
        .to_vec();
    let (messages, code, stderr) = lab.start(&request).finish();
    assert_eq!(code, 0, "{stderr}");
    assert!(matches!(messages.last(), Some(Message::Finished { .. })), "{messages:?}");
    assert!(!lab.path("runs/run/model").exists(), "what was laid out is removed");
    for (name, part) in [
        ("../x", "no path"),
        ("/etc/x", "no path"),
        ("a//b", "no path"),
        ("a/./b", "no path"),
        ("a\nb", "no path"),
        ("init", "twice"),
        ("init/x", "a file and a folder"),
    ] {
        let mut wrong = request.clone();
        wrong.run_id = "wrong".to_owned();
        wrong.job.model_parts[1].name = name.to_owned();
        let (_, code, stderr) = lab.start(&wrong).finish();
        assert!(code == exit::USAGE && stderr.contains(part), "{name}: {stderr}");
    }
}
