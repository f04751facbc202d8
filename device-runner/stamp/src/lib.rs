//! What a runner was built from.
//!
//! The runner's build script writes a [`Stamp`] into the runner's file. farmctl reads it there, and compares it with
//! the [`Sources`] of the workspace: a file that was built from the same sources is not built again. Both sides use
//! this crate, so that they hash the same. Reads files below the workspace, and does no other I/O.

mod lock_file;
mod sources;
mod stamp;

pub use sources::{SOURCES, Sources};
pub use stamp::{FILE_NAME, Stamp};
