//! What is started to measure.
//!
//! Purpose: from a job to a program, its arguments, and its order: the runner itself, or an engine program whose files
//! are laid out under their names. Main type: [`Program`]. Never starts anything, and never lets a file into the layout
//! that was not verified before.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use farmctl_engine_kit::Order;
use farmctl_protocol::{ArtifactRef, Dialect, EngineSpec, JobSpec, NamedArtifact, RunnerFailure, RunnerFailureKind};

use super::failure;
use crate::workdir::Workdir;

/// Where the dynamic loader looks first for an engine's libraries. A link's `$ORIGIN` would be the store.
const LIBRARY_PATH: &str = "LD_LIBRARY_PATH";

/// A command that measures, and what it is told.
#[derive(Debug)]
pub(super) struct Program {
    /// The command, without its streams.
    pub(super) command: Command,
    /// The order it gets on standard input.
    pub(super) order: String,
    /// What is started, in words.
    name: String,
    /// Whether the file is for another kind of processor than this program, or no program at all.
    foreign: bool,
}

/// All files that a job needs, each with what it is.
pub(super) fn files(job: &JobSpec) -> impl Iterator<Item = (String, &ArtifactRef)> {
    let named = |what: &'static str| move |file: &'_ NamedArtifact| format!("the {what} {}", file.name);
    let (part, engine_file) = (named("model's part"), named("engine's file"));
    let parts = job.model_parts.iter().map(move |file| (part(file), &file.artifact));
    let engine = job.engine.iter().flat_map(|engine| &engine.files);
    let engine = engine.map(move |file| (engine_file(file), &file.artifact));
    let values = job
        .inputs
        .iter()
        .filter_map(|input| Some((format!("the file of values of input {}", input.name), input.values.as_ref()?)));
    let images = job.evaluation.iter().map(|evaluation| ("the file of images".to_owned(), &evaluation.images));
    std::iter::once(("the model".to_owned(), &job.model)).chain(parts).chain(engine).chain(values).chain(images)
}

impl Program {
    /// What measures `job`. An engine's files become links in `folder`, which is the run's own.
    pub(super) fn of(workdir: &Workdir, job: &JobSpec, folder: &Path) -> Result<Program, RunnerFailure> {
        let internal = |text: String| failure(RunnerFailureKind::Internal, text);
        // An engine may run in another folder than this process.
        let root = fs::canonicalize(workdir.store());
        let root = root.map_err(|error| internal(format!("failed to find the device's store: {error}")))?;
        let laid_out = lay_out_model(job, &root, folder);
        let laid_out = laid_out.map_err(|error| failure(RunnerFailureKind::Storage, error))?;
        let path_of = |artifact: &ArtifactRef| {
            laid_out.get(&artifact.sha256).cloned().unwrap_or_else(|| root.join(&artifact.sha256))
        };
        // What does not fit into an order comes from the model: a name with a line break, or more inputs than any line
        // takes.
        let order = Order::new(job, path_of).to_text();
        let order = order.map_err(|error| failure(RunnerFailureKind::BackendUnsupported, error))?;
        match &job.engine {
            Some(engine) => {
                let laid_out = lay_out(engine, &root, folder);
                let folder = laid_out.map_err(|error| failure(RunnerFailureKind::Storage, error))?;
                let command = engine_command(engine, job, &folder, &path_of).map_err(internal)?;
                let foreign = is_foreign(&folder.join(&engine.command[0]));
                Ok(Program { command, order, name: format!("the engine program {}", engine.command[0]), foreign })
            }
            None => {
                let mut command = Command::new(own_program().map_err(internal)?);
                command.arg0("device-runner").arg("measure");
                Ok(Program { command, order, name: "the measuring process".to_owned(), foreign: false })
            }
        }
    }

    /// Why it could not be started, and whose fault that is.
    pub(super) fn not_started(&self, error: &io::Error) -> RunnerFailure {
        let (kind, hint) = match error.kind() {
            // The file is there: it was verified a moment ago.
            io::ErrorKind::NotFound => (
                RunnerFailureKind::BackendUnsupported,
                "; this device has not the dynamic loader that it is linked for (glibc's, on most systems)",
            ),
            io::ErrorKind::PermissionDenied => {
                (RunnerFailureKind::Device, "; is the workdir on a file system that is mounted noexec?")
            }
            _ => (RunnerFailureKind::Internal, ""),
        };
        failure(kind, format!("failed to start {}: {error}{hint}", self.name))
    }

    /// A better word for a process that crashed without a word, if there is one: the C library gives a file that the
    /// kernel can't start to a shell.
    pub(super) fn explain(&self, crash: RunnerFailure) -> RunnerFailure {
        if !self.foreign {
            return crash;
        }
        let message = format!("{} is for another kind of processor, or no program: {}", self.name, crash.message);
        RunnerFailure { failure: RunnerFailureKind::BackendUnsupported, message, ..crash }
    }
}

/// Whether the file is neither a script nor a program for the machine that this one is for. Such a program may run all
/// the same: on a processor that has two modes, or where something emulates it.
fn is_foreign(program: &Path) -> bool {
    const MACHINE: usize = 18;
    let start = |path: &Path| {
        let mut start = [0; MACHINE + 2];
        fs::File::open(path).and_then(|mut file| file.read_exact(&mut start)).map(|()| start)
    };
    match (start(program), start(Path::new("/proc/self/exe"))) {
        (Ok(program), Ok(own)) if program[..4] == own[..4] => program[MACHINE..] != own[MACHINE..],
        (Ok(program), Ok(_)) => program[..2] != *b"#!",
        _ => true,
    }
}

/// The folder of a model of several files, below the run's.
const MODEL_FOLDER: &str = "model";

/// Lays the files of a model that has several under their names into one folder, where each finds the others, and tells
/// where each is, by its hash. They are no symbolic links: engines refuse those that lead out of the folder.
fn lay_out_model(job: &JobSpec, root: &Path, folder: &Path) -> Result<BTreeMap<String, PathBuf>, String> {
    let mut laid_out = BTreeMap::new();
    if job.model_parts.is_empty() {
        return Ok(laid_out);
    }
    let folder = folder.join(MODEL_FOLDER);
    let mut own = "model".to_owned();
    while job.model_parts.iter().any(|part| part.name.split('/').next() == Some(&own)) {
        own.push('_');
    }
    let parts = job.model_parts.iter().map(|part| (part.name.as_str(), &part.artifact));
    for (name, artifact) in std::iter::once((own.as_str(), &job.model)).chain(parts) {
        let path = folder.join(name);
        let failed = |error: io::Error| format!("failed to lay out {}: {error}", path.display());
        fs::create_dir_all(path.parent().unwrap_or(&folder)).map_err(failed)?;
        let source = root.join(&artifact.sha256);
        // Not every file system has hard links, nor does every system allow them.
        fs::hard_link(&source, &path).or_else(|_| fs::copy(&source, &path).map(drop)).map_err(failed)?;
        laid_out.insert(artifact.sha256.clone(), fs::canonicalize(&path).map_err(failed)?);
    }
    Ok(laid_out)
}

/// Removes what was laid out of the model: it would hold space that the store thinks is free.
pub(super) fn clear(folder: &Path) {
    // What stays goes with the run's folder.
    let _ = fs::remove_dir_all(folder.join(MODEL_FOLDER));
}

/// Gives an engine's files their names; returns the folder they are in.
fn lay_out(engine: &EngineSpec, root: &Path, folder: &Path) -> Result<PathBuf, String> {
    let folder = folder.join("engine");
    fs::create_dir_all(&folder).map_err(|error| format!("failed to make the folder {}: {error}", folder.display()))?;
    let folder = fs::canonicalize(&folder).map_err(|error| format!("failed to find {}: {error}", folder.display()))?;
    for file in &engine.files {
        let link = folder.join(&file.name);
        symlink(root.join(&file.artifact.sha256), &link)
            .map_err(|error| format!("failed to make the link {}: {error}", link.display()))?;
        // Which of them are programs, and start others, only the engine knows; libraries may be executable too.
        fs::set_permissions(&link, Permissions::from_mode(0o755))
            .map_err(|error| format!("failed to make {} executable: {error}", file.name))?;
    }
    Ok(folder)
}

fn engine_command(
    engine: &EngineSpec,
    job: &JobSpec,
    folder: &Path,
    path_of: &impl Fn(&ArtifactRef) -> PathBuf,
) -> Result<Command, String> {
    let (program, arguments) = engine.command.split_first().ok_or("the engine's command is empty")?;
    let values = placeholders(job, folder, path_of)?;
    let arguments = arguments.iter().map(|argument| fill_in(argument, &values));
    let program = folder.join(program);
    let mut command = match engine.dialect {
        Dialect::Engine => Command::new(program),
        dialect => {
            let mut command = Command::new(own_program()?);
            command.arg0("device-runner").args(["foreign", dialect.as_str()]).arg(program);
            command
        }
    };
    command.args(arguments).current_dir(folder);
    let inherited = env::var_os(LIBRARY_PATH).filter(|paths| !paths.is_empty());
    let paths = std::iter::once(folder.to_owned()).chain(inherited.iter().flat_map(env::split_paths));
    command.env(LIBRARY_PATH, env::join_paths(paths).map_err(|error| error.to_string())?);
    Ok(command)
}

/// What the words in braces stand for.
fn placeholders(
    job: &JobSpec,
    folder: &Path,
    path_of: &impl Fn(&ArtifactRef) -> PathBuf,
) -> Result<BTreeMap<String, String>, String> {
    let text = |path: &Path| path.to_str().map(str::to_owned).ok_or_else(|| format!("{path:?} is not UTF-8"));
    let mut values = BTreeMap::from([
        ("folder".to_owned(), text(folder)?),
        ("model".to_owned(), text(&path_of(&job.model))?),
        ("threads".to_owned(), job.threads.to_string()),
        ("batch".to_owned(), job.batch.to_string()),
        ("warmup_runs".to_owned(), job.limits.warmup_min_runs.to_string()),
        ("runs".to_owned(), job.limits.min_runs.to_string()),
        ("seconds".to_owned(), job.limits.min_seconds.to_string()),
    ]);
    for part in &job.model_parts {
        values.insert(format!("model.{}", part.name), text(&path_of(&part.artifact))?);
    }
    if let Some(shapes) = input_shapes(job) {
        values.insert("input_shape".to_owned(), shapes);
    }
    Ok(values)
}

/// The shapes of all inputs as benchmark programs take them; `None` where none is known.
fn input_shapes(job: &JobSpec) -> Option<String> {
    let text = |shape: &[u64]| shape.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    if job.inputs.is_empty() {
        return job.batched_input_shape().map(|shape| text(&shape));
    }
    Some(job.inputs.iter().map(|input| text(&input.shape)).collect::<Vec<_>>().join(";"))
}

/// The argument with its placeholders filled in; other words in braces stay as they are.
fn fill_in(argument: &str, values: &BTreeMap<String, String>) -> String {
    let mut filled = String::new();
    let mut rest = argument;
    while let Some(open) = rest.find('{') {
        let (before, from) = rest.split_at(open);
        filled.push_str(before);
        let value = from.find('}').and_then(|close| Some((values.get(&from[1..close])?, close)));
        match value {
            Some((value, close)) => {
                filled.push_str(value);
                rest = &from[close + 1..];
            }
            None => {
                filled.push('{');
                rest = &from[1..];
            }
        }
    }
    filled + rest
}

fn own_program() -> Result<PathBuf, String> {
    env::current_exe().map_err(|error| format!("failed to find this program: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_told_the_shapes_of_all_inputs() {
        let with = |more: serde_json::Value| {
            let mut job = serde_json::json!({
                "model": {"sha256": "0", "size_bytes": 1}, "format": "x", "backend": "x", "precision": "fp32",
                "threads": 1, "cpus": null, "batch": 2, "scenario": "single_stream", "seed": 1,
                "input_range": {"low": 0, "high": 1}, "limits": {
                    "warmup_min_runs": 1, "warmup_min_seconds": 0, "warmup_max_seconds": 0, "min_runs": 1,
                    "max_runs": 1, "min_seconds": 0, "max_seconds": 1
                }
            });
            job.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            input_shapes(&serde_json::from_value(job).expect("a job"))
        };
        let range = serde_json::json!({"low": 0, "high": 1});
        let input =
            |shape: &[u64]| serde_json::json!({"name": "i", "element": "f32", "shape": shape, "range": range.clone()});
        assert_eq!(with(serde_json::json!({})), None);
        assert_eq!(with(serde_json::json!({"input_shape": [1, 3, 8, 8]})).as_deref(), Some("2,3,8,8"));
        let several = serde_json::json!({"inputs": [input(&[2, 128]), input(&[1])]});
        assert_eq!(with(several).as_deref(), Some("2,128;1"));
    }

    #[test]
    fn placeholders_are_filled_in_once() {
        let values =
            [("model", "/a{threads}"), ("threads", "4")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let values = BTreeMap::from(values);
        for (argument, expected) in [
            ("--graph={model} {threads}", "--graph=/a{threads} 4"),
            ("{other} {{threads}} {", "{other} {4} {"),
            ("plain", "plain"),
        ] {
            assert_eq!(fill_in(argument, &values), expected);
        }
    }
}
