//! Files of this host, with deadlines and the errors of a transport.
//!
//! Main function: [`write()`]. Knows no home folder: paths are whole.

use std::future::Future;
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::transport::{ErrorKind, FileStat, TransportError};

const CHUNK_BYTES: usize = 1 << 20;

/// Ends an operation that takes longer than `deadline`: a file system may hang.
pub(super) async fn within<T>(
    deadline: Duration,
    verb: &str,
    path: &Path,
    operation: impl Future<Output = io::Result<T>>,
) -> Result<T, TransportError> {
    match timeout(deadline, operation).await {
        Ok(result) => result.map_err(|error| failure(verb, path, &error)),
        Err(_) => Err(timed_out(verb, path, deadline)),
    }
}

/// Writes what `source` gives from `offset` on.
pub(super) async fn write(
    path: &Path,
    offset: u64,
    source: &mut (dyn AsyncRead + Send + Unpin),
    stall: Duration,
    progress: &mut (dyn FnMut(u64) + Send),
) -> Result<(), TransportError> {
    let mut file = within(stall, "write", path, open_at(path, offset)).await?;
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut sent_bytes = 0;
    loop {
        let read = timeout(stall, source.read(&mut buffer)).await.map_err(|_| timed_out("write", path, stall))?;
        let length = read.map_err(|error| {
            TransportError::new(ErrorKind::File, format!("read what is to be written to {}: {error}", path.display()))
        })?;
        if length == 0 {
            break;
        }
        within(stall, "write", path, file.write_all(&buffer[..length])).await?;
        sent_bytes += length as u64;
        progress(sent_bytes);
    }
    // tokio's file writes behind the call: only flush tells of the last failure.
    within(stall, "write", path, file.flush()).await
}

async fn open_at(path: &Path, offset: u64) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).create(offset == 0).truncate(false).open(path).await?;
    let size = file.metadata().await?.len();
    if size < offset {
        return Err(io::Error::other(format!("the file has {size} bytes, fewer than the offset {offset}")));
    }
    // What is no regular file (/dev/null) has nothing to cut.
    if size > offset {
        file.set_len(offset).await?;
    }
    if offset > 0 {
        file.seek(io::SeekFrom::Start(offset)).await?;
    }
    Ok(file)
}

/// At most `limit` bytes from `offset` on.
pub(super) async fn read(path: &Path, offset: u64, limit: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path).await?;
    file.seek(io::SeekFrom::Start(offset)).await?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// Kind and size, `None` for a missing file.
pub(super) async fn stat(path: &Path) -> io::Result<Option<FileStat>> {
    match tokio::fs::metadata(path).await {
        Ok(facts) if facts.is_dir() => Ok(Some(FileStat { size_bytes: 0, is_dir: true })),
        Ok(facts) => Ok(Some(FileStat { size_bytes: facts.len(), is_dir: false })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a file that may be missing.
pub(super) async fn remove(path: &Path) -> io::Result<()> {
    match tokio::fs::remove_file(path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn failure(verb: &str, path: &Path, error: &io::Error) -> TransportError {
    let kind = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::DiskFull,
        _ => ErrorKind::File,
    };
    TransportError::new(kind, format!("{verb} {} on this host: {error}", path.display()))
}

fn timed_out(verb: &str, path: &Path, limit: Duration) -> TransportError {
    TransportError::new(
        ErrorKind::Timeout,
        format!("{verb} {} on this host: nothing happened for {} s", path.display(), limit.as_secs_f64()),
    )
}
