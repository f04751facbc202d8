//! Tells the runner what it was built for and from: target triple, git commit and hash of its sources, version of the
//! engine. All of it depends on the runner's own sources alone, so that a change elsewhere gives the same file, which no
//! device has to be pushed again.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use sha2::{Digest as _, Sha256};

/// Digits of the sources' hash that are shown.
const HASH_DIGITS: usize = 12;

fn main() {
    let folder = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let workspace = folder.parent().unwrap_or(&folder).to_owned();
    let target = env::var("TARGET").unwrap_or_else(|_| "unknown".to_owned());
    let lock = read(&workspace.join("Cargo.lock"));
    let sources = sources_hash(&workspace, &lock);
    println!("cargo::rerun-if-env-changed=FARMCTL_COMMIT");
    let commit = env::var("FARMCTL_COMMIT").ok().filter(|commit| !commit.is_empty()).or_else(commit_from_git);
    let from = commit.as_ref().map(|commit| format!("commit {commit}, ")).unwrap_or_default();
    if let Some(commit) = &commit {
        println!("cargo::rustc-env=RUNNER_COMMIT={commit}");
    }
    println!("cargo::rustc-env=RUNNER_TARGET={target}");
    println!("cargo::rustc-env=RUNNER_SOURCES={sources}");
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    println!("cargo::rustc-env=RUNNER_STAMP=device-runner {version} ({from}sources {sources}) {target}");
    let engine = locked(&lock, "tract-onnx").map(|package| package.version);
    println!("cargo::rustc-env=TRACT_VERSION={}", engine.unwrap_or("unknown"));
}

/// What the runner is compiled from, below the workspace.
const SOURCES: [&str; 7] = [
    "device-runner/Cargo.toml",
    "device-runner/build.rs",
    "device-runner/src",
    "device-runner/engine-kit/Cargo.toml",
    "device-runner/engine-kit/src",
    "protocol/Cargo.toml",
    "protocol/src",
];

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

/// A hash of all that decides what the runner is: its sources, the versions of what it is built from, and how the
/// workspace has it compiled.
fn sources_hash(workspace: &Path, lock: &str) -> String {
    let mut hasher = Sha256::new();
    let mut files: Vec<PathBuf> = SOURCES.iter().flat_map(|path| files_below(&workspace.join(path))).collect();
    files.sort();
    let mut inherited = Vec::new();
    for file in &files {
        let content = read(file);
        let name = file.strip_prefix(workspace).unwrap_or(file).display();
        hasher.update(format!("{name} {}\n{content}\n", content.len()));
        inherited.extend(content.lines().filter_map(|line| line.strip_suffix(".workspace = true")).map(str::to_owned));
    }
    for package in dependencies(lock, "device-runner") {
        hasher.update(format!("{} {} {}\n", package.name, package.version, package.checksum));
    }
    hasher.update(settings(&read(&workspace.join("Cargo.toml")), &inherited));
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>()[..HASH_DIGITS].to_owned()
}

fn files_below(path: &Path) -> Vec<PathBuf> {
    println!("cargo::rerun-if-changed={}", path.display());
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.flat_map(|entry| files_below(&entry.path())).collect()
}

fn read(path: &Path) -> String {
    println!("cargo::rerun-if-changed={}", path.display());
    fs::read_to_string(path).unwrap_or_default()
}

/// The lines of the workspace's manifest that hold for the runner: the release profile, and what it inherits.
fn settings(manifest: &str, inherited: &[String]) -> String {
    let mut in_profile = false;
    let mut kept = String::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            in_profile = line.starts_with("[profile.release");
        }
        let is_inherited = line.split_once(" = ").is_some_and(|(name, _)| inherited.iter().any(|known| known == name));
        if (in_profile || is_inherited) && !line.starts_with('#') {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// A package of the lock file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Locked<'a> {
    name: &'a str,
    version: &'a str,
    checksum: &'a str,
    block: &'a str,
}

/// The package `wanted` of the lock file: a name, with version and source where that alone is ambiguous.
fn locked<'a>(lock: &'a str, wanted: &str) -> Option<Locked<'a>> {
    let mut words = wanted.split(' ');
    let (name, version) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    lock.split("[[package]]").skip(1).find_map(|block| {
        let value = |key: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \""));
            line.and_then(|rest| rest.strip_suffix('"')).unwrap_or_default()
        };
        let package = Locked { name: value("name"), version: value("version"), checksum: value("checksum"), block };
        (package.name == name && (version.is_empty() || package.version == version)).then_some(package)
    })
}

/// Everything that a package is built from, itself included, in order.
fn dependencies<'a>(lock: &'a str, root: &str) -> Vec<Locked<'a>> {
    let mut found: Vec<Locked<'a>> = locked(lock, root).into_iter().collect();
    let mut next = 0;
    while let Some(package) = found.get(next).copied() {
        next += 1;
        let listed = package.block.lines().skip_while(|line| *line != "dependencies = [").skip(1);
        for line in listed.take_while(|line| *line != "]") {
            let name = line.trim().trim_end_matches(',').trim_matches('"');
            found.extend(locked(lock, name).filter(|dependency| !found.contains(dependency)));
        }
    }
    found.sort();
    found
}
