//! One attempt of a job on a device: what it needs is pushed, the device cools down, the job is run, and followed to
//! its end.

use std::path::{Path, PathBuf};
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
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);

impl Work<'_, '_> {
    /// Pushes what the job needs, and runs it.
    #[tracing::instrument(
        name = "run", skip_all,
        fields(job = %run.job.id, run = %run.run_id, model = %run.job.model.name)
    )]
    pub(super) async fn carry_out(&mut self, run: &ClaimedRun) -> Result<Collected, Box<RunFailure>> {
        let nothing = |failure| Box::new(RunFailure { failure, measurement: Measurement::default() });
        let agent = self.agent;
        (self.engine, self.cooled, self.is_ordered) = (None, None, self.session.knows_run(&run.run_id));
        let ready = async {
            self.session.reconnect_if_lost().await?;
            self.use_runner_of(run.job.side).await?;
            let engine = agent.files.engines.engine(&run.job, &self.session.hello.target).await;
            // What was left by an earlier process has all it needs.
            if self.session.knows_run(&run.run_id) {
                self.engine = engine.unwrap_or_default();
                return Ok(());
            }
            self.engine = engine?;
            self.push_files(&run.job, &subject(run)).await?;
            self.cooled = self.cool_down(run).await?;
            Ok(())
        };
        tokio::select! {
            biased;
            ready = ready => ready.map_err(nothing)?,
            () = agent.asked_to_end() => {
                return Err(nothing(Failure::new(FailureKind::Cancelled, "it was asked to end before it had started")));
            }
        }
        self.is_ordered = true;
        self.run_until_stopped(run).await
    }

    /// Runs a job to its end, or to the end that a person asked for.
    async fn run_until_stopped(&mut self, run: &ClaimedRun) -> Result<Collected, Box<RunFailure>> {
        let canceller = self.session.canceller(&run.run_id);
        let mut observer = Observer { events: self.agent.events.clone(), subject: subject(run) };
        {
            let engine = self.engine.as_ref().map(|engine| &engine.spec);
            let order = Order { job: &run.job, run_id: &run.run_id, fence: &self.fence, engine };
            let running = self.session.run(order, &mut observer);
            tokio::pin!(running);
            tokio::select! {
                ended = &mut running => return ended,
                () = self.agent.asked_to_end() => {
                    let both = async { tokio::join!(cancel(&canceller), running.as_mut()).1 };
                    if let Ok(ended) = tokio::time::timeout(CANCEL_TIMEOUT, both).await {
                        return ended;
                    }
                }
            }
        }
        // Where a connection takes one command at a time, the order gets through once the run is no longer followed.
        let _ = tokio::time::timeout(CANCEL_TIMEOUT, cancel(&canceller)).await;
        Err(Box::new(RunFailure {
            failure: Failure::new(FailureKind::Cancelled, "it was asked to end, and its last message did not come"),
            measurement: Measurement::default(),
        }))
    }

    /// Ends a run whose host can't follow it, as far as that is possible.
    pub(super) async fn end_on_device(&self, run: &ClaimedRun) {
        let canceller = self.session.canceller(&run.run_id);
        let _ = tokio::time::timeout(CANCEL_TIMEOUT, cancel(&canceller)).await;
    }

    /// Pushes those files of model and engine that the device has not.
    async fn push_files(&mut self, job: &Job, subject: &Subject) -> Result<(), Failure> {
        let unavailable = |what: String| Failure::new(FailureKind::ArtifactUnavailable, what);
        let (agent, model) = (self.agent, &job.model);
        let own = model.artifact.clone().ok_or_else(|| unavailable(format!("model {} has no file", model.name)))?;
        let parts = model.parts.iter().map(|part| (format!("{}.{}", model.name, part.name), part.artifact.clone()));
        let values = model
            .inputs
            .iter()
            .filter_map(|input| Some((format!("values of {}.{}", model.name, input.name), input.values.clone()?)));
        let of_model = std::iter::once((model.name.clone(), own)).chain(parts).chain(values);
        let mut files: Vec<Wanted> = of_model
            .map(|(name, artifact)| {
                let source = agent.files.models.of(&model.name, &artifact.sha256).cloned();
                Wanted { name, artifact, source }
            })
            .collect();
        if let Some(engine) = &self.engine {
            files.extend(engine.spec.files.iter().map(|file| Wanted {
                name: format!("{}/{}", job.backend, file.name),
                artifact: file.artifact.clone(),
                source: engine.paths.get(&file.artifact.sha256).cloned(),
            }));
        }
        if let Some(dataset) = &job.dataset {
            let prepared = dataset.prepared.as_ref();
            let prepared = prepared.ok_or_else(|| unavailable(format!("dataset {} was not prepared", dataset.name)))?;
            let artifact = prepared.images.clone();
            let source = agent.files.models.of(&model.name, &artifact.sha256).cloned();
            files.push(Wanted { name: format!("images of {}", dataset.name), artifact, source });
        }
        let all: Vec<&ArtifactRef> = files.iter().map(|file| &file.artifact).collect();
        for file in &files {
            if self.session.has(&file.artifact) {
                continue;
            }
            let missing = || unavailable(format!("the file of {} is not on this host", file.name));
            let source = file.source.as_ref().ok_or_else(missing)?;
            self.push_file(file, source, &all, subject).await?;
        }
        Ok(())
    }

    /// Pushes one file; those in `keep` stay on the device, whatever has to leave.
    async fn push_file(
        &mut self,
        Wanted { name, artifact, .. }: &Wanted,
        source: &Path,
        keep: &[&ArtifactRef],
        subject: &Subject,
    ) -> Result<(), Failure> {
        let (agent, name, size_bytes) = (self.agent, name.clone(), artifact.size_bytes);
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
            match self.session.push(source, artifact, keep, &mut progress).await {
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

/// A file that a job needs on its device.
struct Wanted {
    /// What it is, in words.
    name: String,
    artifact: ArtifactRef,
    /// Where it is on this host, if it is there.
    source: Option<PathBuf>,
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
