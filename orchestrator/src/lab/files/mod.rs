//! Has the files ready that a plan takes: models, images, engines, runners.

mod datasets;
mod engines;
mod faults;
mod inspection;
mod models;
mod runners;
mod task;

pub use engines::EngineSource;
pub use inspection::{InspectedModel, ReadyModel};
pub(in crate::lab) use models::{Renew, files_of};
pub use runners::{FoundRunner, RunnerSource};
