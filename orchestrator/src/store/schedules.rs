use jiff::Timestamp;

use super::StoreError;
use crate::domain::{Event, SchedulePause, ScheduledStart, SweepId, SweepState};

/// A sweep of a schedule that is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The sweep.
    pub sweep_id: SweepId,
    /// When it was due.
    pub due_at: Timestamp,
    /// What it is.
    pub state: SweepState,
}

/// Schedules: what became of each due time. A sweep and its due time are settled in one transaction, by
/// [`SweepStore::create_sweep`](super::SweepStore::create_sweep).
pub trait ScheduleStore {
    /// Until when all due times of a schedule are settled. One that is new, or has another rule than before, is settled
    /// until `now`: what its rule would have meant before is nothing that was missed. It is never later than `now`:
    /// what is to come is not settled, whatever a clock said before. A due time that was begun is not begun again.
    ///
    /// # Errors
    /// When the store can't be written.
    fn settled_until(&self, schedule: &str, rule: &str, now: Timestamp) -> Result<Timestamp, StoreError>;

    /// Settles due times, in one transaction: each waits to be begun, or is left out for a reason. One that waits may
    /// be left out later; whatever else is settled stays.
    ///
    /// # Errors
    /// When the store can't be written.
    fn settle_due(&self, schedule: &str, due: &[(Timestamp, Option<String>)], now: Timestamp)
    -> Result<(), StoreError>;

    /// The due times of a schedule that wait to be begun, oldest first.
    ///
    /// # Errors
    /// When the store can't be read.
    fn waiting_starts(&self, schedule: &str) -> Result<Vec<Timestamp>, StoreError>;

    /// The sweeps of a schedule that are not over, oldest first.
    ///
    /// # Errors
    /// When the store can't be read.
    fn unfinished_sweeps(&self, schedule: &str) -> Result<Vec<Unfinished>, StoreError>;

    /// Pauses a schedule, and appends the event of it in the same transaction; returns whether it was not paused
    /// before. Who has paused it first stays the one.
    ///
    /// # Errors
    /// When the store can't be written.
    fn pause_schedule(&self, pause: &SchedulePause, event: &Event) -> Result<bool, StoreError>;

    /// Resumes a schedule, with its event; returns whether it was paused.
    ///
    /// # Errors
    /// When the store can't be written.
    fn resume_schedule(&self, schedule: &str, event: &Event) -> Result<bool, StoreError>;

    /// The schedules that are paused, by name.
    ///
    /// # Errors
    /// When the store can't be read.
    fn schedule_pauses(&self) -> Result<Vec<SchedulePause>, StoreError>;

    /// What became of due times, and the sweeps that people began by a schedule, the newest first, at most `limit`; of
    /// one schedule, when it is given.
    ///
    /// # Errors
    /// When the store can't be read.
    fn scheduled_starts(&self, schedule: Option<&str>, limit: u32) -> Result<Vec<ScheduledStart>, StoreError>;
}
