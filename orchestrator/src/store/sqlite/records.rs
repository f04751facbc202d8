use rusqlite::{OptionalExtension, Transaction, named_params};

use super::nanoseconds;
use crate::domain::{JobId, Record, RunId, RunStatus, SweepId};

const INSERT: &str = "
    INSERT INTO records (sweep_id, job_id, run_id, status, finished_at_ns, duration_ns, record)
    VALUES (:sweep, :job, :run, :status, :finished_ns, :duration_ns, :record)";

/// Keeps a record, of which `text` is the JSON.
pub(super) fn insert(transaction: &Transaction<'_>, record: &Record, text: &str) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(INSERT)?
        .execute(named_params! {
            ":sweep": record.sweep_id.0, ":job": record.job.id.0, ":run": record.run_id.as_ref().map(RunId::as_str),
            ":status": record.status.as_str(), ":finished_ns": nanoseconds(record.finished_at),
            ":duration_ns": duration_column(record), ":record": text,
        })
        .map(drop)
}

const AMEND: &str = "
    UPDATE records SET status = :status, finished_at_ns = :finished_ns, record = :record
    WHERE sweep_id = :sweep AND job_id = :job AND run_id = :run AND status = :skipped";

/// Puts a record, of which `text` is the JSON, in the place of that of a skipped job; says whether there was one. How
/// long such a run took is not known: it was waited for, too.
pub(super) fn amend(transaction: &Transaction<'_>, record: &Record, text: &str) -> rusqlite::Result<bool> {
    let changed = transaction.prepare_cached(AMEND)?.execute(named_params! {
        ":sweep": record.sweep_id.0, ":job": record.job.id.0, ":run": record.run_id.as_ref().map(RunId::as_str),
        ":status": record.status.as_str(), ":finished_ns": nanoseconds(record.finished_at), ":record": text,
        ":skipped": RunStatus::Skipped.as_str(),
    })?;
    Ok(changed == 1)
}

/// Whether a cell has its record.
pub(super) fn exists(transaction: &Transaction<'_>, sweep: &SweepId, job: &JobId) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM records WHERE sweep_id = ?1 AND job_id = ?2";
    transaction.prepare_cached(sql)?.query_row([&sweep.0, &job.0], |_| Ok(())).optional().map(|found| found.is_some())
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
