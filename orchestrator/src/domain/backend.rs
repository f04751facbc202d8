use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ArtifactRef, Dialect};

/// The setting that says what an engine hands the work to; in [`BackendProgram::options`] and a job's.
pub const DELEGATE: &str = "delegate";

/// An engine that is a program of its own: what it consists of on each kind of machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendProgram {
    /// Licence of the engine's library.
    pub licence: Option<String>,
    /// How the runner speaks with it.
    pub dialect: Dialect,
    /// What is started: the name of one of the files, and its arguments.
    pub command: Vec<String>,
    /// Settings that only this engine knows, and [`DELEGATE`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// The machines it runs on; each target is there once.
    pub targets: Vec<BackendTarget>,
}

impl BackendProgram {
    /// The files for a device whose runner is for that target: those for the very target, or for the same processor
    /// with files that need no C library at all (`musl` in a target means linked statically here).
    pub fn target(&self, runner: &str) -> Option<&BackendTarget> {
        let (machine, _) = runner.split_once('-').unwrap_or((runner, ""));
        let serves = |target: &&BackendTarget| {
            target.target == runner || (target.target.split('-').next() == Some(machine) && target.is_static())
        };
        self.targets.iter().find(|target| target.target == runner).or_else(|| self.targets.iter().find(serves))
    }

    /// Says that there are no files for devices whose runner is for that target.
    pub fn no_target(&self, name: &str, runner: &str) -> String {
        let targets: Vec<&str> = self.targets.iter().map(|target| target.target.as_str()).collect();
        format!("{name} has no program for {runner}, only for {}", targets.join(", "))
    }
}

/// An engine's files for one kind of machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendTarget {
    /// Rust target triple.
    pub target: String,
    /// What the device must have besides, in words.
    pub needs: Option<String>,
    /// The files, the program first; names are unique.
    pub files: Vec<BackendFile>,
}

impl BackendTarget {
    /// Whether its files need no C library of the device.
    pub fn is_static(&self) -> bool {
        self.target.contains("-musl")
    }

    /// Whether its files are for Android's own C library.
    pub fn is_android(&self) -> bool {
        self.target.contains("-android")
    }
}

/// One file of an engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendFile {
    /// Name that it has on the device.
    pub name: String,
    /// Its content; `None` for what is built or taken as found.
    pub artifact: Option<ArtifactRef>,
    /// Where it comes from.
    pub source: BackendSource,
}

/// How to get a file of an engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackendSource {
    /// Built by the engine's build script (`device-runner/engines/<engine>/build`) from these archives.
    Build {
        /// Name of the engine's folder.
        engine: String,
        /// What it is built against, in the order of the script's arguments.
        archives: Vec<Archive>,
    },
    /// A member of an archive.
    Member {
        /// The archive.
        archive: Archive,
        /// Its path inside.
        member: String,
    },
    /// A file on this host.
    Path(PathBuf),
}

/// A zip file (a Python wheel is one), or another that is handed on whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// Its content.
    pub artifact: ArtifactRef,
    /// Where it may be on this host.
    pub path: Option<PathBuf>,
    /// Addresses; the first that has it is taken.
    pub urls: Vec<String>,
    /// The package that it is a file of.
    pub pip: Option<PipPackage>,
}

impl Archive {
    /// Its name, as build scripts see it: of a package its name and version, `torch-1.13.1`, else that of its file.
    pub fn file_name(&self) -> String {
        if let Some(package) = &self.pip {
            return package.requirement.replace("==", "-");
        }
        let path = self.path.as_ref().and_then(|path| path.file_name()?.to_str());
        let url = self.urls.first().and_then(|url| url.rsplit('/').next());
        path.or(url).filter(|name| !name.is_empty()).unwrap_or("archive").to_owned()
    }

    /// Where it comes from, in words.
    pub fn origin(&self) -> String {
        let path = self.path.as_ref().map(|path| path.display().to_string());
        let pip = self.pip.as_ref().map(|package| format!("pip download {}", package.requirement));
        path.into_iter().chain(self.urls.iter().cloned()).chain(pip).collect::<Vec<_>>().join(" or ")
    }
}

/// A file of a package index, as `pip download` is asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipPackage {
    /// Name and version: `onnxruntime==1.32.0`.
    pub requirement: String,
    /// Arguments that choose the file: `--platform manylinux_2_28_aarch64`, …
    pub arguments: Vec<String>,
    /// Versions that pip itself has to keep to while it prepares a source distribution.
    pub constraint: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_gets_the_files_for_its_very_target_or_static_ones() {
        let target = |name: &str| BackendTarget { target: name.to_owned(), needs: None, files: Vec::new() };
        let names = ["aarch64-unknown-linux-musl", "aarch64-unknown-linux-gnu", "x86_64-unknown-linux-gnu"];
        let program = BackendProgram {
            licence: None,
            dialect: Dialect::Engine,
            command: Vec::new(),
            options: BTreeMap::new(),
            targets: names.map(target).to_vec(),
        };
        for (runner, expected) in [
            ("aarch64-unknown-linux-gnu", Some("aarch64-unknown-linux-gnu")),
            ("aarch64-linux-android", Some("aarch64-unknown-linux-musl")),
            ("x86_64-unknown-linux-musl", None),
            ("riscv64gc-unknown-linux-gnu", None),
        ] {
            assert_eq!(program.target(runner).map(|target| target.target.as_str()), expected, "{runner}");
        }
    }
}
