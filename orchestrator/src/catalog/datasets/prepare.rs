//! All images of a dataset to one file, as a network takes them, with their classes in another.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use sha2::{Digest as _, Sha256};

use super::listing::{self, Entry, Listing, Place};
use super::picture::{self, Taken};
use super::{CHUNK, DatasetError, Datasets, done, in_parallel, io, line, recall, remember};
use crate::catalog::hashing::{Activity, Progress};
use crate::domain::{
    ArtifactRef, CatalogDataset, JobDataset, PREPROCESSING_VERSION, PreparedImages, Remark, ResizeRule, hex, sha256_hex,
};

impl Datasets {
    /// Has a dataset's images ready as a job's network takes them: as they were made before, or made now.
    ///
    /// # Errors
    /// When that is not done by the deadline, no image is left, or one has changed since the plan was made.
    pub fn prepare(
        &self,
        dataset: &CatalogDataset,
        job: &JobDataset,
        deadline: Instant,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<PreparedImages, DatasetError> {
        let rule = job.preprocessing.resize_text(job.shape);
        let key = sha256_hex(format!("{PREPROCESSING_VERSION}\n{}\n{rule}", job.list_sha256).as_bytes());
        let memory = self.memory("images", &key);
        if let Some(known) = recall::<PreparedImages>(&memory).filter(|known| self.has(known)) {
            return Ok(known);
        }
        let listing = listing::read(dataset)?;
        fs::create_dir_all(&self.folder).map_err(io("create", &self.folder))?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder).map_err(io("write to", &self.folder))?;
        let mut made = Made { left_out: listing.left_out.clone(), ..Made::default() };
        for (number, chunk) in listing.entries.chunks(CHUNK).enumerate() {
            if Instant::now() >= deadline {
                return Err(DatasetError::Deadline { name: dataset.name.clone() });
            }
            let taken = in_parallel(chunk, |entry| taken(&listing, entry, job));
            for (entry, (sha256, taken)) in chunk.iter().zip(taken) {
                made.identity.update(line(entry, sha256.as_deref()));
                made.take(entry, taken, &mut file).map_err(io("write to", &self.folder))?;
            }
            progress(done(Activity::Building, number, chunk, &listing));
        }
        if hex(&made.identity.clone().finalize()) != job.list_sha256 {
            return Err(DatasetError::Changed { name: dataset.name.clone() });
        }
        if made.labels.is_empty() {
            let told = |left: &Remark| format!("all images are left out: {}, for example {}", left.what, left.example);
            let what = made.left_out.first().map(told);
            let what = what.unwrap_or_else(|| "there is no image in it".to_owned());
            return Err(DatasetError::Unusable { path: listing.root, what });
        }
        let prepared = self.keep(file, made, listing.empty_classes())?;
        remember(&memory, &prepared);
        Ok(prepared)
    }

    /// Where a prepared file of images is.
    pub fn path(&self, images: &ArtifactRef) -> PathBuf {
        self.folder.join(&images.sha256)
    }

    /// Whether prepared images and their classes are here.
    pub fn has(&self, prepared: &PreparedImages) -> bool {
        let is_there = |sha256: &str, size_bytes: u64| {
            fs::metadata(self.folder.join(sha256)).is_ok_and(|found| found.is_file() && found.len() == size_bytes)
        };
        is_there(&prepared.images.sha256, prepared.images.size_bytes)
            && is_there(&prepared.labels_sha256, u64::from(prepared.count) * 4)
    }

    /// Gives the images and their classes their names.
    fn keep(
        &self,
        images: tempfile::NamedTempFile,
        made: Made,
        empty_classes: u32,
    ) -> Result<PreparedImages, DatasetError> {
        let labels: Vec<u8> = made.labels.iter().flat_map(|class| class.to_le_bytes()).collect();
        let (sha256, labels_sha256) = (hex(&made.content.finalize()), sha256_hex(&labels));
        let mut file = tempfile::NamedTempFile::new_in(&self.folder).map_err(io("write to", &self.folder))?;
        file.write_all(&labels).map_err(io("write to", &self.folder))?;
        for (file, sha256) in [(file, &labels_sha256), (images, &sha256)] {
            file.as_file().sync_all().map_err(io("write to", &self.folder))?;
            crate::catalog::artifacts::make_readable(file.as_file()).map_err(io("write to", &self.folder))?;
            let path = self.folder.join(sha256);
            file.persist(&path).map_err(|error| io("write", &path)(error.error))?;
        }
        Ok(PreparedImages {
            images: ArtifactRef { sha256, size_bytes: made.size_bytes },
            count: made.labels.len() as u32,
            labels_sha256,
            left_out: made.left_out,
            changed: made.changed,
            empty_classes,
        })
    }
}

/// What was made so far.
#[derive(Default)]
struct Made {
    identity: Sha256,
    content: Sha256,
    size_bytes: u64,
    labels: Vec<u32>,
    left_out: Vec<Remark>,
    changed: Vec<Remark>,
}

impl Made {
    fn take(&mut self, entry: &Entry, taken: Result<Taken, String>, out: &mut impl Write) -> std::io::Result<()> {
        let taken = match taken {
            Ok(taken) => taken,
            Err(why) => {
                count(&mut self.left_out, &why, &entry.name());
                return Ok(());
            }
        };
        taken.changed.iter().for_each(|what| count(&mut self.changed, what, &entry.name()));
        self.content.update(&taken.bytes);
        self.size_bytes += taken.bytes.len() as u64;
        self.labels.push(entry.class);
        out.write_all(&taken.bytes)
    }
}

/// Counts one more image of which that is to be said.
pub(super) fn count(remarks: &mut Vec<Remark>, what: &str, name: &str) {
    match remarks.iter_mut().find(|remark| remark.what == what) {
        Some(remark) => remark.count += 1,
        None => remarks.push(Remark { what: what.to_owned(), count: 1, example: name.to_owned() }),
    }
}

/// The hash of an image's content, and what a network takes of it.
fn taken(listing: &Listing, entry: &Entry, job: &JobDataset) -> (Option<String>, Result<Taken, String>) {
    let bytes = match listing.bytes(entry) {
        Ok(bytes) => bytes,
        Err(why) => return (None, Err(why)),
    };
    let sha256 = sha256_hex(&bytes);
    let taken = match &entry.place {
        Place::File(_) | Place::Member { .. } => picture::take(&bytes, &job.preprocessing, job.shape),
        // A row has no file that could be of any form.
        Place::Row { shape, .. } if *shape == job.shape && job.preprocessing.resize == ResizeRule::None => {
            Ok(Taken { bytes, changed: Vec::new() })
        }
        Place::Row { shape: [height, width, channels], .. } => {
            Err(format!("{width}×{height} with {channels} channels in a table, which is taken as it is or not at all"))
        }
    };
    (Some(sha256), taken)
}
