use std::collections::HashSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use super::crates::{crate_shares, std_id};
use super::family::Family;
use super::{FILE_NAME, HOST_TARGET, RunnerError, host, toolchain};

/// How far a build is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BuildStep {
    /// Another build is under way in the same folder: this one begins when that has ended.
    Waiting,
    /// A crate is built. Told from the first one on that really has to be built.
    Built {
        /// Crates that are built.
        crates_done: u64,
        /// Crates in all.
        crates_total: u64,
        /// Share of the work that is done, 0 to 1: crates weighted by what they take to build.
        fraction: f64,
    },
}

/// Told of each step.
pub type BuildProgress<'a> = &'a mut (dyn FnMut(BuildStep) + Send);

/// A cargo that prints nothing for so long is given up; tract-core alone takes minutes on a slow machine.
const SILENCE: Duration = Duration::from_secs(45 * 60);
/// One that waits for another build is silent as long as that one takes: for so long at most.
const WAIT: Duration = Duration::from_secs(4 * 3600);
/// Lines of cargo's standard error that an error shows.
const ERROR_LINES: usize = 30;

/// cargo's profile of runners that measure devices.
pub const MEASURING_PROFILE: &str = "release";

/// Where a workspace's build of the runner is: in a folder of its own, so that it never waits for a build of something
/// else.
pub(super) fn output_path(workspace: &Path, target: &str, profile: &str) -> PathBuf {
    path_in(&target_folder(workspace), target, profile)
}

fn target_folder(workspace: &Path) -> PathBuf {
    workspace.join("target").join("runners")
}

/// Where cargo puts the runner that it builds into a folder.
fn path_in(folder: &Path, target: &str, profile: &str) -> PathBuf {
    folder.join(target).join(profile).join(FILE_NAME)
}

/// Builds the runner for a target by one of cargo's profiles: static, so that it needs no libc on the device. Quick
/// when it is fresh. What is built by another profile than [`MEASURING_PROFILE`] is never taken for a sweep.
///
/// # Errors
/// When this host lacks something to build it with, or cargo fails.
pub async fn build(
    workspace: &Path,
    target: &str,
    profile: &str,
    progress: BuildProgress<'_>,
) -> Result<PathBuf, RunnerError> {
    let failed = |cause: String, output: String| RunnerError::Build { target: target.to_owned(), cause, output };
    let facts = match target {
        HOST_TARGET => toolchain::HostFacts::default(),
        _ => host::facts(workspace, target).await,
    };
    let recipe = toolchain::recipe(target, &facts)
        .map_err(|remedies| RunnerError::Tools { target: target.to_owned(), remedies })?;
    tracing::debug!(target, means = recipe.means, "building the runner");
    let with_std = recipe.builds_std();
    // Another compiler shares nothing with cargo's own, and need not wait for it either.
    let folder = target_folder(workspace).join(if recipe.is_unpacked() { "unpacked" } else { "" });
    let mut command = cargo(workspace);
    command
        .args([recipe.subcommand, "--profile", profile, "--locked", "--package", FILE_NAME])
        .args(["--target", target, "--target-dir"])
        .arg(&folder)
        .args(["--message-format", "json-render-diagnostics"])
        .args(&recipe.arguments)
        .envs(recipe.environment);
    let mut child = command
        .spawn()
        .map_err(|error| failed(format!("failed to start cargo: {error}; is Rust installed?"), String::new()))?;
    let family = Family::of(child.id());
    let (waiting, waits) = mpsc::channel(1);
    let stderr = child.stderr.take().map(|stream| last_lines(stream, waiting));
    let crates = Crates::new(workspace, target, with_std);
    follow(&mut child, crates, waits, progress).await.map_err(|cause| failed(cause, String::new()))?;
    let status = child.wait().await.map_err(|error| failed(error.to_string(), String::new()))?;
    family.has_ended();
    let output = match stderr {
        Some(task) => task.await.unwrap_or_default(),
        None => String::new(),
    };
    if !status.success() {
        return Err(failed(format!("cargo {} ({}) ended with {status}", recipe.subcommand, recipe.means), output));
    }
    let (built, output) = (path_in(&folder, target, profile), output_path(workspace, target, profile));
    place(&built, &output).map_err(|error| failed(format!("{}: {error}", output.display()), String::new()))?;
    Ok(output)
}

/// Gives a built file its other name, unless it has that already.
fn place(built: &Path, output: &Path) -> std::io::Result<()> {
    let identity = |path: &Path| std::fs::metadata(path).map(|facts| (facts.dev(), facts.ino()));
    if identity(output).is_ok_and(|placed| identity(built).is_ok_and(|built| built == placed)) {
        return Ok(());
    }
    if let Some(folder) = output.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let passing = output.with_extension(std::process::id().to_string());
    std::fs::hard_link(built, &passing)?;
    let renamed = std::fs::rename(&passing, output);
    // Where another process was faster with the same file, renaming does nothing.
    let _ = std::fs::remove_file(&passing);
    renamed
}

/// cargo in the workspace, without what a surrounding cargo left in the environment.
pub(super) fn cargo(workspace: &Path) -> Command {
    let mut command = Command::new("cargo");
    command
        .current_dir(workspace)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env_remove("CARGO_MANIFEST_DIR")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        // `cargo run` and `cargo test` pass on what farmctl was compiled with. The runner's stamp would change with
        // every commit, and each device would get it again.
        .env_remove("FARMCTL_COMMIT")
        .kill_on_drop(true);
    command
}

/// The crates of a build, asked for when the first of them turns out not to be built yet: most builds are fresh.
struct Crates<'a> {
    workspace: &'a Path,
    target: &'a str,
    /// Whether the standard library is built, too.
    with_std: bool,
    seen: HashSet<String>,
    shares: Option<Vec<(String, f64)>>,
}

impl<'a> Crates<'a> {
    fn new(workspace: &'a Path, target: &'a str, with_std: bool) -> Crates<'a> {
        Crates { workspace, target, with_std, seen: HashSet::new(), shares: None }
    }

    async fn built(&mut self, id: String, fresh: bool) -> Option<BuildStep> {
        self.seen.insert(id);
        if self.shares.is_none() {
            if fresh {
                return None;
            }
            // Without the list the build goes on, and shows no progress.
            let asked = crate_shares(self.workspace, self.target, self.with_std).await;
            let known = asked.inspect_err(|cause| tracing::warn!("the build's progress is not known: {cause}"));
            self.shares = Some(known.unwrap_or_default());
        }
        let shares = self.shares.as_ref().filter(|shares| !shares.is_empty())?;
        let done = || shares.iter().filter(|(id, _)| self.seen.contains(id));
        Some(BuildStep::Built {
            crates_done: done().count() as u64,
            crates_total: shares.len() as u64,
            fraction: done().map(|(_, share)| share).sum(),
        })
    }
}

/// Reads cargo's messages until it ends them; `waits` has one for each time it began to wait for another build.
async fn follow(
    child: &mut Child,
    mut crates: Crates<'_>,
    mut waits: mpsc::Receiver<()>,
    progress: BuildProgress<'_>,
) -> Result<(), String> {
    let stdout = child.stdout.take().ok_or("cargo has no standard output")?;
    let mut lines = BufReader::new(stdout).lines();
    let mut is_waiting = false;
    loop {
        let next = async {
            tokio::select! {
                line = lines.next_line() => Some(line),
                Some(()) = waits.recv() => None,
            }
        };
        let (limit, what) = match is_waiting {
            true => (WAIT, "waited for another build"),
            false => (SILENCE, "built no crate"),
        };
        let next = tokio::time::timeout(limit, next).await;
        let Some(line) = next.map_err(|_| format!("cargo {what} for {} minutes", limit.as_secs() / 60))? else {
            is_waiting = true;
            progress(BuildStep::Waiting);
            continue;
        };
        is_waiting = false;
        let line = line.map_err(|error| format!("failed to read from cargo: {error}"))?;
        let Some(line) = line else { return Ok(()) };
        let Ok(CargoMessage { reason, package_id, target, fresh }) = serde_json::from_str(&line) else { continue };
        let Some(target) = target.filter(|_| reason == "compiler-artifact") else { continue };
        if target.kind.iter().any(|kind| kind == "custom-build") {
            continue;
        }
        // Its sources lie in a folder of the compiler's, wherever that is.
        let id = if package_id.contains("/library/") { std_id(&target.name) } else { package_id };
        if let Some(step) = crates.built(id, fresh).await {
            progress(step);
        }
    }
}

/// The last lines of cargo's standard error, read to its end so that it never waits for us. Tells `waiting` when it
/// waits for another one.
fn last_lines(stream: tokio::process::ChildStderr, waiting: mpsc::Sender<()>) -> tokio::task::JoinHandle<String> {
    tokio::spawn(async move {
        let mut kept = std::collections::VecDeque::new();
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if line.trim_start().starts_with("Blocking waiting for file lock") {
                // One that was not taken yet says the same.
                let _ = waiting.try_send(());
            }
            if kept.len() == ERROR_LINES {
                kept.pop_front();
            }
            kept.push_back(line);
        }
        Vec::from(kept).join("\n")
    })
}

#[derive(Deserialize)]
struct CargoMessage {
    reason: String,
    #[serde(default)]
    package_id: String,
    target: Option<CargoTarget>,
    #[serde(default)]
    fresh: bool,
}

#[derive(Deserialize)]
struct CargoTarget {
    name: String,
    kind: Vec<String>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn progress_is_told_from_the_first_crate_that_is_built() {
        let shares = [("serde", 0.25), ("tract", 0.75)].map(|(id, share)| (id.to_owned(), share));
        let workspace = crate::runners::origin_workspace().unwrap();
        let mut crates = Crates::new(&workspace, HOST_TARGET, false);
        assert_eq!(crates.built("serde".to_owned(), true).await, None);
        assert!(crates.shares.is_none(), "nobody asked cargo yet");
        crates.shares = Some(shares.into());
        let step = crates.built("tract".to_owned(), false).await;
        assert_eq!(step, Some(BuildStep::Built { crates_done: 2, crates_total: 2, fraction: 1.0 }));
    }

    #[tokio::test]
    async fn a_build_that_waits_for_another_one_is_told() {
        let words = "echo '    Blocking waiting for file lock on artifact directory' >&2; read line";
        let mut child = Command::new("sh")
            .args(["-c", words])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (waiting, waits) = mpsc::channel(1);
        let last = last_lines(child.stderr.take().unwrap(), waiting);
        let workspace = crate::runners::origin_workspace().unwrap();
        let crates = Crates::new(&workspace, HOST_TARGET, false);
        // It ends once it was told of.
        let mut input = child.stdin.take();
        let mut told = Vec::new();
        let mut progress = |step| {
            input.take();
            told.push(step);
        };
        let followed = follow(&mut child, crates, waits, &mut progress);
        tokio::time::timeout(Duration::from_secs(30), followed).await.unwrap().unwrap();
        assert_eq!(told, [BuildStep::Waiting]);
        assert!(last.await.unwrap().contains("Blocking"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_build_is_given_up_later_when_it_waits_for_another_one() {
        let workspace = crate::runners::origin_workspace().unwrap();
        for (is_waiting, why) in
            [(false, "built no crate for 45 minutes"), (true, "waited for another build for 240 minutes")]
        {
            let mut silent = Command::new("sh");
            silent.args(["-c", "read line"]).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
            let (waiting, waits) = mpsc::channel(1);
            if is_waiting {
                waiting.try_send(()).unwrap();
            }
            let crates = Crates::new(&workspace, HOST_TARGET, false);
            let error = follow(&mut silent.spawn().unwrap(), crates, waits, &mut |_| {}).await.unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_built_file_gets_its_other_name_again_when_it_is_built_again() {
        let folder = tempfile::tempdir().unwrap();
        let (built, output) = (folder.path().join("built"), folder.path().join("a/b/runner"));
        for content in ["one", "two"] {
            let _ = std::fs::remove_file(&built);
            std::fs::write(&built, content).unwrap();
            place(&built, &output).unwrap();
            place(&built, &output).unwrap();
            assert_eq!(std::fs::read_to_string(&output).unwrap(), content);
            assert_eq!(std::fs::read_dir(output.parent().unwrap()).unwrap().count(), 1);
        }
        assert!(place(&folder.path().join("absent"), &output).is_err());
    }

    #[test]
    fn the_runner_is_not_stamped_with_farmctls_commit() {
        assert!(std::env::var_os("FARMCTL_COMMIT").is_some(), "cargo passes it on to tests");
        let workspace = crate::runners::origin_workspace().unwrap();
        let command = cargo(&workspace);
        let removed: Vec<_> = command.as_std().get_envs().filter(|(_, value)| value.is_none()).collect();
        assert!(removed.iter().any(|(name, _)| *name == "FARMCTL_COMMIT"), "{removed:?}");
    }

    #[tokio::test]
    async fn a_broken_workspace_is_told_in_cargos_words() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("Cargo.toml"), "[package\n").unwrap();
        let error = build(folder.path(), HOST_TARGET, MEASURING_PROFILE, &mut |_| {}).await.unwrap_err().to_string();
        assert!(error.contains("Cargo.toml"), "{error}");
    }
}
