use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use farmctl_runner_stamp::{Sources, Stamp};

use crate::device::RunnerFile;
use crate::domain::{ArtifactRef, sha256_hex};

use super::RunnerError;

/// A runner's file, read once.
#[derive(Debug)]
pub struct ReadRunner {
    /// The file, with hash and size.
    pub file: RunnerFile,
    /// What it says of itself with `--version`, read out of it: it may be for another machine.
    pub stamp: Option<Stamp>,
}

impl ReadRunner {
    /// Whether it was built for this target from the sources with this hash. One that was built from sources of no
    /// commit never counts: its stamp would stay when they are committed.
    fn is_of(&self, target: &str, sources: &str) -> bool {
        self.stamp.as_ref().is_some_and(|stamp| stamp.target == target && stamp.sources == sources && !stamp.is_dirty())
    }
}

/// Reads a runner's file.
///
/// # Errors
/// When it can't be read.
pub async fn read(path: &Path, target: &str) -> Result<ReadRunner, RunnerError> {
    let read = tokio::fs::read(path).await;
    let bytes = read.map_err(|cause| RunnerError::Unreadable { path: path.to_owned(), cause })?;
    let artifact = ArtifactRef { sha256: sha256_hex(&bytes), size_bytes: bytes.len() as u64 };
    let file = RunnerFile::new(path.to_owned(), artifact, target.to_owned());
    Ok(ReadRunner { file, stamp: Stamp::find(&bytes) })
}

/// The hashes of workspaces' sources, each made once, however many targets are asked for. `None`: they can't be read.
#[derive(Debug, Clone, Default)]
pub struct SourceHashes(Arc<Mutex<HashMap<PathBuf, Option<String>>>>);

impl SourceHashes {
    /// The workspace's runner for this target, where it is there and is built from the sources that there are.
    pub(super) async fn fresh(&self, path: &Path, workspace: &Path, target: &str) -> Option<RunnerFile> {
        let runner = read(path, target).await.ok()?;
        let sources = self.hash(workspace)?;
        runner.is_of(target, &sources).then_some(runner.file)
    }

    fn hash(&self, workspace: &Path) -> Option<String> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let read = || Sources::read(workspace).ok().map(|sources| sources.hash);
        known.entry(workspace.to_owned()).or_insert_with(read).clone()
    }
}
