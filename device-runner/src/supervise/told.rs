//! What the measuring process said.
//!
//! Purpose: hold each message against those before it and against the job, since an engine program is not ours. Main
//! type: [`Told`]. Never changes a message.

use farmctl_protocol::{Message, Phase, RunnerFailure, TensorInfo};

/// Most output values kept of a run: four times what the host takes.
const MAX_OUTPUT_VALUES: u64 = 1 << 26;

/// Most inputs and outputs of a network, and most dimensions of each.
const MAX_TENSORS: usize = 256;
const MAX_RANK: usize = 16;

/// Longest text that an engine gives.
const MAX_TEXT_BYTES: usize = 1024;

/// The messages so far, as far as those that follow and the end of the run are judged by them.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) failure: Option<RunnerFailure>,
    pub(super) measured: bool,
    pub(super) spoke: bool,
    loaded: bool,
    samples: u64,
    output_values: u64,
}

/// What a message asks of the supervisor besides being written down.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Asked {
    Nothing,
    /// The phase is another.
    Enter(Phase),
    /// The network waits for its inputs.
    Feed(Vec<TensorInfo>),
    /// The message is not to be written down: it becomes part of the last one.
    Hold,
}

impl Told {
    #[cfg(test)]
    pub(super) fn all() -> Told {
        Told { measured: true, ..Told::default() }
    }

    /// Takes in the next message of a job that allows so many samples.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub(super) fn take(&mut self, message: Message, max_samples: u32) -> Result<Asked, String> {
        self.spoke = true;
        match message {
            Message::Failed(failure) => {
                self.failure = Some(failure);
                return Ok(Asked::Hold);
            }
            Message::Accepted { .. } | Message::Finished { .. } => {
                return Err("the measuring process sent a message that is not its to send".to_owned());
            }
            Message::Phase { phase } => return Ok(Asked::Enter(phase)),
            Message::Loaded { inputs, outputs, engine, .. } => {
                if std::mem::replace(&mut self.loaded, true) {
                    return Err("the measuring process loaded the model twice".to_owned());
                }
                check_tensors(&inputs)?;
                check_tensors(&outputs)?;
                check_text("engine", engine.as_deref().unwrap_or_default())?;
                return Ok(Asked::Feed(inputs));
            }
            Message::Samples { latencies_ns } => {
                self.samples += latencies_ns.len() as u64;
                if self.samples > u64::from(max_samples) || self.measured {
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
            Message::FirstInference { .. } | Message::WarmedUp { .. } => {}
        }
        Ok(Asked::Nothing)
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

    #[test]
    fn what_an_engine_may_say() {
        let mut told = Told::default();
        let inputs = vec![tensor("x", 4)];
        assert_eq!(told.take(loaded(inputs.clone()), 3), Ok(Asked::Feed(inputs)));
        for message in [samples(2), samples(1), measured(3), Message::Output(Output::new("y", &[1], 0, &[1.0]))] {
            assert_eq!(told.take(message, 3), Ok(Asked::Nothing));
        }
        assert!(told.measured && told.failure.is_none());
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
            let mut told = Told::default();
            let error = messages.into_iter().find_map(|message| told.take(message, 3).err()).unwrap();
            assert!(error.contains(expected), "{error}");
        }
    }
}
