//! Archives that files of engines and weights are taken out of: got from wherever they are named, and checked.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use super::LocalArtifact;
use super::download::Download;
use super::engines::{EngineFileError, EngineFiles, run};
use super::error::{CatalogError, UrlFailure, io};
use super::hashing::{Activity, HashingWriter, Progress, hash_file};
use crate::domain::{Archive, ArtifactRef, PipPackage};

impl EngineFiles {
    /// The archive's file: from the cache, the host's own, from its first address that has it, or by pip.
    pub(super) fn archive(
        &self,
        archive: &Archive,
        deadline: Instant,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<PathBuf, EngineFileError> {
        if let Some(found) = self.cached(&archive.artifact) {
            return Ok(found.path);
        }
        let mut failures = Vec::new();
        if let Some(own) = &archive.path {
            match own_file(own, &archive.artifact, deadline, progress) {
                Ok(()) => return Ok(own.clone()),
                Err(reason) => failures.push(UrlFailure { url: own.display().to_string(), reason }),
            }
        }
        if !archive.urls.is_empty() {
            match self.by_urls(archive, deadline, progress) {
                Ok(path) => return Ok(path),
                Err(EngineFileError::File(CatalogError::Download { failures: more, .. })) => failures.extend(more),
                Err(error) => return Err(error),
            }
        }
        let (path, name) = (self.folder.join(&archive.artifact.sha256), archive.file_name());
        if let Some(package) = &archive.pip {
            fs::create_dir_all(&self.folder).map_err(io("create", &self.folder))?;
            match self.by_pip(package, &archive.artifact, deadline) {
                Ok(found) => {
                    found.persist(&path).map_err(|failure| io("write", &path)(failure.error))?;
                    return Ok(path);
                }
                Err(reason) => {
                    failures.push(UrlFailure { url: format!("pip download {}", package.requirement), reason })
                }
            }
        }
        Err(EngineFileError::Unavailable { file: name, failures })
    }

    /// The archive from its first address that has it.
    fn by_urls(
        &self,
        archive: &Archive,
        deadline: Instant,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<PathBuf, EngineFileError> {
        let partial = self.folder.join("partial");
        fs::create_dir_all(&partial).map_err(io("create", &partial))?;
        let (path, name) = (self.folder.join(&archive.artifact.sha256), archive.file_name());
        let partial = partial.join(&archive.artifact.sha256);
        let download = Download::open(&self.downloads, &name, &archive.artifact, &partial, deadline, progress)?;
        download.run(&archive.urls).map_err(|error| match error {
            CatalogError::Deadline { .. } => EngineFileError::Deadline(format!("download {name}")),
            error => error.into(),
        })?;
        fs::rename(&partial, &path).map_err(io("write", &path))?;
        Ok(path)
    }

    /// The file that this host's pip finds for the package, if it is the very file.
    fn by_pip(
        &self,
        package: &PipPackage,
        wanted: &ArtifactRef,
        deadline: Instant,
    ) -> Result<tempfile::TempPath, String> {
        let work =
            tempfile::Builder::new().prefix("pip-").tempdir_in(&self.folder).map_err(|error| error.to_string())?;
        let dest = work.path().join("files");
        let mut pip = Command::new("pip");
        pip.args(["download", "--quiet", "--no-deps", "--disable-pip-version-check", "--no-input", "--dest"]);
        pip.arg(&dest).args(&package.arguments).arg(&package.requirement);
        if let Some(constraint) = &package.constraint {
            let file = work.path().join("constraint.txt");
            fs::write(&file, format!("{constraint}\n")).map_err(|error| error.to_string())?;
            pip.env("PIP_CONSTRAINT", file);
        }
        let (status, words) = run(&mut pip, work.path(), deadline).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                "there is no pip on this host: install it, or get the file elsewhere and name it by `path:` in its \
                 entry"
                    .to_owned()
            }
            _ => error.to_string(),
        })?;
        if !status.is_some_and(|status| status.success()) {
            return Err(if status.is_none() { "it was not done by its deadline".to_owned() } else { words });
        }
        let files = fs::read_dir(&dest).map_err(|error| error.to_string())?.flatten().map(|entry| entry.path());
        let found =
            files.into_iter().find(|path| hash_file(path, deadline, &mut |_| {}).is_ok_and(|found| found == *wanted));
        let found = found.ok_or("it brought another file than the catalogue names")?;
        let kept =
            tempfile::Builder::new().prefix("pip-").tempfile_in(&self.folder).map_err(|error| error.to_string())?;
        let kept = kept.into_temp_path();
        fs::rename(found, &kept).map_err(|error| error.to_string())?;
        Ok(kept)
    }

    /// Writes a member of a zip file into the cache.
    pub(super) fn take_out(
        &self,
        archive: &Archive,
        path: &Path,
        member: &str,
        expected: Option<&ArtifactRef>,
        deadline: Instant,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<LocalArtifact, EngineFileError> {
        let wrong = |reason: String| EngineFileError::Member {
            archive: archive.file_name(),
            member: member.to_owned(),
            reason,
        };
        let file = File::open(path).map_err(io("read", path))?;
        let mut zip = zip::ZipArchive::new(file).map_err(|error| wrong(error.to_string()))?;
        let entry = zip.by_name(member).map_err(|error| wrong(error.to_string()))?;
        let most = expected.map_or(u64::MAX, |artifact| artifact.size_bytes);
        let mut target =
            tempfile::Builder::new().prefix("member-").tempfile_in(&self.folder).map_err(io("write", &self.folder))?;
        let mut report = |done: Progress| progress(Progress { activity: Activity::Downloading, ..done });
        let mut writer = HashingWriter::new(target.as_file_mut(), entry.size(), deadline, &mut report);
        // One byte more than it may have: a member that goes on is not the one that was pinned.
        let copied = std::io::copy(&mut entry.take(most.saturating_add(1)), &mut writer).and_then(|_| writer.flush());
        let found = writer.finish();
        copied.map_err(|error| wrong(error.to_string()))?;
        if let Some(expected) = expected.filter(|expected| **expected != found) {
            let reason = format!("it has sha256 {}, the catalogue says {}", found.sha256, expected.sha256);
            return Err(wrong(reason));
        }
        let path = self.folder.join(&found.sha256);
        let readable = fs::Permissions::from_mode(0o644);
        target.as_file().set_permissions(readable).map_err(io("set the permissions of", &path))?;
        target.persist(&path).map_err(|failure| io("write", &path)(failure.error))?;
        Ok(LocalArtifact { path, artifact: found })
    }
}

/// Says why a file on this host is not the archive.
fn own_file(
    path: &Path,
    wanted: &ArtifactRef,
    deadline: Instant,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), String> {
    if !path.is_file() {
        return Err("it is not there".to_owned());
    }
    let found = hash_file(path, deadline, progress).map_err(|error| error.to_string())?;
    let wrong = || format!("it has sha256 {}, the catalogue says {}", found.sha256, wanted.sha256);
    if found == *wanted { Ok(()) } else { Err(wrong()) }
}
