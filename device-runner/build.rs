//! Tells the runner what it was built for and from: target triple, git commit, version of the engine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=RUNNER_TARGET={}", env::var("TARGET").unwrap_or_else(|_| "unknown".to_owned()));
    println!("cargo::rerun-if-env-changed=FARMCTL_COMMIT");
    let commit = env::var("FARMCTL_COMMIT").ok().filter(|commit| !commit.is_empty()).or_else(commit_from_git);
    if let Some(commit) = commit {
        println!("cargo::rustc-env=RUNNER_COMMIT={commit}");
    }
    println!("cargo::rustc-env=TRACT_VERSION={}", locked_version("tract-onnx").unwrap_or_else(|| "unknown".to_owned()));
}

/// The commit of the checkout, and a rebuild whenever it changes; nothing where there is no git or no checkout.
fn commit_from_git() -> Option<String> {
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let reference = git(&["symbolic-ref", "-q", "HEAD"]);
    for name in ["HEAD", "packed-refs"].into_iter().chain(reference.as_deref()) {
        // A file that is not there would make cargo run this script every time.
        if let Some(path) = git(&["rev-parse", "--git-path", name]).map(PathBuf::from).filter(|path| path.exists()) {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    Some(commit)
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// Version of `package` in the lock file of the workspace.
fn locked_version(package: &str) -> Option<String> {
    let folder = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?);
    let lock = folder.ancestors().map(|folder| folder.join("Cargo.lock")).find(|path| Path::exists(path))?;
    println!("cargo::rerun-if-changed={}", lock.display());
    let text = fs::read_to_string(lock).ok()?;
    let mut lines = text.lines().skip_while(|line| *line != format!("name = \"{package}\""));
    lines.nth(1)?.strip_prefix("version = \"")?.strip_suffix('"').map(str::to_owned)
}
