//! Tells the runner what it was built for and from: target triple, git commit and hash of its sources, version of the
//! engine. All of it depends on the runner's own sources alone, so that a change elsewhere gives the same file, which
//! no device has to be pushed again.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use farmctl_runner_stamp::{SOURCES, Sources, Stamp};

fn main() {
    let folder = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let workspace = folder.parent().unwrap_or(&folder);
    let sources = match Sources::read(workspace) {
        Ok(sources) => sources,
        Err(cause) => {
            println!("cargo::error=read the runner's sources in {}: {cause}", workspace.display());
            return;
        }
    };
    for path in &sources.read {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    println!("cargo::rerun-if-env-changed=FARMCTL_COMMIT");
    let commit = env::var("FARMCTL_COMMIT").ok().filter(|commit| !commit.is_empty()).or_else(commit_from_git);
    if let Some(commit) = &commit {
        println!("cargo::rustc-env=RUNNER_COMMIT={commit}");
    }
    let target = env::var("TARGET").unwrap_or_else(|_| "unknown".to_owned());
    println!("cargo::rustc-env=RUNNER_TARGET={target}");
    println!("cargo::rustc-env=RUNNER_SOURCES={}", sources.hash);
    println!("cargo::rustc-env=TRACT_VERSION={}", sources.version_of("tract-onnx").unwrap_or("unknown"));
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let stamp = Stamp { version, commit, sources: sources.hash, target };
    println!("cargo::rustc-env=RUNNER_STAMP={}", stamp.line());
}

/// Last commit that changed the sources, marked when they were changed since; nothing where there is no git or no
/// checkout.
fn commit_from_git() -> Option<String> {
    let from_root = SOURCES.map(|path| format!(":/{path}"));
    let about_sources = |words: &[&'static str]| {
        git(&words.iter().copied().chain(["--"]).chain(from_root.iter().map(String::as_str)).collect::<Vec<_>>())
    };
    let commit = about_sources(&["log", "-1", "--abbrev=12", "--format=%h"]).filter(|commit| !commit.is_empty())?;
    let changed = about_sources(&["status", "--porcelain"]).is_some_and(|changes| !changes.is_empty());
    let reference = git(&["symbolic-ref", "-q", "HEAD"]);
    for name in ["HEAD", "packed-refs"].into_iter().chain(reference.as_deref()) {
        // A file that is not there would make cargo run this script every time.
        if let Some(path) = git(&["rev-parse", "--git-path", name]).map(PathBuf::from).filter(|path| path.exists()) {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    Some(if changed { format!("{commit}-dirty") } else { commit })
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
