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
    /// Whether the job has it ask if its warm-up, and its timed loop, are long enough.
    asks: Asks,
    phase: Option<Phase>,
    /// Images that are to be classified, and the classes there are.
    to_classify: u64,
    classes: u32,
    evaluating: bool,
    classified: u64,
}

/// Which loops the supervisor is asked about.
#[derive(Debug, Default)]
struct Asks {
    warm_up: bool,
    timed: bool,
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
    /// Neither is this one; it wants an answer where it asks.
    Look {
        latencies_ns: Vec<u64>,
        asks: bool,
    },
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
            asks: Asks { warm_up: job.limits.steady_percent.is_some(), timed: job.limits.interval_percent.is_some() },
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
            Message::Phase { phase } => return self.enter(phase),
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
            Message::Measured { samples, .. } => self.end_loop(samples, "the engine announced")?,
            Message::Reported(reported) => self.end_loop(reported.samples, "the program reported")?,
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
            Message::Look { latencies_ns, asks } => return self.take_look(latencies_ns, asks),
        }
        Ok(Asked::Nothing)
    }

    fn enter(&mut self, phase: Phase) -> Result<Asked, Foul> {
        if phase == Phase::Evaluate {
            let is_due = self.measured && self.to_classify > 0;
            if !is_due || std::mem::replace(&mut self.evaluating, true) {
                return Err("the measuring process asks for images that it is not to get now".to_owned().into());
            }
        }
        self.phase = Some(phase);
        Ok(Asked::Enter(phase))
    }

    /// All samples were told, says whoever measures: so many.
    fn end_loop(&mut self, samples: u64, who: &str) -> Result<(), Foul> {
        if std::mem::replace(&mut self.measured, true) || samples != self.samples {
            return Err(format!("{who} {samples} samples and sent {}", self.samples).into());
        }
        Ok(())
    }

    fn take_look(&mut self, latencies_ns: Vec<u64>, asks: bool) -> Result<Asked, Foul> {
        let is_due = match self.phase {
            Some(Phase::WarmUp) => self.asks.warm_up,
            Some(Phase::Measure) => self.asks.timed && self.samples == 0 && !self.measured,
            _ => false,
        };
        match is_due {
            true => Ok(Asked::Look { latencies_ns, asks }),
            false => Err("the measuring process asks how long it is to go on, and is not to".to_owned().into()),
        }
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
#[path = "protocol_state/tests.rs"]
mod tests;
