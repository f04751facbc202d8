//! One device's work, from its first connection to its last record: turns, each under the device's lease.
//!
//! A turn brings the device up and carries out its jobs. When the device fails, the turn ends, and another follows
//! after a pause; when it fails too often, it is quarantined, and only a health probe brings it back.

use std::time::Duration;

use tokio::time::Instant;

use crate::device::{BringUp, Session};
use crate::domain::{
    CheckThen, Device, DeviceIdentity, DeviceLock, DeviceState, DeviceStatus, EventKind, Failure, FailureKind, Pace,
};
use crate::lease::{LEASE_POLL_INTERVAL, Lease};

use super::activity::Busy;
use super::events::Subject;
use super::jobs::{self, DeviceOutcome};
use super::leasing::phone_lease;
use super::machines::{Taken, shared_workdir};
use super::orphans::NotCleared;
use super::policy::{DeviceDecision, FailedDevice};
use super::prepare::{prepare, restore};
use super::refusals::Refusals;
use super::sightings::note_seen;
use super::{Agent, AgentError, AgentMode, Shared, endings, orphans, pace, policy, recovery};

/// How a turn ended.
pub(super) enum TurnOutcome {
    /// Nothing is left to do here.
    Over,
    /// The device failed: another turn after this pause.
    Pause(Duration),
    /// The device is quarantined.
    Quarantine(DeviceStatus),
    /// A person keeps sweeps off the device.
    Locked(DeviceLock),
}

/// One device's worker.
pub(super) struct Worker<'a> {
    pub(super) agent: &'a Agent,
    pub(super) device: &'a Device,
    pub(super) shared: &'a Shared,
    /// When the device failed for the first time since it last answered, or was brought back.
    lost_since: Option<Instant>,
    /// How often it was looked for since then.
    looks: u32,
    has_answered: bool,
    refusals: Refusals,
    /// How often it was left to other hosts, which may reach it.
    pub(super) yielded: u32,
    /// Whether it was ever left to other hosts, or to one that is to come back.
    pub(super) is_left_to_others: bool,
    /// Who uses the device, as far as it was told.
    pub(super) waits_for: Option<String>,
    /// When it was last noted that this sweep waits for the device.
    pub(super) wanted_at: Option<Instant>,
    /// When this host first wanted the device, where others may go before it.
    pub(super) first_wanted_at: Option<Instant>,
    /// The device's last check before it was brought up.
    pub(super) last_check: Option<CheckThen>,
    /// How fast it was then.
    pub(super) pace: Option<Pace>,
}

/// Carries out the open jobs of one device.
#[tracing::instrument(name = "device", skip_all, fields(device = %device.name))]
pub(super) async fn work(agent: &Agent, device: &Device, shared: &Shared, busy: Busy) -> Result<(), AgentError> {
    if let Some(used) = shared.machines.used_instead_of(device) {
        return endings::skip_duplicate_entry(agent, device, used).await;
    }
    let mut worker = Worker::new(agent, device, shared);
    let mut busy = Some(busy);
    loop {
        if agent.is_stopping() {
            return Ok(());
        }
        match worker.turn().await? {
            TurnOutcome::Over => return Ok(()),
            TurnOutcome::Pause(pause) => worker.rest(pause).await,
            TurnOutcome::Quarantine(status) => {
                busy.take();
                if !worker.wait_in_quarantine(&status).await? {
                    return Ok(());
                }
                busy = Some(shared.activity.begin());
            }
            TurnOutcome::Locked(lock) => {
                busy.take();
                if !worker.wait_while_locked(&lock).await? {
                    return Ok(());
                }
                busy = Some(shared.activity.begin());
            }
        }
    }
}

impl<'a> Worker<'a> {
    fn new(agent: &'a Agent, device: &'a Device, shared: &'a Shared) -> Worker<'a> {
        Worker {
            agent,
            device,
            shared,
            lost_since: None,
            looks: 0,
            has_answered: false,
            refusals: Refusals::default(),
            yielded: 0,
            is_left_to_others: false,
            waits_for: None,
            wanted_at: None,
            first_wanted_at: None,
            last_check: None,
            pace: None,
        }
    }

    /// Takes the device's lease, and works under it.
    async fn turn(&mut self) -> Result<TurnOutcome, AgentError> {
        // The semaphore is never closed.
        let Ok(_place) = self.shared.places.acquire().await else { return Ok(TurnOutcome::Over) };
        // Whoever cancels a sweep ends its runs on a locked device, too.
        if let Some(lock) = self.lock()?.filter(|_| self.agent.assignment.mode == AgentMode::Jobs) {
            return Ok(TurnOutcome::Locked(lock));
        }
        if let Some(ended) = self.look_what_others_did()? {
            return Ok(ended);
        }
        if self.is_preempted().await? {
            return Ok(TurnOutcome::Pause(LEASE_POLL_INTERVAL));
        }
        if let Some(host) = self.earlier_host()? {
            self.tell_of_wait(format!("it is left to host {host} first, by `hosts:` of its entry"), host).await;
            return Ok(TurnOutcome::Pause(self.lease_pause()));
        }
        // The device first: a sweep that goes before this one has to be heard of, whatever the device shares.
        let Some(lease) = self.lease_device().await? else { return Ok(TurnOutcome::Pause(self.lease_pause())) };
        let Some(shared) = self.take_turn().await? else {
            lease.release()?;
            return Ok(TurnOutcome::Pause(LEASE_POLL_INTERVAL));
        };
        self.waits_for = None;
        let turn = self.work_under(&lease).await;
        // Whoever gets the device next need not wait for what this one waits to go on with.
        let left = self.leave_runs();
        // A lease that can't be given back runs out by itself; what went before counts.
        let released = lease.release();
        let given_back = shared.give_back();
        let turn = turn?;
        left?;
        released?;
        given_back?;
        Ok(turn)
    }

    async fn work_under(&mut self, lease: &Lease) -> Result<TurnOutcome, AgentError> {
        let (agent, device) = (self.agent, self.device);
        let status = agent.store.device_status(&device.name)?;
        let started = Instant::now();
        self.emit(EventKind::DeviceConnecting).await;
        let mut session = match self.bring_up().await {
            None => return Ok(TurnOutcome::Over),
            Some(Ok(session)) => session,
            Some(Err(failure)) => {
                agent.store.device_missed(&device.name, &failure, agent.now())?;
                return self.failed(failure, status.state).await;
            }
        };
        let settled = tokio::select! {
            settled = self.settle(&mut session, &status) => settled?,
            // A run that is waited for may be that of whoever has the device again.
            () = lease.lost() => Some(TurnOutcome::Pause(LEASE_POLL_INTERVAL)),
        };
        if let Some(ended) = settled {
            session.close().await;
            return Ok(ended);
        }
        // Held as long as the session: the same phone under another name is the same device.
        let phone = match phone_lease(&session) {
            Some(name) => match self.lease(&name).await? {
                Some(phone) => Some(phone),
                None => {
                    session.close().await;
                    return Ok(TurnOutcome::Pause(LEASE_POLL_INTERVAL));
                }
            },
            None => None,
        };
        let mut set_up = prepare(agent, device, self.journal_identity(&session), &mut session).await?;
        let free_bytes = session.hello.store.free_bytes;
        note_seen(agent.store.as_ref(), &device.name, &session.facts(), free_bytes, agent.now())?;
        self.last_check = agent.store.device_checks(&device.name, 1)?.last().map(CheckThen::from);
        if self.pace.is_none() {
            self.pace = pace::measure(agent, device, &session).await?;
        }
        let duration_ns = super::as_ns(started.elapsed());
        self.emit(EventKind::DeviceReady { description: jobs::describe(&session), duration_ns }).await;
        (self.has_answered, self.lost_since, self.looks) = (true, None, 0);
        let mut refusals = std::mem::take(&mut self.refusals);
        let worked = jobs::work_through(self, &mut session, &mut set_up, &mut refusals, lease).await;
        self.refusals = refusals;
        let restored = restore(agent, device, &mut session, set_up).await;
        session.close().await;
        if let Some(phone) = phone {
            phone.release()?;
        }
        let worked = worked?;
        restored?;
        self.turn_after(worked).await
    }

    /// What becomes of the device after its jobs were worked on.
    async fn turn_after(&mut self, worked: DeviceOutcome) -> Result<TurnOutcome, AgentError> {
        let (agent, device) = (self.agent, self.device);
        match worked {
            DeviceOutcome::Over => Ok(TurnOutcome::Over),
            // Counted when the attempt ended.
            DeviceOutcome::Failed(failure) => self.rest_after(failure, DeviceState::InService).await,
            DeviceOutcome::Gone { failure, lost_at } => {
                self.lost_since = Some(lost_at);
                agent.store.device_missed(&device.name, &failure, agent.now())?;
                self.failed(failure, DeviceState::InService).await
            }
            DeviceOutcome::Refusing { failure, times, pause } => {
                let pause_ns = super::as_ns(pause);
                self.emit(EventKind::DeviceRetrying { failure, failures: times, pause_ns }).await;
                Ok(TurnOutcome::Pause(pause))
            }
            DeviceOutcome::LeaseLost => Ok(TurnOutcome::Pause(LEASE_POLL_INTERVAL)),
            DeviceOutcome::Locked(lock) => Ok(TurnOutcome::Locked(lock)),
            // It is looked at again before the device is taken.
            DeviceOutcome::Preempted => Ok(TurnOutcome::Pause(Duration::ZERO)),
        }
    }

    async fn bring_up(&self) -> Option<Result<Session, Failure>> {
        let agent = self.agent;
        let mut pushing = |sent_bytes, size_bytes| {
            let kind = EventKind::PushProgress { name: "runner".to_owned(), sent_bytes, size_bytes };
            agent.events.show(Subject::device(&self.device.name), kind);
        };
        let with = BringUp {
            connect: &agent.connect,
            timeouts: &agent.assignment.rules.timeouts,
            runners: agent.files.runners.as_ref(),
            lab: &agent.lab,
            pushing: &mut pushing,
        };
        tokio::select! {
            session = Session::bring_up(self.device, with) => Some(session),
            () = agent.stopped() => None,
        }
    }

    /// What must hold before a device that answered is worked on; how the turn ends when it does not.
    async fn settle(
        &mut self,
        session: &mut Session,
        status: &DeviceStatus,
    ) -> Result<Option<TurnOutcome>, AgentError> {
        let (agent, device) = (self.agent, self.device);
        if let Some(failure) = self.shared.machines.swapped(device, &session.machine) {
            return self.failed(failure, status.state).await.map(Some);
        }
        if status.state == DeviceState::Quarantined {
            let kind = EventKind::DeviceReleased { by: "a health probe".to_owned() };
            let released = agent.events.event(Subject::device(&device.name), kind);
            agent.store.end_quarantine(&device.name, &released)?;
            agent.events.send(released).await;
        }
        if let Err(taken) = self.shared.machines.take(device, &session.machine) {
            match taken {
                Taken::SameAs(used) => endings::skip_duplicate_entry(agent, device, &used).await?,
                Taken::WorkdirOf(other) => {
                    endings::give_up(agent, device, shared_workdir(device, &session.workdir, &other)).await?;
                }
            }
            return Ok(Some(TurnOutcome::Over));
        }
        let pinned =
            agent.store.pin_runner(&agent.assignment.sweep.id, &session.hello.target, session.runner_sha256())?;
        if pinned != session.runner_sha256() {
            let message = format!(
                "the sweep began with runner {pinned} for {}, and {} is there now",
                session.hello.target,
                session.runner_sha256()
            );
            endings::give_up(agent, device, Failure::new(FailureKind::RunnerChanged, message)).await?;
            return Ok(Some(TurnOutcome::Over));
        }
        match orphans::clear(agent, device, session).await {
            Ok(()) => Ok(None),
            Err(NotCleared::Device(failure)) => self.failed(failure, DeviceState::InService).await.map(Some),
            Err(NotCleared::Store(error)) => Err(error.into()),
        }
    }

    /// Under which name the journal has a phone's changes; `None` for what is no phone.
    pub(super) fn journal_identity(&self, session: &Session) -> Option<DeviceIdentity> {
        let android = session.android.as_ref()?;
        Some(self.shared.machines.journal_identity(self.device, android.identity()))
    }

    /// The device failed outside of a run.
    async fn failed(&mut self, failure: Failure, state: DeviceState) -> Result<TurnOutcome, AgentError> {
        let (agent, device) = (self.agent, self.device);
        let failed_for = self.lost_since.get_or_insert_with(Instant::now).elapsed();
        self.looks += 1;
        let failed = FailedDevice {
            answered: self.has_answered,
            is_known: agent.store.sighting(&device.name)?.is_some_and(|sighting| sighting.seen_at.is_some()),
            is_quarantined: state == DeviceState::Quarantined,
            failed_for,
            looks: self.looks,
            failures: agent.store.device_status(&device.name)?.failures_in_row + 1,
        };
        let decision = policy::after_refusal(failure.kind, &failed, &agent.assignment.rules, &device.name);
        match self.unless_others_may_reach_it(decision)? {
            DeviceDecision::Wait(pause) => {
                let kind = EventKind::DeviceRetrying { failure, failures: self.looks, pause_ns: super::as_ns(pause) };
                self.emit(kind).await;
                Ok(TurnOutcome::Pause(pause))
            }
            DeviceDecision::Again(pause) => {
                let status = agent.store.device_failed(&device.name, &failure, agent.now())?;
                let (failures, pause_ns) = (status.failures_in_row, super::as_ns(pause));
                self.emit(EventKind::DeviceRetrying { failure, failures, pause_ns }).await;
                Ok(TurnOutcome::Pause(pause))
            }
            DeviceDecision::Rest => {
                let failure = self.with_what_was_tried(failure, failed_for);
                agent.store.device_failed(&device.name, &failure, agent.now())?;
                self.rest_after(failure, state).await
            }
            DeviceDecision::GiveUp => {
                endings::give_up(agent, device, self.with_what_was_tried(failure, failed_for)).await?;
                Ok(TurnOutcome::Over)
            }
        }
    }

    /// The failure, with how often the device was looked for.
    fn with_what_was_tried(&self, mut failure: Failure, failed_for: Duration) -> Failure {
        if self.looks > 1 {
            let seconds = failed_for.as_secs_f64();
            failure.message.push_str(&format!("; it was tried {} times within {seconds:.0} s", self.looks));
        }
        failure
    }

    /// Brings a device back by its farm entry's commands, where it has some, or puts it into quarantine.
    async fn rest_after(&mut self, failure: Failure, state: DeviceState) -> Result<TurnOutcome, AgentError> {
        let (agent, device) = (self.agent, self.device);
        if state == DeviceState::InService && recovery::recover(agent, device).await? {
            // It boots now, and has its time for that.
            (self.lost_since, self.looks) = (None, 0);
            return Ok(TurnOutcome::Pause(Duration::ZERO));
        }
        let status = agent.store.device_status(&device.name)?;
        let failures = status.failures_in_row;
        let pause = policy::probe_pause(status.quarantines_in_row + 1, &device.name);
        let now = agent.now();
        let status = agent.store.quarantine_device(&device.name, &failure, super::later(now, pause), now)?;
        self.emit(EventKind::DeviceQuarantined { failure, failures, pause_ns: super::as_ns(pause) }).await;
        Ok(TurnOutcome::Quarantine(status))
    }

    pub(super) async fn emit(&self, kind: EventKind) {
        self.agent.events.emit(Subject::device(&self.device.name), kind).await;
    }
}
