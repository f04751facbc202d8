//! A sweep of the lab: begun, carried out, gone on with, repeated, cancelled, concluded.

mod begin;
mod cancel;
mod conclude;
mod execute;
mod find;
mod follow;
mod large;
mod overview;
mod parts;
mod record_parts;
mod resume;
mod retry;

pub(super) use begin::devices_with_jobs;
pub use cancel::Cancelled;
pub use conclude::SweepResults;
pub use execute::{StopRequests, SweepExecution};
pub use follow::FollowEnd;
pub use overview::{SweepOverview, Unpinned};
pub(super) use record_parts::RecordParts;
pub use resume::Resumed;

/// Most devices that one sweep works on at the same time, where nothing else is said.
pub const MAX_DEVICES: usize = 128;
