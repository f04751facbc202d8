//! One attempt of a job on a device: the model is pushed, the job is run, and followed to its end.

use std::time::Duration;

use async_trait::async_trait;
use farmctl_protocol::Phase;
use tokio::time::Instant;

use crate::device::{Canceller, Collected, Order, RunFailure, RunObserver};
use crate::domain::{ArtifactRef, EventKind, Failure, FailureKind, Job, Measurement};
use crate::store::ClaimedRun;

use super::as_ns;
use super::events::{Events, Subject};
use super::jobs::{Work, subject};

/// How long a run may take to end after it was asked to.
const CANCEL_PATIENCE: Duration = Duration::from_secs(10);

impl Work<'_, '_> {
    /// Pushes the model and runs the job.
    #[tracing::instrument(name = "run", skip_all, fields(job = %run.job.id, run = %run.run_id, model = %run.job.model.name))]
    pub(super) async fn carry_out(&mut self, run: &ClaimedRun) -> Result<Collected, Box<RunFailure>> {
        let nothing = |failure| Box::new(RunFailure { failure, measurement: Measurement::default() });
        let agent = self.agent;
        let ready = async {
            self.session.reconnect_if_lost().await?;
            // What was left by an earlier process has all it needs.
            if self.session.knows_run(&run.run_id) { Ok(()) } else { self.push_files(&run.job, &subject(run)).await }
        };
        tokio::select! {
            biased;
            ready = ready => ready.map_err(nothing)?,
            () = agent.asked_to_end() => {
                return Err(nothing(Failure::new(FailureKind::Cancelled, "it was asked to end before it had started")));
            }
        }
        self.run_until_stopped(run).await
    }

    /// Runs a job to its end, or to the end that a person asked for.
    async fn run_until_stopped(&mut self, run: &ClaimedRun) -> Result<Collected, Box<RunFailure>> {
        let canceller = self.session.canceller(&run.run_id);
        let mut observer = Observer { events: self.agent.events.clone(), subject: subject(run) };
        {
            let order = Order { job: &run.job, run_id: &run.run_id, fence: &self.fence };
            let running = self.session.run(order, &mut observer);
            tokio::pin!(running);
            tokio::select! {
                ended = &mut running => return ended,
                () = self.agent.asked_to_end() => {
                    let both = async { tokio::join!(cancel(&canceller), running.as_mut()).1 };
                    if let Ok(ended) = tokio::time::timeout(CANCEL_PATIENCE, both).await {
                        return ended;
                    }
                }
            }
        }
        // Where a connection takes one command at a time, the order gets through once the run is no longer followed.
        let _ = tokio::time::timeout(CANCEL_PATIENCE, cancel(&canceller)).await;
        Err(Box::new(RunFailure {
            failure: Failure::new(FailureKind::Cancelled, "it was asked to end, and its last message did not come"),
            measurement: Measurement::default(),
        }))
    }

    /// Ends a run whose host can't follow it, as far as that is possible.
    pub(super) async fn end_on_device(&self, run: &ClaimedRun) {
        let canceller = self.session.canceller(&run.run_id);
        let _ = tokio::time::timeout(CANCEL_PATIENCE, cancel(&canceller)).await;
    }

    /// Pushes what the job needs and the device has not.
    async fn push_files(&mut self, job: &Job, subject: &Subject) -> Result<(), Failure> {
        let unavailable = |what: String| Failure::new(FailureKind::ArtifactUnavailable, what);
        let name = &job.model.name;
        let artifact = job.model.artifact.as_ref().ok_or_else(|| unavailable(format!("model {name} has no file")))?;
        self.push_file(name, artifact, subject).await?;
        if let Some(dataset) = &job.dataset {
            let prepared = dataset.prepared.as_ref();
            let prepared = prepared.ok_or_else(|| unavailable(format!("dataset {} was not prepared", dataset.name)))?;
            self.push_file(&format!("images of {}", dataset.name), &prepared.images, subject).await?;
        }
        Ok(())
    }

    async fn push_file(&mut self, name: &str, artifact: &ArtifactRef, subject: &Subject) -> Result<(), Failure> {
        let (agent, name) = (self.agent, name.to_owned());
        if self.session.has(artifact) {
            return Ok(());
        }
        let source = agent.model_files.get(&artifact.sha256).ok_or_else(|| {
            Failure::new(FailureKind::ArtifactUnavailable, format!("the file of {name} is not on this host"))
        })?;
        let size_bytes = artifact.size_bytes;
        let mut progress = |sent_bytes| {
            agent.events.show(subject.clone(), EventKind::PushProgress { name: name.clone(), sent_bytes, size_bytes });
        };
        let mut had_bytes = None;
        let started = Instant::now();
        let (sent_bytes, duration) = loop {
            let resumed_bytes = self.session.partial_bytes(artifact);
            let sha256 = artifact.sha256.clone();
            agent
                .events
                .emit(subject.clone(), EventKind::PushStarted { name: name.clone(), sha256, size_bytes, resumed_bytes })
                .await;
            match self.session.push(source, artifact, &mut progress).await {
                Ok(pushed) => {
                    if let Some(trimmed) = pushed.trimmed {
                        let (removed_runs, freed_bytes) = (0, trimmed.freed_bytes);
                        let kind = EventKind::DeviceCleaned { ended_runs: Vec::new(), removed_runs, freed_bytes };
                        agent.events.emit(Subject::device(&self.device.name), kind).await;
                    }
                    break (pushed.sent_bytes, pushed.duration);
                }
                // As long as each try brings bytes over, a way that breaks or stands still is no reason to give up.
                Err(failure)
                    if matches!(failure.kind, FailureKind::ConnectionLost | FailureKind::Timeout)
                        && had_bytes < Some(resumed_bytes) =>
                {
                    had_bytes = Some(resumed_bytes);
                    let cause = failure.message;
                    agent.events.emit(subject.clone(), EventKind::DeviceReconnecting { cause }).await;
                    self.session.reconnect().await?;
                    // It may have arrived whole, and only the answer was lost.
                    if self.session.has(artifact) {
                        break (size_bytes - resumed_bytes, started.elapsed());
                    }
                }
                Err(failure) => return Err(failure),
            }
        };
        let duration_ns = as_ns(duration);
        agent.events.emit(subject.clone(), EventKind::PushFinished { name, sent_bytes, duration_ns }).await;
        Ok(())
    }
}

async fn cancel(canceller: &Canceller) {
    if let Err(failure) = canceller.cancel().await {
        tracing::warn!(%failure, "a run could not be ended");
    }
}

/// Turns what a run tells into events.
struct Observer {
    events: Events,
    subject: Subject,
}

#[async_trait]
impl RunObserver for Observer {
    async fn phase(&mut self, phase: Phase) {
        self.events.emit(self.subject.clone(), EventKind::RunPhase { phase }).await;
    }

    async fn reconnecting(&mut self, cause: &str) {
        self.events.emit(self.subject.clone(), EventKind::DeviceReconnecting { cause: cause.to_owned() }).await;
    }
}
