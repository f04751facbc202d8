//! Sweeps that others are compared with, by a name.

use crate::domain::{Baseline, LONGEST_BASELINE_NAME, SweepId, is_baseline_name};
use crate::store::people;

use super::{Lab, LabError};

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
    /// When there is no such sweep, it is not over, it measured nothing, or the name can't be one.
    pub fn set_baseline(&self, name: &str, wanted: &str) -> Result<BaselineChange, LabError> {
        if !is_baseline_name(name) {
            return Err(LabError::usage(format!("{name:?} can't be the name of a baseline"))
                .with_hint(format!("write letters, digits, -, _ and . alone, {LONGEST_BASELINE_NAME} at most")));
        }
        let sweep = self.find_sweep(wanted)?;
        if !sweep.state.is_over() {
            return Err(LabError::usage(format!("sweep {} is not over", sweep.id))
                .with_hint("a baseline is what a sweep came to: set it when that is known"));
        }
        if self.store()?.counts(&sweep.id)?.ok == 0 {
            let error = LabError::usage(format!("sweep {} measured nothing: none of its runs is ok", sweep.id));
            return Err(
                error.with_hint("no sweep can be compared with it: name one that has results (`farmctl sweeps list`)")
            );
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use super::*;
    use crate::domain::RunStatus;
    use crate::lab::{Environment, Overrides, SweepLogs};
    use crate::store::conformance::{at, claim, record, sweep};

    #[test]
    fn a_sweep_without_results_is_no_baseline() {
        let folder = tempfile::tempdir().unwrap();
        let environment = Environment::sample();
        let (overrides, logs) = (Overrides::default(), SweepLogs::default());
        let lab = Lab::open(folder.path(), overrides, environment, logs, Arc::new(|_| {})).unwrap();
        let store = lab.store().unwrap();
        let over = |name: &str, status| {
            let (row, plan) = sweep(store.as_ref(), name, &["bb"], 3);
            for _ in &plan.jobs {
                let run = claim(store.as_ref(), &row, "bb", "host", 1);
                let record = record(&row.id, &run.job, Some((&run.run_id, run.attempt)), status);
                store.finish(run.epoch, &record, None, at(30)).unwrap();
            }
            assert!(store.finish_sweep(&row.id, at(60)).unwrap());
            row.id
        };
        let (failed, measured) = (over("failed", RunStatus::Failed), over("measured", RunStatus::Ok));
        let refusal = lab.set_baseline("main", failed.as_str()).err().unwrap().text();
        assert!(refusal.contains("measured nothing: none of its runs is ok"), "{refusal}");
        assert!(lab.baselines().unwrap().is_empty());
        assert_eq!(lab.set_baseline("main", measured.as_str()).unwrap().baseline.sweep, measured);
    }
}
