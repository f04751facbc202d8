//! What raw numbers say: statistics of samples, how sure they are ([`trust`]), throughput, how far outputs lie apart,
//! and scores that rank devices.
//!
//! Main types: [`Statistics`]; [`Score`] with its registry [`SCORES`], which makes a [`Ranking`] of the
//! [`ResultMatrix`] of some runs. Pure: never does I/O, and never reads a clock. Never drops a sample. Never leaves out
//! a workload in silence: a row of a ranking names each, with the run it comes from or why it doesn't count.

mod accuracy;
mod agreement;
mod aiotbench;
mod bianco;
mod dawnbench;
mod geomean;
mod interval;
mod options;
mod outputs;
mod ranking;
mod result_matrix;
mod run;
mod statistics;
mod sustained;
mod throughput;
pub mod trust;

pub use accuracy::count_right;
pub use agreement::{Difference, Disagreement, disagreements};
pub use interval::wilson_95;
pub use options::{AccuracySource, Options, Top};
pub use outputs::{OUTPUT_TOLERANCE, OutputError, References, is_finite, output_error, output_errors};
pub use ranking::{Figure, RankedRow, Ranking, ScoreResult, Term};
pub use result_matrix::{Cell, ResultMatrix, SystemUnderTest, standing_run};
pub use run::{RunAccuracy, ScoredRun, Settings, Workload};
pub use statistics::{Statistics, gmacs_per_s, images_per_s, percentile};
pub use sustained::Sustained;

/// A way to say how good a device is.
pub trait Score: Sync {
    /// Name, as `farmctl score --kind` takes it.
    fn name(&self) -> &'static str;

    /// What it is, in a few words.
    fn description(&self) -> &'static str;

    /// The accuracy that it weighs by, if it does.
    fn accuracy(&self) -> Option<Top>;

    /// Ranks the systems. [`rank`] asks for this, and adds what is the same for all scores.
    ///
    /// # Errors
    /// When it was not told what it needs.
    fn result(&self, matrix: &ResultMatrix<'_>, options: &Options<'_>) -> Result<ScoreResult, ScoreError>;
}

/// Ranks the systems of a matrix by a score.
///
/// # Errors
/// When there is nothing that the score could rank by.
pub fn rank(score: &dyn Score, matrix: &ResultMatrix<'_>, options: &Options<'_>) -> Result<Ranking, ScoreError> {
    let mut notes = ranking::notes(matrix);
    if let Some(top) = score.accuracy() {
        options.refuse_without(top, matrix)?;
        match options.accuracy {
            AccuracySource::Published => notes.extend(options.accuracy_sources(matrix)),
            AccuracySource::Measured => notes.extend(options.images(matrix)),
        }
    }
    let mut result = score.result(matrix, options)?;
    notes.append(&mut result.notes);
    Ok(Ranking {
        score: score.name(),
        accuracy: score.accuracy().map(|_| options.accuracy),
        workloads: matrix.workloads.iter().map(|workload| (*workload).clone()).collect(),
        result: ScoreResult { notes, ..result },
    })
}

/// The score of that name.
pub fn score(name: &str) -> Option<&'static dyn Score> {
    SCORES.iter().find(|score| score.name() == name).copied()
}

/// Every score.
pub const SCORES: &[&dyn Score] =
    &[&aiotbench::AIoTBench, &throughput::Throughput, &geomean::Geomean, &dawnbench::DawnBench, &bianco::Bianco];

/// Why there is no ranking.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScoreError {
    /// No rows at all.
    #[error("rank: there are no runs")]
    NoRuns,
    /// No run has an accuracy of its own.
    #[error("rank: no run has a measured accuracy")]
    NoAccuracy,
    /// A score against a reference was not told which.
    #[error("rank: which device is the reference?")]
    NoReference {
        /// The devices there are.
        devices: Vec<String>,
    },
    /// The reference has no runs.
    #[error("rank: the reference device {name} has no runs here")]
    UnknownReference {
        /// What was asked for.
        name: String,
        /// The devices there are.
        devices: Vec<String>,
    },
    /// Two rows say different things of one run.
    #[error("rank: {first} and {second} say different things of the run {run_id}")]
    Contradiction {
        /// The run.
        run_id: String,
        /// Where it stands.
        first: String,
        /// Where else it stands.
        second: String,
    },
}

#[cfg(test)]
mod tests;
