use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::StoreError;

/// What a check of the whole store found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoreCheck {
    /// Version of the store's schema.
    pub schema_version: u32,
    /// Tables and their rows.
    pub rows: Vec<(String, u64)>,
    /// What is wrong, in words; empty when nothing is.
    pub faults: Vec<String>,
}

/// What giving back unused space gained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Vacuumed {
    /// Size of the store before, with its log.
    pub before_bytes: u64,
    /// Size after.
    pub after_bytes: u64,
}

/// A store that went aside for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aside {
    /// Its new name.
    pub path: PathBuf,
    /// Its file was there; else this is the log that was left of it.
    pub is_whole: bool,
}

/// The store as a whole: is it sound, can it be smaller, what is in it.
pub trait MaintenanceStore {
    /// Checks the store at one moment: what the database can check by itself, that every row can be read, and what must
    /// hold between rows (an ended job has one record, a run under way belongs to a running job, an ended run has no
    /// lease …). Changes nothing.
    ///
    /// # Errors
    /// When the store can't be read at all.
    fn check(&self) -> Result<StoreCheck, StoreError>;

    /// Gives unused space back to the file system.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when another process writes; [`StoreError::Full`] when there is no room for the copy that
    /// is made meanwhile. The store is then as before.
    fn vacuum(&self) -> Result<Vacuumed, StoreError>;

    /// Why what is written here is lost: the file is gone, or another has its name. `None` while it is the one that was
    /// opened. When this is found, what the store had is kept beside it, and every other call is refused from then on.
    fn lost(&self) -> Option<String>;

    /// Makes sure that this program may still work with the store: another one may have brought its schema further.
    /// Returns the schema's version where it is newer than this program's, and yet only has more.
    ///
    /// # Errors
    /// [`StoreError::Newer`] when this program is too old by now.
    fn may_work(&self) -> Result<Option<u32>, StoreError>;

    /// Writes a copy of the store, all of one moment, into a file that is there whole or not at all, for its owner
    /// alone. Others read and write the store meanwhile.
    ///
    /// # Errors
    /// When it can't be read, or the file can't be written, or is there already.
    fn back_up(&self, to: &Path) -> Result<(), StoreError>;

    /// Writes every row of every table as JSON Lines, all of one moment; returns how many. The first line says the
    /// form and the schema's version, the last one how many rows there were: an export without it is not whole.
    ///
    /// # Errors
    /// When a row can't be read, the schema has more than this program knows, or [`StoreError::Export`] when `to` can't
    /// be written.
    fn export(&self, to: &mut dyn Write) -> Result<u64, StoreError>;
}
