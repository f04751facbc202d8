//! What is written about a run: its record, or that it was given back. Nothing here is lost because a disk is full for
//! a while, and nothing is written under a lease that was lost.

use std::time::Duration;

use tokio::time::Instant;

use crate::device::Collected;
use crate::domain::{EventKind, Failure, Job, MeasuredAccuracy, Record, Scenario, Verdict};
use crate::planner;
use crate::score::trust::Certainty;
use crate::score::{Statistics, count_right};
use crate::store::{AddedJob, ClaimedRun, Requeue, StoreError};

use super::jobs::{Work, subject};
use super::{Agent, AgentError, AgentMode, as_ns, later};

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
        let kept = collected.output_files.iter().map(|(sha256, _)| sha256.clone()).collect();
        self.agent.files.outputs.share(kept).await;
        Ok(())
    }

    /// Ends a run with its record; tells of the job that takes its place elsewhere, or measures the same again.
    pub(super) async fn finish(
        &mut self,
        run: &ClaimedRun,
        mut record: Record,
        moved: Option<Job>,
    ) -> Result<(), AgentError> {
        let agent = self.agent;
        let policy = &agent.assignment.rules.trust;
        let certainty = Certainty::of_record(&record, &policy.rules);
        record.judged = certainty.as_ref().map(|certainty| certainty.judgement(&record));
        let again = certainty.as_ref().and_then(|certainty| self.measured_again(&record.job, certainty.verdict()));
        let write = || {
            let now = agent.now();
            let moved = moved.as_ref().map(|job| AddedJob { job, not_before: now });
            let pause = Duration::try_from_secs_f64(policy.rerun_pause_seconds).unwrap_or(Duration::MAX);
            let again = again.as_ref().map(|job| AddedJob { job, not_before: later(now, pause) });
            agent.store.finish(run.epoch, &record, moved.or(again), now)
        };
        if !persist("a record", write).await? {
            return Ok(());
        }
        self.ended.push(run.run_id.clone());
        self.note_temperature(&record);
        let kind = EventKind::RunFinished {
            name: record.job.model.name.clone(),
            status: record.status,
            p50_ns: Statistics::of(&record.measurement.samples_ns).map(|statistics| statistics.p50_ns),
            judged: record.judged,
            failure: record.failure,
        };
        self.agent.events.emit(subject(run), kind).await;
        if let Some(job) = moved {
            let (name, to_device) = (job.model.name.clone(), job.device.clone());
            let kind = EventKind::JobMoved { name, to_device: to_device.clone(), to_job_id: job.id };
            self.agent.events.emit(subject(run), kind).await;
            self.worker.shared.wanted.want(&to_device);
        }
        if let Some((job, rerun)) = again.and_then(|job| job.rerun.map(|rerun| (job.id, rerun))) {
            let reason = certainty.as_ref().map(Certainty::reason).unwrap_or_default();
            let (name, verdict) = (run.job.model.name.clone(), rerun.verdict);
            let kind = EventKind::RerunPlanned { name, rerun_job_id: job, rerun: rerun.number, verdict, reason };
            self.agent.events.emit(subject(run), kind).await;
        }
        Ok(())
    }

    /// The job that measures the same again, where that may help and the sweep allows it.
    fn measured_again(&self, job: &Job, verdict: Verdict) -> Option<Job> {
        let assignment = &self.agent.assignment;
        let measured = job.rerun.as_ref().map_or(0, |rerun| rerun.number);
        let is_wanted = assignment.mode == AgentMode::Jobs && measured < assignment.rules.trust.max_reruns;
        // Load is sustained to see what a device loses.
        let may_help = verdict.may_rerun_help() && job.scenario != Scenario::Sustained;
        (is_wanted && may_help).then(|| planner::measured_again(job, verdict))
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
