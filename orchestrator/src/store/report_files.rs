use super::StoreError;
use crate::domain::{ReportFile, SweepId};

/// The reports of sweeps, as the hosts of a lab share them.
pub trait ReportFileStore {
    /// Says which reports of a sweep are in the place that hosts share, in the place of what was said before. The logs
    /// of hosts stay.
    ///
    /// # Errors
    /// When there is no such sweep, or the store can't be written.
    fn set_report_files(&self, sweep: &SweepId, files: &[ReportFile]) -> Result<(), StoreError>;

    /// Says that this log of a host, which `domain::host_log_name` names, is there, in the place of one of its name.
    ///
    /// # Errors
    /// As for [`ReportFileStore::set_report_files`].
    fn set_host_log(&self, sweep: &SweepId, log: &ReportFile) -> Result<(), StoreError>;

    /// Forgets all of them: reports and logs.
    ///
    /// # Errors
    /// When the store can't be written.
    fn forget_report_files(&self, sweep: &SweepId) -> Result<(), StoreError>;

    /// The reports of a sweep that hosts share, by name; none where there is no such sweep.
    ///
    /// # Errors
    /// When the store can't be read.
    fn report_files(&self, sweep: &SweepId) -> Result<Vec<ReportFile>, StoreError>;
}
