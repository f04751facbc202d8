//! A file system that gets full.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;

use nix::unistd::Uid;

use crate::LabError;
use crate::folder::LabFolder;
use crate::process::run;

const FILLER: &str = "filler";
const CHUNK_BYTES: usize = 64 << 10;

/// A tmpfs of a few megabytes, unmounted when its value or its process ends. A board sees it only if it is mounted
/// before the board starts.
pub struct SmallDisk {
    folder: LabFolder,
}

impl SmallDisk {
    /// Mounts one; `read_only` for one that can't be written at all.
    ///
    /// # Errors
    /// Without root, or when mounting fails.
    pub fn mount(size_bytes: u64, read_only: bool) -> Result<SmallDisk, LabError> {
        if !Uid::effective().is_root() {
            return Err(LabError::NeedsRoot { what: "mounting a small file system" });
        }
        let folder = LabFolder::create_mount_point("testlab-disk-")?;
        let options = format!("size={size_bytes},mode=755{}", if read_only { ",ro" } else { "" });
        let arguments = ["-t", "tmpfs", "-o", options.as_str(), "testlab"];
        let mut arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        arguments.push(folder.path().as_os_str());
        run("mount", "mount", &arguments)?;
        Ok(SmallDisk { folder })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Fills it to the last byte.
    ///
    /// # Errors
    /// When writing fails for another reason than a full disk.
    pub fn fill(&self) -> Result<(), LabError> {
        let path = self.path().join(FILLER);
        let mut file =
            File::options().append(true).create(true).open(&path).map_err(LabError::file("create", &path))?;
        let mut chunk = vec![0_u8; CHUNK_BYTES];
        loop {
            match file.write(&chunk) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull && chunk.len() > 1 => chunk.truncate(1),
                Err(error) if error.kind() == ErrorKind::StorageFull => return Ok(()),
                Err(error) => return Err(LabError::file("write", &path)(error)),
            }
        }
    }

    /// Undoes [`SmallDisk::fill`].
    ///
    /// # Errors
    /// When the file that fills it can't be removed.
    pub fn free(&self) -> Result<(), LabError> {
        let path = self.path().join(FILLER);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(LabError::file("remove", &path)(error)),
            _ => Ok(()),
        }
    }
}
