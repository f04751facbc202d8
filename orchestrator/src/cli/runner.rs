use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use clap::Subcommand;
use serde::Serialize;
use tokio::sync::{Mutex, OnceCell};

use crate::device::{RunnerFile, RunnerProvider};
use crate::domain::Failure;
use crate::progress::{Progress, Task, Unit};
use crate::runners::{self, BuildStep, FILE_NAME, HOST_TARGET, MEASURING_PROFILE, RunnerError, Runners, TARGETS};

use super::{CliError, Context, Format, exit, print_data, print_json, print_rows, say, short_path};

#[derive(Debug, Subcommand)]
pub(super) enum RunnerVerb {
    /// Build the runner for a target
    Build {
        /// Rust target triple
        #[arg(long, default_value = HOST_TARGET)]
        target: String,
        /// cargo's profile; sweeps take only what is built by `release`
        #[arg(long, value_name = "NAME", default_value = MEASURING_PROFILE)]
        profile: String,
        /// Copy it to the data folder, where any farmctl of this version finds it
        #[arg(long, conflicts_with = "profile")]
        install: bool,
    },
    /// List the runners that are there
    List,
}

/// One runner of the list.
#[derive(Debug, Serialize)]
struct Listed {
    target: String,
    path: PathBuf,
    found_by: &'static str,
    size_bytes: u64,
    sha256: String,
    version: Option<String>,
}

pub(super) async fn run(context: &Context, verb: RunnerVerb) -> Result<u8, CliError> {
    match verb {
        RunnerVerb::Build { target, profile, install } => build(context, &target, &profile, install).await,
        RunnerVerb::List => list(context).await,
    }
}

async fn build(context: &Context, target: &str, profile: &str, install: bool) -> Result<u8, CliError> {
    if !TARGETS.contains(&target) {
        return Err(CliError::usage(format!("no runner is built for {target:?}"))
            .with_hint(format!("targets: {}", TARGETS.join(", "))));
    }
    let places = context.lab.runners();
    let workspace = places.workspace.or(places.origin).ok_or_else(|| {
        CliError::usage("there is no workspace to build the runner in").with_hint("run it inside a clone of farmctl")
    })?;
    let progress = super::open_progress(context);
    let mut shown = BuildShown { target, progress: &progress, task: None };
    let built = runners::build(&workspace, target, profile, &mut |step| shown.step(step)).await;
    let mut path = shown.end(built)?;
    super::close_progress(context, &progress);
    if install {
        path = install_runner(&path, &context.lab.installed_runners().join(target))?;
    }
    let file = runners::describe(&path, target).await?;
    print_listed(context, vec![listed(file, "built").await?])
}

fn install_runner(from: &std::path::Path, folder: &std::path::Path) -> Result<PathBuf, CliError> {
    let to = folder.join(FILE_NAME);
    let copy = || -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let partial = tempfile::Builder::new().prefix(".partial-").tempfile_in(folder)?;
        std::fs::copy(from, partial.path())?;
        partial.persist(&to).map_err(|error| error.error)?;
        Ok(())
    };
    copy().map_err(|error| CliError::internal(format!("failed to install the runner as {}: {error}", to.display())))?;
    Ok(to)
}

async fn list(context: &Context) -> Result<u8, CliError> {
    let places = context.lab.runners();
    let mut found = Vec::new();
    for target in TARGETS {
        for place in places.places(target).into_iter().filter(|place| place.path.is_file()) {
            found.push(listed(runners::describe(&place.path, target).await?, place.label).await?);
        }
    }
    if found.is_empty() && context.format == Format::Human {
        say("no runner is built yet; `farmctl runner build` builds one, and a sweep does so by itself");
    }
    print_listed(context, found)
}

async fn listed(file: RunnerFile, found_by: &'static str) -> Result<Listed, CliError> {
    let version = runners::stamp(&file.path).await?.map(|stamp| stamp.line());
    Ok(Listed {
        target: file.target,
        path: file.path,
        found_by,
        size_bytes: file.artifact.size_bytes,
        sha256: file.artifact.sha256,
        version,
    })
}

fn print_listed(context: &Context, found: Vec<Listed>) -> Result<u8, CliError> {
    match context.format {
        Format::Human => {
            for runner in &found {
                let text = format!(
                    "{}\n  path    {}\n  size    {:.1} MB\n  sha256  {}\n  version {}\n  found   {}\n",
                    runner.target,
                    short_path(&runner.path),
                    runner.size_bytes as f64 / 1e6,
                    runner.sha256,
                    runner.version.as_deref().unwrap_or("unknown"),
                    runner.found_by
                );
                print_data(text.as_bytes())?;
            }
        }
        Format::Json => print_json(&found)?,
        Format::Csv | Format::Markdown => print_rows(
            context.format,
            &["target", "path", "found_by", "size_bytes", "sha256", "version"],
            found.iter().map(|runner| {
                vec![
                    runner.target.clone(),
                    runner.path.display().to_string(),
                    runner.found_by.to_owned(),
                    runner.size_bytes.to_string(),
                    runner.sha256.clone(),
                    runner.version.clone().unwrap_or_default(),
                ]
            }),
        )?,
    }
    Ok(exit::OK)
}

/// Shows a build, from the first crate that really has to be built.
struct BuildShown<'a> {
    target: &'a str,
    progress: &'a Progress,
    task: Option<Task>,
}

impl BuildShown<'_> {
    fn step(&mut self, step: BuildStep) {
        let label = format!("building the runner for {}", self.target);
        match step {
            BuildStep::Waiting => {
                self.progress.print_line(&format!("{label}: waiting for another build in the same folder"));
            }
            BuildStep::Built { crates_done, crates_total, fraction } => {
                let start = || self.progress.start_task(&label, Some(crates_total), Unit::Crates);
                self.task.get_or_insert_with(start).advance_by_share(crates_done, Some(fraction));
            }
        }
    }

    /// Says how the build ended, and passes that on.
    fn end<T>(self, built: Result<T, RunnerError>) -> Result<T, RunnerError> {
        if let Some(task) = self.task {
            task.finish(if built.is_ok() { "done" } else { "failed" });
        }
        built
    }
}

/// The runners of this process: each target is looked for or built once, however many devices want it.
pub(super) struct RunnerSource {
    runners: Runners,
    found: Mutex<HashMap<String, Arc<OnceCell<RunnerFile>>>>,
    progress: Progress,
}

impl RunnerSource {
    pub(super) fn new(runners: Runners, progress: Progress) -> RunnerSource {
        RunnerSource { runners, found: Mutex::new(HashMap::new()), progress }
    }

    pub(super) async fn get(&self, target: &str) -> Result<RunnerFile, RunnerError> {
        let cell = Arc::clone(self.found.lock().await.entry(target.to_owned()).or_default());
        let file = cell
            .get_or_try_init(|| async {
                let mut shown = BuildShown { target, progress: &self.progress, task: None };
                let found = self.runners.get(target, &mut |step| shown.step(step)).await;
                shown.end(found)
            })
            .await?;
        Ok(file.clone())
    }
}

#[async_trait]
impl RunnerProvider for RunnerSource {
    async fn runner(&self, target: &str) -> Result<RunnerFile, Failure> {
        self.get(target).await.map_err(Failure::from)
    }
}
