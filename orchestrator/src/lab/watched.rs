//! The files that a lab goes by, to see when they change.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::schedule::Schedule;

use super::Lab;

/// What tells whether a file is another than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    device: u64,
    inode: u64,
    bytes: u64,
    changed_at_s: i64,
    changed_at_ns: i64,
}

/// Files by their names; `None` where there is none.
pub type FileStamps = BTreeMap<PathBuf, Option<FileStamp>>;

fn stamps(paths: Vec<PathBuf>) -> FileStamps {
    paths.into_iter().map(|path| (path.clone(), FileStamp::of(&path))).collect()
}

impl FileStamp {
    /// Of the file that has this name now; `None` where none has.
    pub fn of(path: &Path) -> Option<FileStamp> {
        Some(FileStamp::from(&std::fs::metadata(path).ok()?))
    }
}

impl From<&Metadata> for FileStamp {
    fn from(about: &Metadata) -> FileStamp {
        FileStamp {
            device: about.dev(),
            inode: about.ino(),
            bytes: about.len(),
            changed_at_s: about.ctime(),
            changed_at_ns: about.ctime_nsec(),
        }
    }
}

impl Lab {
    /// The files that the lab and these schedules go by, as they are now: farms, models, engines, datasets, sweeps.
    pub fn file_stamps(&self, schedules: &[Schedule]) -> FileStamps {
        let mut paths = self.farm_files();
        let models = self.overrides.models.clone().unwrap_or_else(|| self.root.join("configs").join("models.yaml"));
        paths.push(models);
        paths.extend(["backends.yaml", "datasets.yaml"].map(|name| self.root.join("configs").join(name)));
        paths.extend(schedules.iter().map(|schedule| schedule.sweep.clone()));
        stamps(paths)
    }

    /// The farm files, as they are now.
    pub(super) fn farm_stamps(&self) -> FileStamps {
        stamps(self.farm_files())
    }

    /// The farm files and folders, and what is in those.
    fn farm_files(&self) -> Vec<PathBuf> {
        let mut paths = self.farm_paths();
        let inside = paths.iter().filter_map(|path| path.read_dir().ok()).flatten().flatten();
        let inside: Vec<PathBuf> = inside.map(|entry| entry.path()).collect();
        paths.extend(inside);
        paths
    }
}
