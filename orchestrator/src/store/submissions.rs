use super::StoreError;
use crate::domain::{Submission, SweepId, SweepState};

/// A sweep that is not over and was given to the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubmittedSweep {
    /// The sweep.
    pub sweep_id: SweepId,
    /// What it is.
    pub state: SweepState,
    /// Who gave it, and how it is to be carried out.
    pub submission: Submission,
}

/// Sweeps that are the daemon's to carry out, though no schedule began them. A new one is handed over as it is added,
/// by [`SweepStore::create_sweep`](super::SweepStore::create_sweep).
pub trait SubmissionStore {
    /// Gives a sweep to the daemon. Done again, the later word counts.
    ///
    /// # Errors
    /// When there is no such sweep, or the store can't be written.
    fn submit_to_daemon(&self, sweep: &SweepId, submission: &Submission) -> Result<(), StoreError>;

    /// Takes a sweep back from the daemon, which leaves it alone from then on; returns whether it had it.
    ///
    /// # Errors
    /// When the store can't be written.
    fn withdraw(&self, sweep: &SweepId) -> Result<bool, StoreError>;

    /// The sweeps that are the daemon's and not over, in the order they were given.
    ///
    /// # Errors
    /// When the store can't be read.
    fn submitted_to_daemon(&self) -> Result<Vec<SubmittedSweep>, StoreError>;
}
