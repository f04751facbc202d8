//! What raw numbers say: statistics of samples, throughput, and how far outputs lie apart.
//!
//! Main type: [`Statistics`]. Pure: never does I/O, never reads a clock, and never drops a sample.

mod outputs;
mod statistics;

pub use outputs::{OUTPUT_TOLERANCE, OutputError, output_error, output_errors};
pub use statistics::{Statistics, gmacs_per_s, images_per_s, percentile};
