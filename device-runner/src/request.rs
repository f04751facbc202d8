//! Reading and checking a run request.
//!
//! Purpose: nothing that a host sends is believed before it was looked at. Main function: [`read`]. Never checks what
//! only the measuring process can know (whether the engine takes the model).

use std::collections::BTreeSet;
use std::io::{self, BufRead};

use farmctl_protocol::{
    EngineSpec, Evaluation, InputRange, JobSpec, Limits, MAX_LINE_BYTES, NamedArtifact, PROTOCOL_VERSION, RunRequest,
};

use crate::fence;
use crate::runs::RunId;
use crate::store::Digest;
use crate::supervise::MAX_IMAGE_BYTES;

/// Most samples of a run: their memory is set aside before the timed loop.
pub const MAX_SAMPLES: u32 = 1_000_000;

/// Most threads or images in a batch: far above what a device can do, far below what overflows.
const MAX_COUNT: u32 = 4096;

/// Most files of an engine, and the longest name of one.
const MAX_FILES: usize = 256;
const MAX_NAME_BYTES: usize = 128;

/// Most further files of a model, which may have one for each of its weights, and the longest name of one.
const MAX_PARTS: usize = 4096;
const MAX_PART_NAME_BYTES: usize = 1024;

/// Most images that are classified, and most classes.
const MAX_IMAGES: u32 = 10_000_000;
const MAX_CLASSES: u32 = 10_000_000;

/// Longest deadline or time limit: a week.
const MAX_SECONDS: f64 = 7.0 * 24.0 * 3600.0;

/// A request was refused.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// It could not be read.
    #[error("read the run request from standard input: {0}")]
    Io(#[from] io::Error),
    /// It is longer than a line may be.
    #[error("read the run request: it is longer than {MAX_LINE_BYTES} bytes")]
    TooLong,
    /// The host speaks another protocol.
    #[error(
        "take the run request: the host speaks protocol {0}, this runner speaks {PROTOCOL_VERSION}; push the runner \
         that belongs to the host"
    )]
    Protocol(u64),
    /// It does not follow the protocol, or asks for nonsense.
    #[error("take the run request: {0}")]
    Invalid(String),
}

/// Reads one line and checks it.
///
/// # Errors
/// Says what is wrong with the request.
pub fn read(input: impl BufRead) -> Result<(RunId, RunRequest), RequestError> {
    let mut line = Vec::new();
    input.take(MAX_LINE_BYTES as u64 + 1).read_until(b'\n', &mut line)?;
    if line.len() > MAX_LINE_BYTES {
        return Err(RequestError::TooLong);
    }
    let invalid = |error: serde_json::Error| RequestError::Invalid(error.to_string());
    // Another version may have other fields, so the version is looked at first.
    let value: serde_json::Value = serde_json::from_slice(&line).map_err(invalid)?;
    match value.get("protocol").and_then(serde_json::Value::as_u64) {
        Some(version) if version == u64::from(PROTOCOL_VERSION) => {}
        Some(version) => return Err(RequestError::Protocol(version)),
        None => return Err(RequestError::Invalid("it states no protocol version".to_owned())),
    }
    let request: RunRequest = serde_json::from_value(value).map_err(invalid)?;
    let run = check(&request).map_err(RequestError::Invalid)?;
    Ok((run, request))
}

fn check(request: &RunRequest) -> Result<RunId, String> {
    let JobSpec { model, model_parts, engine, threads, cpus, batch, limits, input_range, .. } = &request.job;
    let run = request.run_id.parse()?;
    fence::check(&request.fence)?;
    model.sha256.parse::<Digest>().map_err(|error| format!("model.sha256: {error}"))?;
    check_parts(model_parts)?;
    if let Some(engine) = engine {
        check_engine(engine)?;
    }
    seconds("deadline_seconds", request.deadline_seconds)?;
    if request.deadline_seconds == 0.0 {
        return Err("deadline_seconds is 0".to_owned());
    }
    count("threads", *threads, MAX_COUNT)?;
    count("batch", *batch, MAX_COUNT)?;
    if cpus.as_ref().is_some_and(Vec::is_empty) {
        return Err("cpus is an empty list; leave it out to let the kernel choose".to_owned());
    }
    let ranges = request.job.inputs.iter().map(|input| &input.range);
    ranges.chain([input_range]).try_for_each(check_range)?;
    for (name, values) in request.job.inputs.iter().filter_map(|input| Some((&input.name, input.values.as_ref()?))) {
        values.sha256.parse::<Digest>().map_err(|error| format!("values of input {name:?}: {error}"))?;
    }
    check_limits(limits)?;
    request.job.evaluation.as_ref().map_or(Ok(()), check_evaluation)?;
    Ok(run)
}

fn check_range(InputRange { low, high }: &InputRange) -> Result<(), String> {
    if low.is_finite() && high.is_finite() && low < high {
        return Ok(());
    }
    Err(format!("input_range [{low}, {high}) holds no value"))
}

/// Names become files below a folder, and stay there; each is there once, and none is a folder of another.
fn check_parts(parts: &[NamedArtifact]) -> Result<(), String> {
    if parts.len() > MAX_PARTS {
        return Err(format!("model_parts has {} files; {MAX_PARTS} are the most", parts.len()));
    }
    let mut names = BTreeSet::new();
    for NamedArtifact { name, artifact } in parts {
        let is_plain = |word: &str| !word.is_empty() && word != "." && word != "..";
        let is_path = name.split('/').all(is_plain) && !name.contains(char::is_control);
        if !is_path || name.len() > MAX_PART_NAME_BYTES {
            return Err(format!("model_parts: {name:?} is no path of a file below the model's folder"));
        }
        if !names.insert(name.as_str()) {
            return Err(format!("model_parts: {name} is there twice"));
        }
        artifact.sha256.parse::<Digest>().map_err(|error| format!("model_parts: {name}: {error}"))?;
    }
    let folders = |name: &'_ str| name.match_indices('/').map(|(at, _)| name[..at].to_owned()).collect::<Vec<_>>();
    match names.iter().flat_map(|name| folders(name)).find(|folder| names.contains(folder.as_str())) {
        Some(name) => Err(format!("model_parts: {name} is a file and a folder")),
        None => Ok(()),
    }
}

/// Names become links in a folder, so they are no paths; each is there once.
fn check_files(list: &str, files: &[NamedArtifact]) -> Result<(), String> {
    if files.len() > MAX_FILES {
        return Err(format!("{list} has {} files; {MAX_FILES} are the most", files.len()));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._+-".contains(&byte);
    for (index, NamedArtifact { name, artifact }) in files.iter().enumerate() {
        if !(1..=MAX_NAME_BYTES).contains(&name.len()) || !name.bytes().all(allowed) || name.starts_with('.') {
            return Err(format!("{list}: {name:?} is no file name"));
        }
        if files[..index].iter().any(|other| other.name == *name) {
            return Err(format!("{list}: {name} is there twice"));
        }
        artifact.sha256.parse::<Digest>().map_err(|error| format!("{list}: {name}: {error}"))?;
    }
    Ok(())
}

fn check_engine(engine: &EngineSpec) -> Result<(), String> {
    check_files("engine.files", &engine.files)?;
    let program = engine.command.first().ok_or("engine.command is empty")?;
    if !engine.files.iter().any(|file| file.name == *program) {
        return Err(format!("engine.command starts {program:?}, which is none of engine.files"));
    }
    let words = engine.command.iter().chain(engine.options.keys()).chain(engine.options.values());
    match words.clone().find(|word| word.contains(['\0', '\n'])) {
        Some(word) => Err(format!("engine: {word:?} has a character that no argument or option may have")),
        None => Ok(()),
    }
}

fn check_evaluation(evaluation: &Evaluation) -> Result<(), String> {
    let Evaluation { images, count: images_count, channels, classes, mean, std, .. } = evaluation;
    images.sha256.parse::<Digest>().map_err(|error| format!("evaluation.images: {error}"))?;
    count("evaluation.count", *images_count, MAX_IMAGES)?;
    count("evaluation.classes", *classes, MAX_CLASSES)?;
    let bytes = evaluation.image_bytes().filter(|bytes| (1..=MAX_IMAGE_BYTES).contains(bytes));
    let bytes = bytes.ok_or(format!("evaluation: an image has 1 to {MAX_IMAGE_BYTES} bytes"))?;
    if images.size_bytes != bytes * u64::from(*images_count) {
        return Err(format!("evaluation: {images_count} images of {bytes} bytes are not {} bytes", images.size_bytes));
    }
    let one_each = [mean, std].iter().all(|list| list.len() == *channels as usize);
    if !one_each || mean.iter().any(|mean| !mean.is_finite()) || std.iter().any(|std| !(std.is_finite() && *std > 0.0))
    {
        return Err(format!(
            "evaluation: mean {mean:?} and std {std:?} are not one number for each of {channels} channels"
        ));
    }
    Ok(())
}

fn check_limits(limits: &Limits) -> Result<(), String> {
    for (name, value) in [
        ("warmup_min_seconds", limits.warmup_min_seconds),
        ("warmup_max_seconds", limits.warmup_max_seconds),
        ("min_seconds", limits.min_seconds),
        ("max_seconds", limits.max_seconds),
    ] {
        seconds(name, value)?;
    }
    for (name, value) in [("steady_percent", limits.steady_percent), ("interval_percent", limits.interval_percent)] {
        if value.is_some_and(|percent| !(percent.is_finite() && percent > 0.0)) {
            return Err(format!("{name} is {value:?}; it must be above 0"));
        }
    }
    count("max_runs", limits.max_runs, MAX_SAMPLES)?;
    if limits.min_runs > limits.max_runs {
        return Err(format!("min_runs {} is above max_runs {}", limits.min_runs, limits.max_runs));
    }
    Ok(())
}

fn seconds(name: &str, value: f64) -> Result<(), String> {
    if (0.0..=MAX_SECONDS).contains(&value) {
        Ok(())
    } else {
        Err(format!("{name} is {value}; it must lie between 0 and {MAX_SECONDS} seconds"))
    }
}

fn count(name: &str, value: u32, most: u32) -> Result<(), String> {
    if (1..=most).contains(&value) {
        Ok(())
    } else {
        Err(format!("{name} is {value}; it must lie between 1 and {most}"))
    }
}
