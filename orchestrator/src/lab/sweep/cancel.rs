//! Ends a sweep for good: its runs are ended on the devices, what was measured is kept, and what is left is cancelled.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::agent::{AgentMode, HostFiles, cell_record};
use crate::domain::{Failure, FailureKind, RunStatus, SweepId, SweepRow};
use crate::lab::{EngineSource, Lab, LabError};
use crate::lease::{LeaseError, holder_in_words, live_holder};
use crate::progress::Progress;
use crate::store::{StoreError, people};
use crate::wording::many;

use super::MAX_DEVICES;
use super::execute::{Beginning, ProvidedFiles, StopRequests, SweepDevices, SweepExecution, SweepLease, SweepStart};

/// How long the process that carries the sweep out may take to end its runs.
const HOLDER_TIMEOUT: Duration = Duration::from_secs(120);
/// How often it is looked whether it is done.
const POLL_INTERVAL: Duration = Duration::from_millis(300);

/// A sweep that was cancelled.
pub struct Cancelled {
    /// The sweep.
    pub sweep: SweepId,
    /// The end of its runs that are still on devices, to be carried out.
    pub left: Option<SweepExecution>,
}

/// What a cancelled sweep has left.
enum Left {
    /// Another process has the sweep, and ends it.
    ToOthers,
    /// Nothing.
    Nothing,
    /// Runs on devices.
    Runs(Box<SweepExecution>),
}

impl Lab {
    /// Cancels a sweep, and waits until the process that carries it out, if there is one, has ended its runs.
    ///
    /// # Errors
    /// When there is no such sweep, it is over, or that process does not end its runs.
    pub async fn cancel(&self, wanted: &str, progress: &Progress) -> Result<Cancelled, LabError> {
        let sweep = self.find_sweep(wanted)?;
        if sweep.state.is_over() {
            return Err(LabError::nothing(format!("sweep {} is {} already", sweep.id, sweep.state)));
        }
        people::cancel_sweep(self.store()?.as_ref(), &sweep.id, &self.person(), self.now())?;
        let give_up_at = Instant::now() + HOLDER_TIMEOUT;
        loop {
            self.wait_for_holder(&sweep, give_up_at).await?;
            // A daemon ends what was submitted to it, and may have been faster.
            if self.find_sweep(sweep.id.as_str())?.state.is_over() {
                return Ok(Cancelled { sweep: sweep.id, left: None });
            }
            match self.take_what_is_left(&sweep, progress)? {
                Left::ToOthers => {}
                Left::Nothing => return Ok(Cancelled { sweep: sweep.id, left: None }),
                Left::Runs(execution) => return Ok(Cancelled { sweep: sweep.id, left: Some(*execution) }),
            }
        }
    }

    /// Ends a sweep that is marked as cancelled already, for somebody who is not there to see it; leaves it alone when
    /// another process has it.
    ///
    /// # Errors
    /// When jobs could not be ended.
    pub async fn end_cancelled(&self, sweep: &SweepId, progress: &Progress) -> Result<(), LabError> {
        let row = self.find_sweep(sweep.as_str())?;
        if !row.state.is_over() {
            match self.take_what_is_left(&row, progress)? {
                Left::ToOthers => return Ok(()),
                Left::Nothing => {}
                Left::Runs(execution) => {
                    self.execute(*execution, &StopRequests::OfDaemon(Arc::default()), progress).await?;
                }
            }
        }
        self.conclude_once(sweep, progress)?;
        match self.store()?.open_jobs(sweep, None)?.len() {
            0 => Ok(()),
            left => {
                Err(LabError::internal(format!("{} of sweep {sweep} could not be ended", many(left as u64, "job")))
                    .with_hint(format!("`farmctl why {sweep}` says more")))
            }
        }
    }

    /// Waits until the process that carries the sweep out has ended its runs, if there is one.
    async fn wait_for_holder(&self, sweep: &SweepRow, give_up_at: Instant) -> Result<(), LabError> {
        let store = self.store()?;
        let mut is_told = false;
        while let Some(holder) = live_holder(store.as_ref(), &sweep.id, self.now())? {
            if !is_told {
                self.remark(&format!("{} carries it out, and ends its runs now", holder_in_words(&holder.holder)));
                is_told = true;
            }
            if Instant::now() >= give_up_at {
                return Err(LabError::internal(format!(
                    "{} has not ended sweep {} within {} s",
                    holder_in_words(&holder.holder),
                    sweep.id,
                    HOLDER_TIMEOUT.as_secs()
                ))
                .with_hint("look whether it hangs; end it, and cancel again"));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// Takes a cancelled sweep. Where no process has left runs on devices, its open jobs get their records at once.
    fn take_what_is_left(&self, sweep: &SweepRow, progress: &Progress) -> Result<Left, LabError> {
        let store = self.store()?;
        let keeper = self.start_lease_keeper()?;
        let lease = match keeper.sweep(&sweep.id) {
            Ok(lease) => lease,
            Err(LeaseError::Held(_)) => return Ok(Left::ToOthers),
            Err(LeaseError::Store(error)) => return Err(error.into()),
        };
        let live = store.live_runs(&sweep.id, None)?.into_iter().map(|run| run.device);
        let live: BTreeSet<String> = live.chain(store.devices_left(&sweep.id)?).collect();
        let inventory = self.inventory()?;
        let used: Vec<_> = inventory.devices.into_iter().filter(|device| live.contains(&device.name)).collect();
        match store.definition(&sweep.id)? {
            Some(definition) if !used.is_empty() => {
                let runners = self.runners_of(&definition.sweep, progress).of_sweep(self, &sweep.id)?;
                // Runs are only ended here: a catalogue that can't be read must not keep them.
                let catalog = self.catalog_of(&definition.sweep).unwrap_or_default();
                let engines = EngineSource::new(self, &catalog, progress.clone());
                let lease = SweepLease { keeper, lease };
                let (sweep, mode) = (sweep.clone(), AgentMode::EndRuns);
                let beginning = Beginning::GoesOn { left_by: None };
                let start = SweepStart { sweep, definition, lease, mode, beginning };
                let devices = SweepDevices { used, of_lab: Vec::new(), max_devices: MAX_DEVICES };
                let files = ProvidedFiles { models: HostFiles::default(), runners, engines };
                Ok(Left::Runs(Box::new(self.execution(start, devices, files))))
            }
            _ => {
                self.close_open_jobs(sweep, false)?;
                lease.release()?;
                Ok(Left::Nothing)
            }
        }
    }

    /// Gives each job that is still open a record that says so. What is under way elsewhere, where others carry the
    /// sweep out, too (`has_others`), they end.
    pub(super) fn close_open_jobs(&self, sweep: &SweepRow, has_others: bool) -> Result<(), LabError> {
        let store = self.store()?;
        for job in store.open_jobs(&sweep.id, None)? {
            let failure = Failure::new(FailureKind::Cancelled, "the sweep was cancelled before this job had a result");
            let record = cell_record(sweep, None, &job, RunStatus::Cancelled, Some(failure), self.now());
            match store.add_record(&record) {
                Err(StoreError::StaleEpoch { .. }) if has_others => {}
                // A run of it is on a device that could not be asked, or that no farm file has any more.
                Err(StoreError::StaleEpoch { run, .. }) => {
                    self.remark(&format!("run {run} on {} could not be ended, and stays open", job.device));
                }
                written => written?,
            }
        }
        Ok(())
    }
}
