//! What the measuring process said.
//!
//! Purpose: hold each message against those before it and against the job, since an engine program is not ours. Main
//! type: [`RunProtocolState`]. Never changes a message.

use farmctl_protocol::{
    JobSpec, MAX_NAME_BYTES, MAX_OUTPUT_VALUES, MAX_RANK, MAX_TENSORS, Message, Output, Phase, Remark, RemarkKind,
    RunnerFailure, TOP_CLASSES, TensorInfo,
};

/// Longest text that an engine gives of itself, and of a remark.
const MAX_TEXT_BYTES: usize = 1024;
const MAX_REMARK_BYTES: usize = 16 << 10;

/// Most remarks of a run.
const MAX_REMARKS: u32 = 16;

/// The messages so far, as far as those that follow and the end of the run are judged by them.
#[derive(Debug, Default)]
pub(super) struct RunProtocolState {
    pub(super) failure: Option<RunnerFailure>,
    pub(super) measured: bool,
    pub(super) spoke: bool,
    /// The rest was not waited for: it would be of no use.
    pub(super) is_cut_short: bool,
    loaded: bool,
    samples: u64,
    output_values: u64,
    has_left_out: bool,
    remarks: u32,
    max_samples: u32,
    /// Images that are to be classified, and the classes there are.
    to_classify: u64,
    classes: u32,
    evaluating: bool,
    classified: u64,
}

/// What a message asks of the supervisor besides being written down.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Asked {
    Nothing,
    /// The phase is another.
    Enter(Phase),
    /// The network waits for these inputs.
    Feed(Vec<TensorInfo>),
    /// The network gave these outputs.
    Answered(Vec<TensorInfo>),
    /// The message is not to be written down.
    Withhold,
    /// This is to be written down in its place.
    Note(Remark),
}

/// What is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Foul {
    /// The engine program does not keep to the protocol.
    Engine(String),
    /// The network is larger than what the protocol carries.
    Model(String),
}

impl From<String> for Foul {
    fn from(text: String) -> Foul {
        Foul::Engine(text)
    }
}

impl RunProtocolState {
    /// Nothing yet, of this job.
    pub(super) fn of(job: &JobSpec) -> RunProtocolState {
        let evaluation = job.evaluation.as_ref();
        RunProtocolState {
            max_samples: job.limits.max_runs,
            to_classify: evaluation.map_or(0, |evaluation| evaluation.count.into()),
            classes: evaluation.map_or(0, |evaluation| evaluation.classes),
            ..RunProtocolState::default()
        }
    }

    #[cfg(test)]
    pub(super) fn all() -> RunProtocolState {
        RunProtocolState { measured: true, ..RunProtocolState::default() }
    }

    #[cfg(test)]
    pub(super) fn all_but_images() -> RunProtocolState {
        RunProtocolState { to_classify: 1, ..RunProtocolState::all() }
    }

    /// Whether all that the job asks for was told.
    pub(super) fn is_complete(&self) -> bool {
        self.measured && self.classified == self.to_classify
    }

    /// Takes in the next message.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(super) fn take(&mut self, message: Message) -> Result<Asked, Foul> {
        self.spoke = true;
        match message {
            Message::Failed(failure) => {
                self.failure = Some(failure);
                return Ok(Asked::Withhold);
            }
            Message::Accepted { .. } | Message::Conditions(_) | Message::Finished { .. } => {
                return Err("the measuring process sent a message that is not its to send".to_owned().into());
            }
            Message::Phase { phase } => {
                if phase == Phase::Evaluate {
                    let is_due = self.measured && self.to_classify > 0;
                    if !is_due || std::mem::replace(&mut self.evaluating, true) {
                        return Err("the measuring process asks for images that it is not to get now"
                            .to_owned()
                            .into());
                    }
                }
                return Ok(Asked::Enter(phase));
            }
            Message::Loaded { inputs, engine, .. } => {
                if std::mem::replace(&mut self.loaded, true) {
                    return Err("the measuring process loaded the model twice".to_owned().into());
                }
                check_tensors(&inputs).map_err(Foul::Model)?;
                check_text("engine", engine.as_deref().unwrap_or_default(), MAX_TEXT_BYTES)?;
                return Ok(Asked::Feed(inputs));
            }
            Message::FirstInference { outputs, .. } => {
                check_tensors(&outputs).map_err(Foul::Model)?;
                return Ok(Asked::Answered(outputs));
            }
            Message::Samples { latencies_ns } => {
                self.samples += latencies_ns.len() as u64;
                if self.samples > u64::from(self.max_samples) || self.measured {
                    return Err(
                        format!("{} samples are more than the job or the engine announced", self.samples).into()
                    );
                }
            }
            Message::Measured { samples, .. } => {
                if std::mem::replace(&mut self.measured, true) || samples != self.samples {
                    return Err(format!("the engine announced {samples} samples and sent {}", self.samples).into());
                }
            }
            Message::Reported(reported) => {
                if std::mem::replace(&mut self.measured, true) || reported.samples != self.samples {
                    let text = format!("the program reported {} samples and sent {}", reported.samples, self.samples);
                    return Err(text.into());
                }
            }
            Message::Output(output) => return self.take_output(&output),
            Message::Classified { first, best } => self.take_classified(first, &best)?,
            Message::Remark(remark) => {
                check_text("a remark", &remark.message, MAX_REMARK_BYTES)?;
                self.remarks += 1;
                if self.remarks > MAX_REMARKS {
                    return Err(format!("the engine made more than {MAX_REMARKS} remarks").into());
                }
            }
            Message::WarmedUp { .. } => {}
        }
        Ok(Asked::Nothing)
    }

    /// What is too much of a network's answer is left out: it says nothing against what was measured.
    fn take_output(&mut self, output: &Output) -> Result<Asked, Foul> {
        self.output_values += output.values()?.len() as u64;
        if self.output_values <= MAX_OUTPUT_VALUES && output.name.len() <= MAX_NAME_BYTES {
            return Ok(Asked::Nothing);
        }
        if std::mem::replace(&mut self.has_left_out, true) {
            return Ok(Asked::Withhold);
        }
        let name: String = output.name.chars().take(80).collect();
        let message = format!(
            "outputs are left out, from {name:?} on: {MAX_OUTPUT_VALUES} values are kept of a run, and names of \
             {MAX_NAME_BYTES} bytes"
        );
        Ok(Asked::Note(Remark { remark: RemarkKind::OutputsLeftOut, message }))
    }

    fn take_classified(&mut self, first: u64, best: &[Vec<u32>]) -> Result<(), String> {
        if !self.evaluating || first != self.classified || best.is_empty() {
            return Err(format!("the engine classified image {first}; image {} is the next", self.classified));
        }
        self.classified += best.len() as u64;
        if self.classified > self.to_classify {
            return Err(format!("the engine classified {} images of {}", self.classified, self.to_classify));
        }
        let is_list = |best: &&Vec<u32>| {
            let repeated = best.iter().enumerate().any(|(place, class)| best[..place].contains(class));
            best.len() <= TOP_CLASSES && !repeated && best.iter().all(|class| *class < self.classes)
        };
        match best.iter().find(|best| !is_list(best)) {
            Some(wrong) => Err(format!("{wrong:?} are not the best of {} classes", self.classes)),
            None => Ok(()),
        }
    }
}

fn check_tensors(tensors: &[TensorInfo]) -> Result<(), String> {
    if tensors.len() > MAX_TENSORS {
        return Err(format!("a network of {} inputs or outputs; {MAX_TENSORS} are the most", tensors.len()));
    }
    for TensorInfo { name, element, shape, .. } in tensors {
        check_text("a tensor's name", name, MAX_NAME_BYTES)?;
        check_text("a tensor's element type", element, MAX_TEXT_BYTES)?;
        if shape.len() > MAX_RANK {
            return Err(format!("{name:?} has {} dimensions; {MAX_RANK} are the most", shape.len()));
        }
    }
    Ok(())
}

fn check_text(what: &str, text: &str, most: usize) -> Result<(), String> {
    if text.len() > most {
        return Err(format!("{what} has {} bytes; {most} are the most", text.len()));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
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
        }
    }

    fn tensor(name: &str, rank: usize) -> TensorInfo {
        TensorInfo::new(name, "f32", vec![1; rank])
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
            ("more than 16 remarks", vec![remark("a"); 17]),
            ("bytes; 16384 are", vec![remark(&"a".repeat(MAX_REMARK_BYTES + 1))]),
            ("1025 bytes", vec![loaded(vec![tensor(&long, 1)])]),
            (
                "32-bit",
                vec![Message::Output(Output { values_base64: "AA==".to_owned(), ..Output::new("y", &[], 0, &[]) })],
            ),
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
}
