use jiff::Timestamp;
use rusqlite::{Row, params};

use super::{SqliteStore, corrupt, from_json, nanoseconds, timestamp};
use crate::domain::{Event, EventKind, FailureKind, PastCheck, RunStatus};
use crate::store::{AttemptEnd, HistoryStore, PastAttempt, StoreError};

/// Why it failed is the record's to say, or that of the attempt that was given back; not where its host gave it up.
const ATTEMPTS: &str = "
    SELECT device, claimed_at_ns, until_ns, status, failure FROM (
        SELECT j.device, r.claimed_at_ns, c.status,
               coalesce(r.ended_at_ns, c.finished_at_ns, r.lease_until_ns) AS until_ns,
               CASE WHEN c.status = 'failed' THEN c.record ->> '$.failure.kind'
                    WHEN r.state = 'given_back' AND r.counts THEN r.failure ->> '$.kind' END AS failure
        FROM runs r JOIN jobs j ON j.sweep_id = r.sweep_id AND j.job_id = r.job_id
        LEFT JOIN records c ON c.run_id = r.id
        WHERE r.ended_at_ns > ?1 OR r.ended_at_ns IS NULL)
    WHERE until_ns > ?1 ORDER BY claimed_at_ns";

/// The index `availability` has all that this asks for, but the events themselves.
const AVAILABILITY: &str = "
    WITH known AS (
        SELECT sequence, device, event ->> '$.event' AS kind, at_ns FROM events
        WHERE device IS NOT NULL
          AND event ->> '$.event' IN ('device_locked', 'device_unlocked', 'device_quarantined', 'device_released'))
    SELECT event FROM events
    WHERE sequence IN (SELECT sequence FROM known WHERE at_ns >= ?1
                       UNION ALL SELECT max(sequence) FROM known WHERE at_ns < ?1 GROUP BY device, kind)
    ORDER BY sequence";

const CHECKS: &str = "
    SELECT event FROM events WHERE device = ?1 AND event ->> '$.event' = 'device_checked'
    ORDER BY sequence DESC LIMIT ?2";

impl HistoryStore for SqliteStore {
    fn attempt_history(&self, since: Timestamp) -> Result<Vec<PastAttempt>, StoreError> {
        let rows = self.query("list attempts", ATTEMPTS, [nanoseconds(since)], AttemptRow::read)?;
        rows.into_iter().map(AttemptRow::attempt).collect()
    }

    fn availability_events(&self, since: Timestamp) -> Result<Vec<Event>, StoreError> {
        let events =
            self.query("list events of devices", AVAILABILITY, [nanoseconds(since)], |row| row.get::<_, String>(0))?;
        events.iter().map(|json| from_json("an event", json)).collect()
    }

    fn device_checks(&self, device: &str, limit: u32) -> Result<Vec<PastCheck>, StoreError> {
        let events = self.query("list checks", CHECKS, params![device, limit], |row| row.get::<_, String>(0))?;
        let checks = events.iter().rev().map(|json| {
            let event: Event = from_json("an event", json)?;
            match event.kind {
                EventKind::DeviceChecked(check) => Ok(PastCheck { at: event.at, check: *check }),
                _ => Err(corrupt("a check", &"it is another event")),
            }
        });
        checks.collect()
    }
}

/// An attempt as the database has it.
struct AttemptRow {
    device: String,
    from_ns: i64,
    until_ns: i64,
    status: Option<String>,
    failure: Option<String>,
}

impl AttemptRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<AttemptRow> {
        Ok(AttemptRow {
            device: row.get(0)?,
            from_ns: row.get(1)?,
            until_ns: row.get(2)?,
            status: row.get(3)?,
            failure: row.get(4)?,
        })
    }

    fn attempt(self) -> Result<PastAttempt, StoreError> {
        let end = match self.failure {
            Some(word) => AttemptEnd::Failed(kind(&word)?),
            None if self.status.as_deref() == Some(RunStatus::Ok.as_str()) => AttemptEnd::Ok,
            None => AttemptEnd::Other,
        };
        let (from, until) = (timestamp(self.from_ns)?, timestamp(self.until_ns)?);
        Ok(PastAttempt { device: self.device, from, until, end })
    }
}

fn kind(word: &str) -> Result<FailureKind, StoreError> {
    let known = FailureKind::ALL.iter().find(|kind| kind.as_str() == word);
    known.copied().ok_or_else(|| corrupt("the kind of a failure", &word))
}
