//! Sets a phone up for measuring, and sets it back.
//!
//! Every change is in the store's journal before it is made, so that what a crash leaves behind is undone by the next
//! process that works on the phone.

use std::time::Duration;

use jiff::Timestamp;

use crate::device::{Session, change_settings, measuring_state, undo_settings};
use crate::domain::{Device, DeviceChange, DeviceIdentity, EventKind, OpenChange, Setting, TransportConfig};
use crate::lease::{holder_in_words, is_holder_gone};
use crate::store::Store;
use crate::transport::Transport;

use super::events::Subject;
use super::quiet::wait_until_quiet;
use super::{Agent, AgentError};

/// A change with whether it was undone, or why not.
pub type Undone = (OpenChange, Result<(), String>);

/// What is said of a phone whose Android does not come up.
pub(super) const STILL_BOOTING: &str = "Android had not finished booting (sys.boot_completed is not 1), though it was \
    waited for (timeouts.reconnect_seconds): it is measured while it boots";

/// What is to be undone on a device, and since when it is so.
pub(super) struct SetUp {
    open: Vec<OpenChange>,
    boot_id: Option<String>,
}

impl SetUp {
    /// Whether the device has booted anew since: its screen is on again.
    pub(super) fn is_outdated(&self, session: &Session) -> bool {
        self.boot_id != session.hello.boot_id && !session.is_lost()
    }
}

/// Waits until a device that has just booted is quiet, undoes what earlier processes left, notes how the phone is
/// powered, and sets it up. A phone that can't be set up is measured as it is, with a warning; what is no phone, and
/// has no `identity` in the journal, is left alone.
pub(super) async fn prepare(
    agent: &Agent,
    device: &Device,
    identity: Option<DeviceIdentity>,
    session: &mut Session,
) -> Result<SetUp, AgentError> {
    if session.is_booting {
        warn(agent, device, STILL_BOOTING.to_owned()).await;
    }
    wait_until_quiet(agent, device, session).await;
    let open = match identity {
        Some(identity) => set_up(agent, device, session, identity).await?,
        None => Vec::new(),
    };
    Ok(SetUp { open, boot_id: session.hello.boot_id.clone() })
}

async fn set_up(
    agent: &Agent,
    device: &Device,
    session: &mut Session,
    identity: DeviceIdentity,
) -> Result<Vec<OpenChange>, AgentError> {
    undo_left(agent, device, session, &identity).await?;
    let deadline = agent.bring_up_limit();
    let state = match measuring_state(device, session.transport(), deadline).await {
        Ok(state) => state,
        Err(failure) => {
            warn(agent, device, format!("it is measured as it is: {failure}")).await;
            return Ok(Vec::new());
        }
    };
    session.battery = state.battery().cloned();
    let plan = state.plan(&device.android, is_over_network(&device.transport));
    for warning in plan.warnings {
        warn(agent, device, warning).await;
    }
    let settings: Vec<Setting> = plan.changes.iter().map(|(setting, _)| *setting).collect();
    let changes = plan.changes.into_iter().map(|(setting, previous)| DeviceChange {
        identity: identity.clone(),
        device: device.name.clone(),
        setting,
        previous,
        made_at: agent.now(),
        holder: agent.leases.holder().to_owned(),
    });
    let changes: Vec<DeviceChange> = changes.collect();
    let open = agent.store.add_device_changes(&changes)?;
    match change_settings(device, session.transport(), &settings, deadline).await {
        Ok(outcomes) => note_changes(agent, device, open, outcomes).await,
        Err(failure) => {
            // What arrived of it is not known, so all of it is undone later.
            warn(agent, device, format!("it may not be set up for measuring: {failure}")).await;
            Ok(open)
        }
    }
}

/// Undoes the changes of this process; what can't be undone stays in the journal.
pub(super) async fn restore(
    agent: &Agent,
    device: &Device,
    session: &mut Session,
    set_up: SetUp,
) -> Result<(), AgentError> {
    let open = set_up.open;
    if open.is_empty() {
        return Ok(());
    }
    if session.is_lost()
        && let Err(failure) = session.reconnect_now().await
    {
        tracing::warn!(%failure, "the device can't be set back");
    }
    let undone =
        undo_changes(agent.store.as_ref(), session.transport(), device, open, agent.bring_up_limit(), agent.now())
            .await?;
    tell_undone(agent, device, undone).await;
    Ok(())
}

/// Undoes changes, the last one first, and marks those in the journal that are undone `now`: one round trip.
///
/// # Errors
/// When the store can't be written. A device that refuses or does not answer is told in the outcomes.
pub async fn undo_changes(
    store: &dyn Store,
    transport: &dyn Transport,
    device: &Device,
    mut open: Vec<OpenChange>,
    deadline: Duration,
    now: Timestamp,
) -> Result<Vec<Undone>, AgentError> {
    open.sort_by_key(|open| std::cmp::Reverse(open.number));
    let settings: Vec<(Setting, String)> =
        open.iter().map(|open| (open.change.setting, open.change.previous.clone())).collect();
    let outcomes = match undo_settings(device, transport, &settings, deadline).await {
        Ok(outcomes) => outcomes,
        Err(failure) => settings.iter().map(|_| Err(failure.to_string())).collect(),
    };
    let undone: Vec<Undone> = open.into_iter().zip(outcomes).collect();
    let numbers: Vec<u64> = undone.iter().filter(|(_, outcome)| outcome.is_ok()).map(|(open, _)| open.number).collect();
    store.close_device_changes(&numbers, now)?;
    Ok(undone)
}

/// Whether a change was left behind: whoever made it can't undo it any more.
pub fn is_left_behind(open: &OpenChange) -> bool {
    is_holder_gone(&open.change.holder)
}

/// Undoes what ended processes left behind, and what this one made itself before the device booted anew.
async fn undo_left(
    agent: &Agent,
    device: &Device,
    session: &Session,
    identity: &DeviceIdentity,
) -> Result<(), AgentError> {
    // This process has the device's lease, so nobody else measures there: whoever made a change has ended, or lost it.
    let left = agent.store.open_device_changes(Some(identity))?;
    if left.is_empty() {
        return Ok(());
    }
    let undone =
        undo_changes(agent.store.as_ref(), session.transport(), device, left, agent.bring_up_limit(), agent.now())
            .await?;
    tell_undone(agent, device, undone).await;
    Ok(())
}

async fn note_changes(
    agent: &Agent,
    device: &Device,
    open: Vec<OpenChange>,
    outcomes: Vec<Result<(), String>>,
) -> Result<Vec<OpenChange>, AgentError> {
    let (mut made, mut refused) = (Vec::new(), Vec::new());
    for (open, outcome) in open.into_iter().zip(outcomes) {
        let setting = open.change.setting;
        match outcome {
            Ok(()) => {
                let kind = EventKind::DeviceChanged { setting, previous: open.change.previous.clone() };
                agent.events.emit(Subject::device(&device.name), kind).await;
                made.push(open);
            }
            Err(why) => {
                warn(agent, device, format!("{setting} could not be changed: {why}")).await;
                refused.push(open.number);
            }
        }
    }
    agent.store.close_device_changes(&refused, agent.now())?;
    Ok(made)
}

async fn tell_undone(agent: &Agent, device: &Device, undone: Vec<Undone>) {
    for (open, outcome) in undone {
        let DeviceChange { setting, previous, holder, .. } = open.change;
        match outcome {
            Ok(()) => {
                let left_by = Some(holder).filter(|holder| holder != agent.leases.holder());
                let left_by = left_by.as_deref().map(holder_in_words);
                let kind = EventKind::DeviceRestored { setting, previous, left_by };
                agent.events.emit(Subject::device(&device.name), kind).await;
            }
            Err(why) => {
                let name = &device.name;
                let message = format!(
                    "{setting} was not set back to {previous} ({why}); the next sweep does it, or `farmctl devices \
                     restore {name}`"
                );
                warn(agent, device, message).await;
            }
        }
    }
}

async fn warn(agent: &Agent, device: &Device, message: String) {
    tracing::warn!(device = %device.name, %message, "not set up as it should be");
    agent.events.emit(Subject::device(&device.name), EventKind::DeviceWarning { message }).await;
}

/// Whether airplane mode could cut the way to a device.
fn is_over_network(transport: &TransportConfig) -> bool {
    match transport {
        TransportConfig::Local => false,
        TransportConfig::Ssh(_) => true,
        TransportConfig::Adb(endpoint) => !endpoint.is_cable_only(),
    }
}
