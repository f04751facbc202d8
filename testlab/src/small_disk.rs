//! A file system that gets full.

use std::ffi::OsStr;
use std::path::Path;

use nix::mount::{MntFlags, umount2};
use nix::unistd::Uid;
use tempfile::TempDir;

use crate::LabError;
use crate::process::run;

/// A tmpfs of a few megabytes, unmounted on drop. A board sees it only if it is mounted before the board starts.
pub struct SmallDisk {
    folder: TempDir,
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
        let folder = tempfile::Builder::new().prefix("testlab-disk-").tempdir();
        let folder = folder.map_err(LabError::file("create", "a temporary folder"))?;
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
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Detached at once, even while a file on it is open.
        let _ = umount2(self.folder.path(), MntFlags::MNT_DETACH);
    }
}
