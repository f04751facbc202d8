//! Asks devices what they are, and whether they are fit for work.

use std::sync::Arc;
use std::time::Duration;

use farmctl_protocol::Hello;
use futures::StreamExt as _;
use serde::Serialize;
use tokio::time::Instant;

use crate::device::{BringUp, RunnerProvider, Session, ThermalSensor, measuring_state};
use crate::domain::{
    AndroidOptions, Battery, CheckFigures, Device, DeviceCheck, DeviceFacts, DeviceState, Event, EventKind, Failure,
    FailureKind, LabId, Timeouts,
};
use crate::inventory::survey_phones;
use crate::lease::{Clock, LEASE_POLL_INTERVAL, LeaseError, LeaseKeeper, holder_in_words};
use crate::store::{LeaseHolder, Store, StoreError};
use crate::transport::Connect;

use super::machines::{Machines, Taken, shared_workdir};
use super::sightings::note_seen;
use super::turns::{NoTurn, Turn};
use super::verdict::Baseline;
use super::{AgentError, check};

/// Who asks, which settles what is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initiator {
    /// A person, who waits for the answers of these very devices.
    Person,
    /// The daemon: what a person keeps locked is left alone.
    Daemon,
}

impl Initiator {
    /// Devices that are asked at the same time.
    fn at_once(self) -> usize {
        match self {
            Initiator::Person => 64,
            Initiator::Daemon => 16,
        }
    }
}

/// What it takes to ask devices.
pub struct Probes {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// The leases of this task: a device is asked under one, so that no run begins meanwhile.
    pub leases: LeaseKeeper,
    /// How to connect.
    pub connect: Arc<dyn Connect>,
    /// Where runners come from.
    pub runners: Arc<dyn RunnerProvider>,
    /// The time of day.
    pub clock: Clock,
    /// Who asks.
    pub initiator: Initiator,
}

/// What a device answered, or why it was not asked.
#[derive(Debug, Default, Serialize)]
pub struct ProbeResult {
    /// Its name.
    pub device: String,
    /// The device that is used instead, being the same phone; then this one was not asked further.
    pub same_as: Option<String>,
    /// What it is.
    pub facts: Option<DeviceFacts>,
    /// What its runner said.
    pub hello: Option<Hello>,
    /// Why it did not answer, or not all of it.
    pub failure: Option<Failure>,
    /// Who uses it, or keeps it locked; then it was not asked, or not all of it.
    pub used_by: Option<String>,
    /// From connecting until its runner spoke.
    pub bring_up_ms: u64,
    /// What a check found out.
    #[serde(flatten)]
    pub check: Option<DeviceCheck>,
    /// What earlier checks had measured.
    #[serde(rename = "usual")]
    pub baseline: Option<Baseline>,
    /// Its thermal sensors that can be read.
    pub sensors: Option<Vec<ThermalSensor>>,
}

impl ProbeResult {
    fn silent(device: &Device) -> ProbeResult {
        ProbeResult { device: device.name.clone(), ..ProbeResult::default() }
    }

    /// Whether it was asked.
    pub fn is_asked(&self) -> bool {
        self.same_as.is_none() && (self.used_by.is_none() || self.facts.is_some())
    }
}

/// What a device is asked.
#[derive(Clone, Copy)]
enum ProbeKind<'a> {
    /// What it is.
    Facts,
    /// Whether it is fit for work; before the sweep of a schedule.
    Fitness(Option<&'a str>),
}

/// With what a device is talked to.
struct With<'a> {
    lab: &'a LabId,
    /// Which device is which machine, where that matters.
    machines: Option<&'a Machines>,
    /// What is measured, if anything is.
    figures: Option<&'a mut CheckFigures>,
}

impl Probes {
    /// Asks those of the devices that nobody uses what they are.
    ///
    /// # Errors
    /// When the store can't be used. What devices do not answer is noted there.
    pub async fn ask(&self, devices: &[Device]) -> Result<Vec<ProbeResult>, AgentError> {
        self.ask_all(devices, ProbeKind::Facts).await
    }

    /// Checks whether those of the devices that nobody uses are fit for work; before the sweep of this schedule, if one
    /// is given. What is found out about each is an event.
    ///
    /// # Errors
    /// When the store can't be used.
    pub async fn check(&self, devices: &[Device], schedule: Option<&str>) -> Result<Vec<ProbeResult>, AgentError> {
        self.ask_all(devices, ProbeKind::Fitness(schedule)).await
    }

    async fn ask_all(&self, devices: &[Device], kind: ProbeKind<'_>) -> Result<Vec<ProbeResult>, AgentError> {
        let machines = match (self.initiator, kind) {
            // Asked again and again, two entries of one machine do no harm.
            (Initiator::Daemon, ProbeKind::Facts) => None,
            _ => {
                let machines = Machines::default();
                machines.set_survey(survey_phones(devices, self.connect.as_ref(), &Timeouts::default()).await);
                Some(machines)
            }
        };
        let asked = devices.iter().map(|device| self.ask_one(device, machines.as_ref(), kind));
        let asked: Vec<Result<ProbeResult, AgentError>> =
            futures::stream::iter(asked).buffered(self.initiator.at_once()).collect().await;
        asked.into_iter().collect()
    }

    async fn ask_one(
        &self,
        device: &Device,
        machines: Option<&Machines>,
        kind: ProbeKind<'_>,
    ) -> Result<ProbeResult, AgentError> {
        if let Some(used) = machines.and_then(|machines| machines.used_instead_of(device)) {
            return Ok(ProbeResult { same_as: Some(used.to_owned()), ..ProbeResult::silent(device) });
        }
        if let Some(used_by) = self.locked_by(device)? {
            return Ok(ProbeResult { used_by: Some(used_by), ..ProbeResult::silent(device) });
        }
        // What is measured, is measured alone.
        let turn = match kind {
            ProbeKind::Facts => Ok(Turn::of_nothing()),
            ProbeKind::Fitness(_) => self.turn_of(device).await?,
        };
        let turn = match turn {
            Ok(turn) => turn,
            Err(used_by) => return Ok(ProbeResult { used_by: Some(used_by), ..ProbeResult::silent(device) }),
        };
        let answer = self.ask_in_turn(device, machines, kind).await;
        let given_back = turn.give_back();
        let answer = answer?;
        given_back?;
        Ok(answer)
    }

    /// Waits until a device is the only one of its machine that these probes ask, and has a place in its farm; where
    /// somebody else works there, says who does.
    async fn turn_of(&self, device: &Device) -> Result<Result<Turn, String>, StoreError> {
        loop {
            let no_turn = match Turn::take(&self.leases, device, None)? {
                Ok(turn) => return Ok(Ok(turn)),
                Err(no_turn) => no_turn,
            };
            let is_ours = |holder: &LeaseHolder| holder.holder == self.leases.holder();
            if no_turn.holders().iter().any(is_ours) {
                tokio::time::sleep(LEASE_POLL_INTERVAL).await;
                continue;
            }
            let first = no_turn.holders().first().map(|holder| self.used_by(holder)).unwrap_or_default();
            return Ok(Err(match no_turn {
                NoTurn::Machine(_) => format!("another device of its machine is worked on: {first}"),
                NoTurn::Farm { cause, .. } => format!("{cause}: {first}"),
            }));
        }
    }

    async fn ask_in_turn(
        &self,
        device: &Device,
        machines: Option<&Machines>,
        kind: ProbeKind<'_>,
    ) -> Result<ProbeResult, AgentError> {
        let lease = match self.leases.device(&device.name, None) {
            Ok(lease) => lease,
            Err(LeaseError::Held(holder)) => {
                return Ok(ProbeResult { used_by: Some(self.used_by(&holder)), ..ProbeResult::silent(device) });
            }
            Err(LeaseError::Store(error)) => return Err(error.into()),
        };
        let answer = self.ask_under_lease(device, machines, kind).await;
        let released = lease.release();
        let answer = answer?;
        released?;
        Ok(answer)
    }

    /// The lock that keeps this initiator off.
    fn locked_by(&self, device: &Device) -> Result<Option<String>, StoreError> {
        if self.initiator == Initiator::Person {
            return Ok(None);
        }
        let locks = self.store.device_locks(Some(&device.name), (self.clock)())?;
        Ok(locks.first().map(ToString::to_string))
    }

    fn used_by(&self, holder: &LeaseHolder) -> String {
        let sweep = holder.sweep_id.as_ref().map_or_else(String::new, |sweep| format!(" for sweep {sweep}"));
        let until = holder.until.duration_since((self.clock)()).as_secs().max(0);
        format!("{} uses it{sweep} (for {until} s without a word from it)", holder_in_words(&holder.holder))
    }

    async fn ask_under_lease(
        &self,
        device: &Device,
        machines: Option<&Machines>,
        kind: ProbeKind<'_>,
    ) -> Result<ProbeResult, AgentError> {
        let mut answer = ProbeResult::silent(device);
        let mut figures = CheckFigures::default();
        let lab = self.store.lab_id()?;
        let ended = match kind {
            ProbeKind::Facts => self.talk(device, With { lab: &lab, machines, figures: None }, &mut answer).await,
            ProbeKind::Fitness(_) => {
                let talk = self.talk(device, With { lab: &lab, machines, figures: Some(&mut figures) }, &mut answer);
                check::in_time(self.initiator, &device.name, talk).await
            }
        };
        match ended {
            // A run of another lab's; it says nothing of the device.
            Err(failure) if failure.kind == FailureKind::Busy => answer.used_by = Some(failure.message),
            ended => answer.failure = ended.err(),
        }
        self.note(&answer)?;
        if let (ProbeKind::Fitness(schedule), None, None) = (kind, &answer.used_by, &answer.same_as) {
            self.conclude(&mut answer, figures, schedule)?;
        }
        Ok(answer)
    }

    /// Brings a device up, and measures it where figures are wanted.
    async fn talk(
        &self,
        device: &Device,
        With { lab, machines, figures }: With<'_>,
        answer: &mut ProbeResult,
    ) -> Result<(), Failure> {
        let started = Instant::now();
        let with = BringUp {
            connect: &self.connect,
            timeouts: &Timeouts::default(),
            runners: self.runners.as_ref(),
            lab,
            pushing: &mut |_, _| {},
        };
        let brought_up = Session::bring_up(device, with).await;
        answer.bring_up_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut session = brought_up?;
        if let Some(Err(taken)) = machines.map(|machines| machines.take(device, &session.machine)) {
            session.close().await;
            return match taken {
                Taken::SameAs(used) => {
                    answer.same_as = Some(used);
                    Ok(())
                }
                Taken::WorkdirOf(other) => Err(shared_workdir(device, &session.workdir, &other)),
            };
        }
        session.battery = battery(&session).await;
        (answer.facts, answer.hello) = (Some(session.facts()), Some(session.hello.clone()));
        let measured = match figures {
            Some(figures) => check::measure(&session, answer, figures).await,
            None => Ok(()),
        };
        session.close().await;
        measured
    }

    /// Notes in the store that a device answered, or that it did not. One that does is back from quarantine when its
    /// next health probe is due.
    fn note(&self, answer: &ProbeResult) -> Result<(), StoreError> {
        let (store, name, now) = (self.store.as_ref(), &answer.device, (self.clock)());
        if let Some(failure) = &answer.failure {
            return store.device_missed(name, failure, now);
        }
        let (Some(facts), Some(hello)) = (&answer.facts, &answer.hello) else { return Ok(()) };
        note_seen(store, name, facts, hello.store.free_bytes, now)?;
        let status = store.device_status(name)?;
        let is_due = status.probe_at.is_none_or(|probe_at| probe_at <= now);
        if status.state == DeviceState::Quarantined && is_due {
            store.end_quarantine(name, &released(name, now))?;
        }
        Ok(())
    }
}

/// How a phone is powered, where it tells. Nobody is asked on its screen for leave to be root.
async fn battery(session: &Session) -> Option<Battery> {
    session.android.as_ref()?;
    let device = &session.device;
    let device = Device { android: AndroidOptions { su: false, ..device.android }, ..device.clone() };
    let limit = Duration::from_secs_f64(Timeouts::default().bring_up_seconds);
    match measuring_state(&device, session.transport(), limit).await {
        Ok(state) => state.battery().cloned(),
        Err(failure) => {
            tracing::debug!(device = %device.name, %failure, "how it is powered is not known");
            None
        }
    }
}

fn released(device: &str, now: jiff::Timestamp) -> Event {
    let kind = EventKind::DeviceReleased { by: "a health probe".to_owned() };
    Event { at: now, sweep_id: None, device: Some(device.to_owned()), job_id: None, run_id: None, kind }
}
