//! Two sets of runs against each other: what got slower, what faster, what is the same, and what can't be told yet.
//!
//! Main functions: [`compare`] of two [`Runs`], and [`compare_across`] one axis of one. Main types: [`Comparison`] with
//! a [`ComparedCell`] for each cell, its [`Change`] and [`Verdict`]; [`Gate`]. [`history`] is of one cell over many
//! sweeps, [`regressions`] what a new sweep says of it. The run is the unit, never the inference: of each run only its
//! median counts. Pure: never does I/O, never reads a clock, never draws by chance. Never leaves a cell out in silence.
//! How often it is right: `bench/compare.md`.

mod again;
mod axis;
mod cell;
mod change;
pub mod change_points;
mod conditions;
mod family;
mod gate;
pub mod history;
mod judge;
mod matching;
mod normal;
mod ranks;
pub mod regressions;
mod runs;
mod side;
pub mod side_by_side;
mod student;

pub use again::MeasuredAgain;
pub use axis::Axis;
pub use cell::CellKey;
pub use change::{Change, Method};
pub use conditions::{CONDITIONS, Condition, Difference, Part};
pub use family::{ComparedCell, Geomean, Verdict};
pub use gate::{Gate, GateError, Unclear};
pub use judge::{GateOutcome, judge};
pub use matching::{DeviceName, compare, compare_across};
pub use ranks::{mann_whitney_p, middle_of_pairs, shift_interval, signed_rank_p};
pub use runs::{RunFacts, Runs};
pub use side::{Images, Side, median, median_interval_95};
pub use student::{Estimate, holm};

/// What a comparison goes by.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Smaller changes are the same, in per cent.
    pub threshold_percent: f64,
    /// How likely any cell of equal runs may be called slower or faster, over all cells.
    pub alpha: f64,
    /// Standard deviation from run to run that is known of devices, in per cent; by their names, `*` for all others.
    pub spreads: Vec<(String, f64)>,
    /// Compare cells whose conditions differ, too.
    pub anyway: bool,
    /// What makes two devices the same.
    pub device: DeviceName,
}

/// Changes below this are the same, where nothing else is said, in per cent.
pub const THRESHOLD_PERCENT: f64 = 3.0;
/// How likely any cell of equal runs is called slower or faster, where nothing else is said.
pub const ALPHA: f64 = 0.01;

impl Default for Options {
    fn default() -> Options {
        Options {
            threshold_percent: THRESHOLD_PERCENT,
            alpha: ALPHA,
            spreads: Vec::new(),
            anyway: false,
            device: DeviceName::Name,
        }
    }
}

impl Options {
    /// The spread that is known of a device, as a share.
    fn spread(&self, device: &str) -> Option<f64> {
        let of = |name: &str| self.spreads.iter().find(|(known, _)| known == name);
        of(device).or_else(|| of("*")).map(|(_, percent)| percent / 100.0)
    }
}

/// What became of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// What was compared with: the older one.
    pub a: String,
    /// What was compared.
    pub b: String,
    /// What it went by.
    pub options: Options,
    /// What differs between the two besides times, what moves time first.
    pub differences: Vec<Difference>,
    /// Every cell of either, by device.
    pub cells: Vec<ComparedCell>,
    /// The geometric mean of each device.
    pub geomeans: Vec<Geomean>,
    /// What a reader must know beside them.
    pub notes: Vec<String>,
}

/// Why nothing was compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// One of the two has no runs.
    #[error("compare: {name} has no runs")]
    NoRuns {
        /// Which.
        name: String,
    },
    /// They are the same.
    #[error("compare: {a} and {b} are the same runs")]
    SameRuns {
        /// The one.
        a: String,
        /// The other.
        b: String,
    },
    /// No cell is in both.
    #[error("compare: {a} and {b} have no cell in common")]
    NothingInCommon {
        /// The one.
        a: String,
        /// The other.
        b: String,
    },
    /// An axis along which there is nothing to compare.
    #[error("compare: all runs of {name} have the same {axis}: {value}")]
    OneValue {
        /// The runs.
        name: String,
        /// The axis.
        axis: &'static str,
        /// What they all have.
        value: String,
    },
    /// A value to compare with that no run has.
    #[error("compare: no run of {name} has the {axis} {wanted}")]
    UnknownBase {
        /// The runs.
        name: String,
        /// The axis.
        axis: &'static str,
        /// What was asked for.
        wanted: String,
        /// What there is.
        known: Vec<String>,
    },
}

#[cfg(test)]
mod tests;
