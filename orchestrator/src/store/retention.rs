use std::collections::BTreeSet;

use jiff::Timestamp;

use super::StoreError;
use crate::domain::{Event, SweepId};

/// What is kept for how long: pins, and taking out what is old.
pub trait RetentionStore {
    /// Keeps a sweep, whatever the rules say, with the event of it; returns whether that is new. Done again, the first
    /// word counts.
    ///
    /// # Errors
    /// When there is no such sweep, or the store can't be written.
    fn pin_sweep(&self, sweep: &SweepId, by: &str, event: &Event) -> Result<bool, StoreError>;

    /// Lets the rules hold for a sweep again, with the event of it; returns whether it was pinned.
    ///
    /// # Errors
    /// When the store can't be written.
    fn unpin_sweep(&self, sweep: &SweepId, event: &Event) -> Result<bool, StoreError>;

    /// The sweeps that are pinned, and by whom; those that are baselines too.
    ///
    /// # Errors
    /// When the store can't be read.
    fn pinned_sweeps(&self) -> Result<Vec<(SweepId, String)>, StoreError>;

    /// Bytes of the records of each sweep that has some.
    ///
    /// # Errors
    /// When the store can't be read.
    fn sweep_bytes(&self) -> Result<Vec<(SweepId, u64)>, StoreError>;

    /// Takes out a sweep with all that belongs to it, in one transaction; returns whether it did: one that is not over,
    /// or is pinned or a baseline, stays. Who began it, and who cancelled it, stays in the audit.
    ///
    /// # Errors
    /// When the store can't be written.
    fn remove_sweep(&self, sweep: &SweepId) -> Result<bool, StoreError>;

    /// How many events are older than this, of devices and of sweeps that are over and not pinned nor baselines.
    ///
    /// # Errors
    /// When the store can't be read.
    fn old_events(&self, before: Timestamp) -> Result<u64, StoreError>;

    /// Takes those events out; returns how many.
    ///
    /// # Errors
    /// When the store can't be written.
    fn remove_old_events(&self, before: Timestamp) -> Result<u64, StoreError>;

    /// Hashes of the outputs that records name.
    ///
    /// # Errors
    /// When the store can't be read.
    fn outputs_named(&self) -> Result<BTreeSet<String>, StoreError>;
}
