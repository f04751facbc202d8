use std::path::Path;

use farmctl_runner_stamp::{Sources, Stamp};

use crate::device::RunnerFile;
use crate::domain::{ArtifactRef, sha256_hex};

use super::RunnerError;

/// Hash and size of a runner's file.
///
/// # Errors
/// When it can't be read.
pub async fn describe(path: &Path, target: &str) -> Result<RunnerFile, RunnerError> {
    let bytes = read(path).await?;
    let artifact = ArtifactRef { sha256: sha256_hex(&bytes), size_bytes: bytes.len() as u64 };
    Ok(RunnerFile::new(path.to_owned(), artifact, target.to_owned()))
}

/// What a runner says of itself with `--version`, read out of its file: it may be for another machine.
///
/// # Errors
/// When it can't be read.
pub async fn stamp(path: &Path) -> Result<Option<Stamp>, RunnerError> {
    Ok(Stamp::find(&read(path).await?))
}

/// Whether a runner's file was built for this target from the sources that the workspace has now. One that was built
/// from sources of no commit never counts: its stamp would stay when they are committed.
pub(super) async fn is_fresh(path: &Path, workspace: &Path, target: &str) -> bool {
    let (Ok(Some(stamp)), Ok(sources)) = (stamp(path).await, Sources::read(workspace)) else { return false };
    stamp.target == target && stamp.sources == sources.hash && !stamp.is_dirty()
}

async fn read(path: &Path) -> Result<Vec<u8>, RunnerError> {
    tokio::fs::read(path).await.map_err(|cause| RunnerError::Unreadable { path: path.to_owned(), cause })
}
