/// A report of a sweep, as the hosts of a lab share it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportFile {
    /// Its name in the sweep's folder, such as `results.csv`.
    pub name: String,
    /// The hash of its content: its name in the place that hosts share.
    pub sha256: String,
    /// Its size.
    pub size_bytes: u64,
}
