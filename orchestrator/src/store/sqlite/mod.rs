//! The store in one SQLite file: needs no server, and is safe with several processes on one machine.
//!
//! Main type: [`SqliteStore`]. One connection behind a mutex: SQLite has one writer at a time anyway, and a statement
//! takes microseconds where a run takes seconds. Never keeps anything in memory that the file does not have.

mod connection;
mod device_changes;
mod schema;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Params, Row, Transaction, TransactionBehavior, named_params, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ClaimedRun, Store, StoreError, run_id};
use crate::domain::{
    DeviceChange, DeviceIdentity, Event, Job, JobId, OpenChange, Plan, Record, RunId, RunStatus, SweepId, SweepRow,
};

/// A store in an SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    connection: Mutex<Connection>,
}

/// Makes the next attempt of the first job that has neither a record nor a live lease. The epoch counts over all
/// attempts of the job, so of two holders only the later one has the highest.
const CLAIM: &str = "
    INSERT INTO runs (id, sweep_id, job_id, attempt, claimed_at_ns, lease_epoch, lease_holder, lease_until_ns)
    SELECT j.run_prefix || (1 + coalesce(max(r.attempt), 0)), j.sweep_id, j.job_id, 1 + coalesce(max(r.attempt), 0),
           :now_ns, 1 + coalesce(max(r.lease_epoch), 0), :holder, :until_ns
    FROM jobs j LEFT JOIN runs r ON r.sweep_id = j.sweep_id AND r.job_id = j.job_id
    WHERE j.sweep_id = :sweep AND j.device = :device AND j.position = (
        SELECT o.position FROM jobs o
        WHERE o.sweep_id = :sweep AND o.device = :device AND o.has_record = 0
          AND NOT EXISTS (SELECT 1 FROM runs l
                          WHERE l.sweep_id = o.sweep_id AND l.job_id = o.job_id AND l.lease_until_ns > :now_ns)
        ORDER BY o.position LIMIT 1)
    GROUP BY j.sweep_id, j.job_id
    RETURNING id, job_id, attempt, lease_epoch";

const HEARTBEAT: &str = "
    UPDATE runs AS r SET lease_until_ns = :until_ns
    WHERE r.id = :run AND r.lease_epoch = :epoch
      AND NOT EXISTS (SELECT 1 FROM runs n
                      WHERE n.sweep_id = r.sweep_id AND n.job_id = r.job_id AND n.lease_epoch > r.lease_epoch)
      AND NOT EXISTS (SELECT 1 FROM records c WHERE c.sweep_id = r.sweep_id AND c.job_id = r.job_id)";

const FINISH: &str = "
    INSERT INTO records (sweep_id, job_id, run_id, status, finished_at_ns, duration_ns, record)
    SELECT r.sweep_id, r.job_id, r.id, :status, :finished_ns, :duration_ns, :record
    FROM runs r
    WHERE r.id = :run AND r.sweep_id = :sweep AND r.job_id = :job AND r.lease_epoch = :epoch
      AND NOT EXISTS (SELECT 1 FROM runs n
                      WHERE n.sweep_id = r.sweep_id AND n.job_id = r.job_id AND n.lease_epoch > r.lease_epoch)
      AND NOT EXISTS (SELECT 1 FROM records c WHERE c.sweep_id = r.sweep_id AND c.job_id = r.job_id)";

const ADD_RECORD: &str = "
    INSERT INTO records (sweep_id, job_id, run_id, status, finished_at_ns, duration_ns, record)
    SELECT :sweep, :job, :run, :status, :finished_ns, NULL, :record
    WHERE NOT EXISTS (SELECT 1 FROM records c WHERE c.sweep_id = :sweep AND c.job_id = :job)
      AND NOT EXISTS (SELECT 1 FROM runs l
                      WHERE l.sweep_id = :sweep AND l.job_id = :job AND l.lease_until_ns > :now_ns)";

const OPEN_JOBS: &str = "
    SELECT j.job FROM jobs j
    WHERE j.sweep_id = :sweep AND (:device IS NULL OR j.device = :device) AND j.has_record = 0
    ORDER BY j.position";

const FINISH_SWEEP: &str = "
    UPDATE sweeps SET finished_at_ns = coalesce(finished_at_ns, :now_ns)
    WHERE id = :sweep
      AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.sweep_id = :sweep AND j.has_record = 0)";

const RECORDS: &str = "
    SELECT c.record FROM records c LEFT JOIN jobs j ON j.sweep_id = c.sweep_id AND j.job_id = c.job_id
    WHERE c.sweep_id = ?1
    ORDER BY j.position IS NULL, j.position, c.sequence";

const PAST_DURATIONS: &str = "
    SELECT duration_ns FROM records
    WHERE job_id = ?1 AND duration_ns IS NOT NULL
    ORDER BY finished_at_ns DESC LIMIT ?2";

impl SqliteStore {
    /// Opens the file, and makes it and its folder when they aren't there.
    ///
    /// # Errors
    /// When the file is another program's, newer, damaged, or can't be written.
    pub fn open(path: &Path) -> Result<SqliteStore, StoreError> {
        let (path, connection) = connection::open(path)?;
        Ok(SqliteStore { path, connection: Mutex::new(connection) })
    }

    /// The connection. A thread that panicked while holding it has rolled back its transaction by being unwound.
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs one statement; returns how many rows it changed.
    fn execute(&self, action: &str, sql: &str, parameters: impl Params) -> Result<usize, StoreError> {
        let connection = self.connection();
        connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(parameters))
            .map_err(|error| connection::failure(action, &self.path, &error))
    }

    /// Runs one query.
    fn query<T>(
        &self,
        action: &str,
        sql: &str,
        parameters: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let connection = self.connection();
        connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_map(parameters, read)?.collect())
            .map_err(|error| connection::failure(action, &self.path, &error))
    }

    /// Runs `work` in one transaction that holds the write lock from its start.
    fn transaction<T>(
        &self,
        action: &str,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let mut connection = self.connection();
        connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .and_then(|transaction| {
                let result = work(&transaction)?;
                transaction.commit()?;
                Ok(result)
            })
            .map_err(|error| connection::failure(action, &self.path, &error))
    }

    fn has_sweep(&self, sweep: &SweepId) -> Result<bool, StoreError> {
        let found = self.query("look up a sweep", "SELECT 1 FROM sweeps WHERE id = ?1", [&sweep.0], |_| Ok(()))?;
        Ok(!found.is_empty())
    }
}

impl Store for SqliteStore {
    fn create_sweep(&self, sweep: &SweepRow, plan: &Plan) -> Result<(), StoreError> {
        let jobs = plan.jobs.iter().map(to_json).collect::<Result<Vec<_>, _>>()?;
        let added = self.transaction("add a sweep", |transaction| {
            let added = transaction.execute(
                "INSERT INTO sweeps (id, name, started_at_ns, finished_at_ns, farmctl_version)
                 VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
                params![
                    sweep.id.0,
                    sweep.name,
                    nanoseconds(sweep.started_at),
                    sweep.finished_at.map(nanoseconds),
                    sweep.farmctl_version
                ],
            )?;
            if added == 0 {
                return Ok(false);
            }
            let mut insert = transaction.prepare(
                "INSERT INTO jobs (sweep_id, job_id, position, device, run_prefix, job) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            for ((position, job), json) in (0i64..).zip(&plan.jobs).zip(&jobs) {
                let prefix = run_id::prefix(&sweep.id, &job.id);
                insert.execute(params![sweep.id.0, job.id.0, position, job.device, prefix, json])?;
            }
            Ok(true)
        })?;
        if added { Ok(()) } else { Err(StoreError::SweepExists { sweep: sweep.id.clone() }) }
    }

    fn claim(
        &self,
        sweep: &SweepId,
        device: &str,
        holder: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Option<ClaimedRun>, StoreError> {
        let claimed = self.transaction("claim a job", |transaction| {
            let claimed = transaction
                .prepare_cached(CLAIM)?
                .query_row(
                    named_params! {
                        ":sweep": sweep.0, ":device": device, ":holder": holder,
                        ":now_ns": nanoseconds(now), ":until_ns": deadline(now, lease),
                    },
                    |row| Ok((row.get(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get::<_, i64>(3)?)),
                )
                .optional()?;
            let Some((run_id, job_id, attempt, epoch)) = claimed else { return Ok(None) };
            let job: String = transaction
                .prepare_cached("SELECT job FROM jobs WHERE sweep_id = ?1 AND job_id = ?2")?
                .query_row([&sweep.0, &job_id], |row| row.get(0))?;
            Ok(Some((RunId(run_id), job, attempt, epoch.unsigned_abs())))
        })?;
        let Some((run_id, job, attempt, epoch)) = claimed else { return Ok(None) };
        Ok(Some(ClaimedRun { run_id, job: from_json("a job", &job)?, attempt, epoch }))
    }

    fn heartbeat(&self, run: &RunId, epoch: u64, lease: Duration, now: Timestamp) -> Result<(), StoreError> {
        let parameters =
            named_params! {":run": run.0, ":epoch": epoch_column(epoch), ":until_ns": deadline(now, lease)};
        let prolonged = self.execute("prolong a lease", HEARTBEAT, parameters)?;
        if prolonged == 1 { Ok(()) } else { Err(StoreError::StaleEpoch { run: run.clone(), epoch }) }
    }

    fn finish(&self, epoch: u64, record: &Record) -> Result<(), StoreError> {
        let run = run_of(record);
        let added = self.execute(
            "keep a record",
            FINISH,
            named_params! {
                ":sweep": record.sweep_id.0, ":job": record.job.id.0, ":run": run.0, ":epoch": epoch_column(epoch),
                ":status": record.status.as_str(), ":finished_ns": nanoseconds(record.finished_at),
                ":duration_ns": duration_column(record), ":record": to_json(record)?,
            },
        )?;
        if added == 1 { Ok(()) } else { Err(StoreError::StaleEpoch { run, epoch }) }
    }

    fn add_record(&self, record: &Record, now: Timestamp) -> Result<(), StoreError> {
        if !self.has_sweep(&record.sweep_id)? {
            return Err(StoreError::UnknownSweep { sweep: record.sweep_id.clone() });
        }
        let added = self.execute(
            "keep a record",
            ADD_RECORD,
            named_params! {
                ":sweep": record.sweep_id.0, ":job": record.job.id.0, ":run": record.run_id.as_ref().map(RunId::as_str),
                ":status": record.status.as_str(), ":finished_ns": nanoseconds(record.finished_at),
                ":record": to_json(record)?, ":now_ns": nanoseconds(now),
            },
        )?;
        if added == 1 { Ok(()) } else { Err(StoreError::StaleEpoch { run: run_of(record), epoch: 0 }) }
    }

    fn open_jobs(&self, sweep: &SweepId, device: Option<&str>) -> Result<Vec<Job>, StoreError> {
        let parameters = named_params! {":sweep": sweep.0, ":device": device};
        let jobs = self.query("list open jobs", OPEN_JOBS, parameters, |row| row.get::<_, String>(0))?;
        jobs.iter().map(|json| from_json("a job", json)).collect()
    }

    fn finish_sweep(&self, sweep: &SweepId, now: Timestamp) -> Result<bool, StoreError> {
        let parameters = named_params! {":sweep": sweep.0, ":now_ns": nanoseconds(now)};
        let finished = self.execute("finish a sweep", FINISH_SWEEP, parameters)? == 1;
        if !finished && !self.has_sweep(sweep)? {
            return Err(StoreError::UnknownSweep { sweep: sweep.clone() });
        }
        Ok(finished)
    }

    fn sweeps(&self) -> Result<Vec<SweepRow>, StoreError> {
        let sql = "SELECT id, name, started_at_ns, finished_at_ns, farmctl_version FROM sweeps
                   ORDER BY started_at_ns DESC, id DESC";
        let rows = self.query("list sweeps", sql, [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, Option<i64>>(3)?, row.get(4)?))
        })?;
        rows.into_iter()
            .map(|(id, name, started_at, finished_at, farmctl_version)| {
                let finished_at = finished_at.map(timestamp).transpose()?;
                Ok(SweepRow { id: SweepId(id), name, started_at: timestamp(started_at)?, finished_at, farmctl_version })
            })
            .collect()
    }

    fn records(&self, sweep: &SweepId) -> Result<Vec<Record>, StoreError> {
        let records = self.query("list records", RECORDS, [&sweep.0], |row| row.get::<_, String>(0))?;
        records.iter().map(|json| from_json("a record", json)).collect()
    }

    fn past_durations(&self, job: &JobId, limit: u32) -> Result<Vec<Duration>, StoreError> {
        let rows =
            self.query("look up past runs", PAST_DURATIONS, params![job.0, limit], |row| row.get::<_, i64>(0))?;
        Ok(rows.into_iter().map(|duration_ns| Duration::from_nanos(duration_ns.unsigned_abs())).collect())
    }

    fn append_event(&self, event: &Event) -> Result<(), StoreError> {
        let sql = "INSERT INTO events (sweep_id, at_ns, event) VALUES (?1, ?2, ?3)";
        let parameters = params![event.sweep_id.0, nanoseconds(event.at), to_json(event)?];
        self.execute("keep an event", sql, parameters).map(|_| ())
    }

    fn events(&self, sweep: &SweepId) -> Result<Vec<Event>, StoreError> {
        let sql = "SELECT event FROM events WHERE sweep_id = ?1 ORDER BY sequence";
        let events = self.query("list events", sql, [&sweep.0], |row| row.get::<_, String>(0))?;
        events.iter().map(|json| from_json("an event", json)).collect()
    }

    fn add_device_changes(&self, changes: &[DeviceChange]) -> Result<Vec<OpenChange>, StoreError> {
        self.add_changes(changes)
    }

    fn open_device_changes(&self, identity: Option<&DeviceIdentity>) -> Result<Vec<OpenChange>, StoreError> {
        self.open_changes(identity)
    }

    fn close_device_changes(&self, numbers: &[u64], now: Timestamp) -> Result<(), StoreError> {
        self.close_changes(numbers, now)
    }
}

/// The run a record is about; for one without a run, what its identifier would have been.
fn run_of(record: &Record) -> RunId {
    record.run_id.clone().unwrap_or_else(|| run_id::run_id(&record.sweep_id, &record.job.id, record.attempt))
}

/// Nanoseconds since 1970. A time outside the years 1677 to 2262 counts as the nearest inside.
fn nanoseconds(time: Timestamp) -> i64 {
    let nanoseconds = time.as_nanosecond();
    i64::try_from(nanoseconds).unwrap_or(if nanoseconds < 0 { i64::MIN } else { i64::MAX })
}

fn timestamp(nanoseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_nanosecond(i128::from(nanoseconds)).map_err(|error| corrupt("a time", &error))
}

fn deadline(now: Timestamp, lease: Duration) -> i64 {
    nanoseconds(now).saturating_add(i64::try_from(lease.as_nanos()).unwrap_or(i64::MAX))
}

/// Epochs start at 1, so one that no column can hold matches none.
fn epoch_column(epoch: u64) -> i64 {
    i64::try_from(epoch).unwrap_or(-1)
}

/// From start to record, of a run that ended well; none when the host's clock was set back meanwhile.
fn duration_column(record: &Record) -> Option<i64> {
    let started_at = record.started_at.filter(|_| record.status == RunStatus::Ok)?;
    i64::try_from(record.finished_at.duration_since(started_at).as_nanos()).ok().filter(|duration| *duration >= 0)
}

fn to_json(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| corrupt("what was to be written", &error))
}

fn from_json<T: DeserializeOwned>(what: &str, json: &str) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|error| corrupt(what, &error))
}

fn corrupt(what: &str, cause: &dyn std::fmt::Display) -> StoreError {
    StoreError::Corrupt { what: what.to_owned(), cause: cause.to_string() }
}

#[cfg(test)]
mod tests;
