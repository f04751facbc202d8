use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::regular_file;

use super::{ArtifactError, ArtifactStore, Call, Kind, StoredFile, StoredName, Trouble};

/// Files in a folder that hosts share: `<folder>/<kind>/<sha256>`.
#[derive(Debug)]
pub struct FolderStore {
    folder: PathBuf,
    place: String,
}

impl FolderStore {
    /// The store in that folder. Its folders are made when they are first written to; the folder itself is not: what is
    /// not mounted must not become a folder of this host.
    pub fn new(folder: PathBuf) -> FolderStore {
        let place = folder.display().to_string();
        FolderStore { folder, place }
    }

    fn path(&self, name: &StoredName) -> PathBuf {
        self.folder.join(name.to_string())
    }

    fn failed<T>(
        &self,
        done: Result<T, Trouble>,
        action: &'static str,
        name: impl ToString,
        way: &'static str,
    ) -> Result<T, ArtifactError> {
        done.map_err(|trouble| ArtifactError::new(action, name, way, &self.place, trouble))
    }

    /// Whether the folder is there.
    fn is_there(&self) -> Result<(), Trouble> {
        if self.folder.is_dir() {
            return Ok(());
        }
        Err(Trouble::Unreachable("there is no such folder: is it mounted?".to_owned()))
    }

    fn put_whole(&self, name: &StoredName, from: &Path, call: &mut Call<'_>) -> Result<(), Trouble> {
        self.is_there()?;
        let path = self.path(name);
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder).map_err(Trouble::file(folder))?;
        let found = copy_whole(from, &path, name, call)?;
        if found == name.sha256() { Ok(()) } else { Err(Trouble::Changed { found }) }
    }

    fn get_whole(&self, name: &StoredName, into: &Path, call: &mut Call<'_>) -> Result<u64, Trouble> {
        self.is_there()?;
        let path = self.path(name);
        let size_bytes = match fs::metadata(&path) {
            Ok(about) => about.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Trouble::Missing),
            Err(error) => return Err(Trouble::file(&path)(error)),
        };
        let found = copy_whole(&path, into, name, call)?;
        if found == name.sha256() { Ok(size_bytes) } else { Err(Trouble::Corrupt { found }) }
    }

    fn listed(&self, kind: Kind) -> Result<Vec<StoredFile>, Trouble> {
        self.is_there()?;
        let folder = self.folder.join(kind.folder());
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Trouble::file(&folder)(error)),
        };
        let mut found = Vec::new();
        for entry in entries.flatten() {
            // What has another name is a file on its way, or not ours; one that has just gone is none.
            let Some(name) = entry.file_name().to_str().and_then(|name| StoredName::new(kind, name)) else { continue };
            let Ok(about) = entry.metadata() else { continue };
            found.push(StoredFile { name, size_bytes: about.len() });
        }
        found.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }
}

impl ArtifactStore for FolderStore {
    fn place(&self) -> &str {
        &self.place
    }

    fn size(&self, name: &StoredName, _: &mut Call<'_>) -> Result<Option<u64>, ArtifactError> {
        let path = self.path(name);
        let size = self.is_there().and_then(|()| match fs::metadata(&path) {
            Ok(about) => Ok(Some(about.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Trouble::file(&path)(error)),
        });
        self.failed(size, "look for", name, "in")
    }

    fn put(&self, name: &StoredName, from: &Path, call: &mut Call<'_>) -> Result<(), ArtifactError> {
        self.failed(self.put_whole(name, from, call), "put", name, "into")
    }

    fn get(&self, name: &StoredName, into: &Path, call: &mut Call<'_>) -> Result<u64, ArtifactError> {
        self.failed(self.get_whole(name, into, call), "get", name, "from")
    }

    fn list(&self, kind: Kind, _: &mut Call<'_>) -> Result<Vec<StoredFile>, ArtifactError> {
        self.failed(self.listed(kind), "list", kind.folder(), "in")
    }

    fn remove(&self, name: &StoredName, _: &mut Call<'_>) -> Result<bool, ArtifactError> {
        let path = self.path(name);
        let removed = self.is_there().and_then(|()| match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Trouble::file(&path)(error)),
        });
        self.failed(removed, "take", name, "out of")
    }
}

/// A new file on its way to a path, in the same folder: it appears there whole, or not at all.
pub(super) fn on_its_way(to: &Path) -> Result<tempfile::NamedTempFile, Trouble> {
    let folder = to.parent().unwrap_or(Path::new("."));
    tempfile::Builder::new().prefix(".partial-").tempfile_in(folder).map_err(Trouble::file(folder))
}

/// Gives such a file its name, once it is on the disk.
pub(super) fn arrived(file: tempfile::NamedTempFile, to: &Path) -> Result<(), Trouble> {
    use std::os::unix::fs::PermissionsExt as _;
    let failed = |cause| Trouble::file(to)(cause);
    file.as_file().sync_data().map_err(failed)?;
    // A temporary file is its owner's alone; a store may be shared by a group.
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644)).map_err(failed)?;
    file.persist(to).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Copies a file; it gets its name only where its content is what that says. Gives the sha256 of what was read.
fn copy_whole(from: &Path, to: &Path, name: &StoredName, call: &mut Call<'_>) -> Result<String, Trouble> {
    let mut source = File::open(from).map_err(Trouble::file(from))?;
    let mut file = on_its_way(to)?;
    let found = regular_file::read_through(&mut source, Trouble::file(from), |part, done_bytes| {
        if Instant::now() >= call.deadline {
            return Err(Trouble::Deadline(String::new()));
        }
        file.write_all(part).map_err(Trouble::file(to))?;
        (call.progress)(done_bytes);
        Ok(())
    })?;
    if found.sha256 == name.sha256() {
        arrived(file, to)?;
    }
    Ok(found.sha256)
}
