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

/// The names that some run has, of all that were asked about together.
pub(super) struct KnownNames<'a> {
    pub(super) devices: BTreeSet<&'a str>,
    pub(super) networks: BTreeSet<&'a str>,
    pub(super) backends: BTreeSet<&'a str>,
}

impl OnlyRuns {
    /// Refuses a name that was asked for and that no run has.
    ///
    /// # Errors
    /// When there is one.
    pub(super) fn refuse_unknown(&self, known: &KnownNames<'_>) -> Result<(), LabError> {
        refuse_unknown("device", &self.devices, &known.devices)?;
        refuse_unknown("network", &self.networks, &known.networks)?;
        refuse_unknown("engine", &self.backends, &known.backends)
    }

    /// Whether a run with these names is meant.
    pub(super) fn names(&self, device: &str, network: &str, backend: &str) -> bool {
        let has = |names: &[String], name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
        has(&self.devices, device) && has(&self.networks, network) && has(&self.backends, backend)
    }
}

fn refuse_unknown(what: &str, wanted: &[String], known: &BTreeSet<&str>) -> Result<(), LabError> {
    let Some(unknown) = wanted.iter().find(|wanted| !known.contains(wanted.as_str())) else { return Ok(()) };
    let error = LabError::usage(format!("no run is of the {what} {unknown:?}"));
    let known: Vec<&str> = known.iter().copied().collect();
    Err(error.with_hint(format!("there are: {}", known.join(", "))))
}
