//! The content-addressed store of the device.
//!
//! Purpose: take in pushed files, each under its SHA-256, and check them. Main type: [`Store`]. Never moves bytes
//! between host and device: a transport writes to `partial/`, and only a file whose hash was found right gets into
//! `store/`.

use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::SystemTime;

use farmctl_protocol::{PartialFile, StoreFile, StoreStatus, StoreTrim, StoreVerification};
use nix::sys::statvfs::statvfs;
use sha2::{Digest as _, Sha256};

use crate::workdir::Workdir;

/// Bytes hashed at a time; between two reads a hash can be given up.
const HASH_BUFFER_BYTES: usize = 1 << 18;

/// A SHA-256, as 64 lower-case hexadecimal digits: safe as a file name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest(String);

impl Digest {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Digest, String> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() == 64 && text.bytes().all(digit) {
            Ok(Digest(text.to_owned()))
        } else {
            Err(format!("{text:?} is no SHA-256 of 64 lower-case hexadecimal digits"))
        }
    }
}

/// What can go wrong in the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused something.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// There is no such file.
    #[error("find {}: it is neither whole nor partial on this device; push it first", .0.as_str())]
    Missing(Digest),
    /// The file has another size than it should.
    #[error("commit {}: it has {found} bytes instead of {expected}", path.display())]
    WrongSize {
        /// The file.
        path: PathBuf,
        /// Size it should have.
        expected: u64,
        /// Size it has.
        found: u64,
    },
    /// The file has another content than it should.
    #[error("verify {}: its content hashes to {found}; removed, push it again", path.display())]
    WrongHash {
        /// The file.
        path: PathBuf,
        /// Hash of its content.
        found: String,
    },
    /// The caller gave the hash up.
    #[error("verify {}: interrupted", .0.display())]
    Interrupted(PathBuf),
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { action, path, source }
}

/// The store in a work folder.
#[derive(Debug)]
pub struct Store<'a> {
    workdir: &'a Workdir,
}

impl<'a> Store<'a> {
    /// The store of `workdir`.
    pub fn new(workdir: &'a Workdir) -> Store<'a> {
        Store { workdir }
    }

    /// Where the whole file lies, or would lie.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.workdir.store().join(digest.as_str())
    }

    /// What is there.
    ///
    /// # Errors
    /// Fails when a folder can't be read.
    pub fn status(&self) -> Result<StoreStatus, StoreError> {
        let files = list(&self.workdir.store())?;
        let partial = list(&self.workdir.partial())?;
        let root = self.workdir.root();
        let space = statvfs(root).map_err(|error| io_error("ask for free space of", root)(error.into()))?;
        Ok(StoreStatus {
            files: files.into_iter().map(|(sha256, size_bytes)| StoreFile { sha256, size_bytes }).collect(),
            partial: partial.into_iter().map(|(sha256, size_bytes)| PartialFile { sha256, size_bytes }).collect(),
            program_bytes: used(&self.workdir.programs())?.iter().map(|file| file.size_bytes).sum(),
            // The fields' width depends on the target.
            #[allow(clippy::unnecessary_cast)]
            free_bytes: (space.blocks_available() as u64).saturating_mul(space.fragment_size() as u64),
        })
    }

    /// Checks a pushed file and moves it in. A file that was committed before is checked again, so that a host that
    /// lost the answer may ask twice.
    ///
    /// # Errors
    /// A file of the wrong size stays, so that its push can go on; one of the wrong content is removed.
    pub fn commit(&self, digest: &Digest, size_bytes: u64, executable: bool) -> Result<StoreFile, StoreError> {
        let whole = self.path(digest);
        let partial = self.workdir.partial().join(digest.as_str());
        let source = if partial.exists() { &partial } else { &whole };
        let found = match fs::metadata(source) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(StoreError::Missing(digest.clone())),
            Err(error) => return Err(io_error("read", source)(error)),
        };
        if found != size_bytes {
            return Err(StoreError::WrongSize { path: source.clone(), expected: size_bytes, found });
        }
        check_or_remove(source, digest, &mut || false)?;
        let file = File::open(source).map_err(io_error("open", source))?;
        let mode = Permissions::from_mode(if executable { 0o755 } else { 0o644 });
        file.set_permissions(mode).map_err(io_error("set the mode of", source))?;
        file.sync_all().map_err(io_error("write to disk", source))?;
        if source == &partial {
            fs::rename(&partial, &whole).map_err(io_error("move into the store", &partial))?;
            let folder = self.workdir.store();
            File::open(&folder).and_then(|folder| folder.sync_all()).map_err(io_error("write to disk", &folder))?;
        }
        Ok(StoreFile { sha256: digest.as_str().to_owned(), size_bytes })
    }

    /// Hashes the named files, or all, again, and removes those whose content is wrong.
    ///
    /// # Errors
    /// Fails when a file can't be read or removed; a wrong content is no error but part of the answer.
    pub fn verify(&self, digests: &[Digest]) -> Result<StoreVerification, StoreError> {
        let named: Vec<String> = if digests.is_empty() {
            list(&self.workdir.store())?.into_iter().map(|(sha256, _)| sha256).collect()
        } else {
            digests.iter().map(|digest| digest.as_str().to_owned()).collect()
        };
        let mut answer = StoreVerification::default();
        for digest in named.into_iter().map(Digest) {
            match self.check(&digest, &mut || false) {
                Ok(file) => answer.intact.push(file),
                Err(StoreError::WrongHash { .. }) => answer.corrupt.push(digest.0),
                Err(StoreError::Missing(_)) => answer.missing.push(digest.0),
                Err(error) => return Err(error),
            }
        }
        Ok(answer)
    }

    /// Checks one whole file against its name; `give_up` is asked now and then.
    ///
    /// # Errors
    /// A file of the wrong content is removed.
    pub fn check(&self, digest: &Digest, give_up: &mut dyn FnMut() -> bool) -> Result<StoreFile, StoreError> {
        let path = self.path(digest);
        let size_bytes = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(StoreError::Missing(digest.clone())),
            Err(error) => return Err(io_error("read", &path)(error)),
        };
        check_or_remove(&path, digest, give_up)?;
        Ok(StoreFile { sha256: digest.as_str().to_owned(), size_bytes })
    }

    /// Notes that a file is used now: what was used longest ago leaves first.
    pub fn touch(&self, digest: &Digest) {
        // A file that can't be marked may leave too early, and is pushed again then.
        let _ = File::open(self.path(digest)).and_then(|file| file.set_modified(SystemTime::now()));
    }

    /// Removes the least recently used files, until `free_bytes` are freed or none is left: models, runners and parts
    /// of both. Those in `keep` and this runner itself stay.
    ///
    /// # Errors
    /// Names the file that can't be removed; those before it are gone.
    pub fn trim(&self, free_bytes: u64, keep: &[Digest]) -> Result<StoreTrim, StoreError> {
        let own = fs::read_link("/proc/self/exe").ok();
        let mut files = Vec::new();
        for folder in [self.workdir.store(), self.workdir.partial(), self.workdir.programs()] {
            files.extend(used(&folder)?);
        }
        files.sort_by(|a, b| a.used_at.cmp(&b.used_at).then_with(|| a.path.cmp(&b.path)));
        let mut trimmed = StoreTrim::default();
        for file in files {
            let stays = keep.iter().any(|digest| file.name.starts_with(digest.as_str()))
                || own.as_ref().is_some_and(|own| own.ends_with(&file.name));
            if trimmed.freed_bytes >= free_bytes || stays {
                continue;
            }
            fs::remove_file(&file.path).map_err(io_error("remove", &file.path))?;
            trimmed.freed_bytes += file.size_bytes;
            trimmed.removed.push(file.name);
        }
        Ok(trimmed)
    }

    /// Removes files, whole and partial. A file that isn't there counts as removed.
    ///
    /// # Errors
    /// Names the file that can't be removed.
    pub fn remove(&self, digests: &[Digest]) -> Result<(), StoreError> {
        for digest in digests {
            for path in [self.path(digest), self.workdir.partial().join(digest.as_str())] {
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(io_error("remove", &path)(error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// A file with when it was used last.
struct UsedFile {
    path: PathBuf,
    name: String,
    size_bytes: u64,
    used_at: SystemTime,
}

/// The files of a folder; none of one that isn't there.
fn used(folder: &Path) -> Result<Vec<UsedFile>, StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error("list", folder)(error)),
    };
    let describe = |entry: fs::DirEntry| {
        let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
        let used_at = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let name = entry.file_name().into_string().ok()?;
        Some(UsedFile { path: entry.path(), name, size_bytes: metadata.len(), used_at })
    };
    // A file may vanish while its folder is being listed.
    Ok(entries.flatten().filter_map(describe).collect())
}

/// Names and sizes of the files of a folder whose name is a SHA-256, sorted.
fn list(folder: &Path) -> Result<Vec<(String, u64)>, StoreError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(io_error("list", folder))? {
        let entry = entry.map_err(io_error("list", folder))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        // A file may vanish while its folder is being listed.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_file() && name.parse::<Digest>().is_ok() {
            files.push((name, metadata.len()));
        }
    }
    files.sort();
    Ok(files)
}

fn check_or_remove(path: &Path, digest: &Digest, give_up: &mut dyn FnMut() -> bool) -> Result<(), StoreError> {
    let found = hash(path, give_up)?;
    if found == digest.as_str() {
        return Ok(());
    }
    fs::remove_file(path).map_err(io_error("remove the corrupt file", path))?;
    Err(StoreError::WrongHash { path: path.to_owned(), found })
}

/// SHA-256 of this program's own file.
pub fn own_hash() -> Result<String, StoreError> {
    hash(Path::new("/proc/self/exe"), &mut || false)
}

fn hash(path: &Path, give_up: &mut dyn FnMut() -> bool) -> Result<String, StoreError> {
    let mut file = File::open(path).map_err(io_error("open", path))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; HASH_BUFFER_BYTES];
    loop {
        if give_up() {
            return Err(StoreError::Interrupted(path.to_owned()));
        }
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(io_error("read", path)(error)),
        }
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
