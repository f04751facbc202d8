use std::collections::BTreeSet;

use farmctl_protocol::Conditions;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    AndroidFacts, Battery, CheckVerdict, CooledDown, EndedBy, Failure, Figures, Job, Judgement, NamedArtifact, Pace,
    PastCheck, RunId, Steady, SweepId, Tag, TensorInfo,
};

/// The outcome of a run with all its provenance: immutable, exactly one per finished run, one row of `results.csv`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The sweep it belongs to.
    pub sweep_id: SweepId,
    /// The cell that was measured.
    pub job: Job,
    /// The attempt; `None` for a cell that never started.
    pub run_id: Option<RunId>,
    /// Number of the attempt, from 1; 0 for a cell that never started.
    pub attempt: u32,
    /// Farm of the device.
    pub farm: String,
    /// Tags of the device at that time.
    pub tags: BTreeSet<Tag>,
    /// Name of the transport.
    pub transport: String,
    /// What the device said of itself; `None` when it was never reached.
    pub device: Option<DeviceFacts>,
    /// What the device was like then; `None` when it was never reached, and in records of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Condition>,
    /// What became of its cool-down; `None` where the sweep wanted none, or it was not waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown: Option<CooledDown>,
    /// How it ended.
    pub status: RunStatus,
    /// Why it did not end well, or did not start.
    pub failure: Option<Failure>,
    /// What was measured; of a failed run, what had been measured until then.
    pub measurement: Measurement,
    /// What was found of its numbers then, by the rules of its sweep; `None` where there are none, and in records of
    /// older versions. Reports look at the numbers again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<Judgement>,
    /// What an hour of the device costs, in the lab's currency, as the farm file said then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_per_hour: Option<f64>,
    /// When the run was started, by the host's clock.
    pub started_at: Option<Timestamp>,
    /// When its record was made, by the host's clock.
    pub finished_at: Timestamp,
    /// Version and commit of the host program.
    pub farmctl_version: String,
    /// SHA-256 of the runner's file.
    pub runner_sha256: Option<String>,
    /// The engine program and its libraries; none where the runner itself is the engine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub engine_files: Vec<NamedArtifact>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Measured.
    Ok,
    /// Started or tried, without a result.
    Failed,
    /// Never tried, for a reason known before.
    Skipped,
    /// A person ended it, or ended the sweep before it started.
    Cancelled,
}

impl RunStatus {
    /// Every way to end.
    pub const ALL: [RunStatus; 4] = [RunStatus::Ok, RunStatus::Failed, RunStatus::Skipped, RunStatus::Cancelled];

    /// The word used in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            RunStatus::Ok => "ok",
            RunStatus::Failed => "failed",
            RunStatus::Skipped => "skipped",
            RunStatus::Cancelled => "cancelled",
        }
    }
}

/// What a device said of itself at bring-up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeviceFacts {
    /// Rust target triple of its runner.
    pub target: String,
    /// Chip or CPU.
    pub soc: Option<String>,
    /// Operating system.
    pub os: String,
    /// Kernel.
    pub kernel: String,
    /// Identity of the boot.
    pub boot_id: Option<String>,
    /// Processors online.
    pub cpus: u32,
    /// Total memory.
    pub memory_total_bytes: u64,
    /// What Android says, on Android.
    pub android: Option<AndroidFacts>,
    /// How it was powered at bring-up, where it tells.
    pub battery: Option<Battery>,
    /// How far its clock was ahead of the host's (behind: negative), where that was more than the answer's way
    /// explains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_off_ms: Option<i64>,
}

/// What a device was like around a run: what changes from day to day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// When it was last asked what it is, before the record was made; its facts are of then.
    pub asked_at: Timestamp,
    /// Space that was free on the file system of its workdir.
    pub free_bytes: u64,
    /// Its last check before it was brought up for the run; `None` when it was never checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckThen>,
    /// How fast it was before its runs of the sweep; `None` where that could not be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pace: Option<Pace>,
}

/// A check of a device, in short. All of it is in the device's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckThen {
    /// When it was.
    pub at: Timestamp,
    /// Whether it found the device fit.
    pub verdict: CheckVerdict,
    /// Version of the calibration kernel; `None` when it was not timed.
    pub kernel_version: Option<u32>,
    /// Median time of the computing kernel.
    pub kernel_median_ns: Option<u64>,
}

impl From<&PastCheck> for CheckThen {
    fn from(past: &PastCheck) -> CheckThen {
        let calibration = past.check.figures.calibration.as_ref();
        CheckThen {
            at: past.at,
            verdict: past.check.verdict,
            kernel_version: calibration.map(|it| it.kernel_version),
            kernel_median_ns: calibration.map(|it| it.compute_ns()),
        }
    }
}

/// The raw numbers of a run. Statistics are always computed from these, never stored instead of them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Measurement {
    /// Time to load and optimise the model.
    pub load_ns: Option<u64>,
    /// Latency of the first inference.
    pub first_ns: Option<u64>,
    /// Inferences of the warm-up.
    pub warmup_runs: Option<u32>,
    /// Whether the latency had settled when the warm-up ended; `None` where the sweep did not ask for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steady: Option<Steady>,
    /// Latency of each inference of the timed loop, in the order measured.
    pub samples_ns: Vec<u64>,
    /// Which limit ended the timed loop; `None` of other people's programs, and in records of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<EndedBy>,
    /// Wall time of the timed loop.
    pub wall_ns: Option<u64>,
    /// Processor time of the timed loop in user mode.
    pub cpu_user_ns: Option<u64>,
    /// Processor time of the timed loop in the kernel.
    pub cpu_system_ns: Option<u64>,
    /// Largest resident set of the measuring process.
    pub peak_rss_bytes: Option<u64>,
    /// Threads the engine used.
    pub threads: Option<u32>,
    /// Processors the measuring process could use.
    pub cpus: Vec<u32>,
    /// The network's inputs as the engine set them, in the order of the model's file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<TensorInfo>,
    /// The network's outputs as the first inference gave them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output_tensors: Vec<TensorInfo>,
    /// What the network answered for the seeded input, as far as it was kept.
    pub outputs: Vec<OutputRef>,
    /// What an engine program said of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// What a benchmark program that isn't farmctl's reported of its own loop. With samples they are its samples, and
    /// statistics are computed from them as always; without, these figures are all there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported: Option<Figures>,
    /// How often it was right, in this very run; `None` when it was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<MeasuredAccuracy>,
    /// What the device was like around the run and during it; `None` in records of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Box<Conditions>>,
    /// What is missing beside the measurement, in words: outputs that were left out, an accuracy that could not be
    /// made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

impl Measurement {
    /// The figures of a program that told averages only.
    pub fn averages_only(&self) -> Option<Figures> {
        self.reported.filter(|_| self.samples_ns.is_empty())
    }
}

/// How often a network's answer was right, counted on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasuredAccuracy {
    /// Images with a known class that it was shown.
    pub n_images: u64,
    /// Images whose class was its first answer.
    pub top1_correct: u64,
    /// Images whose class was among its first five answers.
    pub top5_correct: u64,
}

/// An output tensor, kept as a file of little-endian 32-bit floats by its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputRef {
    /// Name in the model's file.
    pub name: String,
    /// Dimensions.
    pub shape: Vec<u64>,
    /// SHA-256 of the bytes.
    pub sha256: String,
}
