//! Runners that a person names by their files, as a side of a comparison.

use std::path::{Path, PathBuf};

use farmctl_runner_stamp::Stamp;

use crate::domain::{ArtifactRef, SideRunner, sha256_hex};

use super::{FILE_NAME, TARGETS, equivalent};

/// Why what a person named is no runner.
#[derive(Debug, thiserror::Error)]
pub enum GivenError {
    /// It can't be read.
    #[error("read the runner {path}: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's words.
        #[source]
        cause: std::io::Error,
    },
    /// It does not say of itself that it is one.
    #[error("take {0} for a runner: it has no line «device-runner VERSION (…) TARGET», as every runner of farmctl")]
    NoStamp(PathBuf),
    /// A folder has none.
    #[error("find a runner in {0}: it has no file TARGET/device-runner")]
    Empty(PathBuf),
}

/// The runners that a path names: a runner's file, or a folder as `--runner-dir` takes it, with one for each target.
///
/// # Errors
/// When there is none, or one can't be read.
pub fn given(path: &Path) -> Result<Vec<SideRunner>, GivenError> {
    if !path.is_dir() {
        return Ok(vec![read(path)?]);
    }
    let files = TARGETS.iter().map(|target| path.join(target).join(FILE_NAME)).filter(|file| file.is_file());
    let found = files.map(|file| read(&file)).collect::<Result<Vec<_>, _>>()?;
    if found.is_empty() { Err(GivenError::Empty(path.to_owned())) } else { Ok(found) }
}

fn read(path: &Path) -> Result<SideRunner, GivenError> {
    let unreadable = |cause| GivenError::Unreadable { path: path.to_owned(), cause };
    let path = std::path::absolute(path).map_err(unreadable)?;
    let bytes = std::fs::read(&path).map_err(unreadable)?;
    let stamp = Stamp::find(&bytes).ok_or_else(|| GivenError::NoStamp(path.clone()))?;
    let artifact = ArtifactRef { sha256: sha256_hex(&bytes), size_bytes: bytes.len() as u64 };
    Ok(SideRunner { version: stamp.line(), target: stamp.target, path, artifact })
}

/// Which of these serves devices of a target: a static program does not care which libc is in it.
pub fn of_target<'a>(runners: &'a [SideRunner], target: &str) -> Option<&'a SideRunner> {
    let of = |wanted: &str| runners.iter().find(|runner| runner.target == wanted);
    of(target).or_else(|| equivalent(target).and_then(of))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn stamp(target: &str) -> String {
        let sources = "0123456789ab".to_owned();
        Stamp { version: "0.1.0".to_owned(), commit: None, sources, target: target.to_owned() }.line() + "\n"
    }

    #[test]
    fn a_file_or_a_folder_of_runners_is_taken_with_hash_and_target() {
        let folder = tempfile::tempdir().unwrap();
        let [arm, x86] = ["aarch64-unknown-linux-musl", "x86_64-unknown-linux-gnu"];
        for target in [arm, x86] {
            std::fs::create_dir(folder.path().join(target)).unwrap();
            std::fs::write(folder.path().join(target).join(FILE_NAME), format!("\x7fELF{}", stamp(target))).unwrap();
        }
        let all = given(folder.path()).unwrap();
        let one = given(&folder.path().join(arm).join(FILE_NAME)).unwrap();
        assert_eq!((all.len(), one.len(), &*one[0].target), (2, 1, arm));
        assert_eq!(of_target(&all, "aarch64-unknown-linux-gnu"), Some(&one[0]), "either libc will do");
        assert_eq!(of_target(&one, x86), None);
        let bytes = std::fs::read(&one[0].path).unwrap();
        assert_eq!(one[0].artifact.sha256, sha256_hex(&bytes));
    }

    #[test]
    fn what_is_no_runner_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x");
        std::fs::write(&file, "device-runner of old").unwrap();
        assert!(matches!(given(&file), Err(GivenError::NoStamp(_))));
        assert!(matches!(given(folder.path()), Err(GivenError::Empty(_))));
        assert!(matches!(given(&folder.path().join("no")), Err(GivenError::Unreadable { .. })));
    }
}
