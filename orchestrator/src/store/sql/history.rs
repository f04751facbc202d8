use jiff::Timestamp;

use super::value::{Row, named_params, params};
use super::{Database, Outcome, SqlStore, corrupt, from_json, nanoseconds, run_history, timestamp};
use crate::domain::{Event, EventKind, FailureKind, IdleTemperature, LinkHistory, Pace, PastCheck, PastRun, RunStatus};
use crate::store::{AttemptEnd, HistoryStore, PastAttempt, PastRuns, StoreError};

/// Why it failed is the record's to say, or that of the attempt that was given back; not where its host gave it up.
const ATTEMPTS: &str = "
    SELECT device, claimed_at_ns, until_ns, status, failure FROM (
        SELECT j.device, r.claimed_at_ns, c.status,
               coalesce(r.ended_at_ns, c.finished_at_ns, r.lease_until_ns) AS until_ns,
               CASE WHEN c.status = 'failed' THEN c.failure_kind
                    WHEN r.state = 'given_back' AND r.counts = 1 THEN r.failure_kind END AS failure
        FROM runs r JOIN jobs j ON j.sweep_id = r.sweep_id AND j.job_id = r.job_id
        LEFT JOIN records c ON c.run_id = r.id
        WHERE r.ended_at_ns > ?1 OR r.ended_at_ns IS NULL) AS attempts
    WHERE until_ns > ?1 ORDER BY claimed_at_ns";

/// The index `availability` has all that this asks for, but the events themselves.
const AVAILABILITY: &str = "
    WITH known AS (
        SELECT sequence, device, kind, at_ns FROM events
        WHERE device IS NOT NULL
          AND kind IN ('device_locked', 'device_unlocked', 'device_quarantined', 'device_released'))
    SELECT event FROM events
    WHERE sequence IN (SELECT sequence FROM known WHERE at_ns >= ?1
                       UNION ALL SELECT max(sequence) FROM known WHERE at_ns < ?1 GROUP BY device, kind)
    ORDER BY sequence";

const CHECKS: &str = "
    SELECT event FROM events WHERE device = ?1 AND kind = 'device_checked'
    ORDER BY sequence DESC LIMIT ?2";

const PACES: &str = "
    SELECT event FROM events WHERE device = ?1 AND kind = 'device_calibrated'
    ORDER BY sequence DESC LIMIT ?2";

const NOTE_IDLE: &str = "
    INSERT INTO idle_temperatures (device, day, at_ns, sensor, temp_mc)
    VALUES (:device, :day, :at_ns, :sensor, :temp_mc)
    ON CONFLICT (device, day) DO UPDATE SET at_ns = :at_ns, sensor = :sensor, temp_mc = :temp_mc
        WHERE :temp_mc < idle_temperatures.temp_mc";

const IDLE: &str = "
    SELECT at_ns, sensor, temp_mc FROM idle_temperatures WHERE device = ?1 AND day >= ?2 AND at_ns >= ?3 ORDER BY day";

const DAY_SECONDS: i64 = 24 * 60 * 60;
/// Days that are kept of each device.
const IDLE_DAYS: i64 = 31;

/// Each kind of event by an index of its own.
const LINK: &str = "
    SELECT event FROM (
        SELECT * FROM (SELECT sequence, event, at_ns FROM events
                       WHERE device = ?1 AND kind = 'device_reconnecting' ORDER BY sequence DESC LIMIT ?3) AS broken
        UNION ALL
        SELECT * FROM (SELECT sequence, event, at_ns FROM events
                       WHERE device = ?1 AND kind = 'push_finished' ORDER BY sequence DESC LIMIT ?3) AS pushed
        ORDER BY sequence DESC LIMIT ?3) AS newest
    WHERE at_ns >= ?2
    ORDER BY sequence DESC";

/// Of smaller files the answer's way takes most of the time.
const LEAST_PUSH_BYTES: u64 = 1_000_000;

impl<D: Database> HistoryStore for SqlStore<D> {
    fn attempt_history(&self, since: Timestamp) -> Result<Vec<PastAttempt>, StoreError> {
        let rows = self.query("list attempts", ATTEMPTS, [nanoseconds(since)], AttemptRow::read)?;
        rows.into_iter().map(AttemptRow::attempt).collect()
    }

    fn availability_events(&self, since: Timestamp) -> Result<Vec<Event>, StoreError> {
        let events =
            self.query("list events of devices", AVAILABILITY, [nanoseconds(since)], |row| row.get::<String>(0))?;
        events.iter().map(|json| from_json("an event", json)).collect()
    }

    fn note_idle_temperature(&self, device: &str, idle: &IdleTemperature) -> Result<(), StoreError> {
        let day = day(idle.at);
        self.transaction("note how cool a device is", |transaction| {
            transaction.execute(
                NOTE_IDLE,
                named_params! {
                    ":device": device, ":day": day, ":at_ns": nanoseconds(idle.at), ":sensor": idle.sensor,
                    ":temp_mc": temp_mc(idle.celsius),
                },
            )?;
            let sql = "DELETE FROM idle_temperatures WHERE device = ?1 AND day < ?2";
            transaction.execute(sql, params![device, day - IDLE_DAYS]).map(drop)
        })
    }

    fn idle_temperatures(&self, device: &str, since: Timestamp) -> Result<Vec<IdleTemperature>, StoreError> {
        let parameters = params![device, day(since), nanoseconds(since)];
        let rows = self.query("list how cool a device was", IDLE, parameters, |row| {
            let (sensor, temp_mc): (_, i64) = (row.get(1)?, row.get(2)?);
            Ok(timestamp(row.get(0)?).map(|at| IdleTemperature { at, sensor, celsius: temp_mc as f64 / 1e3 }))
        })?;
        rows.into_iter().collect()
    }

    fn link_history(&self, device: &str, since: Timestamp, limit: u32) -> Result<LinkHistory, StoreError> {
        let parameters = params![device, nanoseconds(since), limit];
        let read = |row: &Row<'_>| row.get::<String>(0);
        let events = self.query("look up how a device was reached", LINK, parameters, read)?;
        let mut link = LinkHistory::default();
        for json in &events {
            match from_json::<Event>("an event", json)?.kind {
                EventKind::DeviceReconnecting { .. } => link.broke += 1,
                EventKind::PushFinished { sent_bytes, duration_ns, .. } => {
                    link.push_bytes_per_s.extend(push_bytes_per_s(sent_bytes, duration_ns));
                }
                _ => return Err(corrupt("how a device was reached", &"it is another event")),
            }
        }
        Ok(link)
    }

    fn device_checks(&self, device: &str, limit: u32) -> Result<Vec<PastCheck>, StoreError> {
        let events = self.query("list checks", CHECKS, params![device, limit], |row| row.get::<String>(0))?;
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
        let events = self.query("list paces", PACES, params![device, limit], |row| row.get::<String>(0))?;
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

/// How fast a file went; `None` of one that says nothing of it.
fn push_bytes_per_s(sent_bytes: u64, duration_ns: u64) -> Option<f64> {
    (sent_bytes >= LEAST_PUSH_BYTES && duration_ns > 0).then(|| sent_bytes as f64 / duration_ns as f64 * 1e9)
}

/// Thousandths of a degree: all columns are whole numbers.
fn temp_mc(celsius: f64) -> i64 {
    (celsius * 1e3).round() as i64
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
    fn read(row: &Row<'_>) -> Outcome<AttemptRow> {
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
