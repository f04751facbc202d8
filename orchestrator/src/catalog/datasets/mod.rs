//! Labelled images: what a dataset consists of, and how it becomes what a network takes.
//!
//! Main type: [`Datasets`]. The way of a picture: `listing` finds it with its class, `picture` decodes it and gives it
//! its size, and `prepare` writes all of them into one file. Never lets a path lead out of a dataset's folder, and
//! leaves no image out without a word.

mod doubts;
mod jpeg;
mod listing;
mod picture;
mod prepare;
mod table;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Instant;

use sha2::{Digest as _, Sha256};

use super::hashing::{Activity, Progress, Stamp};
use crate::domain::{CatalogDataset, DatasetList, hex, sha256_hex};
use doubts::Twins;
use listing::{Entry, Listing, Place};

pub use listing::BUILTIN_DATASETS;

/// Images that are handed to the processors at a time.
const CHUNK: usize = 256;
/// Version of what is remembered of a list.
const LIST_VERSION: u32 = 2;

/// Why a dataset can't be had.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// A file or folder can't be read or written.
    #[error("{action} {path}: {cause}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: std::io::Error,
    },
    /// A list or table says what can't be.
    #[error("read {path}:{line}: {what}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        what: String,
    },
    /// There are no images, or too many.
    #[error("use {path}: {what}")]
    Unusable {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// An image was changed since the plan was made.
    #[error("use the dataset {name}: it was changed since the plan was made; plan anew")]
    Changed {
        /// The dataset.
        name: String,
    },
    /// Too slow.
    #[error("read the dataset {name}: it was not done by its deadline")]
    Deadline {
        /// The dataset.
        name: String,
    },
}

/// Makes an I/O error one that names what was tried, and the file.
fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> DatasetError + 'a {
    move |cause| DatasetError::Io { action, path: path.to_owned(), cause }
}

/// Datasets on this host, with what was made of them, by its hash, in a folder that models' files may share.
#[derive(Debug, Clone)]
pub struct Datasets {
    folder: PathBuf,
}

impl Datasets {
    /// Datasets whose files are kept in that folder, which is made on first use.
    pub fn new(folder: impl Into<PathBuf>) -> Datasets {
        Datasets { folder: folder.into() }
    }

    /// What a dataset consists of. Its files are read once, and again only when one of them has changed.
    ///
    /// # Errors
    /// When it can't be read by the deadline, or is at odds with itself.
    pub fn list(
        &self,
        dataset: &CatalogDataset,
        deadline: Instant,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<DatasetList, DatasetError> {
        let listing = listing::read(dataset)?;
        let fingerprint = fingerprint(&listing);
        let memory = fingerprint.map(|fingerprint| self.memory("list", &fingerprint));
        if let Some(known) = memory.as_ref().and_then(|memory| recall::<DatasetList>(memory)) {
            return Ok(known);
        }
        let (mut identity, mut twins) = (Sha256::new(), Twins::default());
        let hash = |entry: &Entry| listing.bytes(entry).as_deref().map(sha256_hex).ok();
        for (number, chunk) in listing.entries.chunks(CHUNK).enumerate() {
            if Instant::now() >= deadline {
                return Err(DatasetError::Deadline { name: dataset.name.clone() });
            }
            for (entry, sha256) in chunk.iter().zip(in_parallel(chunk, hash)) {
                identity.update(line(entry, sha256.as_deref()));
                sha256.iter().for_each(|sha256| twins.add(entry, sha256));
            }
            progress(done(Activity::Hashing, number, chunk, &listing));
        }
        let of_content = twins.doubts(listing.entries.len());
        let doubts = doubts::of_classes(dataset, &listing).into_iter().chain(of_content);
        let list = DatasetList {
            sha256: hex(&identity.finalize()),
            images: listing.entries.len() as u32,
            classes: listing.classes,
            empty_classes: listing.empty_classes(),
            doubts: listing.doubts.iter().cloned().chain(doubts).collect(),
        };
        if let Some(memory) = memory {
            remember(&memory, &list);
        }
        Ok(list)
    }

    fn memory(&self, what: &str, key: &str) -> PathBuf {
        self.folder.join("datasets").join(format!("{what}-{key}.json"))
    }
}

/// How many images are done. Where a file's progress has bytes, that of a dataset has images.
fn done(activity: Activity, number: usize, chunk: &[Entry], listing: &Listing) -> Progress {
    let done_bytes = (number * CHUNK + chunk.len()) as u64;
    Progress { activity, done_bytes, total_bytes: listing.entries.len() as u64 }
}

/// An image's line in the identity of its dataset; one that can't be read has no hash, and that is a part of it.
fn line(entry: &Entry, sha256: Option<&str>) -> String {
    let name = entry.name();
    format!("{}\t{}\t{}\n", name.escape_default(), entry.class, sha256.unwrap_or("-"))
}

/// What shows that nothing has changed; `None` where a file is so new that it may change unseen.
fn fingerprint(listing: &Listing) -> Option<String> {
    let mut hash = Sha256::new();
    hash.update(format!("{LIST_VERSION} {} {}\n", listing.classes, listing.root.display()));
    if listing.root.is_file() {
        let archive = Stamp::of(&listing.root).ok().filter(|stamp| stamp.is_settled())?;
        hash.update(format!("{archive:?}\n"));
    }
    for entry in &listing.entries {
        let stamp = match &entry.place {
            Place::File(path) => match Stamp::of(&listing.root.join(path)) {
                Ok(stamp) if stamp.is_settled() => format!("{stamp:?}"),
                Ok(_) => return None,
                Err(_) => "-".to_owned(),
            },
            Place::Member { offset, size_bytes, .. } => format!("{offset} {size_bytes}"),
            Place::Row { bytes, .. } => sha256_hex(bytes),
        };
        hash.update(line(entry, Some(&stamp)));
    }
    Some(hex(&hash.finalize()))
}

fn recall<T: serde::de::DeserializeOwned>(memory: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(memory).ok()?).ok()
}

/// Only a memory: one that can't be written costs the next reading, and nothing else.
fn remember<T: serde::Serialize>(memory: &Path, value: &T) {
    let write = || -> std::io::Result<()> {
        let folder = memory.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&mut file, value)?;
        file.persist(memory).map_err(|error| error.error)?;
        Ok(())
    };
    if let Err(cause) = write() {
        tracing::debug!(path = %memory.display(), %cause, "what is known of a dataset is not remembered");
    }
}

/// Does the same with each of some items, on all processors; gives the results in the order of the items.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let part = items.len().div_ceil(threads).max(1);
    let work = &work;
    std::thread::scope(|scope| {
        let of_part = |part: &'_ [T]| part.iter().map(work).collect::<Vec<R>>();
        let workers: Vec<_> = items.chunks(part).map(|part| scope.spawn(move || of_part(part))).collect();
        let done =
            workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        done.flatten().collect()
    })
}
