use farmctl_protocol::{
    MAX_NAME_BYTES, MAX_RANK, MAX_TENSORS, Message, Phase, RemarkKind, RunnerFailure, TOP_CLASSES, TensorInfo,
};

use crate::domain::{Failure, Job, JobDataset, Measurement};

use conditions::bounded as bounded_conditions;
use outputs::Outputs;

use super::bounds::cut;

mod conditions;
mod outputs;
mod shapes;

/// Most processors of a device that are kept.
const MAX_CPUS: usize = 4096;
/// Most remarks that are kept, and the longest one.
const MAX_REMARKS: usize = 20;
const MAX_REMARK_CHARACTERS: usize = 1000;
/// Most characters of a failure that are kept: an engine may tell names of any length.
const MAX_FAILURE_CHARACTERS: usize = 4000;

/// Puts a run's messages together into a [`Measurement`], and refuses what does not fit together: a number in a report
/// must not come from half a stream.
#[derive(Debug)]
pub(super) struct Collector {
    job: Job,
    max_samples: usize,
    measurement: Measurement,
    announced_samples: Option<u64>,
    outputs: Outputs,
    to_classify: usize,
    classes: u32,
    best_classes: Vec<Vec<u32>>,
    /// Whether the device said why there are none.
    no_accuracy: bool,
    /// Those that the run has entered.
    phases: Vec<Phase>,
    end: Option<End>,
}

/// How the device says a run ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum End {
    Finished,
    Failed(RunnerFailure),
}

/// A finished run's measurement, with the bytes of its outputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Collected {
    /// The numbers; its outputs name the files in `output_files`.
    pub measurement: Measurement,
    /// SHA-256 and content of each output tensor.
    pub output_files: Vec<(String, Vec<u8>)>,
    /// What the network took the job's images for, the best class first, in the images' order.
    pub best_classes: Vec<Vec<u32>>,
}

impl Collector {
    pub(super) fn new(job: &Job) -> Collector {
        let dataset = job.dataset.as_ref();
        let prepared = dataset.and_then(|dataset| dataset.prepared.as_ref());
        Collector {
            job: job.clone(),
            to_classify: prepared.map_or(0, |prepared| prepared.count as usize),
            classes: dataset.map_or(0, JobDataset::answers),
            best_classes: Vec::new(),
            max_samples: job.limits.max_runs as usize,
            measurement: Measurement::default(),
            announced_samples: None,
            outputs: Outputs::default(),
            no_accuracy: false,
            phases: Vec::new(),
            end: None,
        }
    }

    /// Takes in the next message; returns the phase that begins with it, if one does.
    ///
    /// # Errors
    /// Says what does not fit with the messages before it.
    pub(super) fn take(&mut self, message: Message) -> Result<Option<Phase>, String> {
        if self.end.is_some() {
            return Err("a message after the last one".to_owned());
        }
        match message {
            Message::Accepted { .. } => {}
            // One that is told again is no news: each is an event, and a run has a few.
            Message::Phase { phase } if self.phases.contains(&phase) => {}
            Message::Phase { phase } => {
                self.phases.push(phase);
                return Ok(Some(phase));
            }
            Message::Look { .. } => return Err("a look at samples, which is for the runner alone".to_owned()),
            figures @ (Message::Loaded { .. }
            | Message::FirstInference { .. }
            | Message::WarmedUp { .. }
            | Message::Samples { .. }
            | Message::Measured { .. }
            | Message::Reported(_)) => self.take_figures(figures)?,
            Message::Conditions(told) => {
                if self.measurement.conditions.is_some() {
                    return Err("the device's conditions came twice".to_owned());
                }
                self.measurement.conditions = Some(Box::new(bounded_conditions(*told)));
            }
            Message::Output(output) => self.outputs.take(&output),
            Message::Remark(remark) => {
                self.no_accuracy |= remark.remark == RemarkKind::NoAccuracy;
                self.remark(&remark.message);
            }
            Message::Classified { first, best } => self.take_classified(first, best)?,
            Message::Finished { .. } => {
                self.check_complete()?;
                self.end = Some(End::Finished);
            }
            Message::Failed(failure) => {
                let message = shortened(failure.message);
                self.end = Some(End::Failed(RunnerFailure { message, ..failure }));
            }
        }
        Ok(None)
    }

    /// Takes in what a message says of loading and of inferences.
    fn take_figures(&mut self, message: Message) -> Result<(), String> {
        let measurement = &mut self.measurement;
        match message {
            Message::Loaded { load_ns, inputs, engine } => {
                measurement.load_ns = Some(load_ns);
                measurement.inputs = bounded(inputs);
                measurement.engine = cut(engine);
            }
            Message::FirstInference { latency_ns, outputs } => {
                measurement.first_ns = Some(latency_ns);
                measurement.output_tensors = bounded(outputs);
            }
            Message::WarmedUp { runs, steady, .. } => {
                measurement.warmup_runs = Some(runs);
                measurement.steady = steady;
            }
            Message::Samples { latencies_ns } => {
                if measurement.samples_ns.len() + latencies_ns.len() > self.max_samples {
                    return Err(format!("more samples than the {} the job allows", self.max_samples));
                }
                measurement.samples_ns.extend(latencies_ns);
            }
            Message::Measured {
                samples,
                wall_ns,
                cpu_user_ns,
                cpu_system_ns,
                peak_rss_bytes,
                cpus,
                threads,
                ended_by,
            } => {
                if cpus.len() > MAX_CPUS {
                    return Err(format!("{} processors, more than {MAX_CPUS}", cpus.len()));
                }
                self.announced_samples = Some(samples);
                measurement.wall_ns = Some(wall_ns);
                measurement.cpu_user_ns = Some(cpu_user_ns);
                measurement.cpu_system_ns = Some(cpu_system_ns);
                measurement.peak_rss_bytes = Some(peak_rss_bytes);
                measurement.cpus = cpus;
                measurement.threads = Some(threads);
                measurement.ended_by = ended_by;
            }
            Message::Reported(reported) => {
                self.announced_samples = Some(reported.samples);
                measurement.load_ns = reported.figures.load_ns;
                measurement.first_ns = reported.figures.first_ns;
                measurement.peak_rss_bytes = Some(reported.peak_rss_bytes);
                measurement.threads = Some(reported.threads);
                measurement.reported = Some(reported.figures);
            }
            // The others have no figures.
            _ => {}
        }
        Ok(())
    }

    fn take_classified(&mut self, first: u64, best: Vec<Vec<u32>>) -> Result<(), String> {
        let next = self.best_classes.len();
        if first != next as u64 || next + best.len() > self.to_classify {
            return Err(format!(
                "{} images from {first} on are not those after {next} of {}",
                best.len(),
                self.to_classify
            ));
        }
        let is_list = |best: &&Vec<u32>| best.len() <= TOP_CLASSES && best.iter().all(|class| *class < self.classes);
        if let Some(wrong) = best.iter().find(|best| !is_list(best)) {
            return Err(format!("{wrong:?} are not the best of {} classes", self.classes));
        }
        self.best_classes.extend(best);
        Ok(())
    }

    fn remark(&mut self, text: &str) {
        if self.measurement.remarks.len() < MAX_REMARKS {
            let printable = text.chars().filter(|character| !character.is_control());
            self.measurement.remarks.push(printable.take(MAX_REMARK_CHARACTERS).collect());
        }
    }

    fn check_measured(&self) -> Result<(), String> {
        let got = self.measurement.samples_ns.len() as u64;
        match self.announced_samples {
            None => Err("the run ended without its measurement".to_owned()),
            // A program that isn't farmctl's may tell averages only.
            Some(0) if self.measurement.reported.is_none_or(|figures| figures.mean_ns.is_none()) => {
                Err("the run ended without a single sample".to_owned())
            }
            Some(announced) if announced != got => Err(format!("{got} of the {announced} announced samples arrived")),
            Some(_) => Ok(()),
        }
    }

    fn check_complete(&self) -> Result<(), String> {
        self.check_measured()?;
        if self.best_classes.len() == self.to_classify || self.no_accuracy {
            return Ok(());
        }
        Err(format!("{} of {} images were classified", self.best_classes.len(), self.to_classify))
    }

    /// Whether the whole measurement has arrived, whatever else did.
    pub(super) fn has_measured(&self) -> bool {
        self.check_measured().is_ok()
    }

    pub(super) fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// What had been measured of a run that failed. Its outputs may be half of what they should be: none is kept, so
    /// none is named.
    pub(super) fn into_unfinished(self) -> Measurement {
        self.measurement
    }

    /// The run as it was collected. Classes count only where they are all there.
    pub(super) fn into_collected(mut self) -> Collected {
        let (kept, remarks) = std::mem::take(&mut self.outputs).finish();
        remarks.iter().for_each(|text| self.remark(text));
        let mut output_files = Vec::new();
        for (output, bytes) in kept {
            output_files.push((output.sha256.clone(), bytes));
            self.measurement.outputs.push(output);
        }
        if let Some(text) = shapes::contradicted(&self.job, &self.measurement) {
            self.remark(&text);
        }
        let are_all_there = self.best_classes.len() == self.to_classify;
        let best_classes = if are_all_there { std::mem::take(&mut self.best_classes) } else { Vec::new() };
        // What is no number is no answer.
        let answers = TOP_CLASSES.min(self.classes as usize);
        let (wanting, all) = (best_classes.iter().filter(|best| best.len() < answers).count(), best_classes.len());
        if wanting > 0 {
            self.remark(&format!(
                "accuracy: {wanting} of {all} images have no whole answer, since the network's values are no numbers \
                 (NaN)"
            ));
        }
        Collected { measurement: self.measurement, output_files, best_classes }
    }

    /// The run as far as it was collected before this failure, which is remarked.
    pub(super) fn into_collected_despite(mut self, failure: &Failure) -> Collected {
        let without = if self.best_classes.len() == self.to_classify { "" } else { "no accuracy can be told: " };
        self.remark(&format!("{without}after all was measured the run failed: {failure}"));
        self.into_collected()
    }
}

/// A text that is not too long, as it is. Of a longer one the middle is left out: engines tell the cause last.
fn shortened(text: String) -> String {
    let length = text.chars().count();
    if length <= MAX_FAILURE_CHARACTERS {
        return text;
    }
    let half = MAX_FAILURE_CHARACTERS / 2;
    let (first, last) = (text.chars().take(half), text.chars().skip(length - half));
    first.chain(" … ".chars()).chain(last).collect()
}

/// As many tensors as a record keeps; what is no tensor of any network is left out.
fn bounded(mut tensors: Vec<TensorInfo>) -> Vec<TensorInfo> {
    tensors.truncate(MAX_TENSORS);
    let is_small = |info: &TensorInfo| {
        info.name.len() <= MAX_NAME_BYTES && info.element.len() <= MAX_NAME_BYTES && info.shape.len() <= MAX_RANK
    };
    let is_printable =
        |info: &TensorInfo| ![&info.name, &info.element].iter().any(|text| text.contains(char::is_control));
    tensors.retain(|info| is_small(info) && is_printable(info));
    tensors
}

#[cfg(test)]
mod tests;
