use super::value::params;
use super::{Database, SqlStore};
use crate::domain::{ReportFile, SweepId};
use crate::store::{ReportFileStore, StoreError, SweepStore as _};

const ADD: &str = "INSERT INTO report_files (sweep_id, name, sha256, size_bytes) VALUES (?1, ?2, ?3, ?4)";
const LIST: &str = "SELECT name, sha256, size_bytes FROM report_files WHERE sweep_id = ?1 ORDER BY name";

impl<D: Database> ReportFileStore for SqlStore<D> {
    fn set_report_files(&self, sweep: &SweepId, files: &[ReportFile]) -> Result<(), StoreError> {
        self.sweep_state(sweep)?;
        self.transaction("note the reports of a sweep", |transaction| {
            transaction.execute("DELETE FROM report_files WHERE sweep_id = ?1", [&sweep.0])?;
            for ReportFile { name, sha256, size_bytes } in files {
                let size_bytes = i64::try_from(*size_bytes).unwrap_or(i64::MAX);
                transaction.execute(ADD, params![sweep.0, name, sha256, size_bytes])?;
            }
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
