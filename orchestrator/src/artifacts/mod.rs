//! Files by their sha256 that several hosts share: in a folder, or in an object store that speaks S3.
//!
//! Main types: [`ArtifactStore`], the one trait, with [`FolderStore`] and [`S3Store`]; [`SharedFiles`], by which the
//! rest of farmctl asks it with care. A file is there under its name whole and checked, or not at all. Never reads the
//! environment, and never shows a secret.
//!
//! Calls block until they are done or their deadline has passed; async callers wrap them in `spawn_blocking`.

mod error;
mod folder;
mod name;
mod s3;
mod shared;

use std::path::Path;
use std::time::Instant;

pub use error::{ArtifactError, Trouble};
pub use folder::FolderStore;
pub use name::{Kind, StoredName};
pub use s3::{S3Store, S3Surroundings, S3Timeouts};
pub use shared::{Asked, ProbeError, SharedFiles};

/// A file that a store has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    /// Its name.
    pub name: StoredName,
    /// Its size.
    pub size_bytes: u64,
}

/// One call: until when it may take, and who is told how many bytes of the file have gone their way.
pub struct Call<'a> {
    /// Until when.
    pub deadline: Instant,
    /// Told of bytes that are done.
    pub progress: &'a mut (dyn FnMut(u64) + 'a),
}

/// A place for files by their sha256 that any number of hosts use at the same time.
pub trait ArtifactStore: std::fmt::Debug + Send + Sync {
    /// Where it is, for people: without a secret.
    fn place(&self) -> &str;

    /// The size of a file, in bytes; `None` where there is none.
    ///
    /// # Errors
    /// When the store can't be asked by the deadline.
    fn size(&self, name: &StoredName, call: &mut Call<'_>) -> Result<Option<u64>, ArtifactError>;

    /// Puts a file there, in the place of any that has its name. Others see it whole or not at all.
    ///
    /// # Errors
    /// When its content is not what its name says, or the store does not take it by the deadline.
    fn put(&self, name: &StoredName, from: &Path, call: &mut Call<'_>) -> Result<(), ArtifactError>;

    /// Gets a file into `into`, in the place of any that is there; gives its size. Nothing is changed there when it is
    /// not to be had, or its content is not what its name says.
    ///
    /// # Errors
    /// When it is not there, is not what its name says, or has not come by the deadline.
    fn get(&self, name: &StoredName, into: &Path, call: &mut Call<'_>) -> Result<u64, ArtifactError>;

    /// All files of a kind, in the order of their names.
    ///
    /// # Errors
    /// When the store can't be asked by the deadline.
    fn list(&self, kind: Kind, call: &mut Call<'_>) -> Result<Vec<StoredFile>, ArtifactError>;

    /// Takes a file out; whether there was one.
    ///
    /// # Errors
    /// When the store does not do so by the deadline.
    fn remove(&self, name: &StoredName, call: &mut Call<'_>) -> Result<bool, ArtifactError>;
}
