use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::{CatalogError, io};
use crate::domain::{ArtifactRef, hex, sha256_hex};
use crate::regular_file;

/// A file changed this shortly ago may change again without its time showing it.
const SETTLED: Duration = Duration::from_secs(2);

/// What is being done about a file, and how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub activity: Activity,
    /// Bytes done.
    pub done_bytes: u64,
    /// Bytes to do; 0 when it isn't known.
    pub total_bytes: u64,
}

/// What is being done about a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Writing a network of our own.
    Building,
    /// Getting it.
    Downloading,
    /// Letting other hosts of the lab have it.
    Uploading,
    /// Reading it to check its content.
    Hashing,
}

/// Hash and size of a file.
pub(super) fn hash_file(
    path: &Path,
    deadline: Instant,
    progress: &mut dyn FnMut(Progress),
) -> Result<ArtifactRef, CatalogError> {
    // Looked at before it is opened: a pipe would wait for a writer.
    let total_bytes = Stamp::of(path)?.size_bytes;
    let mut file = File::open(path).map_err(io("read", path))?;
    regular_file::read_through(&mut file, io("read", path), |_, done_bytes| {
        if Instant::now() >= deadline {
            return Err(CatalogError::Deadline { action: format!("read {}", path.display()) });
        }
        progress(Progress { activity: Activity::Hashing, done_bytes, total_bytes });
        Ok(())
    })
}

/// Hash and size of a user's file. In `memory` the hash is kept for as long as size and time of change stay the same.
pub(super) fn remembered_hash(
    path: &Path,
    memory: &Path,
    deadline: Instant,
    progress: &mut dyn FnMut(Progress),
) -> Result<ArtifactRef, CatalogError> {
    let path = path.canonicalize().map_err(io("find", path))?;
    let before = Stamp::of(&path)?;
    let memory = memory.join(sha256_hex(path.as_os_str().as_encoded_bytes()));
    let remembered = fs::read(&memory).ok().and_then(|text| serde_json::from_slice::<Remembered>(&text).ok());
    if let Some(remembered) = remembered.filter(|remembered| remembered.stamp == before) {
        return Ok(ArtifactRef { sha256: remembered.sha256, size_bytes: before.size_bytes });
    }
    let found = hash_file(&path, deadline, progress)?;
    if Stamp::of(&path)? == before && before.is_settled() {
        let remembered = Remembered { sha256: found.sha256.clone(), stamp: before };
        // Only a memory: a cache that can't be written costs the next reading, and nothing else.
        if let Err(cause) = remember(&memory, &remembered) {
            tracing::debug!(path = %memory.display(), %cause, "a file's hash is not remembered");
        }
    }
    Ok(found)
}

/// What shows that a file was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    size_bytes: u64,
    /// When its content was changed, as the file system was told.
    modified_ns: u64,
    /// When anything about it was changed, as the kernel saw it: seconds and nanoseconds.
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(path: &Path) -> Result<Self, CatalogError> {
        let found = fs::metadata(path).map_err(io("read", path))?;
        if !found.is_file() {
            return Err(io("read", path)(std::io::Error::other("it is no regular file")));
        }
        let modified = found.modified().map_err(io("read", path))?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self {
            size_bytes: found.len(),
            modified_ns: u64::try_from(modified.as_nanos()).unwrap_or(u64::MAX),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }

    pub(super) fn is_settled(self) -> bool {
        let modified = UNIX_EPOCH + Duration::from_nanos(self.modified_ns);
        SystemTime::now().duration_since(modified).is_ok_and(|age| age > SETTLED)
    }
}

/// A user's file that was hashed before.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    sha256: String,
    #[serde(flatten)]
    stamp: Stamp,
}

/// Keeps something at that path, whole or not at all.
pub(super) fn remember(path: &Path, remembered: &impl Serialize) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer(&mut file, remembered)?;
    file.persist(path).map_err(|failure| failure.error)?;
    Ok(())
}

/// Writes through, hashing and reporting.
pub(super) struct HashingWriter<'a> {
    file: BufWriter<&'a mut File>,
    hasher: Sha256,
    progress: Progress,
    deadline: Instant,
    report: &'a mut dyn FnMut(Progress),
}

impl<'a> HashingWriter<'a> {
    /// Writes to that file; `total_bytes` is for the reports alone.
    pub(super) fn new(
        file: &'a mut File,
        total_bytes: u64,
        deadline: Instant,
        report: &'a mut dyn FnMut(Progress),
    ) -> Self {
        let progress = Progress { activity: Activity::Building, done_bytes: 0, total_bytes };
        Self { file: BufWriter::new(file), hasher: Sha256::new(), progress, deadline, report }
    }

    /// Hash and size of what was written.
    pub(super) fn finish(self) -> ArtifactRef {
        ArtifactRef { sha256: hex(&self.hasher.finalize()), size_bytes: self.progress.done_bytes }
    }
}

impl Write for HashingWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if Instant::now() >= self.deadline {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.progress.done_bytes += count as u64;
        (self.report)(self.progress);
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}
