use std::collections::BTreeSet;

use clap::Args;

use crate::lab::LabError;

/// The runs that are meant, of those that are there.
#[derive(Debug, Args)]
pub(super) struct OnlyRuns {
    /// Only these devices (comma-separated)
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(super) devices: Vec<String>,
    /// Only these networks (comma-separated)
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(super) networks: Vec<String>,
    /// Only these engines (comma-separated)
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(super) backends: Vec<String>,
}

/// Refuses a name that was asked for and that no run has.
///
/// # Errors
/// When there is one.
pub(super) fn refuse_unknown(what: &str, wanted: &[String], known: &BTreeSet<&str>) -> Result<(), LabError> {
    match wanted.iter().find(|wanted| !known.contains(wanted.as_str())) {
        None => Ok(()),
        Some(unknown) => {
            let known: Vec<&str> = known.iter().copied().collect();
            let error = LabError::usage(format!("no run is of the {what} {unknown:?}"));
            Err(error.with_hint(format!("there are: {}", known.join(", "))))
        }
    }
}
