//! What the store has of earlier sweeps.

use std::collections::BTreeMap;
use std::path::Path;

use crate::domain::{Submission, SweepDefinition, SweepId, SweepRow, SweepState};
use crate::lab::{Lab, LabError};
use crate::lease::live_holder;
use crate::store::LeaseHolder;

/// Sweeps among which `latest` is looked for.
const LOOKED_AT: u32 = 100;

impl Lab {
    /// The sweep that a person means by its identifier, the beginning of one, or `latest`.
    ///
    /// # Errors
    /// When there is none, or there are several.
    pub fn find_sweep(&self, wanted: &str) -> Result<SweepRow, LabError> {
        let store = self.store()?;
        if wanted == "latest" {
            let newest = store.newest_sweeps("", LOOKED_AT)?;
            // One that is dated later was begun by a clock that was ahead. Where there is no other, it will do.
            let now = self.dated_now().unwrap_or_else(|| self.now());
            let dated = newest.iter().find(|sweep| sweep.started_at <= now);
            return dated.or(newest.first()).cloned().ok_or_else(|| LabError::nothing("this lab has no sweep yet"));
        }
        if let Some(exact) = store.sweep(&SweepId(wanted.to_owned()))? {
            return Ok(exact);
        }
        let mut matching = store.newest_sweeps(wanted, 2)?.into_iter();
        match (matching.next(), matching.next()) {
            (Some(sweep), None) => Ok(sweep),
            (Some(_), Some(_)) => Err(LabError::usage(format!("{wanted:?} is the beginning of several sweeps"))),
            (None, _) => {
                let sweeps = store.newest_sweeps("", 5)?;
                let newest: Vec<&str> = sweeps.iter().map(|sweep| sweep.id.as_str()).collect();
                Err(LabError::usage(format!("there is no sweep {wanted:?}"))
                    .with_hint(format!("the newest are: {}", newest.join(", "))))
            }
        }
    }

    /// The sweep that is to go on, if it can: the one that is `wanted`, or the newest (of this file) without a word.
    ///
    /// # Errors
    /// When there is none, or it is over, cancelled, or of a farmctl that could not do this.
    pub(super) fn find_unfinished(
        &self,
        config: Option<&Path>,
        wanted: &str,
    ) -> Result<(SweepRow, SweepDefinition), LabError> {
        let store = self.store()?;
        let config = config.map(|path| path.display().to_string());
        let sweep = if wanted.is_empty() {
            let mut open = store.open_sweeps()?.into_iter().filter(|sweep| sweep.state == SweepState::Open);
            let of_file = |sweep: &SweepRow| match (&config, store.definition(&sweep.id)) {
                (None, _) => true,
                (Some(config), Ok(Some(definition))) => definition.config == *config,
                (Some(_), _) => false,
            };
            open.find(of_file).ok_or_else(|| LabError::nothing("no sweep was stopped before its end"))?
        } else {
            self.find_sweep(wanted)?
        };
        if sweep.state.is_over() {
            return Err(LabError::nothing(format!(
                "sweep {} is {}: each of its jobs has its record",
                sweep.id, sweep.state
            ))
            .with_hint(format!("`farmctl sweep --retry-failed {}` runs again what failed", sweep.id)));
        }
        if sweep.state == SweepState::Cancelling {
            return Err(LabError::usage(format!("sweep {} was cancelled", sweep.id))
                .with_hint(format!("`farmctl cancel {}` ends what is left of it", sweep.id)));
        }
        let definition = store.definition(&sweep.id)?.ok_or_else(|| {
            LabError::usage(format!("sweep {} was begun by a farmctl that could not resume", sweep.id))
                .with_hint("start it anew; what it has measured stays in its reports")
        })?;
        Ok((sweep, definition))
    }

    /// Who carries a sweep out now.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn holder(&self, sweep: &SweepId) -> Result<Option<LeaseHolder>, LabError> {
        Ok(live_holder(self.store()?.as_ref(), sweep, self.now())?)
    }

    /// The sweeps that are the daemon's and not over.
    pub(in crate::lab) fn submissions(&self) -> Result<BTreeMap<SweepId, Submission>, LabError> {
        let submitted = self.store()?.submitted_to_daemon()?.into_iter();
        Ok(submitted.map(|handed| (handed.sweep_id, handed.submission)).collect())
    }
}
