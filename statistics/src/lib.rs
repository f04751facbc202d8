//! What a series of latencies says of itself: how sure its median is, whether its level changes, and whether it is long
//! enough.
//!
//! Purpose: one implementation for the runner, which asks while it measures, and for the host, which asks of the
//! samples it got. Main functions and types: [`median_interval_95`], [`Dependence`], [`Level`]; [`is_steady`] and
//! [`MedianLooks`], which end a loop. Never does I/O, reads no clock, depends on nothing, and supposes nothing of a
//! distribution. How often it is right: `bench/statistics.md`.

mod centre;
mod dependence;
mod drift;
mod level;
mod median_interval;
mod steadiness;
mod stopping;
mod trend;

pub use centre::{LevelAt, median, over_time};
pub use dependence::Dependence;
pub use drift::Drift;
pub use level::Level;
pub use median_interval::{Z, median_interval_95, student_975};
pub use steadiness::Change;
pub use stopping::{MIN_SAMPLES, MIN_SAMPLES_TO_END, MedianLooks, is_steady, look_points, next_look};
pub use trend::Trend;

#[cfg(test)]
#[path = "../../orchestrator/examples/statistics/series.rs"]
#[allow(dead_code, missing_docs)]
mod series;
