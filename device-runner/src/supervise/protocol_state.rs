//! What the measuring process said.
//!
//! Purpose: hold each message against those before it and against the job, since an engine program is not ours. Main
//! type: [`RunProtocolState`]. Never changes a message.

use farmctl_protocol::{JobSpec, Message, Phase, RunnerFailure, TOP_CLASSES, TensorInfo};

/// Most output values kept of a run: four times what the host takes.
const MAX_OUTPUT_VALUES: u64 = 1 << 26;

/// Most inputs and outputs of a network, and most dimensions of each.
const MAX_TENSORS: usize = 256;
const MAX_RANK: usize = 16;

/// Longest text that an engine gives.
const MAX_TEXT_BYTES: usize = 1024;

/// The messages so far, as far as those that follow and the end of the run are judged by them.
#[derive(Debug, Default)]
pub(super) struct RunProtocolState {
    pub(super) failure: Option<RunnerFailure>,
    pub(super) measured: bool,
    pub(super) spoke: bool,
    loaded: bool,
    samples: u64,
    output_values: u64,
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
    /// The network waits for its inputs.
    Feed {
        inputs: Vec<TensorInfo>,
        outputs: Vec<TensorInfo>,
    },
    /// The message is not to be written down: it becomes part of the last one.
    Withhold,
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
    pub(super) fn take(&mut self, message: Message) -> Result<Asked, String> {
        self.spoke = true;
        match message {
            Message::Failed(failure) => {
                self.failure = Some(failure);
                return Ok(Asked::Withhold);
            }
            Message::Accepted { .. } | Message::Finished { .. } => {
                return Err("the measuring process sent a message that is not its to send".to_owned());
            }
            Message::Phase { phase } => {
                if phase == Phase::Evaluate {
                    let is_due = self.measured && self.to_classify > 0;
                    if !is_due || std::mem::replace(&mut self.evaluating, true) {
                        return Err("the measuring process asks for images that it is not to get now".to_owned());
                    }
                }
                return Ok(Asked::Enter(phase));
            }
            Message::Loaded { inputs, outputs, engine, .. } => {
                if std::mem::replace(&mut self.loaded, true) {
                    return Err("the measuring process loaded the model twice".to_owned());
                }
                check_tensors(&inputs)?;
                check_tensors(&outputs)?;
                check_text("engine", engine.as_deref().unwrap_or_default())?;
                return Ok(Asked::Feed { inputs, outputs });
            }
            Message::Samples { latencies_ns } => {
                self.samples += latencies_ns.len() as u64;
                if self.samples > u64::from(self.max_samples) || self.measured {
                    return Err(format!("{} samples are more than the job or the engine announced", self.samples));
                }
            }
            Message::Measured { samples, .. } => {
                if std::mem::replace(&mut self.measured, true) || samples != self.samples {
                    return Err(format!("the engine announced {samples} samples and sent {}", self.samples));
                }
            }
            Message::Reported(reported) => {
                if std::mem::replace(&mut self.measured, true) || reported.samples != self.samples {
                    return Err(format!("the program reported {} samples and sent {}", reported.samples, self.samples));
                }
            }
            Message::Output(output) => {
                check_text("an output's name", &output.name)?;
                self.output_values += output.values()?.len() as u64;
                if self.output_values > MAX_OUTPUT_VALUES {
                    return Err(format!("the engine sent more than {MAX_OUTPUT_VALUES} output values"));
                }
            }
            Message::Classified { first, best } => self.take_classified(first, &best)?,
            Message::FirstInference { .. } | Message::WarmedUp { .. } => {}
        }
        Ok(Asked::Nothing)
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
    for TensorInfo { name, element, shape } in tensors {
        check_text("a tensor's name", name)?;
        check_text("a tensor's element type", element)?;
        if shape.len() > MAX_RANK {
            return Err(format!("{name:?} has {} dimensions; {MAX_RANK} are the most", shape.len()));
        }
    }
    Ok(())
}

fn check_text(what: &str, text: &str) -> Result<(), String> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(format!("{what} has {} bytes; {MAX_TEXT_BYTES} are the most", text.len()));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use farmctl_protocol::Output;

    fn loaded(inputs: Vec<TensorInfo>) -> Message {
        Message::Loaded { load_ns: 1, inputs, outputs: Vec::new(), engine: None }
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
        TensorInfo { name: name.to_owned(), element: "f32".to_owned(), shape: vec![1; rank] }
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
            assert!(error.contains(expected), "{error}");
        }
        let early = RunProtocolState { measured: false, ..protocol() }.take(evaluate()).unwrap_err();
        assert!(early.contains("not to get now"), "{early}");
    }

    #[test]
    fn what_an_engine_may_say() {
        let mut protocol = three_samples();
        let inputs = vec![tensor("x", 4)];
        let feed = Asked::Feed { inputs: inputs.clone(), outputs: Vec::new() };
        assert_eq!(protocol.take(loaded(inputs)), Ok(feed));
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
            ("twice", vec![loaded(Vec::new()), loaded(Vec::new())]),
            ("more than the job", vec![samples(4)]),
            ("more than the job", vec![samples(1), measured(1), samples(1)]),
            ("announced 2 samples and sent 1", vec![samples(1), measured(2)]),
            ("announced 1 samples and sent 1", vec![samples(1), measured(1), measured(1)]),
            ("257 inputs", vec![loaded(vec![tensor("x", 1); 257])]),
            ("17 dimensions", vec![loaded(vec![tensor("x", 17)])]),
            ("1025 bytes", vec![loaded(vec![tensor(&long, 1)])]),
            (
                "32-bit",
                vec![Message::Output(Output { values_base64: "AA==".to_owned(), ..Output::new("y", &[], 0, &[]) })],
            ),
        ];
        for (expected, messages) in cases {
            let mut protocol = three_samples();
            let error = messages.into_iter().find_map(|message| protocol.take(message).err()).unwrap();
            assert!(error.contains(expected), "{error}");
        }
    }
}
