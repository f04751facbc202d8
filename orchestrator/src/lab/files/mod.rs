//! Has the files ready that a plan takes: models, images, engines, runners.

mod choice;
mod datasets;
mod engines;
mod faults;
mod inspection;
mod models;
mod pinned_runner;
mod runners;
mod shared;
mod task;

pub use choice::{EngineFileOutcome, FileChoice, FileOutcome, find_backend, find_model, find_published};
pub use engines::EngineSource;
pub use inspection::{InspectedModel, ReadyModel};
pub(in crate::lab) use models::{Renew, files_of};
pub use runners::{FoundRunner, RunnerSource, SweepRunners};
pub(in crate::lab) use shared::OpenShared;
