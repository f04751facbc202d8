//! Sweeps that others are compared with, by a name.

use crate::domain::{Baseline, SweepId};
use crate::store::people;

use super::{Lab, LabError};

/// Longest name of a baseline.
const LONGEST_NAME: usize = 64;

/// A name that a sweep has now.
pub struct BaselineChange {
    /// What is so now.
    pub baseline: Baseline,
    /// The sweep that had the name before.
    pub before: Option<SweepId>,
}

impl Lab {
    /// Gives a name to a sweep that is over.
    ///
    /// # Errors
    /// When there is no such sweep, it is not over, or the name can't be one.
    pub fn set_baseline(&self, name: &str, wanted: &str) -> Result<BaselineChange, LabError> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(is_plain) {
            return Err(LabError::usage(format!("{name:?} can't be the name of a baseline"))
                .with_hint(format!("write letters, digits, -, _ and . alone, {LONGEST_NAME} at most")));
        }
        let sweep = self.find_sweep(wanted)?;
        if !sweep.state.is_over() {
            return Err(LabError::usage(format!("sweep {} is not over", sweep.id))
                .with_hint("a baseline is what a sweep came to: set it when that is known"));
        }
        let baseline = Baseline { name: name.to_owned(), sweep: sweep.id, by: self.person(), at: self.now() };
        let before = people::set_baseline(self.store()?.as_ref(), &baseline)?;
        Ok(BaselineChange { baseline, before })
    }

    /// Takes such a name away; returns whether there was one.
    ///
    /// # Errors
    /// When the store can't be written.
    pub fn unset_baseline(&self, name: &str) -> Result<bool, LabError> {
        Ok(people::unset_baseline(self.store()?.as_ref(), name, &self.person(), self.now())?)
    }

    /// Every baseline, by name.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn baselines(&self) -> Result<Vec<Baseline>, LabError> {
        Ok(self.store()?.baselines()?)
    }

    /// The baseline of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn baseline(&self, name: &str) -> Result<Baseline, LabError> {
        let baselines = self.baselines()?;
        if let Some(found) = baselines.iter().find(|baseline| baseline.name == name) {
            return Ok(found.clone());
        }
        let names: Vec<&str> = baselines.iter().map(|baseline| baseline.name.as_str()).collect();
        Err(LabError::usage(format!("there is no baseline {name:?}")).with_hint(match names.is_empty() {
            true => format!("`farmctl baseline set {name} SWEEP` makes a sweep it"),
            false => format!("there are: {}", names.join(", ")),
        }))
    }
}
