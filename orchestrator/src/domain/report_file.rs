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

/// With what the names of hosts' logs begin, where hosts share them.
pub const HOST_LOG_PREFIX: &str = "log-";

/// The name of a host's log of a sweep, where hosts share it.
pub fn host_log_name(host: &str) -> String {
    const MOST: usize = 100;
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    format!("{HOST_LOG_PREFIX}{}.jsonl", host.chars().take(MOST).map(plain).collect::<String>())
}
