use super::{Database, SqlStore, events};
use crate::domain::{Event, SweepId, SweepRow};
use crate::store::{NoticeStore, NotificationKind, StoreError};

const SWEEPS: &str = "
    SELECT id, name, started_at_ns, finished_at_ns, farmctl_version, state FROM sweeps
    WHERE is_told = 0 AND state IN ('finished', 'cancelled') ORDER BY finished_at_ns";

const QUARANTINES: &str = "
    SELECT e.sequence, e.event FROM events e
    WHERE e.kind = 'device_quarantined' AND e.is_news = 1 AND e.sequence > (SELECT quarantines_until FROM told)
      AND coalesce((SELECT p.kind FROM events p
                    WHERE p.device = e.device AND p.sequence < e.sequence
                      AND p.kind IN ('device_quarantined', 'device_released')
                    ORDER BY p.sequence DESC LIMIT 1), 'device_released') = 'device_released'
    ORDER BY e.sequence";

const CHECKS: &str = "
    SELECT sequence, event FROM events
    WHERE kind = 'schedule_checked' AND is_news = 1 AND sequence > (SELECT checks_until FROM told)
    ORDER BY sequence";

const CLOCK: &str = "
    SELECT sequence, event FROM events
    WHERE kind IN ('clock_jumped', 'clock_believed') AND is_news = 1 AND sequence > (SELECT clock_until FROM told)
    ORDER BY sequence";

const REGRESSIONS: &str = "
    SELECT sequence, event FROM events
    WHERE kind = 'sweep_compared' AND is_news = 1 AND sequence > (SELECT regressions_until FROM told)
    ORDER BY sequence";

const MARK_QUARANTINES: &str =
    "UPDATE told SET quarantines_until = CASE WHEN quarantines_until < ?1 THEN ?1 ELSE quarantines_until END";
const MARK_CHECKS: &str = "UPDATE told SET checks_until = CASE WHEN checks_until < ?1 THEN ?1 ELSE checks_until END";
const MARK_CLOCK: &str = "UPDATE told SET clock_until = CASE WHEN clock_until < ?1 THEN ?1 ELSE clock_until END";
const MARK_REGRESSIONS: &str =
    "UPDATE told SET regressions_until = CASE WHEN regressions_until < ?1 THEN ?1 ELSE regressions_until END";

impl<D: Database> NoticeStore for SqlStore<D> {
    fn pending_sweeps(&self) -> Result<Vec<SweepRow>, StoreError> {
        self.list_sweeps(SWEEPS, [])
    }

    fn mark_sweep_notified(&self, sweep: &SweepId) -> Result<(), StoreError> {
        self.execute("note who was told", "UPDATE sweeps SET is_told = 1 WHERE id = ?1", [&sweep.0]).map(drop)
    }

    fn pending(&self, kind: NotificationKind) -> Result<Vec<(u64, Event)>, StoreError> {
        let sql = match kind {
            NotificationKind::Quarantines => QUARANTINES,
            NotificationKind::Checks => CHECKS,
            NotificationKind::Clock => CLOCK,
            NotificationKind::Regressions => REGRESSIONS,
        };
        events::numbered(self, sql, [])
    }

    fn mark_notified(&self, kind: NotificationKind, until: u64) -> Result<(), StoreError> {
        let until = i64::try_from(until).unwrap_or(i64::MAX);
        let sql = match kind {
            NotificationKind::Quarantines => MARK_QUARANTINES,
            NotificationKind::Checks => MARK_CHECKS,
            NotificationKind::Clock => MARK_CLOCK,
            NotificationKind::Regressions => MARK_REGRESSIONS,
        };
        self.execute("note who was told", sql, [until]).map(drop)
    }
}
