use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::Conditions;
use crate::job::word_enum;
use std::fmt;
use std::str::FromStr;

/// One line of a run's message file, in the order in which things happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Message {
    /// The device took the run. Always first.
    Accepted {
        /// The runner's protocol version.
        protocol: u32,
        /// The run's identifier.
        run_id: String,
        /// Process that supervises the run.
        pid: u32,
        /// Boot in which it runs.
        boot_id: Option<String>,
        /// The device's clock, milliseconds since 1970; for information only.
        started_unix_ms: u64,
    },
    /// The run entered a phase.
    Phase {
        /// Which one.
        phase: Phase,
    },
    /// The model is loaded and optimised.
    Loaded {
        /// Time from opening the file to being ready for the first inference.
        load_ns: u64,
        /// The network's inputs as they are set, in the order in which their values are taken.
        inputs: Vec<TensorInfo>,
        /// What an engine program says of itself and its libraries: name, version, what it computes with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        engine: Option<String>,
    },
    /// The first inference after loading.
    FirstInference {
        /// Its latency.
        latency_ns: u64,
        /// The outputs as it gave them: only an inference shows all shapes.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        outputs: Vec<TensorInfo>,
    },
    /// The warm-up ended.
    WarmedUp {
        /// Inferences done, the first one not counted.
        runs: u32,
        /// Time it took.
        duration_ns: u64,
        /// Whether the latency had settled when it ended; `None` where nobody asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        steady: Option<Steady>,
    },
    /// From the measuring process to its supervisor alone, between two inferences: latencies of the warm-up or the
    /// timed loop that it had not told yet.
    Look {
        /// The latencies, in the order measured.
        latencies_ns: Vec<u64>,
        /// Whether it waits to hear if the loop is long enough. More of them follow where not.
        asks: bool,
    },
    /// A chunk of raw samples, in the order measured. The chunks of a run follow each other.
    Samples {
        /// Latency of each inference of the timed loop.
        latencies_ns: Vec<u64>,
    },
    /// What the timed loop cost.
    Measured {
        /// Number of samples that the `Samples` messages before hold in all.
        samples: u64,
        /// Wall time of the whole timed loop.
        wall_ns: u64,
        /// Processor time in user mode over the timed loop.
        cpu_user_ns: u64,
        /// Processor time in the kernel over the timed loop.
        cpu_system_ns: u64,
        /// Largest resident set of the measuring process so far.
        peak_rss_bytes: u64,
        /// Processors the measuring process may run on.
        cpus: Vec<u32>,
        /// Threads the engine really used.
        threads: u32,
        /// Which limit ended the timed loop; `None` from runners of older versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ended_by: Option<EndedBy>,
    },
    /// What a benchmark program that isn't farmctl's said of its own measurement, in place of `Measured`.
    Reported(Reported),
    /// A chunk of what the network answered for the seeded input.
    Output(Output),
    /// What the network takes some images of the job's [`Evaluation`](crate::Evaluation) for, after all `Output`s.
    /// These messages follow each other in the order of the images.
    Classified {
        /// Index of the first image.
        first: u64,
        /// For each image the indices of the classes with the highest values, the highest first, and of equal ones the
        /// lower index: [`TOP_CLASSES`](crate::TOP_CLASSES) at most. What is no number is in no list.
        best: Vec<Vec<u32>>,
    },
    /// What the device was like, from the supervisor: once, when the timed loop has ended or the run has failed.
    Conditions(Box<Conditions>),
    /// Something is missing beside the measurement, which counts all the same.
    Remark(Remark),
    /// The run ended well. Always last.
    Finished {
        /// The device's clock, milliseconds since 1970.
        finished_unix_ms: u64,
    },
    /// The run failed. Always last.
    Failed(RunnerFailure),
}

impl Message {
    /// Whether no message of the run follows this one.
    pub fn is_last(&self) -> bool {
        matches!(self, Message::Finished { .. } | Message::Failed(_))
    }
}

/// The measurement of a benchmark program that isn't farmctl's. Its timed loop is its own: farmctl only read what it
/// printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// Number of samples that the `Samples` messages before hold in all: 0 for a program that tells averages only.
    pub samples: u64,
    /// What it computed itself.
    pub figures: Figures,
    /// Wall time of the whole process, from its start to its end.
    pub process_wall_ns: u64,
    /// Processor time of the whole process in user mode.
    pub process_cpu_user_ns: u64,
    /// Processor time of the whole process in the kernel.
    pub process_cpu_system_ns: u64,
    /// Largest resident set of the process.
    pub peak_rss_bytes: u64,
    /// Threads that the program was asked to use.
    pub threads: u32,
}

/// Statistics as a benchmark program printed them; what it doesn't tell is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// Inferences that the statistics are over.
    pub runs: Option<u64>,
    /// Arithmetic mean of their latencies.
    pub mean_ns: Option<u64>,
    /// Standard deviation.
    pub std_ns: Option<u64>,
    /// Shortest.
    pub min_ns: Option<u64>,
    /// Median.
    pub median_ns: Option<u64>,
    /// 90th percentile.
    pub p90_ns: Option<u64>,
    /// 95th percentile.
    pub p95_ns: Option<u64>,
    /// 99th percentile.
    pub p99_ns: Option<u64>,
    /// Longest.
    pub max_ns: Option<u64>,
    /// Time to load the model.
    pub load_ns: Option<u64>,
    /// Latency of the first inference.
    pub first_ns: Option<u64>,
}

word_enum! {
    /// What a run is doing.
    Phase, "phase" {
        /// Checking the model's file against its hash.
        Verify = "verify",
        /// Loading and optimising the model.
        Load = "load",
        /// The first inference.
        FirstInference = "first_inference",
        /// Warming up.
        WarmUp = "warm_up",
        /// The timed loop.
        Measure = "measure",
        /// Classifying images, once all is measured.
        Evaluate = "evaluate",
    }
}

word_enum! {
    /// Whether the latency had settled when the warm-up ended.
    Steady, "steadiness" {
        /// What was left of its trend was within the limit.
        Yes = "yes",
        /// It still changed, or might have.
        No = "no",
        /// Too few inferences to tell.
        Unknown = "unknown",
    }
}

word_enum! {
    /// Which limit ended a timed loop.
    EndedBy, "end of a timed loop" {
        /// Both minima were met, and nothing else was asked for.
        Minima = "minima",
        /// The median was known as well as was asked for.
        Interval = "interval",
        /// The most inferences.
        MaxRuns = "max_runs",
        /// The longest time.
        MaxSeconds = "max_seconds",
    }
}

/// What is missing of a run beside its measurement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// What kind of remark.
    pub remark: RemarkKind,
    /// What is missing and why, in words.
    pub message: String,
}

word_enum! {
    /// Kinds of remark.
    RemarkKind, "kind of remark" {
        /// Some outputs were not kept: they are too large, or not made of numbers.
        OutputsLeftOut = "outputs_left_out",
        /// The network's accuracy could not be made.
        NoAccuracy = "no_accuracy",
        /// The run failed after all had been measured.
        FailedAfterwards = "failed_afterwards",
    }
}

/// Name, element type and shape of a network's input or output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TensorInfo {
    /// Name in the model's file.
    pub name: String,
    /// Element type: the word of an [`ElementType`](crate::ElementType), or another one that no input can have.
    pub element: String,
    /// Dimensions, outermost first.
    pub shape: Vec<u64>,
    /// How its whole numbers stand for real ones, where they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantization: Option<Quantization>,
}

/// A real number is `scale × (whole number − zero_point)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantization {
    /// What one step is worth; above 0.
    pub scale: f32,
    /// The whole number that stands for 0.
    pub zero_point: i64,
}

impl TensorInfo {
    /// A tensor whose numbers stand for themselves.
    pub fn new(name: impl Into<String>, element: impl Into<String>, shape: Vec<u64>) -> TensorInfo {
        TensorInfo { name: name.into(), element: element.into(), shape, quantization: None }
    }

    /// Number of its values, where that can be counted.
    pub fn values(&self) -> Option<u64> {
        self.shape.iter().try_fold(1u64, |product, dimension| product.checked_mul(*dimension))
    }
}

/// Type and shape as people write them: `f32 [1, 3, 224, 224]`.
impl fmt::Display for TensorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.element, self.shape)
    }
}

/// A chunk of one output tensor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Name of the output in the model's file.
    pub name: String,
    /// Dimensions of the whole tensor.
    pub shape: Vec<u64>,
    /// Index of the first value of this chunk in the flattened tensor.
    pub first: u64,
    /// Little-endian 32-bit floats, base64: every bit arrives, NaN and infinity too.
    pub values_base64: String,
}

impl Output {
    /// A chunk that holds `values`.
    pub fn new(name: &str, shape: &[u64], first: u64, values: &[f32]) -> Output {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Output { name: name.to_owned(), shape: shape.to_vec(), first, values_base64: STANDARD.encode(bytes) }
    }

    /// The values of this chunk.
    ///
    /// # Errors
    /// Says what is wrong with the text when it isn't base64 of whole 32-bit floats.
    pub fn values(&self) -> Result<Vec<f32>, String> {
        let bytes = STANDARD.decode(&self.values_base64).map_err(|error| format!("output is no base64: {error}"))?;
        let chunks = bytes.chunks_exact(4);
        if !chunks.remainder().is_empty() {
            return Err(format!("output of {} bytes is not made of 32-bit floats", bytes.len()));
        }
        Ok(chunks.map(|chunk| f32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]])).collect())
    }
}

/// Why a run failed, as the device saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerFailure {
    /// What kind of failure.
    pub failure: RunnerFailureKind,
    /// What happened, in words.
    pub message: String,
    /// Signal that ended the measuring process.
    pub signal: Option<i32>,
    /// Exit code of the measuring process.
    pub exit_code: Option<i32>,
    /// Last lines that the measuring process wrote to its standard error.
    pub stderr_tail: Vec<String>,
}

word_enum! {
    /// Kinds of failure that a device tells apart.
    RunnerFailureKind, "kind of runner failure" {
        /// The model's file is not in the store.
        ArtifactMissing = "artifact_missing",
        /// The model's file does not have the content it should.
        ArtifactCorrupt = "artifact_corrupt",
        /// The engine is not in this runner, or can't do what the job asks.
        BackendUnsupported = "backend_unsupported",
        /// The engine could not load the model.
        ModelLoad = "model_load",
        /// An inference failed.
        Inference = "inference",
        /// The measuring process crashed.
        Crashed = "crashed",
        /// The kernel or the engine ran out of memory.
        OutOfMemory = "out_of_memory",
        /// The run's deadline passed.
        Deadline = "deadline",
        /// The host asked to end the run.
        Cancelled = "cancelled",
        /// The device booted anew while the run was under way.
        Restarted = "restarted",
        /// The process that supervised the run was ended from outside.
        Killed = "killed",
        /// Threads could not be pinned, or another setting of the device was refused.
        Device = "device",
        /// The device could not write (full or read-only).
        Storage = "storage",
        /// A fault of the runner itself.
        Internal = "internal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_keeps_every_bit() {
        let values = [1.5f32, -0.0, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE];
        let chunk = Output::new("logits", &[1, 5], 0, &values);
        let text = serde_json::to_string(&Message::Output(chunk)).expect("serialises");
        let Message::Output(back) = serde_json::from_str(&text).expect("parses") else { panic!("another message") };
        let bits: Vec<u32> = back.values().expect("decodes").iter().map(|value| value.to_bits()).collect();
        assert_eq!(bits, values.map(f32::to_bits));
    }

    #[test]
    fn cut_output_is_an_error() {
        let chunk = Output { values_base64: "AAA=".to_owned(), ..Output::new("x", &[1], 0, &[1.0]) };
        assert!(chunk.values().unwrap_err().contains("32-bit"));
    }

    #[test]
    fn words_round_trip() {
        for kind in RunnerFailureKind::ALL {
            assert_eq!(kind.as_str().parse::<RunnerFailureKind>().as_ref(), Ok(kind));
            assert_eq!(serde_json::to_string(kind).expect("serialises"), format!("\"{kind}\""));
        }
    }

    #[test]
    fn largest_chunks_fit_a_line() {
        let samples = Message::Samples { latencies_ns: vec![u64::MAX; crate::SAMPLES_PER_MESSAGE] };
        let output = Message::Output(Output::new("o", &[1], 0, &vec![f32::NAN; crate::VALUES_PER_MESSAGE]));
        for message in [samples, output] {
            assert!(serde_json::to_string(&message).expect("serialises").len() < crate::MAX_LINE_BYTES);
        }
    }
}
