use std::time::Duration;

use jiff::Timestamp;

use super::events::append;
use super::lease_time::ClockLead;
use super::records::RecordRow;
use super::run_rows::{AttemptRow, AttemptsSoFar, OpenJob, TakenRun, lease_holder, run_state};
use super::value::{Row, named_params, params};
use super::{
    Database, Fault, Outcome, SqlStore, Transaction, corrupt, epoch_column, from_json, lease_nanoseconds, leases,
    locks, nanoseconds, records, timestamp, to_json,
};
use crate::domain::{
    Event, EventKind, Job, JobId, JobState, JobStep, Record, RunId, RunState, RunStatus, RunStep, SweepId, SweepState,
};
use crate::store::{
    AddedJob, Attempt, Claim, ClaimedRun, LiveRun, Requeue, RunOwner, RunStore, StoreError, SweepStore as _, run_id,
};

// States that a partial index is about stand here as words: with a parameter in their place, SQLite plans the statement
// anew each time.

/// The first job of a device that waits and whose pause is over, else the one whose pause is over first.
const NEXT_JOB: &str = "
    SELECT job_id, run_prefix, job, not_before_ns, not_before_ns - :lease_now FROM jobs
    WHERE sweep_id = :sweep AND device = :device AND position = (
        SELECT position FROM jobs
        WHERE sweep_id = :sweep AND device = :device AND state <> 'recorded' AND state = 'waiting'
        ORDER BY CASE WHEN not_before_ns > :lease_now THEN not_before_ns ELSE :lease_now END, turn, position LIMIT 1)";

/// What the attempts of a job were: the highest number and epoch, and how many failed.
const ATTEMPTS_SO_FAR: &str = "
    SELECT coalesce(max(attempt), 0), coalesce(max(lease_epoch), 0),
           count(*) FILTER (WHERE state = :given_back AND counts = 1)
    FROM runs WHERE sweep_id = :sweep AND job_id = :job";

const ADD_RUN: &str = "
    INSERT INTO runs (id, sweep_id, job_id, attempt, claimed_at_ns, state, lease_epoch, lease_holder, lease_until_ns)
    VALUES (:run, :sweep, :job, :attempt, :now_ns, :state, :epoch, :holder, :lease_now + :lease_ns)";

const JOB_STEP: &str = "
    UPDATE jobs SET state = :to, not_before_ns = :not_before_ns
    WHERE sweep_id = :sweep AND job_id = :job AND state = :from";

/// Ends a live run, if this is still its lease.
const END_RUN: &str = "
    UPDATE runs SET state = :to, ended_at_ns = :now_ns, failure = :failure, failure_kind = :failure_kind,
        counts = :counts, lease_until_ns = 0
    WHERE id = :run AND state = :from AND lease_epoch = :epoch
    RETURNING sweep_id, job_id";

const LIVE_RUNS: &str = "
    SELECT r.id, r.job_id, j.device, r.lease_holder, r.lease_until_ns
    FROM jobs j JOIN runs r ON r.sweep_id = j.sweep_id AND r.job_id = j.job_id AND r.state = 'live'
    WHERE j.sweep_id = ?1 AND j.state <> 'recorded' AND j.state = 'running'
    ORDER BY j.position";

const LIVE_RUNS_OF_DEVICE: &str = "
    SELECT r.id, r.job_id, j.device, r.lease_holder, r.lease_until_ns
    FROM jobs j JOIN runs r ON r.sweep_id = j.sweep_id AND r.job_id = j.job_id AND r.state = 'live'
    WHERE j.sweep_id = ?1 AND j.device = ?2 AND j.state <> 'recorded' AND j.state = 'running'
    ORDER BY j.position";

const TAKE_OVER: &str = "
    UPDATE runs SET lease_holder = :holder, lease_until_ns = :lease_now + :lease_ns, lease_epoch = 1 + (
        SELECT max(o.lease_epoch) FROM runs o WHERE o.sweep_id = runs.sweep_id AND o.job_id = runs.job_id)
    WHERE id = :run AND state = 'live' AND (lease_until_ns <= :lease_now OR lease_holder = :holder)
    RETURNING sweep_id, job_id, attempt, lease_epoch";

const LEAVE_RUNS: &str = "
    UPDATE runs SET lease_until_ns = 0 WHERE state = 'live' AND lease_holder = :holder AND sweep_id = :sweep
      AND job_id IN (SELECT job_id FROM jobs WHERE sweep_id = :sweep AND device = :device AND state <> 'recorded')";

const ATTEMPTS: &str = "
    SELECT id, attempt, state, claimed_at_ns, ended_at_ns, lease_holder, lease_until_ns, failure
    FROM runs WHERE sweep_id = ?1 AND job_id = ?2 ORDER BY attempt";

const RUN_OWNER: &str = "
    SELECT r.sweep_id, s.state, r.state FROM runs r JOIN sweeps s ON s.id = r.sweep_id WHERE r.id = ?1";

impl<D: Database> RunStore for SqlStore<D> {
    fn claim(
        &self,
        sweep: &SweepId,
        device: &str,
        holder: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Claim, StoreError> {
        let claimed = self.transaction("claim a job", |transaction| {
            if let Some(lock) = locks::in_force(transaction, device, now)? {
                return Ok(NextJob::Locked(lock));
            }
            if let Some(other) = leases::preempted_by(transaction, device, sweep, now)? {
                return Ok(NextJob::Preempted(other));
            }
            let parameters = named_params! {":sweep": sweep.0, ":device": device, ":lease_now": nanoseconds(now)};
            let next = transaction.first(NEXT_JOB, parameters, OpenJob::read)?;
            let Some(OpenJob { job_id, prefix, job, not_before_ns, pause_ns }) = next else {
                return Ok(NextJob::Nothing);
            };
            if pause_ns > 0 {
                return Ok(NextJob::NotBefore(nanoseconds(now).saturating_add(pause_ns)));
            }
            if !leases::keep_device(transaction, device, sweep, holder, lease, now)? {
                return Ok(NextJob::LeaseLost);
            }
            let so_far = attempts_so_far(transaction, sweep, &job_id)?;
            let AttemptsSoFar { attempts, epochs, failed: failed_attempts } = so_far;
            let run = RunId(format!("{prefix}{}", attempts + 1));
            transaction.execute(
                ADD_RUN,
                named_params! {
                    ":run": run.0, ":sweep": sweep.0, ":job": job_id.0, ":attempt": attempts + 1,
                    ":now_ns": nanoseconds(now), ":state": RunState::Live.as_str(), ":epoch": epochs + 1,
                    ":holder": holder, ":lease_ns": lease_nanoseconds(lease), ":lease_now": nanoseconds(now),
                },
            )?;
            job_step(transaction, sweep, &job_id, JobStep::Claim, not_before_ns)?;
            Ok(NextJob::Run { run, job, attempt: attempts + 1, failed_attempts, epoch: epochs + 1 })
        })?;
        match claimed {
            NextJob::Nothing => Ok(Claim::Nothing),
            NextJob::LeaseLost => Ok(Claim::LeaseLost),
            NextJob::Preempted(other) => Ok(Claim::Preempted(other)),
            NextJob::Locked(lock) => Ok(Claim::Locked(lock.lock()?)),
            NextJob::NotBefore(not_before_ns) => Ok(Claim::NotBefore(timestamp(not_before_ns)?)),
            NextJob::Run { run, job, attempt, failed_attempts, epoch } => Ok(Claim::Run(Box::new(ClaimedRun {
                run_id: run,
                job: from_json("a job", &job)?,
                attempt,
                failed_attempts,
                epoch: u64::from(epoch),
            }))),
        }
    }

    fn live_runs(&self, sweep: &SweepId, device: Option<&str>) -> Result<Vec<LiveRun>, StoreError> {
        let read = |row: &Row<'_>| {
            let (run_id, job_id, device) = (RunId(row.get(0)?), JobId(row.get(1)?), row.get(2)?);
            let lease = lease_holder(row.get(3)?, row.get(4)?);
            Ok(lease.map(|lease| LiveRun { run_id, job_id, device, lease }))
        };
        let rows = match device {
            Some(device) => self.query("list runs under way", LIVE_RUNS_OF_DEVICE, [&sweep.0, device], read)?,
            None => self.query("list runs under way", LIVE_RUNS, [&sweep.0], read)?,
        };
        rows.into_iter().collect()
    }

    fn take_over(
        &self,
        run: &RunId,
        holder: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Option<ClaimedRun>, StoreError> {
        let taken = self.transaction("take over a run", |transaction| {
            let parameters = named_params! {
                ":run": run.0, ":holder": holder, ":lease_ns": lease_nanoseconds(lease),
                ":lease_now": nanoseconds(now),
            };
            let taken = transaction.first(TAKE_OVER, parameters, TakenRun::read)?;
            let Some(TakenRun { sweep, job_id, attempt, epoch }) = taken else { return Ok(None) };
            let failed_attempts = attempts_so_far(transaction, &sweep, &job_id)?.failed;
            let job: String = transaction.one(
                "SELECT job FROM jobs WHERE sweep_id = ?1 AND job_id = ?2",
                [&sweep.0, &job_id.0],
                |row| row.get(0),
            )?;
            let claimed = |job| ClaimedRun { run_id: run.clone(), job, attempt, failed_attempts, epoch: epoch.into() };
            Ok(Some(from_json("a job", &job).map(claimed)))
        })?;
        taken.transpose()
    }

    fn leave_runs(&self, sweep: &SweepId, device: &str, holder: &str) -> Result<(), StoreError> {
        let parameters = named_params! {":sweep": sweep.0, ":device": device, ":holder": holder};
        self.execute("leave runs", LEAVE_RUNS, parameters).map(drop)
    }

    fn finish(
        &self,
        epoch: u64,
        record: &Record,
        added: Option<AddedJob<'_>>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let run = run_of(record);
        let row = RecordRow::of(record)?;
        let added = added.map(|added| Ok::<_, StoreError>((added, to_json(added.job)?))).transpose()?;
        let ending = Ending { run: &run, epoch, step: RunStep::Finish, failure: None, counts: true };
        let kept = self.transaction("keep a record", |transaction| {
            if ending
                .take(transaction, now)?
                .is_none_or(|(sweep, job)| sweep != record.sweep_id || job != record.job.id)
            {
                return Ok(false);
            }
            records::insert(transaction, &row)?;
            job_step(transaction, &record.sweep_id, &record.job.id, JobStep::Finish, 0)?;
            if let Some((added, json)) = &added {
                let position = super::sweeps::next_position(transaction, &record.sweep_id)?;
                let not_before_ns = ClockLead::look_up(transaction, now)?.kept(added.not_before);
                super::sweeps::add_job(transaction, &record.sweep_id, position, added.job, not_before_ns, json)?;
            }
            Ok(true)
        })?;
        if kept { Ok(()) } else { self.refuse(&record.sweep_id, Some(&record.job), &run, epoch, "a record", now) }
    }

    fn requeue(&self, requeue: &Requeue<'_>, now: Timestamp) -> Result<(), StoreError> {
        let Requeue { run_id: run, epoch, failure, counts, not_before } = *requeue;
        let failure = EndedBy { kind: failure.kind.as_str(), json: to_json(failure)? };
        let ending = Ending { run, epoch, step: RunStep::Requeue, failure: Some(&failure), counts };
        let given = self.transaction("give a run back", |transaction| {
            let Some((sweep, job)) = ending.take(transaction, now)? else { return Ok(false) };
            let not_before_ns = ClockLead::look_up(transaction, now)?.kept(not_before);
            job_step(transaction, &sweep, &job, JobStep::Requeue, not_before_ns)?;
            Ok(true)
        })?;
        if given {
            return Ok(());
        }
        let sql = "SELECT sweep_id FROM runs WHERE id = ?1";
        let sweep = self.query("look up a run", sql, [&run.0], |row| row.get(0).map(SweepId))?;
        match sweep.first() {
            Some(sweep) => self.refuse(sweep, None, run, epoch, "the end of an attempt", now),
            None => Err(StoreError::StaleEpoch { run: run.clone(), epoch }),
        }
    }

    fn add_record(&self, record: &Record) -> Result<(), StoreError> {
        let row = RecordRow::of(record)?;
        // A sweep that is not known is an error of its own.
        self.sweep_state(&record.sweep_id)?;
        let (sweep, job) = (&record.sweep_id, &record.job.id);
        let added = self.transaction("keep a record", |transaction| {
            let state = job_state(transaction, sweep, job)?;
            let is_free = match &state {
                Some(state) => JobStep::Close.from().iter().any(|from| from.as_str() == state.as_str()),
                None => !records::exists(transaction, sweep, job)?,
            };
            if is_free {
                records::insert(transaction, &row)?;
                if state.is_some() {
                    job_step(transaction, sweep, job, JobStep::Close, 0)?;
                }
            }
            Ok(is_free)
        })?;
        if added { Ok(()) } else { Err(StoreError::StaleEpoch { run: run_of(record), epoch: 0 }) }
    }

    fn attempts(&self, sweep: &SweepId, job: &JobId) -> Result<(JobState, Vec<Attempt>), StoreError> {
        let state = self.connected("look up a job", |connection| job_state(&Transaction(connection), sweep, job))?;
        let state = state.ok_or_else(|| StoreError::UnknownJob { sweep: sweep.clone(), job: job.clone() })?;
        let state = state.parse().map_err(|error: String| corrupt("the state of a job", &error))?;
        let rows = self.query("list the attempts of a job", ATTEMPTS, [&sweep.0, &job.0], AttemptRow::read)?;
        Ok((state, rows.into_iter().map(AttemptRow::attempt).collect::<Result<_, _>>()?))
    }

    fn run_owner(&self, run: &RunId) -> Result<Option<RunOwner>, StoreError> {
        let found = self.query("look up a run", RUN_OWNER, [&run.0], |row| {
            let (sweep_id, run) = (SweepId(row.get(0)?), run_state(&row.get::<String>(2)?));
            let sweep: Result<SweepState, String> = row.get::<String>(1)?.parse();
            let sweep = sweep.map_err(|error| corrupt("the state of a sweep", &error));
            Ok(sweep.and_then(|sweep| Ok(RunOwner { sweep_id, sweep, run: run? })))
        })?;
        found.into_iter().next().transpose()
    }

    fn record_without(&self, run: &RunId) -> Result<Option<Record>, StoreError> {
        let sql = "SELECT record FROM records WHERE run_id = ?1 AND status = ?2";
        let read = |row: &Row<'_>| row.get::<String>(0);
        let found = self.query("look up a record", sql, [&run.0, RunStatus::Skipped.as_str()], read)?;
        found.first().map(|json| from_json("a record", json)).transpose()
    }

    fn amend_record(&self, record: &Record) -> Result<(), StoreError> {
        let row = RecordRow::of(record)?;
        let amended = self.transaction("amend a record", |transaction| records::amend(transaction, &row))?;
        if amended { Ok(()) } else { Err(StoreError::StaleEpoch { run: run_of(record), epoch: 0 }) }
    }

    fn past_durations(&self, job: &JobId, limit: u32) -> Result<Vec<Duration>, StoreError> {
        let sql = "SELECT duration_ns FROM records WHERE job_id = ?1 AND duration_ns IS NOT NULL
                   ORDER BY finished_at_ns DESC LIMIT ?2";
        let rows = self.query("look up past runs", sql, params![job.0, limit], |row| row.get::<i64>(0))?;
        Ok(rows.into_iter().map(|duration_ns| Duration::from_nanos(duration_ns.unsigned_abs())).collect())
    }
}

/// What a claim found.
enum NextJob {
    Nothing,
    LeaseLost,
    NotBefore(i64),
    Locked(locks::LockRow),
    Preempted(SweepId),
    Run { run: RunId, job: String, attempt: u32, failed_attempts: u32, epoch: u32 },
}

/// The end of a run under a lease.
struct Ending<'a> {
    run: &'a RunId,
    epoch: u64,
    step: RunStep,
    failure: Option<&'a EndedBy>,
    counts: bool,
}

/// Why a run has no result.
struct EndedBy {
    kind: &'static str,
    json: String,
}

impl Ending<'_> {
    /// Ends the run; `None` when its lease is another by now, or it has ended.
    fn take(&self, transaction: &Transaction<'_>, now: Timestamp) -> Outcome<Option<(SweepId, JobId)>> {
        let parameters = named_params! {
            ":run": self.run.0, ":from": RunState::Live.as_str(), ":to": self.step.to().as_str(),
            ":epoch": epoch_column(self.epoch), ":now_ns": nanoseconds(now),
            ":failure": self.failure.map(|failure| &failure.json),
            ":failure_kind": self.failure.map(|failure| failure.kind), ":counts": self.counts,
        };
        let read = |row: &Row<'_>| Ok((SweepId(row.get(0)?), JobId(row.get(1)?)));
        transaction.first(END_RUN, parameters, read)
    }
}

impl<D: Database> SqlStore<D> {
    /// Keeps the refusal of a write as an event, and gives it as an error.
    fn refuse(
        &self,
        sweep: &SweepId,
        job: Option<&Job>,
        run: &RunId,
        epoch: u64,
        write: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let event = Event {
            at: now,
            sweep_id: Some(sweep.clone()),
            device: job.map(|job| job.device.clone()),
            job_id: job.map(|job| job.id.clone()),
            run_id: Some(run.clone()),
            kind: EventKind::WriteRefused { write: write.to_owned(), epoch },
        };
        append(self, &event)?;
        Err(StoreError::StaleEpoch { run: run.clone(), epoch })
    }
}

/// Takes a step of a job whose state is known to allow it; the transaction is undone when it does not.
fn job_step(
    transaction: &Transaction<'_>,
    sweep: &SweepId,
    job: &JobId,
    step: JobStep,
    not_before_ns: i64,
) -> Outcome<()> {
    for from in step.from() {
        let changed = transaction.execute(
            JOB_STEP,
            named_params! {
                ":sweep": sweep.0, ":job": job.0, ":from": from.as_str(), ":to": step.to().as_str(),
                ":not_before_ns": not_before_ns,
            },
        )?;
        if changed == 1 {
            return Ok(());
        }
    }
    Err(Fault::Undone)
}

fn job_state(transaction: &Transaction<'_>, sweep: &SweepId, job: &JobId) -> Outcome<Option<String>> {
    let sql = "SELECT state FROM jobs WHERE sweep_id = ?1 AND job_id = ?2";
    transaction.first(sql, [&sweep.0, &job.0], |row| row.get(0))
}

fn attempts_so_far(transaction: &Transaction<'_>, sweep: &SweepId, job: &JobId) -> Outcome<AttemptsSoFar> {
    transaction.one(
        ATTEMPTS_SO_FAR,
        named_params! {":sweep": sweep.0, ":job": job.0, ":given_back": RunState::Requeued.as_str()},
        |row| Ok(AttemptsSoFar { attempts: row.get(0)?, epochs: row.get(1)?, failed: row.get(2)? }),
    )
}

/// The run a record is about; for one without a run, what its identifier would have been.
fn run_of(record: &Record) -> RunId {
    record.run_id.clone().unwrap_or_else(|| run_id::run_id(&record.sweep_id, &record.job.id, record.attempt))
}
