use super::StoreError;
use crate::domain::{Event, SweepId, SweepRow};

/// Events that people are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotificationKind {
    /// A device came into quarantine. What only prolongs a quarantine is no news.
    Quarantines,
    /// The checks before a sweep found devices unfit.
    Checks,
    /// The clock of the host jumped, or is believed again.
    Clock,
    /// Cells of a schedule got slower, or do so no more.
    Regressions,
}

impl NotificationKind {
    /// All of them.
    pub const ALL: [NotificationKind; 4] = [
        NotificationKind::Quarantines,
        NotificationKind::Checks,
        NotificationKind::Clock,
        NotificationKind::Regressions,
    ];
}

/// Who was told of what. Whatever is told is marked afterwards: a process that is killed in between tells it again.
pub trait NoticeStore {
    /// The sweeps that are over and of which nobody was told, the oldest first.
    ///
    /// # Errors
    /// When the store can't be read.
    fn pending_sweeps(&self) -> Result<Vec<SweepRow>, StoreError>;

    /// Notes that people were told of the end of a sweep.
    ///
    /// # Errors
    /// When the store can't be written.
    fn mark_sweep_notified(&self, sweep: &SweepId) -> Result<(), StoreError>;

    /// The events of which nobody was told, the oldest first, each with its number.
    ///
    /// # Errors
    /// When the store can't be read.
    fn pending(&self, kind: NotificationKind) -> Result<Vec<(u64, Event)>, StoreError>;

    /// Notes that people were told of all such events up to the one of this number.
    ///
    /// # Errors
    /// When the store can't be written.
    fn mark_notified(&self, kind: NotificationKind, until: u64) -> Result<(), StoreError>;
}
