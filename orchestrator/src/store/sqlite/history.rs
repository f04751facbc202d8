use jiff::Timestamp;
use rusqlite::params;

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
        LEFT JOIN records c ON c.run_id = r.id)
    WHERE until_ns > ?1 ORDER BY claimed_at_ns";

const AVAILABILITY: &str = "
    SELECT event FROM events
    WHERE device IS NOT NULL
      AND event ->> '$.event' IN ('device_locked', 'device_unlocked', 'device_quarantined', 'device_released')
    ORDER BY sequence";

const CHECKS: &str = "
    SELECT event FROM events WHERE device = ?1 AND event ->> '$.event' = 'device_checked'
    ORDER BY sequence DESC LIMIT ?2";

impl HistoryStore for SqliteStore {
    fn attempt_history(&self, since: Timestamp) -> Result<Vec<PastAttempt>, StoreError> {
        let rows = self.query("list attempts", ATTEMPTS, [nanoseconds(since)], |row| {
            let (device, from_ns, until_ns): (String, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok((device, from_ns, until_ns, row.get::<_, Option<String>>(3)?, row.get::<_, Option<String>>(4)?))
        })?;
        let attempts = rows.into_iter().map(|(device, from_ns, until_ns, status, failure)| {
            let end = match failure {
                Some(word) => AttemptEnd::Failed(kind(&word)?),
                None if status.as_deref() == Some(RunStatus::Ok.as_str()) => AttemptEnd::Ok,
                None => AttemptEnd::Other,
            };
            Ok(PastAttempt { device, from: timestamp(from_ns)?, until: timestamp(until_ns)?, end })
        });
        attempts.collect()
    }

    fn availability_events(&self) -> Result<Vec<Event>, StoreError> {
        let events = self.query("list events of devices", AVAILABILITY, [], |row| row.get::<_, String>(0))?;
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

fn kind(word: &str) -> Result<FailureKind, StoreError> {
    let known = FailureKind::ALL.iter().find(|kind| kind.as_str() == word);
    known.copied().ok_or_else(|| corrupt("the kind of a failure", &word))
}
