use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use tokio::sync::{Mutex, OnceCell};

use crate::device::{RunnerFile, RunnerProvider};
use crate::domain::{Failure, SideRunner, Sweep, SweepId};
use crate::lab::{Lab, LabError};
use crate::progress::{Progress, Task, Unit};
use crate::runners::{self, BuildStep, FILE_NAME, ReadRunner, RunnerError, Runners, TARGETS};

use super::pinned_runner::PinnedRunners;

/// A runner that is there.
#[derive(Debug, Serialize)]
pub struct FoundRunner {
    /// The machine that it is for.
    pub target: String,
    /// Its file.
    pub path: PathBuf,
    /// What kind of place it was found in.
    pub found_by: &'static str,
    /// Its size.
    pub size_bytes: u64,
    /// Its hash.
    pub sha256: String,
    /// Version and sources that it was built from, where it says so.
    pub version: Option<String>,
}

impl FoundRunner {
    fn of(ReadRunner { file, stamp }: ReadRunner, found_by: &'static str) -> FoundRunner {
        FoundRunner {
            target: file.target,
            path: file.path,
            found_by,
            size_bytes: file.artifact.size_bytes,
            sha256: file.artifact.sha256,
            version: stamp.map(|stamp| stamp.line()),
        }
    }
}

/// Where the runners of a sweep come from.
pub struct SweepRunners {
    /// All of it, or those of A.
    pub a: RunnerSource,
    /// Those of B, where the sides have runners of their own.
    pub b: Option<RunnerSource>,
}

impl SweepRunners {
    /// The same of a sweep: where hosts share files, those that it began with.
    ///
    /// # Errors
    /// When the store can't be opened.
    pub fn of_sweep(self, lab: &Lab, sweep: &SweepId) -> Result<SweepRunners, LabError> {
        let b = self.b.map(|b| b.of_sweep(lab, sweep)).transpose()?;
        Ok(SweepRunners { a: self.a.of_sweep(lab, sweep)?, b })
    }
}

impl Lab {
    /// Where the runners of a sweep come from.
    pub(in crate::lab) fn runners_of(&self, sweep: &Sweep, progress: &Progress) -> SweepRunners {
        let source = || RunnerSource::new(self.runners(), progress.clone());
        match sweep.side_by_side.as_ref().filter(|sides| sides.names_runners()) {
            None => SweepRunners { a: source(), b: None },
            Some(sides) => {
                let [a, b] = [&sides.a_runners, &sides.b_runners].map(|named| source().instead(named));
                SweepRunners { a, b: Some(b) }
            }
        }
    }

    /// The runners that are there, for all machines.
    ///
    /// # Errors
    /// When one can't be read.
    pub async fn found_runners(&self) -> Result<Vec<FoundRunner>, LabError> {
        let places = self.runners();
        let mut found = Vec::new();
        for target in TARGETS {
            for place in places.places(target).into_iter().filter(|place| place.path.is_file()) {
                found.push(FoundRunner::of(runners::read(&place.path, target).await?, place.label));
            }
        }
        Ok(found)
    }

    /// Builds the runner for a target by this profile of cargo; with `install`, puts it where any farmctl of this
    /// version finds it.
    ///
    /// # Errors
    /// When none is built for the target, or it can't be built here.
    pub async fn build_runner(
        &self,
        target: &str,
        profile: &str,
        install: bool,
        progress: &Progress,
    ) -> Result<FoundRunner, LabError> {
        if !TARGETS.contains(&target) {
            return Err(LabError::usage(format!("no runner is built for {target:?}"))
                .with_hint(format!("targets: {}", TARGETS.join(", "))));
        }
        let places = self.runners();
        let workspace = places.workspace.or(places.origin).ok_or_else(|| {
            LabError::usage("there is no workspace to build the runner in")
                .with_hint("run it inside a clone of farmctl")
        })?;
        let mut shown = RunnerBuild { target, progress, task: None };
        let built = runners::build(&workspace, target, profile, &mut |step| shown.step(step)).await;
        let mut path = shown.end(built)?;
        if install {
            path = install_runner(&path, &self.installed_runners().join(target))?;
        }
        Ok(FoundRunner::of(runners::read(&path, target).await?, "built"))
    }
}

fn install_runner(from: &Path, folder: &Path) -> Result<PathBuf, LabError> {
    let to = folder.join(FILE_NAME);
    let copy = || -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let partial = tempfile::Builder::new().prefix(".partial-").tempfile_in(folder)?;
        std::fs::copy(from, partial.path())?;
        partial.persist(&to).map_err(|error| error.error)?;
        Ok(())
    };
    copy().map_err(|error: std::io::Error| {
        LabError::internal(format!("failed to install the runner as {}: {error}", to.display())).caused_by(error)
    })?;
    Ok(to)
}

/// Shows a build, from the first crate that really has to be built.
struct RunnerBuild<'a> {
    target: &'a str,
    progress: &'a Progress,
    task: Option<Task>,
}

impl RunnerBuild<'_> {
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
pub struct RunnerSource {
    runners: Runners,
    /// Those that a person named in place of the lab's; none: the lab's.
    named: Vec<SideRunner>,
    found: Mutex<HashMap<String, Arc<OnceCell<RunnerFile>>>>,
    progress: Progress,
    pinned: Option<PinnedRunners>,
}

impl RunnerSource {
    /// Looks in these places.
    pub fn new(runners: Runners, progress: Progress) -> RunnerSource {
        RunnerSource { runners, named: Vec::new(), found: Mutex::new(HashMap::new()), progress, pinned: None }
    }

    /// These in place of the lab's, where there are some.
    pub fn instead(self, named: &[SideRunner]) -> RunnerSource {
        RunnerSource { named: named.to_vec(), ..self }
    }

    /// The runners of a sweep: where hosts share files, the one that it began with, whoever built that.
    ///
    /// # Errors
    /// When the store can't be opened.
    pub fn of_sweep(self, lab: &Lab, sweep: &SweepId) -> Result<RunnerSource, LabError> {
        let Some(shared) = lab.shared_files_if_any() else { return Ok(self) };
        let (store, sweep, folder) = (lab.store()?, sweep.clone(), lab.artifacts());
        let pinned = Some(PinnedRunners { store, sweep, shared, folder });
        // What was found before is this host's own.
        Ok(RunnerSource { found: Mutex::default(), pinned, ..self })
    }

    /// The runner for a target, built where it has to be.
    ///
    /// # Errors
    /// When there is none and none can be built.
    pub async fn get(&self, target: &str) -> Result<RunnerFile, RunnerError> {
        let cell = Arc::clone(self.found.lock().await.entry(target.to_owned()).or_default());
        let file = cell
            .get_or_try_init(|| async {
                if !self.named.is_empty() {
                    return self.named(target).await;
                }
                let Some(pinned) = &self.pinned else { return self.own(target).await };
                match pinned.known(&self.runners, target).await {
                    Some(file) => Ok(file),
                    None => Ok(pinned.settle(&self.runners, self.own(target).await?).await),
                }
            })
            .await?;
        Ok(file.clone())
    }

    /// The one of those that were named; it has to be what it was then.
    async fn named(&self, target: &str) -> Result<RunnerFile, RunnerError> {
        let known = || self.named.iter().map(|runner| runner.target.clone()).collect::<Vec<_>>().join(", ");
        let missing = || RunnerError::NotNamed { target: target.to_owned(), known: known() };
        let named = runners::of_target(&self.named, target).ok_or_else(missing)?;
        let file = runners::read(&named.path, &named.target).await?.file;
        if file.artifact == named.artifact {
            return Ok(file);
        }
        let (path, found) = (named.path.clone(), file.artifact.sha256);
        Err(RunnerError::Changed { path, found, expected: named.artifact.sha256.clone() })
    }

    /// That of this host.
    async fn own(&self, target: &str) -> Result<RunnerFile, RunnerError> {
        let mut shown = RunnerBuild { target, progress: &self.progress, task: None };
        let found = self.runners.get(target, &mut |step| shown.step(step)).await;
        shown.end(found)
    }
}

#[async_trait]
impl RunnerProvider for RunnerSource {
    async fn runner(&self, target: &str) -> Result<RunnerFile, Failure> {
        self.get(target).await.map_err(Failure::from)
    }
}
