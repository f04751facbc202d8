//! What is written about a run: its record, or that it was given back. Nothing here is lost because a disk is full for
//! a while, and nothing is written under a lease that was lost.

use std::time::Duration;

use tokio::time::Instant;

use crate::device::Collected;
use crate::domain::{EventKind, Failure, Job, MeasuredAccuracy, Record};
use crate::score::{Statistics, count_right};
use crate::store::{ClaimedRun, Requeue, StoreError};

use super::jobs::{Work, subject};
use super::{Agent, AgentError, as_ns, later};

/// How long the store, or the folder of outputs, may refuse before the sweep is given up.
const STORE_TIMEOUT: Duration = Duration::from_secs(60);
/// How soon it is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

impl Work<'_, '_> {
    /// Keeps what the network answered, however long the disk takes to have room for it. Until then the run is not
    /// ended: its results are on the device, for whoever goes on with the sweep.
    pub(super) async fn keep_outputs(&self, collected: &Collected) -> Result<(), AgentError> {
        let give_up_at = Instant::now() + STORE_TIMEOUT;
        for (sha256, bytes) in &collected.output_files {
            while let Err(error) = self.agent.files.outputs.keep(sha256, bytes) {
                if Instant::now() >= give_up_at {
                    return Err(AgentError::Outputs(error));
                }
                tracing::error!(%error, "an output was not kept yet, trying again");
                tokio::time::sleep(TRY_AGAIN).await;
            }
        }
        Ok(())
    }

    /// Ends a run with its record; tells of the job that takes its place elsewhere.
    pub(super) async fn finish(
        &mut self,
        run: &ClaimedRun,
        record: Record,
        moved: Option<Job>,
    ) -> Result<(), AgentError> {
        let agent = self.agent;
        let write = || agent.store.finish(run.epoch, &record, moved.as_ref(), agent.now());
        if !persist("a record", write).await? {
            return Ok(());
        }
        self.ended.push(run.run_id.clone());
        self.note_temperature(&record);
        let kind = EventKind::RunFinished {
            name: record.job.model.name.clone(),
            status: record.status,
            p50_ns: Statistics::of(&record.measurement.samples_ns).map(|statistics| statistics.p50_ns),
            failure: record.failure,
        };
        self.agent.events.emit(subject(run), kind).await;
        if let Some(job) = moved {
            let (name, to_device) = (job.model.name.clone(), job.device.clone());
            let kind = EventKind::JobMoved { name, to_device: to_device.clone(), to_job_id: job.id };
            self.agent.events.emit(subject(run), kind).await;
            self.worker.shared.wanted.want(&to_device);
        }
        Ok(())
    }

    /// Ends a run without a record; its job waits again.
    pub(super) async fn requeue(
        &mut self,
        run: &ClaimedRun,
        failure: Failure,
        counts: bool,
        pause: Duration,
    ) -> Result<(), AgentError> {
        let agent = self.agent;
        let write = || {
            let now = agent.now();
            let not_before = later(now, pause);
            let requeue = Requeue { run_id: &run.run_id, epoch: run.epoch, failure: &failure, counts, not_before };
            agent.store.requeue(&requeue, now)
        };
        if persist("the end of an attempt", write).await? {
            self.ended.push(run.run_id.clone());
            let (name, attempt) = (run.job.model.name.clone(), run.attempt);
            let kind = EventKind::RunRequeued { name, attempt, failure, pause_ns: as_ns(pause) };
            self.agent.events.emit(subject(run), kind).await;
        }
        Ok(())
    }
}

impl Agent {
    /// How often the network was right; `None` where it was not asked, or did not answer.
    pub(super) fn accuracy(&self, job: &Job, best: &[Vec<u32>]) -> Result<Option<MeasuredAccuracy>, AgentError> {
        // Where it did not answer, a remark of the run says why.
        let Some(dataset) = job.dataset.as_ref().filter(|_| !best.is_empty()) else { return Ok(None) };
        let Some(prepared) = dataset.prepared.as_ref() else { return Ok(None) };
        let labels = self.files.labels.load(&prepared.labels_sha256).map_err(AgentError::Labels)?;
        Ok(Some(count_right(best, &labels, dataset.label_offset)))
    }
}

/// Writes about a run, however long the store takes to be writable again. Returns false when the lease was lost: then
/// somebody else writes about it.
async fn persist(what: &str, write: impl Fn() -> Result<(), StoreError>) -> Result<bool, AgentError> {
    let give_up_at = Instant::now() + STORE_TIMEOUT;
    loop {
        match write() {
            Ok(()) => return Ok(true),
            Err(error @ StoreError::StaleEpoch { .. }) => {
                tracing::warn!(%error, "the lease of this run was lost, its end is not written twice");
                return Ok(false);
            }
            Err(error @ StoreError::Lost { .. }) => return Err(error.into()),
            Err(error) if Instant::now() >= give_up_at => return Err(error.into()),
            Err(error) => {
                tracing::error!(%error, "{what} was not kept yet, trying again");
                tokio::time::sleep(TRY_AGAIN).await;
            }
        }
    }
}
