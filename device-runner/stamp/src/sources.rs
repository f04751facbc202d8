use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::lock_file;

/// Digits of the sources' hash that are shown.
const HASH_DIGITS: usize = 12;

/// What the runner is compiled from, below the workspace.
pub const SOURCES: [&str; 11] = [
    "device-runner/Cargo.toml",
    "device-runner/build.rs",
    "device-runner/src",
    "device-runner/engine-kit/Cargo.toml",
    "device-runner/engine-kit/src",
    "device-runner/stamp/Cargo.toml",
    "device-runner/stamp/src",
    "protocol/Cargo.toml",
    "protocol/src",
    "statistics/Cargo.toml",
    "statistics/src",
];

/// The sources of a runner, as they lie in a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// The first 12 hexadecimal digits of a SHA-256 over all that decides what the runner is: its sources, the versions
    /// of what it is built from, and how the workspace has it compiled. The compiler is not in it.
    pub hash: String,
    /// The files and folders that were read.
    pub read: Vec<PathBuf>,
    /// The workspace's lock file.
    pub lock: String,
}

impl Sources {
    /// Reads the sources in a workspace.
    ///
    /// # Errors
    /// When one of them can't be read.
    pub fn read(workspace: &Path) -> io::Result<Sources> {
        let lock_path = workspace.join("Cargo.lock");
        let manifest_path = workspace.join("Cargo.toml");
        let (lock, manifest) = (fs::read_to_string(&lock_path)?, fs::read_to_string(&manifest_path)?);
        let mut read = vec![lock_path, manifest_path];
        let mut files = Vec::new();
        for path in SOURCES {
            add_files(&workspace.join(path), &mut files, &mut read)?;
        }
        files.sort();
        let mut hasher = Sha256::new();
        let mut inherited = Vec::new();
        for file in &files {
            let content = fs::read_to_string(file)?;
            let name = file.strip_prefix(workspace).unwrap_or(file).display();
            hasher.update(format!("{name} {}\n{content}\n", content.len()));
            let lines = content.lines().filter_map(|line| line.strip_suffix(".workspace = true"));
            inherited.extend(lines.map(str::to_owned));
        }
        for package in lock_file::dependencies(&lock, "device-runner") {
            hasher.update(format!("{} {} {}\n", package.name, package.version, package.checksum));
        }
        hasher.update(settings(&manifest, &inherited));
        let digits: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Sources { hash: digits[..HASH_DIGITS].to_owned(), read, lock })
    }

    /// The version of a package that the runner is built from.
    pub fn version_of(&self, package: &str) -> Option<&str> {
        lock_file::package(&self.lock, package).map(|package| package.version)
    }
}

fn add_files(path: &Path, files: &mut Vec<PathBuf>, read: &mut Vec<PathBuf>) -> io::Result<()> {
    read.push(path.to_owned());
    if path.is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        add_files(&entry?.path(), files, read)?;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A copy of this workspace's sources.
    fn workspace() -> tempfile::TempDir {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let copy = tempfile::tempdir().unwrap();
        for file in Sources::read(root).unwrap().read.iter().filter(|path| path.is_file()) {
            let to = copy.path().join(file.strip_prefix(root).unwrap());
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(file, to).unwrap();
        }
        copy
    }

    #[test]
    fn whatever_decides_what_the_runner_is_changes_its_hash_and_nothing_else_does() {
        let copy = workspace();
        let hash = || Sources::read(copy.path()).unwrap().hash;
        let before = hash();
        fs::write(copy.path().join("README.md"), "words").unwrap();
        assert_eq!(hash(), before);
        let append = |name: &str, text: &str| {
            let path = copy.path().join(name);
            fs::write(&path, fs::read_to_string(&path).unwrap() + text).unwrap();
        };
        append("device-runner/src/main.rs", "\n");
        let with_source = hash();
        append("Cargo.toml", "\n[profile.release.package.serde]\nopt-level = 3\n");
        let with_profile = hash();
        fs::write(copy.path().join("protocol/src/another.rs"), "").unwrap();
        let hashes = [before, with_source, with_profile, hash()];
        let unlike: std::collections::BTreeSet<&String> = hashes.iter().collect();
        assert_eq!(unlike.len(), hashes.len(), "{hashes:?}");
    }

    #[test]
    fn a_source_that_is_missing_is_an_error() {
        let copy = workspace();
        fs::remove_dir_all(copy.path().join("protocol/src")).unwrap();
        assert_eq!(Sources::read(copy.path()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
