use jiff::Timestamp;

use super::events::EventRow;
use super::records::RecordRow;
use super::sweep_words::{pattern, words};
use super::value::{Params, Row, ToValue, named_params, params};
use super::{
    Database, Outcome, SqlStore, Transaction, corrupt, events, from_json, nanoseconds, records, rows, schedules,
    submissions, timestamp, to_json,
};
use crate::domain::{Event, Job, JobState, LabId, Record, SweepDefinition, SweepId, SweepRow, SweepState, SweepStep};
use crate::store::{NewSweep, StoreError, SweepCounts, SweepPage, SweepStore, run_id};

const ADD_SWEEP: &str = "
    INSERT INTO sweeps (id, name, started_at_ns, finished_at_ns, farmctl_version, state, definition, priority,
                        ordered_schedule, ordered_by, words)
    VALUES (:id, :name, :started_at_ns, :finished_at_ns, :farmctl_version, :state, :definition, :priority,
            :ordered_schedule, :ordered_by, :words)
    ON CONFLICT DO NOTHING";

/// Priority of what a schedule begins.
const PRIORITY_OF_SCHEDULES: i64 = 0;
/// Priority of what a person begins.
const PRIORITY_OF_PEOPLE: i64 = 1;

const ADD_JOB: &str = "
    INSERT INTO jobs (sweep_id, job_id, position, turn, device, run_prefix, job, state, not_before_ns)
    VALUES (:sweep, :job_id, :position, :turn, :device, :prefix, :job, :state, :not_before_ns)
    ON CONFLICT DO NOTHING";

const STEP: &str = "UPDATE sweeps SET state = :to WHERE id = :sweep AND state = :from";

const FINISH: &str = "
    UPDATE sweeps SET state = :to, finished_at_ns = :now_ns
    WHERE id = :sweep AND state = :from
      AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.sweep_id = :sweep AND j.state <> :recorded)";

/// A sweep of a schedule that is finished is due for a comparison.
const COMPARE: &str = "
    INSERT INTO due_comparisons (sweep_id, schedule)
    SELECT id, schedule FROM (
        SELECT s.id, coalesce((SELECT t.schedule FROM schedule_starts t WHERE t.sweep_id = s.id),
                              s.ordered_schedule) AS schedule
        FROM sweeps s WHERE s.id = ?1) AS finished
    WHERE schedule IS NOT NULL
    ON CONFLICT DO NOTHING";

const JOBS: &str = "SELECT job FROM jobs WHERE sweep_id = ?1 ORDER BY position";

// The state stands as a word: so the index of open jobs is used.

const OPEN_JOBS: &str = "SELECT job FROM jobs WHERE sweep_id = ?1 AND state <> 'recorded' ORDER BY position";

pub(in crate::store) const OPEN_JOBS_OF_DEVICE: &str =
    "SELECT job FROM jobs WHERE sweep_id = ?1 AND device = ?2 AND state <> 'recorded' ORDER BY position";

const COUNTS: &str = "
    WITH of_jobs AS (SELECT count(*) AS jobs, count(*) FILTER (WHERE state <> 'recorded') AS open
                     FROM jobs WHERE sweep_id = ?1),
         of_records AS (SELECT count(*) FILTER (WHERE status = 'ok') AS ok,
                               count(*) FILTER (WHERE status = 'failed') AS failed,
                               count(*) FILTER (WHERE status = 'skipped') AS skipped,
                               count(*) FILTER (WHERE status = 'cancelled') AS cancelled
                        FROM records WHERE sweep_id = ?1)
    SELECT jobs, open, ok, failed, skipped, cancelled FROM of_jobs, of_records";

const SWEEPS_PAGE: &str = "
    SELECT id, name, started_at_ns, finished_at_ns, farmctl_version, state FROM sweeps
    WHERE (started_at_ns, id) < (?1, ?2)";

/// What a person may call the state of a sweep: looked through for words, as the column of them is.
const STATE_WORDS: &str = "CASE state WHEN 'open' THEN 'running waiting stopped'
    WHEN 'cancelling' THEN 'ending half-cancelled' ELSE state END";

const RECORDS: &str = "
    SELECT c.record FROM records c LEFT JOIN jobs j ON j.sweep_id = c.sweep_id AND j.job_id = c.job_id
    WHERE c.sweep_id = ?1
    ORDER BY j.position IS NULL, j.position, c.sequence";

const RECORD_NUMBERS: &str = "
    SELECT c.sequence FROM records c LEFT JOIN jobs j ON j.sweep_id = c.sweep_id AND j.job_id = c.job_id
    WHERE c.sweep_id = ?1
    ORDER BY j.position IS NULL, j.position, c.sequence";

const RECORD: &str = "SELECT record FROM records WHERE sequence = ?1 AND sweep_id = ?2";

impl<D: Database> SweepStore for SqlStore<D> {
    fn lab_id(&self) -> Result<LabId, StoreError> {
        let found = self.query("look up the lab", "SELECT id FROM lab", [], |row| row.get(0))?;
        found.into_iter().next().map(LabId).ok_or_else(|| corrupt("the lab", &"it has no identifier"))
    }

    fn create_sweep(&self, new: &NewSweep<'_>) -> Result<(), StoreError> {
        let (sweep, due) = (new.row, new.definition.due.clone());
        let definition = to_json(new.definition)?;
        let jobs = new.jobs.iter().map(to_json).collect::<Result<Vec<_>, _>>()?;
        let skipped = new.skipped.iter().map(RecordRow::of).collect::<Result<Vec<_>, _>>()?;
        let order = new.order.map(EventRow::of).transpose()?;
        let ordered = new.definition.ordered.as_ref();
        let added = self.transaction("add a sweep", |transaction| {
            let added = transaction.execute(
                ADD_SWEEP,
                named_params! {
                    ":id": sweep.id.0, ":name": sweep.name, ":started_at_ns": nanoseconds(sweep.started_at),
                    ":finished_at_ns": sweep.finished_at.map(nanoseconds), ":farmctl_version": sweep.farmctl_version,
                    ":state": sweep.state.as_str(), ":definition": definition,
                    ":priority": if due.is_some() { PRIORITY_OF_SCHEDULES } else { PRIORITY_OF_PEOPLE },
                    ":ordered_schedule": ordered.and_then(|ordered| ordered.schedule.as_ref()),
                    ":ordered_by": ordered.map(|ordered| &ordered.by), ":words": words(new),
                },
            )?;
            if added == 0 {
                return Ok(false);
            }
            for ((position, job), json) in (0i64..).zip(new.jobs).zip(&jobs) {
                add_job(transaction, &sweep.id, position, job, 0, json)?;
            }
            for row in &skipped {
                records::insert(transaction, row)?;
            }
            if let Some(row) = &order {
                events::insert(transaction, row)?;
            }
            if let Some(handed) = new.submission {
                submissions::insert(transaction, &sweep.id, handed)?;
            }
            due.as_ref().map_or(Ok(true), |due| schedules::begin(transaction, due, &sweep.id, sweep.started_at))
        });
        match (added, due) {
            (Ok(true), _) => Ok(()),
            (Ok(false), _) => Err(StoreError::SweepExists { sweep: sweep.id.clone() }),
            // The transaction was undone.
            (Err(_), Some(due)) if !self.is_waiting(&due)? => Err(StoreError::NotWaiting { due }),
            (Err(error), _) => Err(error),
        }
    }

    fn sweeps(&self) -> Result<Vec<SweepRow>, StoreError> {
        let sql = "SELECT id, name, started_at_ns, finished_at_ns, farmctl_version, state FROM sweeps
                   ORDER BY started_at_ns DESC, id DESC";
        self.list_sweeps(sql, [])
    }

    fn sweeps_page(&self, page: SweepPage<'_>) -> Result<Vec<SweepRow>, StoreError> {
        let (before_ns, before_id) = page.before.map_or((i64::MAX, ""), |(at, id)| (nanoseconds(at), id));
        let (limit, mut sql) = (i64::from(page.limit), SWEEPS_PAGE.to_owned());
        let patterns: Vec<String> = page.words.iter().map(|word| pattern(word)).collect();
        let mut parameters: Vec<&dyn ToValue> = vec![&before_ns, &before_id, &limit];
        for pattern in &patterns {
            parameters.push(pattern);
            let number = parameters.len();
            sql.push_str(&format!(" AND (words LIKE ?{number} ESCAPE '!' OR {STATE_WORDS} LIKE ?{number} ESCAPE '!')"));
        }
        sql.push_str(" ORDER BY started_at_ns DESC, id DESC LIMIT ?3");
        self.list_sweeps(&sql, parameters.as_slice())
    }

    fn newest_sweeps(&self, beginning: &str, limit: u32) -> Result<Vec<SweepRow>, StoreError> {
        let sql = "SELECT id, name, started_at_ns, finished_at_ns, farmctl_version, state FROM sweeps
                   WHERE substr(id, 1, length(?1)) = ?1 ORDER BY started_at_ns DESC, id DESC LIMIT ?2";
        self.list_sweeps(sql, params![beginning, limit])
    }

    fn sweep(&self, sweep: &SweepId) -> Result<Option<SweepRow>, StoreError> {
        let sql = "SELECT id, name, started_at_ns, finished_at_ns, farmctl_version, state FROM sweeps WHERE id = ?1";
        Ok(self.list_sweeps(sql, [&sweep.0])?.into_iter().next())
    }

    fn open_sweeps(&self) -> Result<Vec<SweepRow>, StoreError> {
        let sql = "SELECT id, name, started_at_ns, finished_at_ns, farmctl_version, state FROM sweeps
                   WHERE state IN ('open', 'cancelling') ORDER BY started_at_ns DESC, id DESC";
        self.list_sweeps(sql, [])
    }

    fn sweeps_since(&self, since: Timestamp) -> Result<Vec<SweepRow>, StoreError> {
        let sql = "SELECT id, name, started_at_ns, finished_at_ns, farmctl_version, state FROM sweeps
                   WHERE state IN ('open', 'cancelling') OR finished_at_ns > ?1
                   ORDER BY started_at_ns DESC, id DESC";
        self.list_sweeps(sql, [nanoseconds(since)])
    }

    fn sweep_state(&self, sweep: &SweepId) -> Result<SweepState, StoreError> {
        let sql = "SELECT state FROM sweeps WHERE id = ?1";
        let found = self.query("look up a sweep", sql, [&sweep.0], |row| row.get::<String>(0))?;
        found.first().ok_or_else(|| unknown(sweep)).and_then(|word| state(word))
    }

    fn definition(&self, sweep: &SweepId) -> Result<Option<SweepDefinition>, StoreError> {
        let sql = "SELECT definition FROM sweeps WHERE id = ?1";
        let found = self.query("look up a sweep", sql, [&sweep.0], |row| row.get::<Option<String>>(0))?;
        let definition = found.into_iter().next().ok_or_else(|| unknown(sweep))?;
        definition.map(|json| from_json("the definition of a sweep", &json)).transpose()
    }

    fn cancel_sweep(&self, sweep: &SweepId, event: Option<&Event>) -> Result<(), StoreError> {
        let found = self.sweep_state(sweep)?;
        let step = SweepStep::Cancel;
        let row = event.map(EventRow::of).transpose()?;
        let is_cancelled = self.transaction("cancel a sweep", |transaction| {
            // Another process may have cancelled it since it was looked at, and all of it may be over.
            let sql = "SELECT state FROM sweeps WHERE id = ?1";
            let now = state(&transaction.one(sql, [&sweep.0], |row| row.get::<String>(0))?)?;
            let mut is_cancelled =
                now == SweepState::Cancelling || now == SweepState::Cancelled && found != SweepState::Cancelled;
            for from in step.from() {
                let parameters = named_params! {":sweep": sweep.0, ":from": from.as_str(), ":to": step.to().as_str()};
                is_cancelled |= transaction.execute(STEP, parameters)? == 1;
            }
            if let (true, Some(row)) = (is_cancelled, &row) {
                events::insert(transaction, row)?;
            }
            Ok(is_cancelled)
        })?;
        if is_cancelled { Ok(()) } else { Err(self.illegal(sweep, "cancel", found.as_str())) }
    }

    fn finish_sweep(&self, sweep: &SweepId, now: Timestamp) -> Result<bool, StoreError> {
        for step in [SweepStep::Finish, SweepStep::FinishCancelled] {
            for from in step.from() {
                let parameters = named_params! {
                    ":sweep": sweep.0, ":from": from.as_str(), ":to": step.to().as_str(), ":now_ns": nanoseconds(now),
                    ":recorded": JobState::Recorded.as_str(),
                };
                let is_over = self.transaction("finish a sweep", |transaction| {
                    let is_over = transaction.execute(FINISH, parameters)? == 1;
                    if is_over && step == SweepStep::Finish {
                        transaction.execute(COMPARE, [&sweep.0])?;
                    }
                    Ok(is_over)
                })?;
                if is_over {
                    return Ok(true);
                }
            }
        }
        Ok(matches!(self.sweep_state(sweep)?, SweepState::Finished | SweepState::Cancelled))
    }

    fn pin_runner(&self, sweep: &SweepId, target: &str, sha256: &str) -> Result<String, StoreError> {
        self.transaction("note the runner of a sweep", |transaction| {
            transaction.execute(
                "INSERT INTO sweep_runners (sweep_id, target, sha256) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                [&sweep.0, target, sha256],
            )?;
            let sql = "SELECT sha256 FROM sweep_runners WHERE sweep_id = ?1 AND target = ?2";
            transaction.one(sql, [&sweep.0, target], |row| row.get(0))
        })
    }

    fn pinned_runners(&self, sweep: &SweepId) -> Result<Vec<(String, String)>, StoreError> {
        let sql = "SELECT target, sha256 FROM sweep_runners WHERE sweep_id = ?1 ORDER BY target";
        self.query("list the runners of a sweep", sql, [&sweep.0], |row| Ok((row.get(0)?, row.get(1)?)))
    }

    fn counts(&self, sweep: &SweepId) -> Result<SweepCounts, StoreError> {
        let row = self.query("count jobs and records", COUNTS, [&sweep.0], |row| {
            Ok([row.get::<u32>(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?].map(u64::from))
        })?;
        let [jobs, open, ok, failed, skipped, cancelled] = row.into_iter().next().unwrap_or_default();
        Ok(SweepCounts { jobs, open, ok, failed, skipped, cancelled })
    }

    fn open_jobs(&self, sweep: &SweepId, device: Option<&str>) -> Result<Vec<Job>, StoreError> {
        match device {
            Some(device) => self.list_jobs(OPEN_JOBS_OF_DEVICE, [&sweep.0, device]),
            None => self.list_jobs(OPEN_JOBS, [&sweep.0]),
        }
    }

    fn jobs(&self, sweep: &SweepId) -> Result<Vec<Job>, StoreError> {
        self.list_jobs(JOBS, [&sweep.0])
    }

    fn records(&self, sweep: &SweepId) -> Result<Vec<Record>, StoreError> {
        let records = self.query("list records", RECORDS, [&sweep.0], |row| row.get::<String>(0))?;
        // Each text goes when it is read: there may be many.
        records.into_iter().map(|json| from_json("a record", &json)).collect()
    }

    fn record_numbers(&self, sweep: &SweepId) -> Result<Vec<i64>, StoreError> {
        self.query("list records", RECORD_NUMBERS, [&sweep.0], |row| row.get(0))
    }

    fn records_by_number(&self, sweep: &SweepId, numbers: &[i64]) -> Result<Vec<Record>, StoreError> {
        let texts = self.connected("look up records", |connection| {
            let text =
                |number: &i64| rows(connection, RECORD, &params![*number, sweep.0].bound(), |row| row.get::<String>(0));
            numbers.iter().map(text).collect::<Outcome<Vec<_>>>()
        })?;
        let record = |found: &Vec<String>| from_json("a record", found.first().ok_or_else(|| unknown(sweep))?);
        texts.iter().map(record).collect()
    }
}

impl<D: Database> SqlStore<D> {
    pub(super) fn list_sweeps(&self, sql: &str, parameters: impl Params) -> Result<Vec<SweepRow>, StoreError> {
        let rows = self.query("list sweeps", sql, parameters, SweepColumns::read)?;
        rows.into_iter().map(SweepColumns::row).collect()
    }

    fn list_jobs(&self, sql: &str, parameters: impl Params) -> Result<Vec<Job>, StoreError> {
        let jobs = self.query("list jobs", sql, parameters, |row| row.get::<String>(0))?;
        jobs.iter().map(|json| from_json("a job", json)).collect()
    }

    /// The error for a step that may not be taken, with what happened before it.
    fn illegal(&self, sweep: &SweepId, step: &str, found: &str) -> StoreError {
        const EVENTS_TOLD: u32 = 20;
        let sql = "SELECT event FROM events WHERE sweep_id = ?1 ORDER BY sequence DESC LIMIT ?2";
        let events = self.query("list events", sql, params![sweep.0, EVENTS_TOLD], |row| row.get::<String>(0));
        let mut events = events.unwrap_or_default();
        events.reverse();
        StoreError::IllegalStep { step: step.to_owned(), of: format!("sweep {sweep}"), state: found.to_owned(), events }
    }
}

/// Adds a job, unless it is there; returns whether it was added.
pub(super) fn add_job(
    transaction: &Transaction<'_>,
    sweep: &SweepId,
    position: i64,
    job: &Job,
    not_before_ns: i64,
    json: &str,
) -> Outcome<bool> {
    let added = transaction.execute(
        ADD_JOB,
        named_params! {
            ":sweep": sweep.0, ":job_id": job.id.0, ":position": position, ":device": job.device,
            // One that moved here comes behind those that were planned.
            ":turn": job.position.unwrap_or(u32::MAX),
            ":prefix": run_id::prefix(sweep, &job.id), ":job": json, ":state": JobState::Waiting.as_str(),
            ":not_before_ns": not_before_ns,
        },
    )?;
    Ok(added == 1)
}

/// The place behind the last job of a sweep.
pub(super) fn next_position(transaction: &Transaction<'_>, sweep: &SweepId) -> Outcome<i64> {
    let sql = "SELECT max(position) + 1 FROM jobs WHERE sweep_id = ?1";
    let position: Option<Option<i64>> = transaction.first(sql, [&sweep.0], |row: &Row<'_>| row.get(0))?;
    Ok(position.flatten().unwrap_or(0))
}

/// A sweep as the database has it.
struct SweepColumns {
    id: String,
    name: String,
    started_at_ns: i64,
    finished_at_ns: Option<i64>,
    farmctl_version: String,
    state: String,
}

impl SweepColumns {
    fn read(row: &Row<'_>) -> Outcome<SweepColumns> {
        Ok(SweepColumns {
            id: row.get(0)?,
            name: row.get(1)?,
            started_at_ns: row.get(2)?,
            finished_at_ns: row.get(3)?,
            farmctl_version: row.get(4)?,
            state: row.get(5)?,
        })
    }

    fn row(self) -> Result<SweepRow, StoreError> {
        Ok(SweepRow {
            id: SweepId(self.id),
            name: self.name,
            started_at: timestamp(self.started_at_ns)?,
            finished_at: self.finished_at_ns.map(timestamp).transpose()?,
            farmctl_version: self.farmctl_version,
            state: state(&self.state)?,
        })
    }
}

pub(super) fn state(word: &str) -> Result<SweepState, StoreError> {
    word.parse().map_err(|error: String| corrupt("the state of a sweep", &error))
}

pub(super) fn unknown(sweep: &SweepId) -> StoreError {
    StoreError::UnknownSweep { sweep: sweep.clone() }
}
