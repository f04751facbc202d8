use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::analysis::{self, GraphSummary};
use super::download::{Download, DownloadSettings};
use super::error::{CatalogError, io};
use super::formats::{self, FileKind};
use super::hashing::{HashingWriter, Progress, hash_file, remembered_hash};
use super::{networks, onnx};
use crate::domain::{ArtifactRef, CatalogModel, WeightsFile, WeightsSource};

/// How often a lock that another process holds is asked for.
const LOCK_POLL: Duration = Duration::from_millis(100);

/// A model's file on this host, ready to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalArtifact {
    /// Where it is: in the cache, or the user's own file.
    pub path: PathBuf,
    /// Its content.
    pub artifact: ArtifactRef,
}

/// Files of models, kept in one folder by their hash: `<folder>/<sha256>`. Any number of processes can share it: a file
/// appears under its name whole and checked, or not at all.
#[derive(Debug, Clone)]
pub struct ArtifactCache {
    folder: PathBuf,
    downloads: DownloadSettings,
}

impl ArtifactCache {
    /// The cache in that folder, which is made when it is first written to.
    pub fn new(folder: impl Into<PathBuf>, downloads: DownloadSettings) -> Self {
        Self { folder: folder.into(), downloads }
    }

    /// Where the file with that hash is, once it is there.
    pub fn path(&self, artifact: &ArtifactRef) -> PathBuf {
        self.folder.join(&artifact.sha256)
    }

    /// Whether a file can be used without building or downloading it.
    pub fn has(&self, file: &WeightsFile) -> bool {
        match (&file.source, &file.artifact) {
            (WeightsSource::Path(path), _) => path.is_file(),
            (_, Some(artifact)) => self.is_cached(artifact),
            (_, None) => false,
        }
    }

    /// Has a model's file ready: as it is in the cache, built, or downloaded; the user's own file stays where it is. A
    /// cached file of the right size is trusted; [`ArtifactCache::verify`] reads it.
    ///
    /// # Errors
    /// When the file can't be had by the deadline, or its content isn't what the catalogue says.
    pub fn ensure(
        &self,
        model: &str,
        file: &WeightsFile,
        deadline: Instant,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<LocalArtifact, CatalogError> {
        if let Some(artifact) = &file.artifact {
            check_hash(model, artifact)?;
            if !matches!(file.source, WeightsSource::Path(_)) && self.is_cached(artifact) {
                return Ok(LocalArtifact { path: self.path(artifact), artifact: artifact.clone() });
            }
        }
        match &file.source {
            WeightsSource::Builtin(network) => self.build(model, network, file.artifact.as_ref(), deadline, progress),
            WeightsSource::Urls(urls) => {
                let artifact = file.artifact.as_ref();
                let artifact = artifact.ok_or_else(|| CatalogError::Unpinned { model: model.to_owned() })?;
                self.download(model, urls, artifact, deadline, progress)
            }
            WeightsSource::Path(path) => {
                let found = remembered_hash(path, &self.folder.join("hashes"), deadline, progress)?;
                compare(model, path, file.artifact.as_ref(), found)
            }
        }
    }

    /// As [`ArtifactCache::ensure`], but reads the whole file again. A cached file that turns out wrong is removed, so
    /// that the next `ensure` gets it anew.
    ///
    /// # Errors
    /// When the file isn't there and can't be had, or its content isn't what the catalogue says.
    pub fn verify(
        &self,
        model: &str,
        file: &WeightsFile,
        deadline: Instant,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<LocalArtifact, CatalogError> {
        if let WeightsSource::Path(path) = &file.source {
            let found = hash_file(path, deadline, progress)?;
            return compare(model, path, file.artifact.as_ref(), found);
        }
        let local = self.ensure(model, file, deadline, progress)?;
        let found = hash_file(&local.path, deadline, progress)?;
        let checked = compare(model, &local.path, Some(&local.artifact), found);
        if checked.is_err() {
            fs::remove_file(&local.path).map_err(io("remove", &local.path))?;
        }
        checked
    }

    /// What a model's network costs. A network of our own is known without its file; `None` when the file isn't here.
    ///
    /// # Errors
    /// When the file isn't ONNX, or is at odds with itself or with the catalogue's input shape.
    pub fn summary(&self, model: &CatalogModel, file: &WeightsFile) -> Result<Option<GraphSummary>, CatalogError> {
        let graph = match &file.source {
            WeightsSource::Builtin(network) => formats::outline(&definition(&model.name, network)?),
            WeightsSource::Path(path) => onnx::read(path)?,
            WeightsSource::Urls(_) => match file.artifact.as_ref().filter(|artifact| self.is_cached(artifact)) {
                Some(artifact) => onnx::read(&self.path(artifact))?,
                None => return Ok(None),
            },
        };
        let summary = analysis::analyse(&graph, model.input_shape.as_deref());
        summary.map(Some).map_err(|cause| CatalogError::Analysis { model: model.name.clone(), cause })
    }

    fn is_cached(&self, artifact: &ArtifactRef) -> bool {
        fs::metadata(self.path(artifact)).is_ok_and(|found| found.is_file() && found.len() == artifact.size_bytes)
    }

    fn build(
        &self,
        model: &str,
        network: &str,
        expected: Option<&ArtifactRef>,
        deadline: Instant,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<LocalArtifact, CatalogError> {
        let definition = definition(model, network)?;
        fs::create_dir_all(&self.folder).map_err(io("create", &self.folder))?;
        // A name of its own: a second process may build the same, and the later one replaces equal by equal.
        let mut file = tempfile::Builder::new()
            .prefix("build-")
            .tempfile_in(&self.folder)
            .map_err(io("write to the cache folder", &self.folder))?;
        let total_bytes = expected.map_or(0, |artifact| artifact.size_bytes);
        let mut writer = HashingWriter::new(file.as_file_mut(), total_bytes, deadline, progress);
        let written = formats::write(&definition, FileKind::Onnx, &mut writer).and_then(|()| writer.flush());
        let found = writer.finish();
        if let Err(cause) = written {
            return Err(match cause.kind() {
                std::io::ErrorKind::TimedOut => CatalogError::Deadline { action: format!("build model {model}") },
                _ => CatalogError::Io { action: "write", path: file.path().to_owned(), cause },
            });
        }
        let path = self.path(&found);
        let local = compare(model, &path, expected, found)?;
        file.as_file().sync_data().map_err(io("write", &path))?;
        make_readable(file.as_file()).map_err(io("set the permissions of", &path))?;
        file.persist(&path).map_err(|failure| io("write", &path)(failure.error))?;
        Ok(local)
    }

    fn download(
        &self,
        model: &str,
        urls: &[String],
        artifact: &ArtifactRef,
        deadline: Instant,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<LocalArtifact, CatalogError> {
        let partial_folder = self.folder.join("partial");
        fs::create_dir_all(&partial_folder).map_err(io("create", &partial_folder))?;
        let partial = partial_folder.join(&artifact.sha256);
        let lock_path = partial.with_extension("lock");
        let lock = File::create(&lock_path).map_err(io("open", &lock_path))?;
        wait_for(&lock, &lock_path, model, deadline)?;
        let path = self.path(artifact);
        // Another process may have brought it while this one waited.
        if !self.is_cached(artifact) {
            Download::open(&self.downloads, model, artifact, &partial, deadline, progress)?.run(urls)?;
            fs::rename(&partial, &path).map_err(io("write", &path))?;
        }
        Ok(LocalArtifact { path, artifact: artifact.clone() })
    }
}

fn definition(model: &str, network: &str) -> Result<networks::Network, CatalogError> {
    networks::build(network).ok_or_else(|| CatalogError::UnknownNetwork {
        model: model.to_owned(),
        network: network.to_owned(),
        known: networks::names().collect::<Vec<_>>().join(", "),
    })
}

fn wait_for(lock: &File, path: &Path, model: &str, deadline: Instant) -> Result<(), CatalogError> {
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(LOCK_POLL),
            Err(TryLockError::WouldBlock) => {
                let action = format!("wait for the process that downloads model {model} (lock {})", path.display());
                return Err(CatalogError::Deadline { action });
            }
            Err(TryLockError::Error(cause)) => return Err(io("lock", path)(cause)),
        }
    }
}

fn compare(
    model: &str,
    path: &Path,
    expected: Option<&ArtifactRef>,
    found: ArtifactRef,
) -> Result<LocalArtifact, CatalogError> {
    match expected {
        Some(expected) if *expected != found => Err(CatalogError::WrongContent {
            model: model.to_owned(),
            path: path.to_owned(),
            expected: expected.clone(),
            found,
        }),
        _ => Ok(LocalArtifact { path: path.to_owned(), artifact: found }),
    }
}

fn check_hash(model: &str, artifact: &ArtifactRef) -> Result<(), CatalogError> {
    let sha256 = &artifact.sha256;
    let is_hash = sha256.len() == 64 && sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_hash { Ok(()) } else { Err(CatalogError::BadHash { model: model.to_owned(), sha256: sha256.clone() }) }
}

/// A temporary file is its owner's alone; a cache may be shared by a group.
fn make_readable(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
