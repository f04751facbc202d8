//! How far sweeps are.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::{Record, Submission, SweepId, SweepRow};
use crate::lab::{Lab, LabError};
use crate::lease::live_holder;
use crate::status;
use crate::store::{SweepCounts, SweepPage, people};

/// A sweep as a person asks for it.
#[derive(Debug, Serialize)]
pub struct SweepOverview {
    /// The sweep.
    #[serde(flatten)]
    pub sweep: SweepRow,
    /// What a person would call its state: an open one is running, stopped, or waiting for the daemon.
    pub standing: &'static str,
    /// Who carries it out now.
    pub holder: Option<String>,
    /// Who keeps it, whatever the rules of retention say.
    pub pinned_by: Option<String>,
    /// Whether that is the daemon.
    pub is_held_by_daemon: bool,
    /// Who gave it to the daemon.
    #[serde(rename = "handed_over_by")]
    pub submitted_by: Option<String>,
    /// Who began it; none where a schedule did.
    pub ordered_by: Option<String>,
    /// The schedule whose sweep it is.
    pub schedule: Option<String>,
    /// Its file.
    pub config: Option<String>,
    /// The sweep whose failed jobs it runs again.
    pub retry_of: Option<String>,
    /// Its jobs and records.
    #[serde(flatten)]
    pub counts: SweepCounts,
}

/// A sweep that the rules of retention hold for again.
pub struct Unpinned {
    /// The sweep.
    pub sweep: SweepId,
    /// Whether they did not before.
    pub was_pinned: bool,
    /// Baselines that it is: they keep it still.
    pub baselines: Vec<String>,
}

impl Lab {
    /// Sweeps, the newest first, at most so many.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn sweep_overviews(&self, limit: u32) -> Result<Vec<SweepOverview>, LabError> {
        let (submissions, pins) = (self.submissions()?, self.pins()?);
        let sweeps = self.store()?.sweeps_page(SweepPage { limit, ..SweepPage::default() })?;
        sweeps.into_iter().map(|sweep| self.overview(&submissions, &pins, sweep)).collect()
    }

    /// One sweep.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn sweep_overview(&self, sweep: SweepRow) -> Result<SweepOverview, LabError> {
        self.overview(&self.submissions()?, &self.pins()?, sweep)
    }

    /// Who pinned which sweep.
    fn pins(&self) -> Result<BTreeMap<SweepId, String>, LabError> {
        Ok(self.store()?.pinned_sweeps()?.into_iter().collect())
    }

    fn overview(
        &self,
        submissions: &BTreeMap<SweepId, Submission>,
        pins: &BTreeMap<SweepId, String>,
        sweep: SweepRow,
    ) -> Result<SweepOverview, LabError> {
        let store = self.store()?;
        let submission = submissions.get(&sweep.id);
        let holder = live_holder(store.as_ref(), &sweep.id, self.now())?;
        let definition = store.definition(&sweep.id)?;
        Ok(SweepOverview {
            standing: status::sweep_status(sweep.state, holder.is_some(), submission.is_some()),
            is_held_by_daemon: holder.as_ref().is_some_and(|holder| self.is_daemon(&holder.holder)),
            holder: holder.map(|holder| holder.holder),
            pinned_by: pins.get(&sweep.id).cloned(),
            submitted_by: submission.map(|submission| submission.by.clone()),
            ordered_by: definition.as_ref().and_then(|it| it.ordered.as_ref()).map(|order| order.by.clone()),
            schedule: definition.as_ref().and_then(|it| it.schedule()).map(str::to_owned),
            config: definition.as_ref().map(|definition| definition.config.clone()),
            retry_of: definition.and_then(|definition| definition.retry_of).map(|id| id.0),
            counts: store.counts(&sweep.id)?,
            sweep,
        })
    }

    /// The records that a sweep has.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn records_so_far(&self, sweep: &SweepRow) -> Result<Vec<Record>, LabError> {
        Ok(self.store()?.records(&sweep.id)?)
    }

    /// Keeps a sweep, whatever the rules of retention say.
    ///
    /// # Errors
    /// When there is no such sweep.
    pub fn pin_sweep(&self, wanted: &str) -> Result<SweepId, LabError> {
        let sweep = self.find_sweep(wanted)?.id;
        people::pin_sweep(self.store()?.as_ref(), &sweep, &self.person(), self.now())?;
        Ok(sweep)
    }

    /// Lets the rules of retention hold for a sweep again.
    ///
    /// # Errors
    /// When there is no such sweep.
    pub fn unpin_sweep(&self, wanted: &str) -> Result<Unpinned, LabError> {
        let sweep = self.find_sweep(wanted)?.id;
        let was_pinned = people::unpin_sweep(self.store()?.as_ref(), &sweep, &self.person(), self.now())?;
        let of_sweep = self.baselines()?.into_iter().filter(|baseline| baseline.sweep == sweep);
        let baselines = of_sweep.map(|baseline| baseline.name).collect();
        Ok(Unpinned { sweep, was_pinned, baselines })
    }
}
