use super::StoreError;
use crate::domain::{Baseline, Event, SweepId};

/// Sweeps that others are compared with, by their names.
pub trait BaselineStore {
    /// Gives a name to a sweep, with the event of it; returns the sweep that had it before. Done again for the same
    /// sweep, the first word counts, and there is no event.
    ///
    /// # Errors
    /// When there is no such sweep, or the store can't be written.
    fn set_baseline(&self, baseline: &Baseline, event: &Event) -> Result<Option<SweepId>, StoreError>;

    /// Takes a name away, with the event of it; returns whether there was one.
    ///
    /// # Errors
    /// When the store can't be written.
    fn unset_baseline(&self, name: &str, event: &Event) -> Result<bool, StoreError>;

    /// Every baseline, by name.
    ///
    /// # Errors
    /// When the store can't be read.
    fn baselines(&self) -> Result<Vec<Baseline>, StoreError>;
}
