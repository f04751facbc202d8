//! What a worker needs before it may work on its device: the device's lease, and what the device shares with others.
//! Who has it is told.

use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;

use crate::device::Session;
use crate::domain::{DeviceState, EventKind};
use crate::lease::{LEASE_POLL_INTERVAL, Lease, LeaseError, holder_in_words, is_holder_gone};
use crate::store::{LeaseHolder, StoreError, SweepPart};

use super::policy::DeviceDecision;
use super::turns::{NoTurn, Turn};
use super::worker::{TurnOutcome, Worker};
use super::{Agent, AgentError, AgentMode, Assignment};

/// How often it is asked for a device that another host may have for the same sweep.
const SHARED_POLL_INTERVAL: Duration = Duration::from_secs(3);
/// How often a device that is not reached from here is left to other hosts that have it, and for how long: they ask for
/// it in that time.
const MOST_YIELDS: u32 = 3;
const YIELD_PAUSE: Duration = Duration::from_secs(10);
/// For how long nobody says of a device that it is gone, where the host that has it is.
const HOST_COMES_BACK_WITHIN: SignedDuration = SignedDuration::from_hours(1);
/// How long it counts that a sweep waits for a device, without a word from it.
const WANT: Duration = Duration::from_secs(30);

impl Worker<'_> {
    /// Takes the device's lease. Whoever has it is told that this sweep waits, and gives it back between two jobs if
    /// this one goes before.
    pub(super) async fn lease_device(&mut self) -> Result<Option<Lease>, AgentError> {
        let (store, name, sweep) = (&self.agent.store, &self.device.name, &self.agent.assignment.sweep.id);
        let lease = self.lease(name).await?;
        match (&lease, self.wanted_at) {
            (Some(_), Some(_)) => {
                self.wanted_at = None;
                store.remove_device_waiter(name, sweep)?;
            }
            (None, wanted_at) if wanted_at.is_none_or(|at| at.elapsed() >= WANT / 2) => {
                self.wanted_at = Some(Instant::now());
                store.add_device_waiter(name, sweep, WANT, self.agent.now())?;
            }
            _ => {}
        }
        Ok(lease)
    }

    /// How a turn ends before it begins, where another host has had the device for this sweep meanwhile: nothing is
    /// left to do there, or it is in quarantine.
    pub(super) fn look_what_others_did(&mut self) -> Result<Option<TurnOutcome>, AgentError> {
        let Agent { store, assignment, .. } = self.agent;
        let (name, sweep) = (&self.device.name, &assignment.sweep.id);
        let has_waited = self.waits_for.is_some() || self.is_left_to_others;
        if !assignment.is_shared || assignment.mode != AgentMode::Jobs || !has_waited {
            return Ok(None);
        }
        if !store.has_open_jobs(sweep, name)? {
            if self.wanted_at.take().is_some() {
                store.remove_device_waiter(name, sweep)?;
            }
            return Ok(Some(TurnOutcome::Over));
        }
        if self.waits_for.is_none() {
            return Ok(None);
        }
        let status = store.device_status(name)?;
        let is_resting = status.state == DeviceState::Quarantined
            && status.probe_at.is_some_and(|probe_at| probe_at > self.agent.now());
        Ok(is_resting.then_some(TurnOutcome::Quarantine(status)))
    }

    /// What becomes of a device that this host does not reach: another host that has it, too, is given the time to take
    /// it before anything is said of its jobs; one that is gone has an hour to come back. Nobody waits for either once
    /// all of its jobs have their records: see [`Worker::look_what_others_did`].
    pub(super) fn unless_others_may_reach_it(
        &mut self,
        decision: DeviceDecision,
    ) -> Result<DeviceDecision, StoreError> {
        let Agent { store, assignment, leases, .. } = self.agent;
        let is_an_end = matches!(decision, DeviceDecision::GiveUp | DeviceDecision::Rest);
        if !is_an_end || !assignment.is_shared {
            return Ok(decision);
        }
        let now = self.agent.now();
        let parts = store.sweep_parts(&assignment.sweep.id, now)?;
        let others = parts_of_others(parts, leases.holder(), &self.device.name, is_holder_gone);
        let comes_back = |part: &SweepPart| now.duration_since(part.until) < HOST_COMES_BACK_WITHIN;
        match others.iter().any(|part| part.is_live) {
            true if self.yielded < MOST_YIELDS => self.yielded += 1,
            false if others.iter().any(comes_back) => {}
            _ => return Ok(decision),
        }
        self.is_left_to_others = true;
        Ok(DeviceDecision::Wait(YIELD_PAUSE))
    }

    /// Leaves runs that have not ended to whoever has the device next, where that may be another host.
    pub(super) fn leave_runs(&self) -> Result<(), StoreError> {
        let Agent { store, assignment, leases, .. } = self.agent;
        if !assignment.is_shared {
            return Ok(());
        }
        store.leave_runs(&assignment.sweep.id, &self.device.name, leases.holder())
    }

    /// How soon it is looked again whether a lease is free. Whoever has a device for the same sweep has it for long.
    pub(super) fn lease_pause(&self) -> Duration {
        if self.agent.assignment.is_shared { SHARED_POLL_INTERVAL } else { LEASE_POLL_INTERVAL }
    }

    /// Takes what the device shares with others, whatever sweep uses those; `None`, after telling who has it, when one
    /// of them is taken.
    pub(super) async fn take_turn(&mut self) -> Result<Option<Turn>, AgentError> {
        // To end a run takes nothing from others.
        if self.agent.assignment.mode != AgentMode::Jobs {
            return Ok(Some(Turn::of_nothing()));
        }
        match Turn::take(&self.agent.leases, self.device, Some(&self.agent.assignment.sweep.id))? {
            Ok(turn) => return Ok(Some(turn)),
            Err(NoTurn::Machine(holder)) => self.tell_of(holder).await,
            Err(NoTurn::Farm { cause, .. }) => self.tell_of_wait(cause.clone(), cause).await,
        }
        Ok(None)
    }

    /// Whether a sweep that goes before this one waits for the device; it is told of once.
    pub(super) async fn is_preempted(&mut self) -> Result<bool, AgentError> {
        let Agent { store, assignment: Assignment { sweep, .. }, .. } = self.agent;
        let other = store.preempted_by(&self.device.name, &sweep.id, self.agent.now())?;
        let Some(other) = other else { return Ok(false) };
        self.tell_of_wait(format!("sweep {other} goes before"), other.0).await;
        Ok(true)
    }

    /// Takes a lease; `None`, after telling who has it, when another process does.
    pub(super) async fn lease(&mut self, name: &str) -> Result<Option<Lease>, AgentError> {
        let holder = match self.agent.leases.device(name, Some(&self.agent.assignment.sweep.id)) {
            Ok(lease) => return Ok(Some(lease)),
            Err(LeaseError::Held(holder)) => holder,
            Err(LeaseError::Store(error)) => return Err(error.into()),
        };
        self.tell_of(holder).await;
        Ok(None)
    }

    /// Tells who has what the device waits for.
    async fn tell_of(&mut self, LeaseHolder { holder, sweep_id, .. }: LeaseHolder) {
        let sweep = sweep_id.map_or_else(String::new, |sweep| format!(" for sweep {sweep}"));
        self.tell_of_wait(format!("{} uses it{sweep}", holder_in_words(&holder)), holder).await;
    }

    /// Tells what the device waits for, once as long as it is for the same.
    pub(super) async fn tell_of_wait(&mut self, cause: String, for_what: String) {
        if self.waits_for.as_ref() != Some(&for_what) {
            self.emit(EventKind::DeviceWaiting { cause }).await;
            self.waits_for = Some(for_what);
        }
    }
}

/// The parts that other hosts have, or had, in a sweep with this device. What a process of this host had before it
/// ended is nobody else's: nobody comes back for it.
fn parts_of_others(
    mut parts: Vec<SweepPart>,
    own: &str,
    device: &str,
    is_gone: impl Fn(&str) -> bool,
) -> Vec<SweepPart> {
    parts.retain(|part| part.holder != own && part.devices.iter().any(|it| it == device) && !is_gone(&part.holder));
    parts
}

/// The lease of a phone, whatever its entries are called. Clones say the same of themselves, in boots of their own.
pub(super) fn phone_lease(session: &Session) -> Option<String> {
    let (identity, _) = session.machine.phone.as_ref()?;
    Some(format!("phone {identity} in boot {}", session.machine.boot_id.as_deref().unwrap_or("unknown")))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_device_is_left_to_other_hosts_that_have_it_and_not_to_what_this_host_was_before() {
        let part = |holder: &str, device: &str| SweepPart {
            holder: holder.to_owned(),
            devices: vec!["other".to_owned(), device.to_owned()],
            until: Timestamp::UNIX_EPOCH,
            is_live: false,
        };
        let parts = ["now", "before", "elsewhere"].map(|holder| part(holder, "board"));
        let parts = [parts.as_slice(), &[part("farther", "another")]].concat();
        let others = parts_of_others(parts, "now", "board", |holder| holder == "before");
        assert_eq!(others, [part("elsewhere", "board")]);
    }
}
