use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

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

/// The table of results that a word of the command line means: a file, or that of a folder of reports. `None` where it
/// means a sweep of the store.
///
/// # Errors
/// When it is a folder without one.
pub(super) fn results_file(wanted: &str) -> Result<Option<PathBuf>, LabError> {
    let path = Path::new(wanted);
    if path.is_dir() {
        let file = path.join("results.csv");
        if !file.is_file() {
            let error = LabError::usage(format!("the folder {} has no results.csv", path.display()));
            return Err(error.with_hint("`farmctl report SWEEP` writes the reports of a sweep anew"));
        }
        return Ok(Some(file));
    }
    Ok((path.exists() || wanted.contains(['/', '.'])).then(|| path.to_owned()))
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
