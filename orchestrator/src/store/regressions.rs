use super::StoreError;
use crate::domain::{Event, Regression, SweepId};

/// A sweep of a schedule that is over and was not compared with others yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueComparison {
    /// The sweep.
    pub sweep: SweepId,
    /// The schedule.
    pub schedule: String,
}

/// What got slower.
pub trait RegressionStore {
    /// The sweeps that are to be compared, in the order in which they ended.
    ///
    /// # Errors
    /// When the store can't be read.
    fn due_comparisons(&self) -> Result<Vec<DueComparison>, StoreError>;

    /// Keeps what the comparison of a sweep found, new and changed, with its event; it is due no more. What a person
    /// acknowledged meanwhile stays so. Returns whether it was due: when another process was faster, nothing is kept.
    ///
    /// # Errors
    /// When the store can't be written.
    fn keep_comparison(&self, sweep: &SweepId, regressions: &[Regression], event: &Event) -> Result<bool, StoreError>;

    /// Takes a sweep for compared, since nobody asks for it.
    ///
    /// # Errors
    /// When the store can't be written.
    fn leave_comparison(&self, sweep: &SweepId) -> Result<(), StoreError>;

    /// What got slower, the newest first; without what is over, where only that is asked for.
    ///
    /// # Errors
    /// When the store can't be read.
    fn regressions(&self, only_open: bool) -> Result<Vec<Regression>, StoreError>;

    /// Keeps that a person acknowledged one that is open, with the event of it; returns whether it was open.
    ///
    /// # Errors
    /// When the store can't be written.
    fn acknowledge_regression(&self, regression: &Regression, event: &Event) -> Result<bool, StoreError>;
}
