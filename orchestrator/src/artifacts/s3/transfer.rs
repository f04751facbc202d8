//! What goes to a bucket and comes from it.

use std::fs::File;
use std::future::Future;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::aws::AmazonS3;
use object_store::path::Path as Key;
use object_store::{MultipartUpload, ObjectStore as _, ObjectStoreExt as _};
use sha2::{Digest as _, Sha256};

use crate::domain::hex;

use super::calls::Way;
use super::heard::Heard;
use super::{Kind, StoredFile, StoredName, Trouble};
use crate::artifacts::folder::{arrived, on_its_way};

/// Bytes that one request brings or takes.
pub(super) const PART_BYTES: u64 = 8 << 20;
/// Most parts that S3 takes, with some room.
const MAX_PARTS: u64 = 9_000;
/// Parts of a file that are under way at the same time.
const PARTS_AT_ONCE: usize = 4;
/// How long taking an upload back may take.
const ABORT_TIMEOUT: Duration = Duration::from_secs(5);
/// Most files that a list names: a bucket that other things fill must not fill this process.
const MAX_LISTED: usize = 5_000_000;

/// The size of an object.
pub(super) async fn size(bucket: &AmazonS3, key: &Key) -> Result<Option<u64>, Trouble> {
    match bucket.head(key).await {
        Ok(about) => Ok(Some(about.size)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(of_store(error)),
    }
}

/// Puts a file there. Its sha256 is taken of what is sent; an object comes to be only where that is the right one.
pub(super) async fn put(bucket: &AmazonS3, key: &Key, sha256: &str, from: &Path, way: &Way) -> Result<(), Trouble> {
    let file = File::open(from).map_err(Trouble::file(from))?;
    let size_bytes = file.metadata().map_err(Trouble::file(from))?.len();
    let source = Source { file, path: from, hasher: Sha256::new() };
    if size_bytes <= PART_BYTES {
        in_time(way, put_small(bucket, key, sha256, source, way)).await?;
    } else {
        put_parts(bucket, key, sha256, source, size_bytes.div_ceil(MAX_PARTS).max(PART_BYTES), way).await?;
    }
    match in_time(way, size(bucket, key)).await? {
        Some(stored) if stored == size_bytes => Ok(()),
        stored => Err(Trouble::Short { sent: size_bytes, stored: stored.unwrap_or_default() }),
    }
}

/// A file on this host that is sent.
struct Source<'a> {
    file: File,
    path: &'a Path,
    hasher: Sha256,
}

impl Source<'_> {
    /// Its next bytes; none at its end.
    fn next(&mut self, bytes: u64) -> Result<Vec<u8>, Trouble> {
        let mut part = Vec::new();
        let read = (&mut self.file).take(bytes).read_to_end(&mut part);
        read.map_err(Trouble::file(self.path))?;
        self.hasher.update(&part);
        Ok(part)
    }

    /// Whether all that was read is what its name says.
    fn check(self, sha256: &str) -> Result<(), Trouble> {
        let found = hex(&self.hasher.finalize());
        if found == sha256 { Ok(()) } else { Err(Trouble::Changed { found }) }
    }
}

async fn put_small(
    bucket: &AmazonS3,
    key: &Key,
    sha256: &str,
    mut source: Source<'_>,
    way: &Way,
) -> Result<(), Trouble> {
    // One byte more shows a file that has grown.
    let bytes = source.next(PART_BYTES + 1)?;
    source.check(sha256)?;
    let count = bytes.len() as u64;
    bucket.put(key, bytes.into()).await.map_err(of_store)?;
    way.tell(count);
    Ok(())
}

async fn put_parts(
    bucket: &AmazonS3,
    key: &Key,
    sha256: &str,
    source: Source<'_>,
    part_bytes: u64,
    way: &Way,
) -> Result<(), Trouble> {
    let mut upload = in_time(way, async { bucket.put_multipart(key).await.map_err(of_store) }).await?;
    let sent = async {
        send_parts(upload.as_mut(), source, sha256, part_bytes, way).await?;
        upload.complete().await.map_err(of_store)
    };
    let sent = in_time(way, sent).await;
    if sent.is_err() {
        // What came of it is invisible there, but takes room until the bucket's own rule takes it out. What is heard
        // now is not why the upload failed.
        let aborted = Heard::default().listen(tokio::time::timeout(ABORT_TIMEOUT, upload.abort())).await;
        if !matches!(aborted, Ok(Ok(()))) {
            tracing::warn!(%key, "an upload that was given up is left at the server: have it take out such uploads");
        }
    }
    sent.map(drop)
}

/// Sends a file part by part. It becomes an object only where all that was read is what its name says.
async fn send_parts(
    upload: &mut dyn MultipartUpload,
    mut source: Source<'_>,
    sha256: &str,
    part_bytes: u64,
    way: &Way,
) -> Result<(), Trouble> {
    let mut under_way = FuturesUnordered::new();
    let (mut is_read, mut done_bytes) = (false, 0);
    loop {
        while !is_read && under_way.len() < PARTS_AT_ONCE {
            let part = source.next(part_bytes)?;
            is_read = part.is_empty();
            if !is_read {
                let (count, sending) = (part.len() as u64, upload.put_part(part.into()));
                under_way.push(async move { sending.await.map(|()| count) });
            }
        }
        let Some(count) = under_way.next().await else { return source.check(sha256) };
        done_bytes += count.map_err(of_store)?;
        way.tell(done_bytes);
    }
}

/// Gets an object into a file, which is there once it is whole and its content right; gives its size.
pub(super) async fn get(bucket: &AmazonS3, key: &Key, sha256: &str, into: &Path, way: &Way) -> Result<u64, Trouble> {
    in_time(way, get_whole(bucket, key, sha256, into, way)).await
}

async fn get_whole(bucket: &AmazonS3, key: &Key, sha256: &str, into: &Path, way: &Way) -> Result<u64, Trouble> {
    let size_bytes = size(bucket, key).await?.ok_or(Trouble::Missing)?;
    let mut file = on_its_way(into)?;
    let mut hasher = Sha256::new();
    let mut done_bytes = 0;
    while done_bytes < size_bytes {
        let starts = (done_bytes..size_bytes).step_by(PART_BYTES as usize).take(PARTS_AT_ONCE);
        let asked = starts.map(|start| bucket.get_range(key, start..size_bytes.min(start + PART_BYTES)));
        // They are asked for at the same time, and written in their order.
        for part in futures::future::try_join_all(asked).await.map_err(of_store)? {
            hasher.update(&part);
            file.write_all(&part).map_err(Trouble::file(into))?;
            done_bytes += part.len() as u64;
            way.tell(done_bytes);
        }
    }
    let found = hex(&hasher.finalize());
    if found != sha256 {
        return Err(Trouble::Corrupt { found });
    }
    arrived(file, into)?;
    Ok(size_bytes)
}

/// The files of a kind.
pub(super) async fn list(bucket: &AmazonS3, prefix: &Key, kind: Kind) -> Result<Vec<StoredFile>, Trouble> {
    let mut objects = bucket.list(Some(prefix));
    let mut found = Vec::new();
    while let Some(object) = objects.try_next().await.map_err(of_store)? {
        // What has another name is not ours.
        let Some(name) = object.location.filename().and_then(|name| StoredName::new(kind, name)) else { continue };
        found.push(StoredFile { name, size_bytes: object.size });
        if found.len() > MAX_LISTED {
            return Err(Trouble::Other(format!("there are more than {MAX_LISTED} files")));
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// Takes an object out; whether there was one.
pub(super) async fn remove(bucket: &AmazonS3, key: &Key) -> Result<bool, Trouble> {
    if size(bucket, key).await?.is_none() {
        return Ok(false);
    }
    match bucket.delete(key).await {
        Ok(()) => Ok(true),
        Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(error) => Err(of_store(error)),
    }
}

/// What goes wrong, until it is known what was heard.
fn of_store(error: object_store::Error) -> Trouble {
    match error {
        object_store::Error::NotFound { .. } => Trouble::Missing,
        error => Trouble::Other(error.to_string()),
    }
}

/// Work that may take until the deadline of its call.
async fn in_time<T>(way: &Way, work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    match tokio::time::timeout_at(way.deadline, work).await {
        Ok(done) => done,
        Err(_) => Err(Trouble::Deadline(String::new())),
    }
}
