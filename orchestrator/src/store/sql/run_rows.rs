//! Rows of runs and their jobs, as a statement gives them.

use super::value::Row;
use super::{Outcome, corrupt, from_json, timestamp};
use crate::domain::{JobId, RunId, RunState, SweepId};
use crate::store::{Attempt, LeaseHolder, StoreError};

/// The job that a device is to do next.
pub(super) struct OpenJob {
    pub(super) job_id: JobId,
    /// How the identifiers of its runs begin.
    pub(super) prefix: String,
    pub(super) job: String,
    pub(super) not_before_ns: i64,
    /// How long that is from now, by the clock that decides.
    pub(super) pause_ns: i64,
}

impl OpenJob {
    pub(super) fn read(row: &Row<'_>) -> Outcome<OpenJob> {
        let (job_id, prefix) = (JobId(row.get(0)?), row.get(1)?);
        Ok(OpenJob { job_id, prefix, job: row.get(2)?, not_before_ns: row.get(3)?, pause_ns: row.get(4)? })
    }
}

/// A run that was taken over.
pub(super) struct TakenRun {
    pub(super) sweep: SweepId,
    pub(super) job_id: JobId,
    pub(super) attempt: u32,
    pub(super) epoch: u32,
}

impl TakenRun {
    pub(super) fn read(row: &Row<'_>) -> Outcome<TakenRun> {
        let (sweep, job_id) = (SweepId(row.get(0)?), JobId(row.get(1)?));
        Ok(TakenRun { sweep, job_id, attempt: row.get(2)?, epoch: row.get(3)? })
    }
}

/// What was tried of a job.
pub(super) struct AttemptsSoFar {
    pub(super) attempts: u32,
    /// The highest epoch.
    pub(super) epochs: u32,
    pub(super) failed: u32,
}

/// An attempt as the database has it.
pub(super) struct AttemptRow {
    run: String,
    attempt: u32,
    state: String,
    claimed_at_ns: i64,
    ended_at_ns: Option<i64>,
    holder: String,
    until_ns: i64,
    failure: Option<String>,
}

impl AttemptRow {
    pub(super) fn read(row: &Row<'_>) -> Outcome<AttemptRow> {
        Ok(AttemptRow {
            run: row.get(0)?,
            attempt: row.get(1)?,
            state: row.get(2)?,
            claimed_at_ns: row.get(3)?,
            ended_at_ns: row.get(4)?,
            holder: row.get(5)?,
            until_ns: row.get(6)?,
            failure: row.get(7)?,
        })
    }

    pub(super) fn attempt(self) -> Result<Attempt, StoreError> {
        Ok(Attempt {
            run_id: RunId(self.run),
            attempt: self.attempt,
            state: run_state(&self.state)?,
            claimed_at: timestamp(self.claimed_at_ns)?,
            ended_at: self.ended_at_ns.map(timestamp).transpose()?,
            lease: lease_holder(self.holder, self.until_ns)?,
            failure: self.failure.map(|json| from_json("a failure", &json)).transpose()?,
        })
    }
}

pub(super) fn lease_holder(holder: String, until_ns: i64) -> Result<LeaseHolder, StoreError> {
    Ok(LeaseHolder { holder, sweep_id: None, until: timestamp(until_ns)? })
}

pub(super) fn run_state(word: &str) -> Result<RunState, StoreError> {
    word.parse().map_err(|error: String| corrupt("the state of a run", &error))
}
