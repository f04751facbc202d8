//! The runner's files on this host: where they are looked for, and how one is built.
//!
//! Main type: [`Runners`]. Looks, in this order, for `<folder>/<target>/device-runner` or builds it:
//! 1. the folder given by `--runner-dir`; what isn't there is an error then;
//! 2. the folders of `FARMCTL_RUNNERS`, separated as in `PATH`;
//! 3. the workspace that holds the working folder: built by cargo, unless it was built from the same sources;
//! 4. the data folder, `<data>/farmctl/runners/<version>/`, where `farmctl runner build --install` puts them;
//! 5. the workspace that this farmctl was built from, if it is still there.
//!
//! A runner for another processor needs a cross compiler: [`way_to_build`] says what this host would use, or what it
//! lacks. Never talks to a device, and never downloads.

use std::path::{Path, PathBuf};

use crate::device::RunnerFile;
use crate::domain::{Failure, FailureKind};

mod build;
mod crates;
mod family;
mod file;
mod given;
mod host;
mod toolchain;
mod workspace;

pub use build::{BuildProgress, BuildStep, MEASURING_PROFILE, build};
pub use farmctl_runner_stamp::FILE_NAME;
pub use file::{ReadRunner, SourceHashes, read};
pub use given::{GivenError, given, of_target};
pub use host::way_to_build;
pub use toolchain::Remedy;
pub use workspace::{enclosing_workspace, origin_workspace};

/// Targets that a runner can be built for.
pub const TARGETS: &[&str] = &[
    "x86_64-unknown-linux-gnu",
    "x86_64-unknown-linux-musl",
    "aarch64-unknown-linux-gnu",
    "aarch64-unknown-linux-musl",
    "armv7-unknown-linux-gnueabihf",
    "riscv64gc-unknown-linux-gnu",
];

/// The target whose runner serves the same machines: a static program doesn't care which libc is in it.
pub fn equivalent(target: &str) -> Option<&'static str> {
    let (start, libc) = target.rsplit_once('-')?;
    let other = match libc {
        "gnu" => "musl",
        "musl" => "gnu",
        _ => return None,
    };
    TARGETS
        .iter()
        .copied()
        .find(|target| target.strip_suffix(other).is_some_and(|rest| rest.strip_suffix('-') == Some(start)))
}

/// The target of this program, for which no cross-compiler is needed.
pub const HOST_TARGET: &str = env!("FARMCTL_TARGET");

/// What could not be done about a runner.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// There is none for the target, and no way to build it.
    #[error("find a runner for {target}: {reason}")]
    Missing {
        /// The target.
        target: String,
        /// Where was looked, and why it could not be built.
        reason: String,
    },
    /// This host lacks what it takes to build it.
    #[error("build the runner for {target}: this host lacks a compiler for it{}", remedy_text(.remedies))]
    Tools {
        /// The target.
        target: String,
        /// What would make it possible.
        remedies: Vec<Remedy>,
    },
    /// cargo did not build it.
    #[error("build the runner for {target}: {cause}\n{output}")]
    Build {
        /// The target.
        target: String,
        /// What happened.
        cause: String,
        /// The end of what cargo said.
        output: String,
    },
    /// Of those that a person named, none serves the target.
    #[error("find a runner for {target}: those that were named are for {known}; a folder can have one for each target")]
    NotNamed {
        /// The target.
        target: String,
        /// The targets that they are for.
        known: String,
    },
    /// One that a person named is another by now.
    #[error(
        "use the runner {path}: its sha256 is {found} now, and was {expected} when the sweep began; put that file \
        back, or begin anew"
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// The hash that it has.
        found: String,
        /// The hash that it should have.
        expected: String,
    },
    /// The file can't be read.
    #[error("read the runner {path}: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        #[source]
        cause: std::io::Error,
    },
}

fn remedy_text(remedies: &[Remedy]) -> String {
    let ways = remedies.iter().map(|Remedy { means, commands }| format!("{}  ({means})", commands.join(" && ")));
    let text = ways.collect::<Vec<_>>().join("\n  or  ");
    if text.is_empty() { String::new() } else { format!("; one of these gets it:\n      {text}") }
}

impl From<RunnerError> for Failure {
    fn from(error: RunnerError) -> Failure {
        Failure::new(FailureKind::RunnerMissing, format!("failed to {error}"))
    }
}

/// Where runners are looked for.
#[derive(Debug, Clone, Default)]
pub struct Runners {
    /// `--runner-dir`.
    pub explicit: Option<PathBuf>,
    /// `FARMCTL_RUNNERS`.
    pub listed: Vec<PathBuf>,
    /// The workspace around the working folder.
    pub workspace: Option<PathBuf>,
    /// The data folder's runners of this version.
    pub installed: Option<PathBuf>,
    /// The workspace this program was built from.
    pub origin: Option<PathBuf>,
    /// What the workspaces' sources are, once they were read.
    pub sources: SourceHashes,
}

/// One place where a runner may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Why it is looked at, for a person.
    pub label: &'static str,
    /// The file that would be it.
    pub path: PathBuf,
    /// The workspace that can build it there.
    pub workspace: Option<PathBuf>,
}

impl Runners {
    /// The places for a target, in the order in which they are looked at.
    pub fn places(&self, target: &str) -> Vec<Place> {
        let at = |label, folder: &Path| Place { label, path: folder.join(target).join(FILE_NAME), workspace: None };
        if let Some(folder) = &self.explicit {
            return vec![at("option --runner-dir", folder)];
        }
        let built = |label, workspace: &PathBuf| Place {
            label,
            path: build::output_path(workspace, target, MEASURING_PROFILE),
            workspace: Some(workspace.clone()),
        };
        let mut places: Vec<Place> = self.listed.iter().map(|folder| at("FARMCTL_RUNNERS", folder)).collect();
        places.extend(self.workspace.iter().map(|workspace| built("workspace", workspace)));
        places.extend(self.installed.iter().map(|folder| at("data folder", folder)));
        if self.origin != self.workspace {
            places.extend(self.origin.iter().map(|workspace| built("workspace it was built from", workspace)));
        }
        places
    }

    /// The runner for a target, built first where there is none of the workspace's sources. Where none can be built, a
    /// runner of the other libc serves as well.
    ///
    /// # Errors
    /// When there is none and it can't be built.
    pub async fn get(&self, target: &str, progress: BuildProgress<'_>) -> Result<RunnerFile, RunnerError> {
        let refused = match self.get_exactly(target, progress).await {
            Err(error @ (RunnerError::Missing { .. } | RunnerError::Tools { .. })) => error,
            ended => return ended,
        };
        let Some(other) = equivalent(target) else { return Err(refused) };
        match self.get_exactly(other, progress).await {
            Err(RunnerError::Missing { .. } | RunnerError::Tools { .. }) => Err(refused),
            ended => ended,
        }
    }

    async fn get_exactly(&self, target: &str, progress: BuildProgress<'_>) -> Result<RunnerFile, RunnerError> {
        let mut refused = None;
        for place in self.places(target) {
            if let Some(workspace) = &place.workspace {
                if let Some(fresh) = self.sources.fresh(&place.path, workspace, target).await {
                    return Ok(fresh);
                }
                match build(workspace, target, MEASURING_PROFILE, progress).await {
                    // What can't be built here may have been installed.
                    Err(error @ RunnerError::Tools { .. }) => {
                        refused.get_or_insert(error);
                        continue;
                    }
                    built => built?,
                };
            }
            if place.path.is_file() {
                return Ok(read(&place.path, target).await?.file);
            }
        }
        let missing = || RunnerError::Missing { target: target.to_owned(), reason: self.missing_reason(target) };
        Err(refused.unwrap_or_else(missing))
    }

    fn missing_reason(&self, target: &str) -> String {
        let places = self.places(target);
        if places.is_empty() {
            return "there is no workspace to build it in; give a folder with --runner-dir or FARMCTL_RUNNERS"
                .to_owned();
        }
        let looked: Vec<String> =
            places.iter().map(|place| format!("{} ({})", place.path.display(), place.label)).collect();
        format!("it is not at {}", looked.join(", nor at "))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use farmctl_runner_stamp::{Sources, Stamp};

    use super::*;

    fn runner_in(folder: &Path, content: &str) {
        let path = folder.join(HOST_TARGET).join(FILE_NAME);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    #[tokio::test]
    async fn places_are_looked_at_in_order() {
        let (first, second, third) = (tempfile::tempdir(), tempfile::tempdir(), tempfile::tempdir());
        let (first, second, third) = (first.unwrap(), second.unwrap(), third.unwrap());
        let mut runners = Runners {
            listed: vec![first.path().to_owned(), second.path().to_owned()],
            installed: Some(third.path().to_owned()),
            ..Runners::default()
        };
        runner_in(third.path(), "installed");
        assert_eq!(runners.get(HOST_TARGET, &mut |_| {}).await.unwrap().artifact.size_bytes, 9);
        runner_in(second.path(), "second");
        assert_eq!(runners.get(HOST_TARGET, &mut |_| {}).await.unwrap().artifact.size_bytes, 6);
        runners.explicit = Some(first.path().to_owned());
        let error = runners.get(HOST_TARGET, &mut |_| {}).await.unwrap_err().to_string();
        assert!(error.contains("--runner-dir") && !error.contains("data folder"), "{error}");
    }

    #[tokio::test]
    async fn a_runner_of_the_same_sources_is_taken_without_a_word_to_cargo() {
        let origin = origin_workspace().unwrap();
        let sources = Sources::read(&origin).unwrap();
        let workspace = tempfile::tempdir().unwrap();
        for file in sources.read.iter().filter(|path| path.is_file()) {
            let to = workspace.path().join(file.strip_prefix(&origin).unwrap());
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(file, to).unwrap();
        }
        // What is not one of the sources: with it cargo would refuse the workspace at once.
        std::fs::create_dir(workspace.path().join("orchestrator")).unwrap();
        let target = "riscv64gc-unknown-linux-gnu";
        let runners = Runners { workspace: Some(workspace.path().to_owned()), ..Runners::default() };
        let path = runners.places(target)[0].path.clone();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let stamp = |commit: &str, target: &str| Stamp {
            version: "0.1.0".to_owned(),
            commit: Some(commit.to_owned()),
            sources: sources.hash.clone(),
            target: target.to_owned(),
        };
        let is_fresh = async |stamp: Stamp| {
            std::fs::write(&path, stamp.line() + "\n").unwrap();
            SourceHashes::default().fresh(&path, workspace.path(), target).await.is_some()
        };
        assert!(is_fresh(stamp("ab", target)).await);
        assert_eq!(runners.get(target, &mut |_| panic!("nothing is built")).await.unwrap().path, path);
        let lock = workspace.path().join("Cargo.lock");
        std::fs::rename(&lock, workspace.path().join("aside")).unwrap();
        let again = runners.get(target, &mut |_| panic!("the sources are read once")).await;
        assert_eq!(again.unwrap().path, path);
        std::fs::rename(workspace.path().join("aside"), &lock).unwrap();
        assert!(!is_fresh(stamp("ab-dirty", target)).await, "no commit has these sources");
        assert!(!is_fresh(stamp("ab", HOST_TARGET)).await, "it is for another machine");
        assert!(!is_fresh(Stamp { sources: "0".repeat(12), ..stamp("ab", target) }).await, "it is of other sources");
        std::fs::write(&path, "no runner").unwrap();
        assert!(SourceHashes::default().fresh(&path, workspace.path(), target).await.is_none());
    }

    #[tokio::test]
    async fn a_runner_of_the_other_libc_serves_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("aarch64-unknown-linux-musl").join(FILE_NAME);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "musl").unwrap();
        let runners = Runners { explicit: Some(folder.path().to_owned()), ..Runners::default() };
        let found = runners.get("aarch64-unknown-linux-gnu", &mut |_| {}).await.unwrap();
        assert_eq!(found.target, "aarch64-unknown-linux-musl");
        assert!(runners.get("armv7-unknown-linux-gnueabihf", &mut |_| {}).await.is_err());
    }

    #[test]
    fn what_is_missing_is_a_list_of_commands() {
        let remedy = |means, command: &str| Remedy { means, commands: vec![command.to_owned()] };
        let remedies = vec![remedy("one way", "do this"), remedy("another", "do that")];
        let error = RunnerError::Tools { target: "t".to_owned(), remedies };
        insta::assert_snapshot!(Failure::from(error).message, @"
        failed to build the runner for t: this host lacks a compiler for it; one of these gets it:
              do this  (one way)
          or  do that  (another)
        ");
    }

    #[tokio::test]
    async fn without_any_place_the_way_out_is_named() {
        let error = Runners::default().get("riscv64gc-unknown-linux-gnu", &mut |_| {}).await.unwrap_err();
        assert!(error.to_string().contains("FARMCTL_RUNNERS"), "{error}");
    }
}
