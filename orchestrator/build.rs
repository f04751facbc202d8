//! Tells the program at compile time what it was built from: commit, target, and the engine that its runner carries.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The package whose version is that of the engine in the runner.
const ENGINE: &str = "tract-onnx";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let folder = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let target = std::env::var("TARGET").expect("cargo sets TARGET");
    println!("cargo::rustc-env=FARMCTL_TARGET={target}");

    let lock = folder.join("../Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock.display());
    match engine_version(&lock) {
        Ok(version) => println!("cargo::rustc-env=FARMCTL_TRACT_VERSION={version}"),
        Err(cause) => println!("cargo::error=find the version of {ENGINE} in {}: {cause}", lock.display()),
    }

    // Empty outside a git checkout, for example in a source archive.
    println!("cargo::rustc-env=FARMCTL_COMMIT={}", commit(&folder).unwrap_or_default());
}

fn engine_version(lock: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(lock).map_err(|cause| cause.to_string())?;
    let name = format!("name = \"{ENGINE}\"");
    let mut lines = text.lines().skip_while(|line| *line != name).skip(1);
    let version = lines.next().and_then(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    version.map(str::to_owned).ok_or_else(|| "it has no such package".to_owned())
}

fn commit(folder: &Path) -> Option<String> {
    let commit = git(folder, &["rev-parse", "--short=12", "HEAD"])?;
    // HEAD names the branch, its log grows with every commit, checkout and reset.
    for name in ["HEAD", "logs/HEAD"] {
        let path = folder.join(git(folder, &["rev-parse", "--git-path", name])?);
        // A path that isn't there would run this again at every build.
        if path.exists() {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    Some(commit)
}

fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
