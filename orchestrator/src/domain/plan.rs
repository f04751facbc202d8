use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    ArtifactRef, FailureKind, InputRange, InputSpec, JobDataset, JobId, Layout, Limits, NamedArtifact, PairSide,
    Precision, Rerun, Scenario, TensorSignature, ThreadCount, WeightsKind,
};

/// Everything a sweep will do, and what it won't and why. A pure function of sweep, inventory and catalogue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The sweep's name.
    pub sweep: String,
    /// Cells to run, by device, by repeat and then in the order of the sweep's axes.
    pub jobs: Vec<Job>,
    /// Cells that can't run.
    pub skipped: Vec<Skipped>,
}

/// A cell that can't run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Skipped {
    /// The cell.
    pub job: Job,
    /// What kind of failure that is.
    pub kind: FailureKind,
    /// Why not.
    pub reason: String,
}

/// One cell of the matrix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Hash of all that follows as it was planned, but for `position`, `remarks` and `run_seconds`; of `rerun` its
    /// number.
    pub id: JobId,
    /// Name of the device.
    pub device: String,
    /// The model.
    pub model: JobModel,
    /// Name of the engine.
    pub backend: String,
    /// Version of the engine.
    pub backend_version: String,
    /// Settings that only this engine knows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// Arithmetic.
    pub precision: Precision,
    /// Threads.
    pub threads: ThreadCount,
    /// Images in one inference.
    pub batch: u32,
    /// Load pattern.
    pub scenario: Scenario,
    /// Which of the sweep's repeats, from 1.
    pub repeat: u32,
    /// Its place in the order in which the device's jobs are run, from 1; `None` for a cell that is not run, for a job
    /// that moved here from another device, and in plans of older versions, which run as listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// That it measures again what was doubtful; `None` in every job of a plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun: Option<Rerun>,
    /// Which of two sides it is of; `None` in a sweep that has no two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub side: Option<PairSide>,
    /// Warm-up and length of the timed loop.
    pub limits: Limits,
    /// Seed of the input.
    pub seed: u64,
    /// Images it shows the network after the timed loop; `None`, under the same `id`, where they could not be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<JobDataset>,
    /// What its plan has to say of it, in words: why its accuracy is not measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
    /// Longest run, from start to last message: the sweep's limit or the device's, whichever is shorter.
    pub run_seconds: f64,
}

/// What a job knows of its model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobModel {
    /// Name in the catalogue.
    pub name: String,
    /// Kind of weights.
    pub weights: WeightsKind,
    /// File format.
    pub format: String,
    /// The file; `None` in a skipped cell whose model has none.
    pub artifact: Option<ArtifactRef>,
    /// Further files that belong to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<NamedArtifact>,
    /// Order of the dimensions of its images.
    #[serde(default)]
    pub layout: Layout,
    /// Shape of the input for one image, batch first, as the catalogue tells it: only where `inputs` is empty, for a
    /// format that nobody here knows. Plans of older versions have it beside `inputs`, which say the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_shape: Option<Vec<u64>>,
    /// Every input as it will be measured, the batch included, in the file's order; empty where its file isn't read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<InputSpec>,
    /// Every output as the file describes it; empty where its file isn't read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<TensorSignature>,
    /// Multiply-adds of one image.
    pub macs: Option<u64>,
    /// Range of the pseudo-random values of inputs that `inputs` says nothing of.
    pub input_range: InputRange,
}
