use super::run_facts::RunFacts;
use super::value::{named_params, params};
use super::{Outcome, Transaction, corrupt, nanoseconds, to_json};
use crate::domain::{JobId, Record, RunId, RunStatus, SweepId};
use crate::store::StoreError;

const INSERT: &str = "
    INSERT INTO records (sweep_id, job_id, run_id, status, finished_at_ns, duration_ns, failure_kind, record)
    VALUES (:sweep, :job, :run, :status, :finished_ns, :duration_ns, :failure_kind, :record)
    RETURNING sequence";

const AMEND: &str = "
    UPDATE records SET status = :status, finished_at_ns = :finished_ns, failure_kind = :failure_kind, record = :record
    WHERE sweep_id = :sweep AND job_id = :job AND run_id = :run AND status = :skipped
    RETURNING sequence";

const ADD_OUTPUT: &str = "INSERT INTO record_outputs (record, sha256) VALUES (?1, ?2) ON CONFLICT DO NOTHING";

const ADD_ENVIRONMENT: &str = "INSERT INTO environments (environment) VALUES (?1) ON CONFLICT DO NOTHING";

const ADD_HISTORY: &str = "
    INSERT INTO run_history (model, at_ns, sequence, sweep_id, device, median_ns, environment, cell, circumstances,
                             judged, first_job, rerun, is_paired)
    SELECT :model, :at_ns, :sequence, :sweep, :device, :median_ns, id, :cell, :circumstances, :judged, :first_job,
        :rerun, :is_paired
    FROM environments WHERE environment = :environment
    ON CONFLICT DO NOTHING";

/// A record as the database has it, and what follows from it.
pub(super) struct RecordRow<'a> {
    record: &'a Record,
    json: String,
    /// Of a run that ended well.
    facts: Option<RunFacts>,
}

impl RecordRow<'_> {
    pub(super) fn of(record: &Record) -> Result<RecordRow<'_>, StoreError> {
        let facts = (record.status == RunStatus::Ok).then(|| RunFacts::of(record)).transpose();
        let facts = facts.map_err(|error| corrupt("what was to be written", &error))?;
        Ok(RecordRow { record, json: to_json(record)?, facts })
    }
}

/// Keeps a record.
pub(super) fn insert(transaction: &Transaction<'_>, row: &RecordRow<'_>) -> Outcome<()> {
    let RecordRow { record, json, .. } = row;
    let parameters = named_params! {
        ":sweep": record.sweep_id.0, ":job": record.job.id.0, ":run": record.run_id.as_ref().map(RunId::as_str),
        ":status": record.status.as_str(), ":finished_ns": nanoseconds(record.finished_at),
        ":duration_ns": duration_column(record), ":failure_kind": failure_kind(record), ":record": json,
    };
    let sequence = transaction.one(INSERT, parameters, |row| row.get(0))?;
    insert_beside(transaction, row, sequence)
}

/// Puts a record in the place of that of a skipped job; says whether there was one. How long such a run took is not
/// known: it was waited for, too.
pub(super) fn amend(transaction: &Transaction<'_>, row: &RecordRow<'_>) -> Outcome<bool> {
    let RecordRow { record, json, .. } = row;
    let parameters = named_params! {
        ":sweep": record.sweep_id.0, ":job": record.job.id.0, ":run": record.run_id.as_ref().map(RunId::as_str),
        ":status": record.status.as_str(), ":finished_ns": nanoseconds(record.finished_at),
        ":failure_kind": failure_kind(record), ":record": json, ":skipped": RunStatus::Skipped.as_str(),
    };
    let changed = transaction.first(AMEND, parameters, |row| row.get(0))?;
    changed.map_or(Ok(false), |sequence| insert_beside(transaction, row, sequence).map(|()| true))
}

/// Keeps what follows from a record of this number: the files that it names, and its place in the history.
fn insert_beside(transaction: &Transaction<'_>, row: &RecordRow<'_>, sequence: i64) -> Outcome<()> {
    let RecordRow { record, facts, .. } = row;
    for output in &record.measurement.outputs {
        transaction.execute(ADD_OUTPUT, params![sequence, output.sha256])?;
    }
    let Some(facts) = facts else { return Ok(()) };
    transaction.execute(ADD_ENVIRONMENT, [&facts.environment])?;
    let job = &record.job;
    let rerun = job.rerun.as_ref();
    let parameters = named_params! {
        ":first_job": rerun.map_or(&job.id, |rerun| &rerun.of).0, ":rerun": rerun.map_or(0, |rerun| rerun.number),
        ":is_paired": job.side.is_some(),
        ":model": record.job.model.name, ":at_ns": nanoseconds(record.finished_at), ":sequence": sequence,
        ":sweep": record.sweep_id.0, ":device": record.job.device, ":median_ns": facts.median_ns,
        ":cell": facts.cell, ":circumstances": facts.circumstances, ":judged": facts.judged,
        ":environment": facts.environment,
    };
    transaction.execute(ADD_HISTORY, parameters).map(drop)
}

fn failure_kind(record: &Record) -> Option<&'static str> {
    record.failure.as_ref().map(|failure| failure.kind.as_str())
}

/// Whether a cell has its record.
pub(super) fn exists(transaction: &Transaction<'_>, sweep: &SweepId, job: &JobId) -> Outcome<bool> {
    let sql = "SELECT 1 FROM records WHERE sweep_id = ?1 AND job_id = ?2";
    transaction.first(sql, [&sweep.0, &job.0], |_| Ok(())).map(|found| found.is_some())
}

/// From start to record, of a run that ended well; none when the host's clock was set back meanwhile.
fn duration_column(record: &Record) -> Option<i64> {
    let started_at = record.started_at.filter(|_| record.status == RunStatus::Ok)?;
    i64::try_from(record.finished_at.duration_since(started_at).as_nanos()).ok().filter(|duration| *duration >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance::{at, job, record};

    #[test]
    fn duration_needs_a_clock_that_went_forward() {
        let run = RunId("r".into());
        let mut record = record(&SweepId("s".into()), &job("a", 1), Some((&run, 1)), RunStatus::Ok);
        assert_eq!(duration_column(&record), Some(15_000_000_000));
        record.finished_at = at(-5);
        assert_eq!(duration_column(&record), None);
    }
}
