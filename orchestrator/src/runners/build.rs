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
    /// Share of the work that is done, 0 to 1: crates weighted by what they take to build.
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
    let crates = crate_shares(workspace, target).await.map_err(|cause| failed(cause, String::new()))?;
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
async fn follow(child: &mut Child, crates: &[(String, f64)], progress: BuildProgress<'_>) -> Result<(), String> {
    let stdout = child.stdout.take().ok_or("cargo has no standard output")?;
    let mut lines = BufReader::new(stdout).lines();
    let (mut done, mut fraction) = (HashSet::new(), 0.0);
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
        if let Some((id, share)) = crates.iter().find(|(id, _)| *id == package_id)
            && done.insert(id)
        {
            fraction += share;
            progress(BuildStep { crates_done: done.len() as u64, crates_total: crates.len() as u64, fraction, fresh });
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

/// Share of the build that each of the large crates takes, by `cargo build --timings` on two cores. The others share the
/// rest. Only an estimate of the time left hangs on it.
const MEASURED_SHARES: &[(&str, f64)] = &[
    ("tract-core", 0.51),
    ("tract-linalg", 0.08),
    ("tract-data", 0.055),
    ("tract-onnx", 0.05),
    ("tract-nnef", 0.05),
    ("tract-hir", 0.045),
    ("tract-onnx-opl", 0.02),
];

/// The crates that the runner is built from, with the share of the work that each is.
async fn crate_shares(workspace: &Path, target: &str) -> Result<Vec<(String, f64)>, String> {
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

fn weigh(metadata: &Metadata) -> Vec<(String, f64)> {
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
    let measured = |name: &str| MEASURED_SHARES.iter().find(|(known, _)| *known == name).map(|(_, share)| *share);
    let packages: Vec<&Package> = metadata.packages.iter().filter(|package| seen.contains(&package.id)).collect();
    let shares: Vec<Option<f64>> = packages.iter().map(|package| measured(&package.name)).collect();
    let rest = 1.0 - shares.iter().flatten().sum::<f64>();
    let others = shares.iter().filter(|share| share.is_none()).count().max(1);
    let weight = |share: Option<f64>| share.unwrap_or(rest / others as f64);
    packages.iter().zip(shares).map(|(package, share)| (package.id.clone(), weight(share))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn the_runners_crates_are_known_before_they_are_built() {
        let workspace = super::super::origin_workspace().unwrap();
        let crates = crate_shares(&workspace, HOST_TARGET).await.unwrap();
        let share_of = |name: &str| crates.iter().find(|(id, _)| id.contains(name)).map(|(_, share)| *share);
        assert!(share_of("tract-core").unwrap() > share_of("protocol").unwrap());
        assert_eq!(share_of("rusqlite"), None, "only what the runner needs");
        let whole: f64 = crates.iter().map(|(_, share)| share).sum();
        assert!((whole - 1.0).abs() < 1e-9, "{whole}");
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
