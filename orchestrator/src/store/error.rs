use std::path::PathBuf;

use crate::domain::RunId;

/// What the store could not do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A write about a run whose lease belongs to somebody else by now, or that has its record.
    #[error("write about run {run} refused: its lease has moved on from epoch {epoch}")]
    StaleEpoch {
        /// The run.
        run: RunId,
        /// The epoch of the write.
        epoch: u64,
    },
    /// The store was written by a newer farmctl.
    #[error("open {path}: it has schema version {found}, this farmctl knows {known}; use the newer farmctl")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// The version this program writes.
        known: u32,
    },
    /// The URL's scheme names no store.
    #[error("open store {url}: unknown scheme; use sqlite:PATH")]
    UnknownScheme {
        /// The URL.
        url: String,
    },
    /// Something in the store does not have the form it was written in.
    #[error("read {what} from the store: {cause}")]
    Corrupt {
        /// What was read.
        what: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The database refused.
    #[error("{action} in the store {path}: {cause}")]
    Database {
        /// What was tried.
        action: String,
        /// The file.
        path: PathBuf,
        /// The database's words.
        cause: String,
    },
}
