//! What a device is asked to do for a job, as it is sent.

use farmctl_protocol::{Evaluation, JobSpec, MAX_LINE_BYTES, PROTOCOL_VERSION, RunRequest};

use crate::domain::{ArtifactRef, Failure, FailureKind, Job, JobDataset, ThreadCount};

use super::bring_up::Session;
use super::run::Order;

impl Session {
    /// Whether the runner has the very engine that the plan is for.
    fn check_own_backend(&self, job: &Job) -> Result<(), Failure> {
        let backend = self.hello.backends.iter().find(|backend| backend.name == job.backend);
        let unsupported = |what: String| Failure::new(FailureKind::BackendUnsupported, what);
        let backend = backend.ok_or_else(|| {
            unsupported(format!("the runner on {} has no backend {:?}", self.device.name, job.backend))
        })?;
        if backend.version != job.backend_version && !self.takes_any_version {
            return Err(unsupported(format!(
                "the runner on {} has {} {}, the plan is for {}: build the runner from the same source",
                self.device.name, backend.name, backend.version, job.backend_version
            )));
        }
        Ok(())
    }

    /// What the device is asked to do for a job, as it is sent: kinds of core and `all` become numbers here.
    pub(super) fn request(&self, Order { job, run_id, fence, engine }: Order<'_>) -> Result<Vec<u8>, Failure> {
        if engine.is_none() {
            self.check_own_backend(job)?;
        }
        let (threads, cpus) = self.threads(&job.threads)?;
        let request = RunRequest {
            protocol: PROTOCOL_VERSION,
            run_id: run_id.0.clone(),
            deadline_seconds: job.run_seconds,
            fence: fence.clone(),
            job: JobSpec {
                model: self.model_file(job)?,
                model_parts: job.model.parts.clone(),
                format: job.model.format.clone(),
                layout: job.model.layout,
                input_shape: job.model.input_shape.clone(),
                backend: job.backend.clone(),
                engine: engine.cloned(),
                precision: job.precision,
                threads,
                cpus,
                batch: job.batch,
                scenario: job.scenario,
                limits: job.limits,
                seed: job.seed,
                input_range: job.model.input_range,
                inputs: job.model.inputs.clone(),
                evaluation: job.dataset.as_ref().map(evaluation).transpose()?,
            },
        };
        let line = serde_json::to_vec(&request)
            .map_err(|error| Failure::new(FailureKind::Internal, format!("failed to write a job: {error}")))?;
        if line.len() < MAX_LINE_BYTES {
            return Ok(line);
        }
        let message = format!("{} has more inputs or files than a runner is told of", job.model.name);
        Err(Failure::new(FailureKind::BackendUnsupported, message))
    }

    fn model_file(&self, job: &Job) -> Result<ArtifactRef, Failure> {
        job.model
            .artifact
            .clone()
            .ok_or_else(|| Failure::new(FailureKind::Internal, format!("the job for {:?} has no file", job.model.name)))
    }

    /// How many threads that is here, and the cores that they are pinned to, if any.
    fn threads(&self, asked: &ThreadCount) -> Result<(u32, Option<Vec<u32>>), Failure> {
        let number = |cpus: usize| u32::try_from(cpus).unwrap_or(u32::MAX).max(1);
        let (all, name) = (number(self.hello.cpus.len()), &self.device.name);
        let refused = |text: String| Err(Failure::new(FailureKind::BackendUnsupported, text));
        match asked {
            ThreadCount::Count(threads) if *threads > all => {
                refused(format!("{threads} threads are asked of {name}, which has {all} processors online"))
            }
            ThreadCount::Count(threads) => Ok((*threads, None)),
            ThreadCount::All => Ok((all, None)),
            ThreadCount::Cores(cores) => {
                let present = self.hello.present_cpus();
                match cores.iter().find(|core| !present.contains(core)) {
                    Some(missing) => {
                        let there = present.iter().map(u32::to_string).collect::<Vec<_>>().join(" ");
                        refused(format!("core {missing} is asked of {name}, which has the cores {there}"))
                    }
                    None => Ok((number(cores.len()), Some(cores.clone()))),
                }
            }
            ThreadCount::Little | ThreadCount::Mid | ThreadCount::Big | ThreadCount::Prime => {
                let cpus = asked.kind().map(|kind| self.hello.cpus_of(kind)).unwrap_or_default();
                if cpus.is_empty() {
                    return refused(format!("{asked} cores are asked of {name}, which tells of none"));
                }
                Ok((number(cpus.len()), Some(cpus)))
            }
        }
    }
}

fn evaluation(dataset: &JobDataset) -> Result<Evaluation, Failure> {
    let prepared = dataset.prepared.as_ref().ok_or_else(|| {
        Failure::new(FailureKind::Internal, format!("the images of the dataset {} were not prepared", dataset.name))
    })?;
    let [height, width, channels] = dataset.shape;
    Ok(Evaluation {
        images: prepared.images.clone(),
        count: prepared.count,
        height,
        width,
        channels,
        scores: dataset.scores.clone(),
        classes: dataset.answers(),
        mean: dataset.preprocessing.mean.clone(),
        std: dataset.preprocessing.std.clone(),
    })
}
