//! Has the files ready that a plan takes: models, images, engines, runners.

mod datasets;
mod engines;
mod models;
mod runners;
mod task;

pub use engines::EngineSource;
pub use runners::{FoundRunner, RunnerSource};
