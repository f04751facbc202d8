use jiff::Timestamp;
use rusqlite::{Row, named_params, params};

use super::{SqliteStore, corrupt, from_json, nanoseconds, run_history, timestamp};
use crate::domain::{Event, EventKind, FailureKind, IdleTemperature, LinkHistory, Pace, PastCheck, PastRun, RunStatus};
use crate::store::{AttemptEnd, HistoryStore, PastAttempt, PastRuns, StoreError};

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

const PACES: &str = "
    SELECT event FROM events WHERE device = ?1 AND event ->> '$.event' = 'device_calibrated'
    ORDER BY sequence DESC LIMIT ?2";

const NOTE_IDLE: &str = "
    INSERT INTO idle_temperatures (device, day, at_ns, sensor, celsius)
    VALUES (:device, :day, :at_ns, :sensor, :celsius)
    ON CONFLICT (device, day) DO UPDATE SET at_ns = :at_ns, sensor = :sensor, celsius = :celsius
        WHERE :celsius < celsius";

const IDLE: &str = "
    SELECT at_ns, sensor, celsius FROM idle_temperatures WHERE device = ?1 AND day >= ?2 AND at_ns >= ?3 ORDER BY day";

const DAY_SECONDS: i64 = 24 * 60 * 60;
/// Days that are kept of each device.
const IDLE_DAYS: i64 = 31;

/// The index `device_links` has the events that this asks for.
const LINK: &str = "
    SELECT event ->> '$.event' = 'device_reconnecting', event ->> '$.sent_bytes', event ->> '$.duration_ns'
    FROM (SELECT event, at_ns FROM events INDEXED BY device_links
          WHERE device = ?1 AND device IS NOT NULL
            AND event ->> '$.event' IN ('device_reconnecting', 'push_finished')
          ORDER BY sequence DESC LIMIT ?3)
    WHERE at_ns >= ?2";

/// Of smaller files the answer's way takes most of the time.
const LEAST_PUSH_BYTES: f64 = 1e6;

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

    fn note_idle_temperature(&self, device: &str, idle: &IdleTemperature) -> Result<(), StoreError> {
        let day = day(idle.at);
        self.transaction("note how cool a device is", |transaction| {
            transaction.prepare_cached(NOTE_IDLE)?.execute(named_params! {
                ":device": device, ":day": day, ":at_ns": nanoseconds(idle.at), ":sensor": idle.sensor,
                ":celsius": idle.celsius,
            })?;
            let sql = "DELETE FROM idle_temperatures WHERE device = ?1 AND day < ?2";
            transaction.prepare_cached(sql)?.execute(params![device, day - IDLE_DAYS]).map(drop)
        })
    }

    fn idle_temperatures(&self, device: &str, since: Timestamp) -> Result<Vec<IdleTemperature>, StoreError> {
        let parameters = params![device, day(since), nanoseconds(since)];
        let rows = self.query("list how cool a device was", IDLE, parameters, |row| {
            let (sensor, celsius) = (row.get(1)?, row.get(2)?);
            Ok(timestamp(row.get(0)?).map(|at| IdleTemperature { at, sensor, celsius }))
        })?;
        rows.into_iter().collect()
    }

    fn link_history(&self, device: &str, since: Timestamp, limit: u32) -> Result<LinkHistory, StoreError> {
        let read = |row: &Row<'_>| Ok((row.get::<_, bool>(0)?, row.get::<_, Option<f64>>(1)?, row.get(2)?));
        let rows =
            self.query("look up how a device was reached", LINK, params![device, nanoseconds(since), limit], read)?;
        let speed = |(_, sent_bytes, duration_ns): &(bool, Option<f64>, Option<f64>)| {
            let (sent_bytes, duration_ns) = ((*sent_bytes)?, (*duration_ns)?);
            (sent_bytes >= LEAST_PUSH_BYTES && duration_ns > 0.0).then(|| sent_bytes / duration_ns * 1e9)
        };
        Ok(LinkHistory {
            broke: rows.iter().filter(|row| row.0).count(),
            push_bytes_per_s: rows.iter().filter_map(speed).collect(),
        })
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

    fn device_paces(&self, device: &str, limit: u32) -> Result<Vec<Pace>, StoreError> {
        let events = self.query("list paces", PACES, params![device, limit], |row| row.get::<_, String>(0))?;
        let paces = events.iter().rev().map(|json| match from_json::<Event>("an event", json)?.kind {
            EventKind::DeviceCalibrated(pace) => Ok(*pace),
            _ => Err(corrupt("a pace", &"it is another event")),
        });
        paces.collect()
    }

    fn past_runs(&self, wanted: PastRuns<'_>) -> Result<Vec<PastRun>, StoreError> {
        run_history::past_runs(self, wanted)
    }

    fn past_runs_of_device(&self, device: &str, limit: u32) -> Result<Vec<PastRun>, StoreError> {
        run_history::past_runs_of_device(self, device, limit)
    }

    fn models_run(&self) -> Result<Vec<String>, StoreError> {
        run_history::models_run(self)
    }
}

/// The day in UTC, since 1970.
fn day(at: Timestamp) -> i64 {
    at.as_second().div_euclid(DAY_SECONDS)
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
