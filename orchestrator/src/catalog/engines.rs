//! Files of engine programs on this host.
//!
//! Purpose: have each file of a backend ready: downloaded, unpacked and checked, or built. Main type: [`EngineFiles`].
//! Never starts an engine, and never trusts a download whose hash is another than the catalogue's.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::download::DownloadSettings;
use super::error::{CatalogError, UrlFailure};
use super::hashing::{Progress, hash_file, remembered_hash};
use super::sharing::Sharing;
use super::{LocalArtifact, error::io};
use crate::artifacts::{Asked, SharedFiles};
use crate::domain::{Archive, ArtifactRef, BackendFile, BackendSource, BackendTarget, sha256_hex};

/// How often it is looked whether another program has ended.
const POLL: Duration = Duration::from_millis(20);

/// Bytes that are kept of what another program says when it fails.
const LAST_WORDS: usize = 2000;

/// Why an engine's file can't be had.
#[derive(Debug, thiserror::Error)]
pub enum EngineFileError {
    /// No source has the archive.
    #[error("get {file}: {}", failures.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Unavailable {
        /// The archive.
        file: String,
        /// What each source answered.
        failures: Vec<UrlFailure>,
    },
    /// An archive has not what the catalogue says.
    #[error("take {member} out of {archive}: {reason}")]
    Member {
        /// The archive.
        archive: String,
        /// The member.
        member: String,
        /// What is wrong.
        reason: String,
    },
    /// An engine could not be built.
    #[error("build {engine} for {target}: {reason}")]
    Build {
        /// The engine.
        engine: String,
        /// For which machine.
        target: String,
        /// What the build said.
        reason: String,
    },
    /// It was not built yet.
    #[error("find {engine} for {target}: it is not built yet; run farmctl backends fetch {engine}")]
    NotBuilt {
        /// The engine.
        engine: String,
        /// For which machine.
        target: String,
    },
    /// Too slow.
    #[error("{0}: it was not done by its deadline")]
    Deadline(String),
    /// A file can't be read or written.
    #[error(transparent)]
    File(#[from] CatalogError),
}

/// Files of engines, kept in one folder: those with a pinned content by their hash, those that are built here by engine
/// and target. Any number of processes can share it: a file appears under its name whole and checked, or not at all.
#[derive(Debug, Clone)]
pub struct EngineFiles {
    /// Where files are kept by their hash: `<folder>/<sha256>`.
    pub folder: PathBuf,
    /// The farmctl workspace, whose build scripts build the engines.
    pub workspace: Option<PathBuf>,
    /// How to download.
    pub downloads: DownloadSettings,
    /// What hosts share: members of archives are had from there, and go there.
    pub shared: Option<SharedFiles>,
}

impl EngineFiles {
    /// The file, if it can be had without downloading or building.
    ///
    /// # Errors
    /// When the user's own file can't be read, or an engine is not built yet.
    pub fn find(&self, target: &BackendTarget, file: &BackendFile) -> Result<Option<LocalArtifact>, EngineFileError> {
        match (&file.source, &file.artifact) {
            (BackendSource::Member { .. }, Some(artifact)) => Ok(self.cached(artifact)),
            (BackendSource::Member { .. }, None) => Ok(None),
            (BackendSource::Path(path), _) => self.found(path).map(Some),
            (BackendSource::Build { engine, .. }, _) => {
                let path = self.built(engine, &target.target);
                if path.is_file() { self.found(&path).map(Some) } else { Ok(None) }
            }
        }
    }

    /// Has the file ready. An engine is built when it isn't there, or was built from other sources or archives.
    ///
    /// # Errors
    /// When the file can't be had by the deadline, or its content isn't what the catalogue says.
    pub fn ensure(
        &self,
        target: &BackendTarget,
        file: &BackendFile,
        deadline: Instant,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<LocalArtifact, EngineFileError> {
        match &file.source {
            BackendSource::Build { engine, archives } => {
                let sources = self.sources(engine, archives)?;
                let (program, stamp) = (self.built(engine, &target.target), self.stamp(engine, &target.target));
                let is_current = || fs::read_to_string(&stamp).is_ok_and(|then| Some(then) == sources);
                // Where there are no sources, what was built is as good as it gets.
                if program.is_file() && (sources.is_none() || is_current()) {
                    return self.found(&program);
                }
                let archives = archives.iter().map(|archive| Ok((archive, self.archive(archive, deadline, progress)?)));
                let archives = archives.collect::<Result<Vec<_>, EngineFileError>>()?;
                self.build(engine, &target.target, &archives, deadline)?;
                fs::write(&stamp, sources.unwrap_or_default()).map_err(io("write", &stamp))?;
                self.found(&program)
            }
            BackendSource::Member { archive, member } => {
                self.member(archive, member, file.artifact.as_ref(), deadline, progress)
            }
            BackendSource::Path(path) => self.found(path),
        }
    }

    /// Has a member of an archive ready.
    pub(super) fn member(
        &self,
        archive: &Archive,
        member: &str,
        expected: Option<&ArtifactRef>,
        deadline: Instant,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<LocalArtifact, EngineFileError> {
        if let Some(found) = expected.and_then(|artifact| self.cached(artifact)) {
            return Ok(found);
        }
        let mut sharing = Sharing { shared: self.shared.as_ref(), deadline, progress };
        let mut asked = Asked::Missing;
        if let Some(artifact) = expected {
            let path = self.folder.join(&artifact.sha256);
            asked = sharing.fetch(artifact, &path)?;
            if asked == Asked::Done {
                return Ok(LocalArtifact { path, artifact: artifact.clone() });
            }
        }
        let path = self.archive(archive, deadline, sharing.progress)?;
        let local = self.take_out(archive, &path, member, expected, deadline, sharing.progress)?;
        sharing.share(&local, asked);
        Ok(local)
    }

    pub(super) fn cached(&self, artifact: &ArtifactRef) -> Option<LocalArtifact> {
        let path = self.folder.join(&artifact.sha256);
        let there = fs::metadata(&path).is_ok_and(|found| found.is_file() && found.len() == artifact.size_bytes);
        there.then(|| LocalArtifact { path, artifact: artifact.clone() })
    }

    fn found(&self, path: &Path) -> Result<LocalArtifact, EngineFileError> {
        let patience = Instant::now() + Duration::from_secs(600);
        let artifact = remembered_hash(path, &self.folder.join("hashes"), patience, &mut |_| {})?;
        Ok(LocalArtifact { path: path.to_owned(), artifact })
    }

    fn built(&self, engine: &str, target: &str) -> PathBuf {
        self.folder.join("engines").join(target).join(format!("engine-{engine}"))
    }

    fn stamp(&self, engine: &str, target: &str) -> PathBuf {
        self.built(engine, target).with_extension("sources")
    }

    /// What an engine is built from: a hash over its sources, all that they share, and the archives. `None` without a
    /// workspace.
    fn sources(&self, engine: &str, archives: &[Archive]) -> Result<Option<String>, EngineFileError> {
        let Some(workspace) = &self.workspace else { return Ok(None) };
        let mut text: String = archives.iter().map(|archive| format!("{}\n", archive.artifact.sha256)).collect();
        let engines = Path::new("device-runner").join("engines");
        for place in [
            engines.join(engine),
            engines.join("compiler"),
            Path::new("device-runner").join("engine-kit"),
            Path::new("protocol").join("src"),
            PathBuf::from("Cargo.lock"),
        ] {
            for path in files_below(&workspace.join(place))? {
                let deadline = Instant::now() + Duration::from_secs(60);
                let found = hash_file(&path, deadline, &mut |_| {})?;
                let name = path.strip_prefix(workspace).unwrap_or(&path).display();
                text.push_str(&format!("{name} {}\n", found.sha256));
            }
        }
        Ok(Some(sha256_hex(text.as_bytes())))
    }

    /// Runs the engine's build script.
    fn build(
        &self,
        engine: &str,
        target: &str,
        archives: &[(&Archive, PathBuf)],
        deadline: Instant,
    ) -> Result<(), EngineFileError> {
        let failed =
            |reason: String| EngineFileError::Build { engine: engine.to_owned(), target: target.to_owned(), reason };
        let workspace = self.workspace.as_ref();
        let workspace = workspace.ok_or_else(|| failed("there is no farmctl workspace on this host".to_owned()))?;
        let script = workspace.join("device-runner").join("engines").join(engine).join("build");
        if !script.is_file() {
            return Err(failed(format!("there is no build script {}", script.display())));
        }
        let output = self.built(engine, target);
        let folder = output.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).map_err(io("create", folder))?;
        let work = tempfile::Builder::new().prefix("build-").tempdir_in(folder).map_err(io("write", folder))?;
        let program = work.path().join("program");
        let mut command = Command::new(&script);
        command.arg(target).arg(&program);
        for (archive, path) in archives {
            // A script sees archives under their own names.
            let link = work.path().join(archive.file_name());
            let path = fs::canonicalize(path).map_err(io("find", path))?;
            symlink(path, &link).map_err(io("link", &link))?;
            command.arg(link);
        }
        let (status, words) = run(&mut command, work.path(), deadline).map_err(|error| failed(error.to_string()))?;
        match status {
            None => return Err(EngineFileError::Deadline(format!("build {engine} for {target}"))),
            Some(status) if !status.success() => return Err(failed(words)),
            Some(_) => {}
        }
        fs::rename(&program, &output).map_err(io("write", &output))?;
        Ok(())
    }
}

/// The files below a folder, sorted; the file itself, if it is one; none where there is nothing.
fn files_below(path: &Path) -> Result<Vec<PathBuf>, CatalogError> {
    if !path.is_dir() {
        return Ok(path.is_file().then(|| path.to_owned()).into_iter().collect());
    }
    let entries = fs::read_dir(path).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let mut paths: Vec<PathBuf> = entries.map_err(io("list", path))?.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    let below = paths.iter().map(|path| files_below(path)).collect::<Result<Vec<_>, _>>()?;
    Ok(below.into_iter().flatten().collect())
}

/// Runs a program to its end; gives its status, or `None` when it was ended at the deadline, and its last words.
pub(super) fn run(
    command: &mut Command,
    folder: &Path,
    deadline: Instant,
) -> std::io::Result<(Option<ExitStatus>, String)> {
    use std::os::unix::process::CommandExt as _;
    let log = folder.join("log");
    let file = File::create(&log)?;
    let mut child =
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file).process_group(0).spawn().map_err(
            |error| std::io::Error::new(error.kind(), format!("{}: {error}", command.get_program().display())),
        )?;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break Some(status),
            None if Instant::now() >= deadline => {
                // With all that it started: a compiler below a shell, for one.
                if let Ok(group) = i32::try_from(child.id()) {
                    let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), nix::sys::signal::SIGKILL);
                }
                let _ = child.wait();
                break None;
            }
            None => std::thread::sleep(POLL),
        }
    };
    let words = fs::read(&log).unwrap_or_default();
    let words = String::from_utf8_lossy(&words[words.len().saturating_sub(LAST_WORDS)..]).trim().to_owned();
    Ok((status, if words.is_empty() { "it failed without a word".to_owned() } else { words }))
}

#[cfg(test)]
mod tests;
