//! The runner's folder on the device.
//!
//! Purpose: one place that knows where things lie. Main type: [`Workdir`]. Never looks into the files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The folder that everything of farmctl on this device lies in.
#[derive(Debug, Clone)]
pub struct Workdir(PathBuf);

/// The work folder could not be made.
#[derive(Debug, thiserror::Error)]
#[error("make the folder {}: {source}; choose a workdir that this user may write to", path.display())]
pub struct WorkdirError {
    path: PathBuf,
    source: io::Error,
}

impl Workdir {
    /// Opens the folder at `root`; it and its subfolders are made when missing.
    ///
    /// # Errors
    /// Names the folder that can't be made.
    pub fn open(root: &Path) -> Result<Workdir, WorkdirError> {
        let workdir = Workdir(root.to_owned());
        for path in [workdir.store(), workdir.partial(), workdir.runs(), workdir.fences()] {
            fs::create_dir_all(&path).map_err(|source| WorkdirError { path, source })?;
        }
        Ok(workdir)
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.0
    }

    /// Whole, verified files by hash.
    pub fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    /// Files that are being pushed, by hash.
    pub fn partial(&self) -> PathBuf {
        self.0.join("partial")
    }

    /// One folder a run.
    pub fn runs(&self) -> PathBuf {
        self.0.join("runs")
    }

    /// Pushed runners by hash: a host puts them there, before there is a runner that could.
    pub fn programs(&self) -> PathBuf {
        self.0.join("bin")
    }

    /// The highest lease of each lab that was seen.
    pub fn fences(&self) -> PathBuf {
        self.0.join("fences")
    }

    /// The file whose lock the device's one run holds.
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }
}
