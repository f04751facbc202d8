use jiff::Timestamp;

use super::StoreError;
use crate::domain::{BelievedClock, Event};

/// What is known of the host's clock over restarts.
pub trait ClockStore {
    /// The last look at a clock that was believed.
    ///
    /// # Errors
    /// When the store can't be read.
    fn believed_clock(&self) -> Result<Option<BelievedClock>, StoreError>;

    /// When events behind the one of this number were written, the earliest first: each begin of a sweep, and the
    /// newest of all.
    ///
    /// # Errors
    /// When the store can't be read.
    fn event_times(&self, after: u64) -> Result<Vec<Timestamp>, StoreError>;

    /// Keeps a look at a clock that is believed, with the event of why, where there is one, in one transaction.
    ///
    /// # Errors
    /// When the store can't be written.
    fn believe_clock(&self, believed: &BelievedClock, event: Option<&Event>) -> Result<(), StoreError>;
}
