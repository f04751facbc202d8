//! The identity of a job.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::domain::{InputRange, InputSpec, Job, JobDataset, JobId, Layout, Limits, PairSide, sha256_hex};

/// Hexadecimal digits of an identifier.
const ID_DIGITS: usize = 15;

/// What is hashed, as compact JSON with the fields in this order. A change here makes every job a new one: raise
/// `version` with it.
#[derive(Serialize)]
struct Identity<'a> {
    version: u32,
    device: &'a str,
    model: &'a str,
    weights: &'a str,
    format: &'a str,
    model_sha256: Option<&'a str>,
    input_range: InputRange,
    backend: &'a str,
    backend_version: &'a str,
    precision: &'a str,
    threads: String,
    batch: u32,
    scenario: &'a str,
    repeat: u32,
    limits: Limits,
    seed: u64,
    /// Name, type, shape and range of every input.
    inputs: &'a [InputSpec],
    /// Left out where the model has no further files, so that the jobs of such models stay what they were.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    part_sha256: Vec<&'a str>,
    /// Left out where it is the usual one.
    #[serde(skip_serializing_if = "Option::is_none")]
    layout: Option<&'a str>,
    /// Left out where the engine has its usual ones.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    options: &'a BTreeMap<String, String>,
    /// Left out where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset: Option<DatasetIdentity<'a>>,
    /// Left out where it is the first time that this is measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    rerun: Option<u32>,
    /// Left out in a sweep that has no two sides.
    #[serde(skip_serializing_if = "Option::is_none")]
    side: Option<&'a str>,
}

/// What makes the images of a job: hashed as a list of three texts.
struct DatasetIdentity<'a> {
    name: &'a str,
    list_sha256: &'a str,
    /// All that is done to the images.
    treatment: String,
}

impl DatasetIdentity<'_> {
    fn of(dataset: &JobDataset) -> DatasetIdentity<'_> {
        DatasetIdentity { name: &dataset.name, list_sha256: &dataset.list_sha256, treatment: dataset.text() }
    }
}

impl Serialize for DatasetIdentity<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        [self.name, self.list_sha256, &self.treatment].serialize(serializer)
    }
}

/// The identifier of a job, from everything that makes its cell: not from `position`, `run_seconds` and `remarks`,
/// which change no number that is measured, nor from what is known of the model besides (`outputs`, `macs`).
pub(super) fn of(job: &Job) -> JobId {
    let identity = Identity {
        version: 2,
        device: &job.device,
        model: &job.model.name,
        weights: job.model.weights.as_str(),
        format: &job.model.format,
        model_sha256: job.model.artifact.as_ref().map(|artifact| artifact.sha256.as_str()),
        input_range: job.model.input_range,
        backend: &job.backend,
        backend_version: &job.backend_version,
        precision: job.precision.as_str(),
        threads: job.threads.to_string(),
        batch: job.batch,
        scenario: job.scenario.as_str(),
        repeat: job.repeat,
        limits: job.limits,
        seed: job.seed,
        inputs: &job.model.inputs,
        part_sha256: job.model.parts.iter().map(|part| part.artifact.sha256.as_str()).collect(),
        options: &job.options,
        layout: (job.model.layout != Layout::default()).then(|| job.model.layout.as_str()),
        dataset: job.dataset.as_ref().map(DatasetIdentity::of),
        rerun: job.rerun.as_ref().map(|rerun| rerun.number),
        side: job.side.map(PairSide::as_str),
    };
    // Plain fields with text keys always have a JSON form.
    let canonical = serde_json::to_vec(&identity).expect("a job's identity is plain data");
    JobId(format!("j{}", &sha256_hex(&canonical)[..ID_DIGITS]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Another form would make each job with images a new one.
    #[test]
    fn images_are_hashed_as_a_list_of_three_texts() {
        let identity = DatasetIdentity { name: "digits", list_sha256: "d0", treatment: "none".to_owned() };
        assert_eq!(serde_json::to_string(&identity).unwrap(), r#"["digits","d0","none"]"#);
    }
}
