#![allow(clippy::unwrap_used)]
use super::*;
use crate::device::lines::MessageDecoder;
use crate::domain::{
    ArtifactRef, FailureKind, JobDataset, PreparedImages, Preprocessing, ResizeFilter, ResizeRule, sample,
};
use farmctl_protocol::{EndedBy, Figures, MAX_LINE_BYTES, MAX_OUTPUT_VALUES, Output, Remark, Reported};
use proptest::prelude::*;

fn measured(samples: u64) -> Message {
    Message::Measured {
        samples,
        wall_ns: 10,
        cpu_user_ns: 1,
        cpu_system_ns: 1,
        peak_rss_bytes: 1,
        cpus: vec![0],
        threads: 1,
        ended_by: Some(EndedBy::Minima),
    }
}

fn finished() -> Message {
    Message::Finished { finished_unix_ms: 1 }
}

#[test]
fn a_whole_stream_becomes_a_measurement() {
    let mut collector = Collector::new(&sample::job("board-1", "tiny"));
    for message in [
        Message::Loaded { load_ns: 7, inputs: vec![], engine: None },
        Message::Samples { latencies_ns: vec![3, 4] },
        Message::Samples { latencies_ns: vec![5] },
        measured(3),
        Message::Output(Output::new("logits", &[1, 3], 0, &[1.0, 2.0])),
        Message::Output(Output::new("logits", &[1, 3], 2, &[3.0])),
        finished(),
    ] {
        collector.take(message).unwrap();
    }
    assert_eq!(collector.end(), Some(&End::Finished));
    let collected = collector.into_collected();
    assert_eq!(collected.measurement.samples_ns, [3, 4, 5]);
    assert_eq!(collected.output_files[0].1.len(), 12);
    assert_eq!(collected.measurement.outputs[0].sha256, collected.output_files[0].0);
}

#[test]
fn conditions_are_kept_once_and_of_a_run_that_failed_too() {
    let mut collector = Collector::new(&sample::job("board-1", "tiny"));
    let conditions = || Message::Conditions(Box::new(sample::conditions()));
    collector.take(conditions()).unwrap();
    assert!(collector.take(conditions()).unwrap_err().contains("twice"));
    assert_eq!(collector.into_unfinished().conditions.as_deref(), Some(&sample::conditions()));
}

#[test]
fn a_phase_is_told_once_however_often_it_is_announced() {
    let mut collector = Collector::new(&sample::job("board-1", "tiny"));
    let mut told = Vec::new();
    for _ in 0..10_000 {
        for phase in [Phase::Measure, Phase::WarmUp] {
            told.extend(collector.take(Message::Phase { phase }).unwrap());
        }
    }
    assert_eq!(told, [Phase::Measure, Phase::WarmUp]);
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let cases: Vec<(&str, Vec<Message>)> = vec![
        ("without its measurement", vec![finished()]),
        ("single sample", vec![measured(0), finished()]),
        (
            "1 of the 2 announced samples arrived",
            vec![Message::Samples { latencies_ns: vec![1] }, measured(2), finished()],
        ),
        ("more samples", vec![Message::Samples { latencies_ns: vec![1; 101] }]),
        (
            "processors",
            vec![Message::Measured {
                samples: 1,
                wall_ns: 1,
                cpu_user_ns: 1,
                cpu_system_ns: 1,
                peak_rss_bytes: 1,
                cpus: vec![0; 4097],
                threads: 1,
                ended_by: None,
            }],
        ),
    ];
    for (expected, messages) in cases {
        let mut collector = Collector::new(&sample::job("board-1", "tiny"));
        let error = messages.into_iter().find_map(|message| collector.take(message).err()).unwrap();
        assert!(error.contains(expected), "{error}");
    }
}

fn reported(samples: u64, mean_ns: Option<u64>) -> Message {
    Message::Reported(Reported {
        samples,
        figures: Figures { mean_ns, load_ns: Some(9), ..Figures::default() },
        process_wall_ns: 20,
        process_cpu_user_ns: 1,
        process_cpu_system_ns: 1,
        peak_rss_bytes: 5,
        threads: 2,
    })
}

#[test]
fn averages_are_a_measurement_where_they_are_said_to_be_all() {
    let mut collector = Collector::new(&sample::job("board-1", "tiny"));
    collector.take(reported(0, Some(7))).unwrap();
    collector.take(finished()).unwrap();
    let measurement = collector.into_collected().measurement;
    assert_eq!(measurement.averages_only().unwrap().mean_ns, Some(7));
    assert_eq!((measurement.load_ns, measurement.wall_ns, measurement.threads), (Some(9), None, Some(2)));

    let mut collector = Collector::new(&sample::job("board-1", "tiny"));
    collector.take(reported(0, None)).unwrap();
    assert!(collector.take(finished()).unwrap_err().contains("single sample"));

    let mut collector = Collector::new(&sample::job("board-1", "tiny"));
    collector.take(Message::Samples { latencies_ns: vec![3] }).unwrap();
    collector.take(reported(1, None)).unwrap();
    collector.take(finished()).unwrap();
    assert_eq!(collector.into_collected().measurement.averages_only(), None);
}

/// A job that shows its network two images of ten classes.
fn job_with_images() -> Job {
    let (rule, images) = (ResizeRule::None, ArtifactRef { sha256: "c".repeat(64), size_bytes: 128 });
    let (mean, std) = (vec![0.0], vec![16.0]);
    let prepared = PreparedImages {
        images,
        count: 2,
        labels_sha256: "d".repeat(64),
        left_out: Vec::new(),
        changed: Vec::new(),
        empty_classes: 0,
    };
    let dataset = JobDataset {
        name: "digits".to_owned(),
        list_sha256: "e".repeat(64),
        images: 2,
        classes: 10,
        label_offset: 0,
        scores: None,
        shape: [8, 8, 1],
        preprocessing: Preprocessing {
            resize: rule,
            filter: ResizeFilter::Bilinear,
            exif_orientation: false,
            mean,
            std,
        },
        prepared: Some(prepared),
    };
    Job { dataset: Some(dataset), ..sample::job("board-1", "digits") }
}

#[test]
fn all_images_are_classified_or_none_counts() {
    let begin = || vec![Message::Samples { latencies_ns: vec![1] }, measured(1)];
    let classified = |first, best: &[&[u32]]| Message::Classified {
        first,
        best: best.iter().map(|classes| classes.to_vec()).collect(),
    };
    let run = |rest: Vec<Message>| {
        let mut collector = Collector::new(&job_with_images());
        let taken = begin().into_iter().chain(rest).try_for_each(|message| collector.take(message).map(drop));
        assert!(collector.has_measured());
        let failure = |fault| Failure::new(FailureKind::RunnerProtocol, fault);
        match taken {
            Ok(()) => (collector.into_collected(), String::new()),
            Err(fault) => (collector.into_collected_despite(&failure(fault.clone())), fault),
        }
    };
    let whole = vec![classified(0, &[&[3, 1]]), classified(1, &[&[]]), finished()];
    let (collected, _) = run(whole);
    assert_eq!(collected.best_classes, [vec![3, 1], vec![]]);
    assert!(
        collected.measurement.remarks[0].contains("2 of 2 images have no whole answer"),
        "what is no number is none"
    );
    let five: &[u32] = &[3, 1, 2, 4, 5];
    assert!(run(vec![classified(0, &[five, five]), finished()]).0.measurement.remarks.is_empty());
    for (rest, expected) in [
        (vec![classified(0, &[&[3]]), finished()], "1 of 2 images were classified"),
        (vec![classified(1, &[&[3]])], "not those after 0"),
        (vec![classified(0, &[&[3], &[3], &[3]])], "not those after 0 of 2"),
        (vec![classified(0, &[&[10]])], "not the best of 10"),
    ] {
        let (collected, fault) = run(rest);
        assert!(fault.contains(expected), "{fault}");
        assert!(collected.best_classes.is_empty() && collected.measurement.samples_ns == [1]);
        assert!(collected.measurement.remarks[0].contains(expected), "{:?}", collected.measurement.remarks);
    }
    let why = Remark { remark: RemarkKind::NoAccuracy, message: "no accuracy\u{1b}: of 3 classes".to_owned() };
    let (collected, fault) = run(vec![classified(0, &[&[3]]), Message::Remark(why), finished()]);
    assert_eq!((fault.as_str(), collected.best_classes.len()), ("", 0));
    assert_eq!(collected.measurement.remarks, ["no accuracy: of 3 classes"]);
}

#[test]
fn nothing_follows_the_last_message() {
    let mut collector = Collector::new(&sample::job("board-1", "tiny"));
    collector.take(Message::Samples { latencies_ns: vec![1] }).unwrap();
    collector.take(measured(1)).unwrap();
    collector.take(finished()).unwrap();
    assert!(collector.take(finished()).is_err());
}

/// Feeds a device's whole output through what reads it, as the follower does; returns the bytes that are kept.
fn read_all(stream: &[u8], chunk: usize) -> (Result<(), String>, usize) {
    let (mut decoder, mut collector) = (MessageDecoder::default(), Collector::new(&sample::job("board-1", "tiny")));
    let fed = stream
        .chunks(chunk)
        .try_for_each(|bytes| decoder.feed(bytes, &mut |message| collector.take(message).map(drop)));
    let collected = collector.into_collected();
    let of_files: usize = collected.output_files.iter().map(|(_, bytes)| bytes.len()).sum();
    (fed, of_files + collected.measurement.samples_ns.len() * 8 + collected.measurement.cpus.len() * 4)
}

/// A number of any size and form, or something else in its place.
fn hostile_value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => any::<u64>().prop_map(|number| number.to_string()),
        2 => (0u64..20).prop_map(|number| number.to_string()),
        1 => prop::sample::select(vec![
            "18446744073709551615", "18446744073709551616", "4611686018427387904", "-1", "1e400", "-0", "0.5",
            "null", "true", "\"5\"", "[]", "{}", "NaN", "1e999999999", "\"\\u0000\"", "[[[[]]]]",
        ]).prop_map(str::to_owned),
        1 => (1usize..400).prop_map(|digits| "9".repeat(digits)),
        1 => (1usize..400).prop_map(|depth| "[".repeat(depth)),
        1 => prop::collection::vec(any::<u64>(), 0..50).prop_map(|numbers| format!("{numbers:?}")),
    ]
}

/// A line that is nearly a message.
fn hostile_line() -> impl Strategy<Value = String> {
    let templates = vec![
        r#"{"kind":"accepted","protocol":$,"run_id":$,"pid":$,"boot_id":$,"started_unix_ms":$}"#,
        r#"{"kind":"phase","phase":$}"#,
        r#"{"kind":"phase","phase":"measure","phase":$}"#,
        r#"{"kind":"loaded","load_ns":$,"inputs":$,"outputs":[{"name":"a","element":"f32","shape":[$,$]}]}"#,
        r#"{"kind":"first_inference","latency_ns":$}"#,
        r#"{"kind":"warmed_up","runs":$,"duration_ns":$}"#,
        r#"{"kind":"samples","latencies_ns":[$,$,$]}"#,
        r#"{"kind":"samples","latencies_ns":$}"#,
        concat!(
            r#"{"kind":"measured","samples":$,"wall_ns":$,"cpu_user_ns":$,"cpu_system_ns":$,"#,
            r#""peak_rss_bytes":$,"cpus":[$],"threads":$}"#,
        ),
        r#"{"kind":"output","name":"../../x","shape":[$,$],"first":$,"values_base64":"AAAAAAAAAAA="}"#,
        r#"{"kind":"output","name":"o","shape":[2],"first":0,"values_base64":"AAAAAAAAAAA="}"#,
        r#"{"kind":"output","name":$,"shape":$,"first":$,"values_base64":$}"#,
        r#"{"kind":"finished","finished_unix_ms":$}"#,
        r#"{"kind":"failed","failure":"crashed","message":"x","signal":$,"exit_code":$,"stderr_tail":$}"#,
        r#"{"kind":$}"#,
        "$",
    ];
    (prop::sample::select(templates), prop::collection::vec(hostile_value(), 8)).prop_map(|(template, values)| {
        let mut values = values.into_iter();
        let parts = template.split('$').map(str::to_owned);
        parts.reduce(|line, part| line + &values.next().unwrap_or_default() + &part).unwrap_or_default()
    })
}

/// More than one line and all the outputs and samples of a run can't be kept, whatever is sent.
const MOST_KEPT: usize = MAX_OUTPUT_VALUES as usize * 4 + MAX_LINE_BYTES + 100 * 8;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hostile_messages_end_in_an_error_or_a_measurement(
        lines in prop::collection::vec(hostile_line(), 0..12), chunk in 1usize..200,
    ) {
        let (_, kept) = read_all((lines.join("\n") + "\n").as_bytes(), chunk);
        prop_assert!(kept <= MOST_KEPT);
    }

    #[test]
    fn any_bytes_are_read_or_refused(stream in prop::collection::vec(any::<u8>(), 0..600), chunk in 1usize..200) {
        let _ = read_all(&stream, chunk);
    }

    #[test]
    fn a_changed_stream_is_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let messages = [
            Message::Loaded { load_ns: 7, inputs: vec![], engine: None },
            Message::Samples { latencies_ns: vec![3, 4] },
            measured(2),
            Message::Output(Output::new("logits", &[1, 2], 0, &[1.0, 2.0])),
            finished(),
        ];
        let line = |message: &Message| (serde_json::to_string(message).unwrap() + "\n").into_bytes();
        let mut stream: Vec<u8> = messages.iter().flat_map(line).collect();
        prop_assert!(read_all(&stream, 64).0.is_ok());
        for (at, byte) in changes {
            let at = at.index(stream.len());
            stream[at] = byte;
        }
        let _ = read_all(&stream, 64);
    }
}

#[test]
fn what_is_kept_stays_bounded_however_much_is_sent() {
    // Names without values, samples without end, and one value more than there is room for.
    let mut names = (0..).map(|n: u64| Message::Output(Output::new(&format!("{n:0900}"), &[0], 0, &[])));
    let mut values = (0..).map(|n: u64| Message::Output(Output::new("o", &[1], n, &[0.0])));
    let samples = (0..).map(|_: u64| Message::Samples { latencies_ns: vec![1; 64] });
    let of_outputs: [&mut dyn Iterator<Item = Message>; 2] = [&mut names, &mut values];
    for messages in of_outputs {
        let mut collector = Collector::new(&sample::job("board-1", "tiny"));
        for message in messages.take(5000) {
            collector.take(message).unwrap();
        }
        let collected = collector.into_collected();
        let kept: usize = collected.output_files.iter().map(|(_, bytes)| bytes.len() + 1024).sum();
        assert!(kept < 2 << 20, "{kept}");
        assert!(collected.measurement.remarks[0].contains("left out"), "{:?}", collected.measurement.remarks);
    }
    let mut collector = Collector::new(&sample::job("board-1", "tiny"));
    assert!(samples.take(1000).find_map(|message| collector.take(message).err()).unwrap().contains("more"));
    let remark = Remark { remark: RemarkKind::OutputsLeftOut, message: "x".repeat(1 << 20) };
    for _ in 0..100 {
        collector.take(Message::Remark(remark.clone())).unwrap();
    }
    assert!(collector.into_unfinished().remarks.iter().map(String::len).sum::<usize>() < 1 << 17);
    let told = shortened(format!("node {} is odd: the cause", "n".repeat(1 << 20)));
    assert!(told.len() < 5000 && told.starts_with("node n") && told.ends_with("n is odd: the cause"), "{told}");
    assert_eq!(shortened("short".to_owned()), "short");
}

#[test]
fn what_was_told_of_inputs_and_outputs_is_kept() {
    let mut collector = Collector::new(&sample::job("board-1", "tiny"));
    let (input, output) = (TensorInfo::new("x", "i64", vec![1, 128]), TensorInfo::new("y", "f16", vec![0]));
    let many = vec![output.clone(); MAX_TENSORS + 9];
    collector.take(Message::Loaded { load_ns: 7, inputs: vec![input.clone()], engine: None }).unwrap();
    collector.take(Message::FirstInference { latency_ns: 5, outputs: many }).unwrap();
    let measurement = collector.into_unfinished();
    assert_eq!((measurement.inputs, measurement.first_ns), (vec![input], Some(5)));
    assert_eq!((measurement.output_tensors.len(), &measurement.output_tensors[0]), (MAX_TENSORS, &output));
}

#[test]
fn what_was_measured_stands_though_the_run_failed() {
    let mut collector = Collector::new(&sample::job("board-1", "tiny"));
    collector.take(Message::Samples { latencies_ns: vec![1] }).unwrap();
    assert!(!collector.has_measured());
    collector.take(measured(1)).unwrap();
    collector.take(Message::Output(Output::new("half", &[2], 0, &[1.0]))).unwrap();
    assert!(collector.has_measured());
    let collected = collector.into_collected_despite(&Failure::new(FailureKind::Crashed, "SIGSEGV"));
    assert_eq!((collected.measurement.samples_ns.len(), collected.output_files.len()), (1, 0));
    let remarks = collected.measurement.remarks.join("\n");
    assert!(remarks.contains("crashed: SIGSEGV") && remarks.contains("half"), "{remarks}");

    let mut half = Collector::new(&sample::job("board-1", "tiny"));
    half.take(Message::Samples { latencies_ns: vec![1] }).unwrap();
    half.take(measured(2)).unwrap();
    assert!(!half.has_measured(), "a sample is missing");
}
