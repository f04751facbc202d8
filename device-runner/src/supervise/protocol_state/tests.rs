#![allow(clippy::unwrap_used)]

use super::*;
use farmctl_protocol::Output;

fn loaded(inputs: Vec<TensorInfo>) -> Message {
    Message::Loaded { load_ns: 1, inputs, engine: None }
}

fn samples(count: usize) -> Message {
    Message::Samples { latencies_ns: vec![1; count] }
}

fn measured(samples: u64) -> Message {
    Message::Measured {
        samples,
        wall_ns: 3,
        cpu_user_ns: 0,
        cpu_system_ns: 0,
        peak_rss_bytes: 1,
        cpus: Vec::new(),
        threads: 1,
        ended_by: None,
    }
}

fn tensor(name: &str, rank: usize) -> TensorInfo {
    TensorInfo::new(name, "f32", vec![1; rank])
}

fn look() -> Message {
    Message::Look { latencies_ns: vec![5], asks: true }
}

#[test]
fn only_loops_that_may_go_on_are_asked_about() {
    let asks = Asks { warm_up: false, timed: true };
    let mut protocol = RunProtocolState { asks, ..three_samples() };
    protocol.take(Message::Phase { phase: Phase::WarmUp }).unwrap();
    assert!(protocol.take(look()).is_err());
    protocol.take(Message::Phase { phase: Phase::Measure }).unwrap();
    assert_eq!(protocol.take(look()), Ok(Asked::Look { latencies_ns: vec![5], asks: true }));
    protocol.take(samples(1)).unwrap();
    assert!(protocol.take(look()).is_err());
}

fn remark(text: &str) -> Message {
    Message::Remark(Remark { remark: RemarkKind::OutputsLeftOut, message: text.to_owned() })
}

fn text(foul: &Foul) -> &str {
    let (Foul::Engine(text) | Foul::Model(text)) = foul;
    text
}

/// Which only the supervisor tells.
fn conditions() -> Message {
    let told = r#"{"kind": "conditions", "watched_from": "measure", "watched_ns": 1, "looks": 2, "before": {},
        "after": {}, "cpus": [0], "throttled": "no"}"#;
    serde_json::from_str(told).unwrap()
}

fn three_samples() -> RunProtocolState {
    RunProtocolState { max_samples: 3, ..RunProtocolState::default() }
}

fn classified(first: u64, best: &[&[u32]]) -> Message {
    Message::Classified { first, best: best.iter().map(|classes| classes.to_vec()).collect() }
}

#[test]
fn images_are_classified_once_and_in_their_order() {
    let evaluate = || Message::Phase { phase: Phase::Evaluate };
    let protocol = || RunProtocolState { to_classify: 3, classes: 10, ..RunProtocolState::all() };
    let good = [evaluate(), classified(0, &[&[9, 0], &[]]), classified(2, &[&[1, 2, 3, 4, 5]])];
    let mut whole = protocol();
    for message in good {
        assert!(!whole.is_complete());
        whole.take(message).unwrap();
    }
    assert!(whole.is_complete());
    let cases: Vec<(&str, Vec<Message>)> = vec![
        ("image 0 is the next", vec![classified(0, &[&[1]])]),
        ("not to get now", vec![evaluate(), evaluate()]),
        ("image 0 is the next", vec![evaluate(), classified(1, &[&[1]])]),
        ("image 0 is the next", vec![evaluate(), classified(0, &[])]),
        ("4 images of 3", vec![evaluate(), classified(0, &[&[1u32] as &[u32]; 4])]),
        ("[10] are not the best of 10", vec![evaluate(), classified(0, &[&[10]])]),
        ("[1, 1] are not", vec![evaluate(), classified(0, &[&[1, 1]])]),
        ("are not the best", vec![evaluate(), classified(0, &[&[1, 2, 3, 4, 5, 6]])]),
    ];
    for (expected, messages) in cases {
        let mut protocol = protocol();
        let error = messages.into_iter().find_map(|message| protocol.take(message).err()).unwrap();
        assert!(text(&error).contains(expected), "{error:?}");
    }
    let early = RunProtocolState { measured: false, ..protocol() }.take(evaluate()).unwrap_err();
    assert!(text(&early).contains("not to get now"), "{early:?}");
}

#[test]
fn what_an_engine_may_say() {
    let mut protocol = three_samples();
    let inputs = vec![tensor("x", 4)];
    assert_eq!(protocol.take(loaded(inputs.clone())), Ok(Asked::Feed(inputs)));
    let outputs = vec![tensor("y", 1)];
    let first = Message::FirstInference { latency_ns: 1, outputs: outputs.clone() };
    assert_eq!(protocol.take(first), Ok(Asked::Answered(outputs)));
    for message in [samples(2), samples(1), measured(3), Message::Output(Output::new("y", &[1], 0, &[1.0]))] {
        assert_eq!(protocol.take(message), Ok(Asked::Nothing));
    }
    assert!(protocol.measured && protocol.failure.is_none());
}

#[test]
fn what_an_engine_may_not_say() {
    let long = "n".repeat(MAX_TEXT_BYTES + 1);
    let cases: Vec<(&str, Vec<Message>)> = vec![
        ("not its to send", vec![Message::Finished { finished_unix_ms: 0 }]),
        ("not its to send", vec![conditions()]),
        ("twice", vec![loaded(Vec::new()), loaded(Vec::new())]),
        ("more than the job", vec![samples(4)]),
        ("more than the job", vec![samples(1), measured(1), samples(1)]),
        ("announced 2 samples and sent 1", vec![samples(1), measured(2)]),
        ("announced 1 samples and sent 1", vec![samples(1), measured(1), measured(1)]),
        ("1025 inputs", vec![loaded(vec![tensor("x", 1); 1025])]),
        ("65 dimensions", vec![loaded(vec![tensor("x", 65)])]),
        ("65 dimensions", vec![Message::FirstInference { latency_ns: 1, outputs: vec![tensor("y", 65)] }]),
        ("is not to", vec![look()]),
        ("is not to", vec![Message::Phase { phase: Phase::Measure }, look()]),
        ("more than 16 remarks", vec![remark("a"); 17]),
        ("bytes; 16384 are", vec![remark(&"a".repeat(MAX_REMARK_BYTES + 1))]),
        ("1025 bytes", vec![loaded(vec![tensor(&long, 1)])]),
        ("32-bit", vec![Message::Output(Output { values_base64: "AA==".to_owned(), ..Output::new("y", &[], 0, &[]) })]),
    ];
    for (expected, messages) in cases {
        let mut protocol = three_samples();
        let error = messages.into_iter().find_map(|message| protocol.take(message).err()).unwrap();
        assert!(text(&error).contains(expected), "{error:?}");
        let of_model = ["1025 inputs", "65 dimensions", "1025 bytes"].contains(&expected);
        assert_eq!(matches!(error, Foul::Model(_)), of_model, "{error:?}");
    }
}

#[test]
fn outputs_that_are_too_much_are_left_out_with_one_remark() {
    let mut protocol = RunProtocolState { output_values: MAX_OUTPUT_VALUES - 1, ..RunProtocolState::all() };
    let output = |name: &str| Message::Output(Output::new(name, &[1], 0, &[1.0]));
    assert_eq!(protocol.take(output("fits")), Ok(Asked::Nothing));
    let Ok(Asked::Note(remark)) = protocol.take(output("more")) else { panic!("no remark") };
    assert!(remark.message.contains("from \"more\" on"), "{remark:?}");
    assert_eq!(protocol.take(output("and more")), Ok(Asked::Withhold));
    let long = RunProtocolState::all().take(output(&"n".repeat(MAX_NAME_BYTES + 1)));
    assert!(matches!(long, Ok(Asked::Note(_))), "{long:?}");
}
