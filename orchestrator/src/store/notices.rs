use super::StoreError;
use crate::domain::{Event, SweepId, SweepRow};

/// Who was told of what. Whatever is told is marked afterwards: a process that is killed in between tells it again.
pub trait NoticeStore {
    /// The sweeps that are over and of which nobody was told, the oldest first.
    ///
    /// # Errors
    /// When the store can't be read.
    fn untold_sweeps(&self) -> Result<Vec<SweepRow>, StoreError>;

    /// Notes that people were told of the end of a sweep.
    ///
    /// # Errors
    /// When the store can't be written.
    fn sweep_told(&self, sweep: &SweepId) -> Result<(), StoreError>;

    /// The events by which devices came into quarantine and of which nobody was told, the oldest first, each with its
    /// number. One that only prolongs a quarantine is not among them.
    ///
    /// # Errors
    /// When the store can't be read.
    fn untold_quarantines(&self) -> Result<Vec<(u64, Event)>, StoreError>;

    /// Notes that people were told of all quarantines up to the event of this number.
    ///
    /// # Errors
    /// When the store can't be written.
    fn quarantines_told(&self, until: u64) -> Result<(), StoreError>;

    /// The events of checks before sweeps that found devices unfit, and of which nobody was told, the oldest first, each
    /// with its number.
    ///
    /// # Errors
    /// When the store can't be read.
    fn untold_checks(&self) -> Result<Vec<(u64, Event)>, StoreError>;

    /// Notes that people were told of all such checks up to the event of this number.
    ///
    /// # Errors
    /// When the store can't be written.
    fn checks_told(&self, until: u64) -> Result<(), StoreError>;
}
