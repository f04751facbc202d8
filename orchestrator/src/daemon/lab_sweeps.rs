use std::sync::Arc;

use async_trait::async_trait;

use crate::agent::Stop;
use crate::domain::{Channel, DueTime, SweepId};
use crate::lab::{ErrorKind, Lab, LabError, Removal, Tidying};
use crate::lease::is_holder_gone;
use crate::progress::Progress;
use crate::retention::Retention;
use crate::schedule::Schedule;

use super::{Daemon, Sweeps, TaskError};

/// Carries out the sweeps of a lab.
pub struct LabSweeps {
    lab: Lab,
    progress: Progress,
}

impl LabSweeps {
    /// Those of this lab, shown by this view.
    pub fn new(lab: Lab, progress: Progress) -> LabSweeps {
        LabSweeps { lab, progress }
    }
}

impl Daemon {
    /// The daemon of a lab, by its clock.
    ///
    /// # Errors
    /// When the lab's store can't be opened.
    pub fn of_lab(lab: &Lab, sweeps: Arc<LabSweeps>) -> Result<Daemon, LabError> {
        let mut daemon = Daemon::new(lab.store()?, sweeps, lab.clock(), is_holder_gone);
        // Before anybody hears that it runs: from here on, all processes know what the clock said.
        if let Err(error) = daemon.keep_clock() {
            tracing::warn!(%error, "what the clock says was not kept");
        }
        Ok(daemon)
    }
}

impl From<LabError> for TaskError {
    fn from(error: LabError) -> TaskError {
        match error.kind() {
            ErrorKind::Nothing => TaskError::Nothing(error.text()),
            ErrorKind::Internal
            | ErrorKind::Usage
            | ErrorKind::Invalid
            | ErrorKind::NoDevice
            | ErrorKind::Unavailable => TaskError::Passing(error.text()),
        }
    }
}

#[async_trait(?Send)]
impl Sweeps for LabSweeps {
    async fn begin(&self, schedule: &Schedule, due: DueTime, stop: Arc<Stop>) -> Result<(), TaskError> {
        Ok(self.lab.begin_due(schedule, due, stop, &self.progress).await?)
    }

    async fn go_on(&self, sweep: &SweepId, stop: Arc<Stop>) -> Result<(), TaskError> {
        Ok(self.lab.go_on_headless(sweep, stop, &self.progress).await?)
    }

    fn reaches_any(&self, devices: &[String]) -> Result<bool, TaskError> {
        Ok(self.lab.reaches_any(devices)?)
    }

    async fn cancel(&self, sweep: &SweepId) -> Result<(), TaskError> {
        Ok(self.lab.end_cancelled(sweep, &self.progress).await?)
    }

    async fn probe(&self) -> Result<(), TaskError> {
        Ok(self.lab.probe_all(&self.progress).await?)
    }

    async fn tidy(&self, rules: &Retention) -> Result<(), TaskError> {
        let tidy = || {
            let removals = self.lab.tidy(rules, Tidying::Bounded, None)?;
            tracing::info!(what = %Removal::summary(&removals, false), "retention");
            Ok(())
        };
        Ok(self.lab.one_at_a_time("retention", tidy)?)
    }

    async fn compare(&self, schedules: &[Schedule]) -> Result<(), TaskError> {
        Ok(self.lab.one_at_a_time("comparisons", || self.lab.compare_finished(schedules))?)
    }

    async fn notify(&self, channels: &[Channel]) -> Result<(), TaskError> {
        Ok(self.lab.one_at_a_time("notifications", || self.lab.notify(channels))?)
    }

    async fn look_at_files(&self, schedules: &[Schedule]) -> Result<(), TaskError> {
        match self.lab.model_file_faults(schedules) {
            None => Ok(()),
            Some(faults) => Err(TaskError::Passing(faults)),
        }
    }

    fn obstacle(&self) -> Option<String> {
        self.lab.obstacle()
    }
}
