use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::checkpoint::{Checkpoint, CheckpointError};
use super::download::{Download, DownloadSettings};
use super::engines::EngineFiles;
use super::error::{CatalogError, io};
use super::formats::{self, FileKind};
use super::hashing::{HashingWriter, Progress, hash_file, remembered_hash};
use super::networks::{self, Network};
use super::sharing::Sharing;
use super::torch::{self, ScriptError};
use crate::artifacts::{Asked, SharedFiles};
use crate::domain::{Archive, ArtifactRef, Precision, WeightsFile, WeightsSource};

/// How often a lock that another process holds is asked for.
const LOCK_POLL: Duration = Duration::from_millis(100);

/// A file on this host, ready to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalArtifact {
    /// Where it is: in the cache, or the user's own file.
    pub path: PathBuf,
    /// Its content.
    pub artifact: ArtifactRef,
}

/// A model's files on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalModel {
    /// The file.
    pub file: LocalArtifact,
    /// Further files, in the order of the catalogue.
    pub parts: Vec<LocalArtifact>,
}

/// Files of models, kept in one folder by their hash: `<folder>/<sha256>`. Any number of processes can share it: a file
/// appears under its name whole and checked, or not at all.
#[derive(Debug, Clone)]
pub struct ArtifactCache {
    pub(super) folder: PathBuf,
    downloads: DownloadSettings,
    shared: Option<SharedFiles>,
}

impl ArtifactCache {
    /// The cache in that folder, which is made when it is first written to.
    pub fn new(folder: impl Into<PathBuf>, downloads: DownloadSettings) -> Self {
        Self { folder: folder.into(), downloads, shared: None }
    }

    /// The same; what other hosts have put into these files is had from there, and what this one gets or makes goes
    /// there.
    #[must_use]
    pub fn sharing(self, shared: Option<SharedFiles>) -> Self {
        Self { shared, ..self }
    }

    /// Where the file with that hash is, once it is there.
    pub fn path(&self, artifact: &ArtifactRef) -> PathBuf {
        self.folder.join(&artifact.sha256)
    }

    /// Whether a model's files can be used without building or downloading them.
    pub fn has(&self, file: &WeightsFile) -> bool {
        Wanted::all("", file).all(|wanted| match (wanted.source, wanted.artifact) {
            (WeightsSource::Path(path), _) => path.is_file(),
            (_, Some(artifact)) => self.is_cached(artifact),
            (_, None) => false,
        })
    }

    /// Has a model's files ready: as they are in the cache, built, or downloaded; the user's own file stays where it
    /// is. A cached file of the right size is trusted; [`ArtifactCache::verify`] reads it.
    ///
    /// # Errors
    /// When a file can't be had by the deadline, or its content isn't what the catalogue says.
    pub fn ensure(
        &self,
        model: &str,
        file: &WeightsFile,
        deadline: Instant,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<LocalModel, CatalogError> {
        gathered(Wanted::all(model, file).map(|wanted| self.ensure_file(&wanted, deadline, progress)))
    }

    /// As [`ArtifactCache::ensure`], but reads the files whole again. A cached file that turns out wrong is removed, so
    /// that the next `ensure` gets it anew.
    ///
    /// # Errors
    /// When a file isn't there and can't be had, or its content isn't what the catalogue says.
    pub fn verify(
        &self,
        model: &str,
        file: &WeightsFile,
        deadline: Instant,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<LocalModel, CatalogError> {
        gathered(Wanted::all(model, file).map(|wanted| self.verify_file(&wanted, deadline, progress)))
    }

    /// Hash and size of a file of the user's; remembered for as long as the file doesn't change.
    ///
    /// # Errors
    /// When it can't be read by the deadline.
    pub fn hash_of(&self, path: &Path, deadline: Instant) -> Result<ArtifactRef, CatalogError> {
        remembered_hash(path, &self.folder.join("hashes"), deadline, &mut |_| {})
    }

    fn ensure_file(
        &self,
        wanted: &Wanted<'_>,
        deadline: Instant,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<LocalArtifact, CatalogError> {
        let is_own = matches!(wanted.source, WeightsSource::Path(_));
        let mut sharing = Sharing { shared: self.shared.as_ref().filter(|_| !is_own), deadline, progress };
        let mut asked = Asked::Missing;
        if let Some(artifact) = wanted.artifact {
            check_hash(wanted.model, artifact)?;
            if !is_own && self.is_cached(artifact) {
                return Ok(LocalArtifact { path: self.path(artifact), artifact: artifact.clone() });
            }
            asked = sharing.fetch(artifact, &self.path(artifact))?;
            if asked == Asked::Done {
                return Ok(LocalArtifact { path: self.path(artifact), artifact: artifact.clone() });
            }
        }
        let local = self.get_or_make(wanted, deadline, sharing.progress)?;
        sharing.share(&local, asked);
        Ok(local)
    }

    /// A file from where its entry says that it comes from.
    fn get_or_make(
        &self,
        wanted: &Wanted<'_>,
        deadline: Instant,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<LocalArtifact, CatalogError> {
        let pinned = || wanted.artifact.ok_or_else(|| CatalogError::Unpinned { model: wanted.model.to_owned() });
        match wanted.source {
            WeightsSource::Builtin(network) => {
                self.build(wanted, &definition(wanted.model, network)?, deadline, progress)
            }
            WeightsSource::Checkpoint { network, archive, member, artifact } => {
                let path = self.member(wanted.model, archive, member, artifact, deadline, progress)?;
                let wrong =
                    |cause| CatalogError::Checkpoint { model: wanted.model.to_owned(), path: path.clone(), cause };
                let checkpoint = Checkpoint::read(&fs::read(&path).map_err(io("read", &path))?).map_err(wrong)?;
                let network = networks::with_checkpoint(network, &checkpoint).unwrap_or(Err(CheckpointError::Other));
                self.build(wanted, &network.map_err(wrong)?, deadline, progress)
            }
            WeightsSource::Archive { archive, member } => {
                let artifact = pinned()?;
                let path = self.member(wanted.model, archive, member, artifact, deadline, progress)?;
                Ok(LocalArtifact { path, artifact: artifact.clone() })
            }
            WeightsSource::Urls(urls) => self.download(wanted.model, urls, pinned()?, deadline, progress),
            WeightsSource::Path(path) => {
                let found = remembered_hash(path, &self.folder.join("hashes"), deadline, progress)?;
                compare(wanted.model, path, wanted.artifact, found)
            }
        }
    }

    fn verify_file(
        &self,
        wanted: &Wanted<'_>,
        deadline: Instant,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<LocalArtifact, CatalogError> {
        if let WeightsSource::Path(path) = wanted.source {
            let found = hash_file(path, deadline, progress)?;
            return compare(wanted.model, path, wanted.artifact, found);
        }
        let local = self.ensure_file(wanted, deadline, progress)?;
        let found = hash_file(&local.path, deadline, progress)?;
        let checked = compare(wanted.model, &local.path, Some(&local.artifact), found);
        if checked.is_err() {
            fs::remove_file(&local.path).map_err(io("remove", &local.path))?;
        }
        checked
    }

    pub(super) fn is_cached(&self, artifact: &ArtifactRef) -> bool {
        fs::metadata(self.path(artifact)).is_ok_and(|found| found.is_file() && found.len() == artifact.size_bytes)
    }

    fn build(
        &self,
        wanted: &Wanted<'_>,
        network: &Network,
        deadline: Instant,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<LocalArtifact, CatalogError> {
        let kind = formats::file_kind(wanted.format, wanted.precision, wanted.part);
        let kind = kind.ok_or_else(|| CatalogError::UnknownFormat {
            model: wanted.model.to_owned(),
            format: wanted.format.to_owned(),
        })?;
        fs::create_dir_all(&self.folder).map_err(io("create", &self.folder))?;
        // A name of its own: a second process may build the same, and the later one replaces equal by equal.
        let mut file = tempfile::Builder::new()
            .prefix("build-")
            .tempfile_in(&self.folder)
            .map_err(io("write to the cache folder", &self.folder))?;
        let total_bytes = wanted.artifact.map_or(0, |artifact| artifact.size_bytes);
        let found = match kind {
            FileKind::TorchscriptLite => {
                let write = |out: &mut dyn Write| formats::write(network, kind, out);
                torch::make(file.path(), &write, deadline).map_err(|error| script_error(wanted.model, error))?;
                hash_file(file.path(), deadline, progress)?
            }
            _ => {
                let mut writer = HashingWriter::new(file.as_file_mut(), total_bytes, deadline, progress);
                let written = formats::write(network, kind, &mut writer).and_then(|()| writer.flush());
                let found = writer.finish();
                written.map_err(|cause| match cause.kind() {
                    std::io::ErrorKind::TimedOut => too_slow(wanted.model),
                    _ => CatalogError::Io { action: "write", path: file.path().to_owned(), cause },
                })?;
                found
            }
        };
        let path = self.path(&found);
        let local = compare(wanted.model, &path, wanted.artifact, found)?;
        file.as_file().sync_data().map_err(io("write", &path))?;
        make_readable(file.as_file()).map_err(io("set the permissions of", &path))?;
        file.persist(&path).map_err(|failure| io("write", &path)(failure.error))?;
        Ok(local)
    }

    /// A file of an archive.
    fn member(
        &self,
        model: &str,
        archive: &Archive,
        member: &str,
        artifact: &ArtifactRef,
        deadline: Instant,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<PathBuf, CatalogError> {
        fs::create_dir_all(&self.folder).map_err(io("create", &self.folder))?;
        let archives = EngineFiles {
            folder: self.folder.clone(),
            workspace: None,
            downloads: self.downloads.clone(),
            shared: self.shared.clone(),
        };
        let found = archives.member(archive, member, Some(artifact), deadline, progress);
        found
            .map(|local| local.path)
            .map_err(|cause| CatalogError::Weights { model: model.to_owned(), cause: Box::new(cause) })
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

/// One file of a model: its own, or a further one.
struct Wanted<'a> {
    model: &'a str,
    format: &'a str,
    precision: Precision,
    part: Option<&'a str>,
    artifact: Option<&'a ArtifactRef>,
    source: &'a WeightsSource,
}

impl<'a> Wanted<'a> {
    /// All files of a model, its own first.
    fn all(model: &'a str, file: &'a WeightsFile) -> impl Iterator<Item = Self> {
        let own = (None, &file.artifact, &file.source);
        let parts = file.parts.iter().map(|part| (Some(part.name.as_str()), &part.artifact, &part.source));
        std::iter::once(own).chain(parts).map(move |(part, artifact, source)| Self {
            model,
            format: &file.format,
            precision: file.declared_precision.unwrap_or(Precision::Float32),
            part,
            artifact: artifact.as_ref(),
            source,
        })
    }
}

/// A model's own file, which comes first, and its further ones.
fn gathered(files: impl Iterator<Item = Result<LocalArtifact, CatalogError>>) -> Result<LocalModel, CatalogError> {
    let mut files: Vec<LocalArtifact> = files.collect::<Result<_, _>>()?;
    Ok(LocalModel { file: files.remove(0), parts: files })
}

fn too_slow(model: &str) -> CatalogError {
    CatalogError::Deadline { action: format!("build model {model}") }
}

fn script_error(model: &str, error: ScriptError) -> CatalogError {
    match error {
        ScriptError::Deadline => too_slow(model),
        ScriptError::Failed(cause) => CatalogError::Script { model: model.to_owned(), cause },
    }
}

pub(super) fn definition(model: &str, network: &str) -> Result<networks::Network, CatalogError> {
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

pub(super) fn check_hash(model: &str, artifact: &ArtifactRef) -> Result<(), CatalogError> {
    let sha256 = &artifact.sha256;
    let is_hash = sha256.len() == 64 && sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_hash { Ok(()) } else { Err(CatalogError::BadHash { model: model.to_owned(), sha256: sha256.clone() }) }
}

/// A temporary file is its owner's alone; a cache may be shared by a group.
pub(super) fn make_readable(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
