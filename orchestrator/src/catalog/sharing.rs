//! Files that hosts share, as the catalogue asks for them: what is not to be had there is got or made as without it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::error::{CatalogError, io};
use super::hashing::{Activity, Progress};
use super::{LocalArtifact, artifacts::check_hash};
use crate::artifacts::{Asked, Call, Kind, SharedFiles};
use crate::domain::ArtifactRef;

/// How long a file may take on its way to other hosts, besides its bytes: the sweep waits for it.
const PATIENCE: Duration = Duration::from_secs(60);
/// Slowest way that is waited for, in bytes a second.
const SLOWEST_BYTES_PER_SECOND: u64 = 1_000_000;

/// One file on its way from or to the files that hosts share.
pub(super) struct Sharing<'a, 'b> {
    /// Those files; `None`: this host has its own alone.
    pub(super) shared: Option<&'a SharedFiles>,
    /// Until when the file is wanted.
    pub(super) deadline: Instant,
    /// Told how far it is.
    pub(super) progress: &'b mut dyn FnMut(Progress),
}

impl Sharing<'_, '_> {
    /// Gets a file into `path`, which is in the cache.
    ///
    /// # Errors
    /// When the cache's folder can't be made, or the hash is none.
    pub(super) fn fetch(&mut self, artifact: &ArtifactRef, path: &Path) -> Result<Asked, CatalogError> {
        let Some(shared) = self.shared else { return Ok(Asked::Missing) };
        check_hash("of the shared files", artifact)?;
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(io("create", folder))?;
        }
        let total_bytes = artifact.size_bytes;
        let progress = &mut *self.progress;
        let mut tell = |done_bytes| progress(Progress { activity: Activity::Downloading, done_bytes, total_bytes });
        let mut call = Call { deadline: self.deadline, progress: &mut tell };
        Ok(shared.fetch(Kind::Artifact, &artifact.sha256, path, &mut call))
    }

    /// Lets other hosts have a file; where that fails it is told, and nothing else comes of it. `asked`: what came of
    /// asking for it.
    pub(super) fn share(&mut self, local: &LocalArtifact, asked: Asked) {
        // Whoever could not be asked a moment ago takes nothing now.
        let Some(shared) = self.shared.filter(|_| asked != Asked::Failed) else { return };
        let LocalArtifact { path, artifact } = local;
        let total_bytes = artifact.size_bytes;
        let patience = PATIENCE + Duration::from_secs(total_bytes / SLOWEST_BYTES_PER_SECOND);
        let progress = &mut *self.progress;
        let mut tell = |done_bytes| progress(Progress { activity: Activity::Uploading, done_bytes, total_bytes });
        let mut call = Call { deadline: Instant::now() + patience, progress: &mut tell };
        match asked {
            Asked::Damaged => shared.share_anew(Kind::Artifact, &artifact.sha256, path, &mut call),
            _ => shared.share(Kind::Artifact, &artifact.sha256, path, &mut call),
        };
    }
}
