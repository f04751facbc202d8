use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use super::{FILE_NAME, HOST_TARGET, RunnerError};

/// How far a build is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BuildStep {
    /// Crates that are built.
    pub crates_done: u64,
    /// Crates in all.
    pub crates_total: u64,
    /// Share of the work that is done, 0 to 1: crates weighted by the size of their source.
    pub fraction: f64,
    /// Whether this crate was built before.
    pub fresh: bool,
}

/// Told after each crate.
pub type BuildProgress<'a> = &'a mut (dyn FnMut(BuildStep) + Send);

/// A cargo that prints nothing for so long is given up; tract-core alone takes minutes on a slow machine.
const SILENCE: Duration = Duration::from_secs(45 * 60);
/// Lines of cargo's standard error that an error shows.
const ERROR_LINES: usize = 30;

/// Where a workspace's build of the runner is: in a folder of its own, so that it never waits for another build.
pub(super) fn output_path(workspace: &Path, target: &str) -> PathBuf {
    target_folder(workspace).join(target).join("release").join(FILE_NAME)
}

fn target_folder(workspace: &Path) -> PathBuf {
    workspace.join("target").join("runners")
}

/// Builds the runner for a target: static, so that it needs no libc on the device. Quick when it is fresh.
///
/// # Errors
/// When cargo isn't there or fails.
pub async fn build(workspace: &Path, target: &str, progress: BuildProgress<'_>) -> Result<PathBuf, RunnerError> {
    let failed = |cause: String, output: String| RunnerError::Build { target: target.to_owned(), cause, output };
    let crates = crate_sizes(workspace, target).await.map_err(|cause| failed(cause, String::new()))?;
    let mut command = cargo(workspace);
    command
        .args(["build", "--release", "--locked", "--package", FILE_NAME, "--target", target, "--target-dir"])
        .arg(target_folder(workspace))
        .args(["--message-format", "json-render-diagnostics"])
        .env(flags_variable(target), "-C target-feature=+crt-static");
    let mut child =
        command.spawn().map_err(|error| failed(format!("failed to start cargo: {error}"), String::new()))?;
    let stderr = child.stderr.take().map(last_lines);
    follow(&mut child, &crates, progress).await.map_err(|cause| failed(cause, String::new()))?;
    let status = child.wait().await.map_err(|error| failed(error.to_string(), String::new()))?;
    let output = match stderr {
        Some(task) => task.await.unwrap_or_default(),
        None => String::new(),
    };
    if !status.success() {
        return Err(failed(format!("cargo ended with {status}{}", hint(target)), output));
    }
    Ok(output_path(workspace, target))
}

fn hint(target: &str) -> String {
    if target == HOST_TARGET {
        return String::new();
    }
    format!("; {target} needs its standard library (`rustup target add {target}`) and a linker for it")
}

/// cargo in the workspace, without what a surrounding cargo left in the environment.
fn cargo(workspace: &Path) -> Command {
    let mut command = Command::new("cargo");
    command
        .current_dir(workspace)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env_remove("CARGO_MANIFEST_DIR")
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .kill_on_drop(true);
    command
}

fn flags_variable(target: &str) -> String {
    format!("CARGO_TARGET_{}_RUSTFLAGS", target.to_uppercase().replace('-', "_"))
}

/// Reads cargo's messages until it ends them.
async fn follow(child: &mut Child, crates: &[(String, u64)], progress: BuildProgress<'_>) -> Result<(), String> {
    let stdout = child.stdout.take().ok_or("cargo has no standard output")?;
    let mut lines = BufReader::new(stdout).lines();
    let total_bytes: u64 = crates.iter().map(|(_, bytes)| bytes).sum();
    let (mut done, mut done_bytes) = (HashSet::new(), 0);
    loop {
        let line = tokio::time::timeout(SILENCE, lines.next_line())
            .await
            .map_err(|_| format!("cargo built no crate for {} minutes", SILENCE.as_secs() / 60))?
            .map_err(|error| format!("failed to read from cargo: {error}"))?;
        let Some(line) = line else { return Ok(()) };
        let Ok(CargoMessage { reason, package_id, target, fresh }) = serde_json::from_str(&line) else { continue };
        if reason != "compiler-artifact" || target.is_some_and(|target| target.kind.contains(&"custom-build".into())) {
            continue;
        }
        if let Some((id, bytes)) = crates.iter().find(|(id, _)| *id == package_id)
            && done.insert(id)
        {
            done_bytes += bytes;
            progress(BuildStep {
                crates_done: done.len() as u64,
                crates_total: crates.len() as u64,
                fraction: done_bytes as f64 / total_bytes.max(1) as f64,
                fresh,
            });
        }
    }
}

/// The last lines of a stream, read to its end so that its writer never waits.
fn last_lines(stream: tokio::process::ChildStderr) -> tokio::task::JoinHandle<String> {
    tokio::spawn(async move {
        let mut kept = std::collections::VecDeque::new();
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
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
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

/// The crates that the runner is built from, with the size of their source: the only measure of a crate's cost that is
/// known before it was ever built.
async fn crate_sizes(workspace: &Path, target: &str) -> Result<Vec<(String, u64)>, String> {
    let output =
        cargo(workspace).args(["metadata", "--format-version", "1", "--locked", "--filter-platform", target]).output();
    let output = tokio::time::timeout(SILENCE, output)
        .await
        .map_err(|_| "cargo metadata did not end".to_owned())?
        .map_err(|error| format!("failed to start cargo: {error}; is a Rust toolchain installed?"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("failed to read cargo metadata: {error}"))?;
    tokio::task::spawn_blocking(move || weigh(&metadata)).await.map_err(|error| error.to_string())
}

fn weigh(metadata: &Metadata) -> Vec<(String, u64)> {
    let root = metadata.packages.iter().find(|package| package.name == FILE_NAME).map(|package| package.id.clone());
    let mut wanted: Vec<String> = root.into_iter().collect();
    let mut seen: HashSet<String> = wanted.iter().cloned().collect();
    while let Some(id) = wanted.pop() {
        let Some(node) = metadata.resolve.nodes.iter().find(|node| node.id == id) else { continue };
        for dependency in &node.deps {
            let built = dependency.dep_kinds.iter().any(|kind| kind.kind.as_deref() != Some("dev"));
            if built && seen.insert(dependency.pkg.clone()) {
                wanted.push(dependency.pkg.clone());
            }
        }
    }
    let packages = metadata.packages.iter().filter(|package| seen.contains(&package.id));
    packages.map(|package| (package.id.clone(), source_bytes(package.manifest_path.parent()))).collect()
}

/// Size of the Rust files below `src`.
fn source_bytes(folder: Option<&Path>) -> u64 {
    let mut folders: Vec<PathBuf> = folder.map(|folder| folder.join("src")).into_iter().collect();
    let mut total = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(path),
                Ok(kind) if kind.is_file() && path.extension().is_some_and(|end| end == "rs") => {
                    total += entry.metadata().map_or(0, |facts| facts.len());
                }
                _ => {}
            }
        }
    }
    total
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn the_runners_crates_are_known_before_they_are_built() {
        let workspace = super::super::origin_workspace().unwrap();
        let crates = crate_sizes(&workspace, HOST_TARGET).await.unwrap();
        let bytes_of = |name: &str| crates.iter().find(|(id, _)| id.contains(name)).map(|(_, bytes)| *bytes);
        assert!(bytes_of("tract-core").unwrap() > bytes_of("farmctl-protocol").unwrap());
        assert_eq!(bytes_of("rusqlite"), None, "only what the runner needs");
    }

    #[test]
    fn flags_are_for_the_target_alone() {
        assert_eq!(flags_variable("x86_64-unknown-linux-gnu"), "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS");
    }

    #[tokio::test]
    async fn a_broken_workspace_is_told_in_cargos_words() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("Cargo.toml"), "[package\n").unwrap();
        let error = build(folder.path(), HOST_TARGET, &mut |_| {}).await.unwrap_err().to_string();
        assert!(error.contains("Cargo.toml"), "{error}");
    }
}
