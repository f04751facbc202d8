//! The jobs of one device, one after the other: claimed or taken over, and carried out. What becomes of each run is in
//! `run_end.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use farmctl_protocol::Fence;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::device::{EngineProgram, Session};
use crate::domain::{CooledDown, Device, DeviceLock, EventKind, Failure, FailureKind, Job, Measurement, Record, RunId};
use crate::lease::{LEASE, LEASE_POLL_INTERVAL, Lease, holder_in_words};
use crate::store::{Claim, ClaimedRun, StoreError};

use super::events::Subject;
use super::machines::one_machine;
use super::prepare::{SetUp, prepare};
use super::refusals::Refusals;
use super::worker::Worker;
use super::{Agent, AgentError, AgentMode, Assignment, endings, records};

/// How the work on a device ended.
pub(super) enum DeviceOutcome {
    /// No job is left to claim, or a person stops the sweep.
    Over,
    /// The device failed too often.
    Failed(Failure),
    /// The device did not come back. What was under way may go on there, under its name.
    Gone {
        /// What it refused last.
        failure: Failure,
        /// Since when it was looked for.
        lost_at: Instant,
    },
    /// The device answers, and takes no run for now: it is brought up again after this pause.
    Refusing {
        /// Why not.
        failure: Failure,
        /// How often it refused in a row.
        times: u32,
        pause: Duration,
    },
    /// Another process has the device.
    LeaseLost,
    /// A person keeps sweeps off the device.
    Locked(DeviceLock),
    /// A sweep that goes before this one waits for the device.
    Preempted,
}

/// How a run ended, as the loop sees it.
pub(super) enum RunOutcome {
    GoOn,
    End(DeviceOutcome),
}

/// Goes on with the runs that were left here, then claims and carries out jobs until none is left.
pub(super) async fn work_through(
    worker: &Worker<'_>,
    session: &mut Session,
    set_up: &mut SetUp,
    refusals: &mut Refusals,
    lease: &Lease,
) -> Result<DeviceOutcome, AgentError> {
    let fence = Fence { lab: worker.agent.lab.0.clone(), epoch: lease.epoch() };
    let (agent, device, ended) = (worker.agent, worker.device, Vec::new());
    let (engine, cooled, is_ordered, looked_at) = (None, None, false, None);
    let mut work =
        Work { worker, agent, device, session, refusals, lease, fence, engine, cooled, is_ordered, ended, looked_at };
    let worked = match work.go_on_with_left_runs().await? {
        RunOutcome::End(worked) => worked,
        RunOutcome::GoOn => match work.skip_without_engine().await? {
            RunOutcome::End(worked) => worked,
            RunOutcome::GoOn => match work.skip_without_runners().await? {
                RunOutcome::End(worked) => worked,
                RunOutcome::GoOn => work.claim_until_none(set_up).await?,
            },
        },
    };
    work.clean_up().await;
    Ok(worked)
}

/// The work of one turn.
pub(super) struct Work<'a, 'w> {
    pub(super) worker: &'a Worker<'w>,
    pub(super) agent: &'a Agent,
    pub(super) device: &'a Device,
    pub(super) session: &'a mut Session,
    pub(super) refusals: &'a mut Refusals,
    pub(super) lease: &'a Lease,
    pub(super) fence: Fence,
    /// The program that is the engine of the run under way, if it is one.
    pub(super) engine: Option<EngineProgram>,
    /// What became of the cool-down before it.
    pub(super) cooled: Option<CooledDown>,
    /// Whether the device was asked to begin that run, so that it may be on it.
    pub(super) is_ordered: bool,
    /// Runs that have ended in the store: nobody needs them on the device any more.
    pub(super) ended: Vec<RunId>,
    /// After how many whole repeats it was last looked what two sides have settled.
    pub(super) looked_at: Option<u32>,
}

impl Work<'_, '_> {
    async fn claim_until_none(&mut self, set_up: &mut SetUp) -> Result<DeviceOutcome, AgentError> {
        loop {
            if self.agent.is_stopping() || self.agent.assignment.mode == AgentMode::EndRuns {
                return Ok(DeviceOutcome::Over);
            }
            let halted = self.worker.shared.halt.borrow().clone();
            if let Some(why) = halted {
                endings::skip_rest(self.agent, self.device, &why).await?;
                return Ok(DeviceOutcome::Over);
            }
            if set_up.is_outdated(self.session) {
                let identity = self.worker.journal_identity(self.session);
                *set_up = prepare(self.agent, self.device, identity, self.session).await?;
            }
            self.leave_settled_out().await?;
            let step = match self.claim()? {
                Claim::Nothing => return Ok(DeviceOutcome::Over),
                Claim::Locked(lock) => return Ok(DeviceOutcome::Locked(lock)),
                Claim::Preempted(_) => return Ok(DeviceOutcome::Preempted),
                Claim::LeaseLost => return Ok(DeviceOutcome::LeaseLost),
                Claim::NotBefore(moment) => {
                    let due_at = self.agent.instant_of(moment);
                    tokio::select! {
                        () = tokio::time::sleep_until(due_at) => {}
                        () = self.agent.stopped() => {}
                        () = self.lease.lost() => return Ok(DeviceOutcome::LeaseLost),
                    }
                    continue;
                }
                Claim::Run(run) => self.one_run(&run).await?,
            };
            if let RunOutcome::End(worked) = step {
                return Ok(worked);
            }
        }
    }

    /// Jobs whose engine has no program for this kind of device, or none that can be had, are not tried.
    async fn skip_without_engine(&self) -> Result<RunOutcome, AgentError> {
        if self.agent.is_stopping() || self.agent.assignment.mode == AgentMode::EndRuns {
            return Ok(RunOutcome::GoOn);
        }
        let jobs = self.agent.store.open_jobs(&self.agent.assignment.sweep.id, Some(&self.device.name))?;
        let engines: BTreeMap<(&str, &str), &Job> =
            jobs.iter().map(|job| ((job.backend.as_str(), job.backend_version.as_str()), job)).collect();
        for job in engines.into_values() {
            let provided = tokio::select! {
                provided = self.agent.files.engines.engine(job, &self.session.hello.target) => provided,
                () = self.agent.stopped() => return Ok(RunOutcome::GoOn),
                () = self.lease.lost() => return Ok(RunOutcome::End(DeviceOutcome::LeaseLost)),
            };
            if let Err(failure) = provided {
                endings::skip_engine(self.agent, self.device, job, failure).await?;
            }
        }
        Ok(RunOutcome::GoOn)
    }

    /// Asks the store for a job. How long one took is told to whoever listens; `bench/hosts` does.
    fn claim(&self) -> Result<Claim, StoreError> {
        let Agent { store, assignment: Assignment { sweep, .. }, leases, .. } = self.agent;
        let asked = std::time::Instant::now();
        let claim = store.claim(&sweep.id, &self.device.name, leases.holder(), LEASE, self.agent.now())?;
        if let Claim::Run(run) = &claim {
            let took_us = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX);
            tracing::trace!(target: "farmctl::claim", run = %run.run_id, took_us, "a job was claimed");
        }
        Ok(claim)
    }

    /// Takes over what an earlier process has left: a run that is still going on or has ended on the device is followed
    /// to its end; one that the device does not know is given back.
    async fn go_on_with_left_runs(&mut self) -> Result<RunOutcome, AgentError> {
        for left in self.agent.store.live_runs(&self.agent.assignment.sweep.id, Some(&self.device.name))? {
            let Some(run) = self.take_over(&left.run_id).await? else { continue };
            if !self.session.knows_run(&run.run_id) {
                let who = holder_in_words(&left.lease.holder);
                let what = format!("{} does not know this run, which {who} had left", self.device.name);
                let failure = Failure::new(FailureKind::Lost, what);
                // One that went on without us as long as the device was away is an attempt like any other.
                if left.lease.holder == self.agent.leases.holder() {
                    let now = self.agent.now();
                    if let RunOutcome::End(worked) = self.failed(&run, now, failure, Measurement::default()).await? {
                        return Ok(RunOutcome::End(worked));
                    }
                } else {
                    self.requeue(&run, failure, false, Duration::ZERO).await?;
                }
                continue;
            }
            let (name, left_by) = (run.job.model.name.clone(), holder_in_words(&left.lease.holder));
            let kind = EventKind::RunTakenOver { name, attempt: run.attempt, left_by };
            self.agent.events.emit(subject(&run), kind).await;
            if let RunOutcome::End(worked) = self.one_run(&run).await? {
                return Ok(RunOutcome::End(worked));
            }
        }
        Ok(RunOutcome::GoOn)
    }

    /// Waits for the lease of a run to run out, and takes it; `None` when the run ends meanwhile, or a person stops.
    async fn take_over(&self, run: &RunId) -> Result<Option<ClaimedRun>, AgentError> {
        loop {
            let Agent { store, assignment: Assignment { sweep, .. }, leases, .. } = self.agent;
            let taken = store.take_over(run, leases.holder(), LEASE, self.agent.now())?;
            let live = store.live_runs(&sweep.id, Some(&self.device.name))?;
            if taken.is_some() || self.agent.is_stopping() || live.iter().all(|live| live.run_id != *run) {
                return Ok(taken);
            }
            tokio::time::sleep(LEASE_POLL_INTERVAL).await;
        }
    }

    /// Carries a run out and ends it in the store.
    async fn one_run(&mut self, run: &ClaimedRun) -> Result<RunOutcome, AgentError> {
        let started_at = self.agent.now();
        let kind = EventKind::RunStarted { name: run.job.model.name.clone(), attempt: run.attempt };
        self.agent.events.emit(subject(run), kind).await;
        let lease = self.lease;
        let outcome = tokio::select! {
            outcome = self.carry_out(run) => outcome,
            // Whoever has the device now goes on with the run.
            () = lease.lost() => return Ok(RunOutcome::End(DeviceOutcome::LeaseLost)),
        };
        match outcome {
            Ok(collected) => self.succeeded(run, started_at, collected).await,
            Err(failed) => self.failed(run, started_at, failed.failure, failed.measurement).await,
        }
    }

    pub(super) fn record(
        &self,
        run: &ClaimedRun,
        started_at: Timestamp,
        outcome: Result<Measurement, (Failure, Measurement)>,
    ) -> Record {
        let moments = (started_at, self.agent.now());
        let mut record =
            records::run_record(&self.agent.assignment.sweep, self.device, self.session, run, moments, outcome);
        record.condition =
            Some(records::condition(self.session, moments.1, self.worker.last_check.clone(), self.worker.pace.clone()));
        record.cooldown = self.cooled;
        let beside = self.worker.shared.machines.beside(self.device, &self.agent.assignment.lab_devices);
        record.measurement.remarks.extend(one_machine(self.device, &beside));
        record.engine_files = self.engine.as_ref().map(|engine| engine.spec.files.clone()).unwrap_or_default();
        if let (None, Some(version)) = (&self.engine, self.session.engine_version(&run.job)) {
            version.clone_into(&mut record.job.backend_version);
        }
        record
    }

    /// Removes from the device what it need not keep any more. What stays is removed when it is next worked on.
    async fn clean_up(&mut self) {
        if self.ended.is_empty() || self.session.is_lost() {
            return;
        }
        let ended = std::mem::take(&mut self.ended);
        if let Err(failure) = self.session.remove_runs(&ended).await {
            tracing::warn!(%failure, "ended runs stay on the device");
        }
    }
}

/// What an event about a run is about.
pub(super) fn subject(run: &ClaimedRun) -> Subject {
    Subject { device: Some(run.job.device.clone()), job_id: Some(run.job.id.clone()), run_id: Some(run.run_id.clone()) }
}

/// What a device is, in a few words.
pub(super) fn describe(session: &Session) -> String {
    let facts = session.facts();
    let chip = facts.soc.as_deref().unwrap_or(&session.hello.machine);
    let model = session.android.as_ref().and_then(|android| android.model.as_deref());
    let model = model.map_or_else(String::new, |model| format!("{model}, "));
    format!("{model}{chip}, {} cores, {}", facts.cpus, facts.os)
}
