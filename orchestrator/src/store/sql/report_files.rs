use super::value::params;
use super::{Database, Outcome, SqlStore, Transaction};
use crate::domain::{HOST_LOG_PREFIX, ReportFile, SweepId};
use crate::store::{ReportFileStore, StoreError, SweepStore as _};

const FORGET: &str = "DELETE FROM report_files WHERE sweep_id = ?1";
const FORGET_REPORTS: &str = "DELETE FROM report_files WHERE sweep_id = ?1 AND name NOT LIKE ?2";
const FORGET_ONE: &str = "DELETE FROM report_files WHERE sweep_id = ?1 AND name = ?2";
const ADD: &str = "INSERT INTO report_files (sweep_id, name, sha256, size_bytes) VALUES (?1, ?2, ?3, ?4)";
const LIST: &str = "SELECT name, sha256, size_bytes FROM report_files WHERE sweep_id = ?1 ORDER BY name";

impl<D: Database> ReportFileStore for SqlStore<D> {
    fn set_report_files(&self, sweep: &SweepId, files: &[ReportFile]) -> Result<(), StoreError> {
        self.sweep_state(sweep)?;
        self.transaction("note the reports of a sweep", |transaction| {
            transaction.execute(FORGET_REPORTS, params![sweep.0, format!("{HOST_LOG_PREFIX}%")])?;
            files.iter().try_for_each(|file| add(transaction, sweep, file))
        })
    }

    fn set_host_log(&self, sweep: &SweepId, log: &ReportFile) -> Result<(), StoreError> {
        self.sweep_state(sweep)?;
        self.transaction("note the log of a host", |transaction| {
            transaction.execute(FORGET_ONE, params![sweep.0, log.name])?;
            add(transaction, sweep, log)
        })
    }

    fn forget_report_files(&self, sweep: &SweepId) -> Result<(), StoreError> {
        self.transaction("forget the reports of a sweep", |transaction| {
            transaction.execute(FORGET, [&sweep.0])?;
            Ok(())
        })
    }

    fn report_files(&self, sweep: &SweepId) -> Result<Vec<ReportFile>, StoreError> {
        self.query("list the reports of a sweep", LIST, [&sweep.0], |row| {
            let size_bytes = row.get::<i64>(2)?.unsigned_abs();
            Ok(ReportFile { name: row.get(0)?, sha256: row.get(1)?, size_bytes })
        })
    }
}

fn add(transaction: &Transaction<'_>, sweep: &SweepId, file: &ReportFile) -> Outcome<()> {
    let size_bytes = i64::try_from(file.size_bytes).unwrap_or(i64::MAX);
    transaction.execute(ADD, params![sweep.0, file.name, file.sha256, size_bytes])?;
    Ok(())
}
