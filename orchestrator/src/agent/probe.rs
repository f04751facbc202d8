//! Asks devices that nobody uses what they are.

use std::sync::Arc;

use futures::StreamExt as _;

use crate::device::{BringUp, RunnerProvider, Session};
use crate::domain::{Device, DeviceState, Event, EventKind, Timeouts};
use crate::store::Store;
use crate::transport::Connect;

use super::sightings::note_seen;
use super::{AgentError, Clock, Leases, with_store};

/// Devices that are asked at the same time.
const AT_ONCE: usize = 16;

/// What it takes to ask devices.
pub struct Probes {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// The leases of this task: a device is asked under one, so that no run begins meanwhile.
    pub leases: Leases,
    /// How to connect.
    pub connect: Arc<dyn Connect>,
    /// Where runners come from.
    pub runners: Arc<dyn RunnerProvider>,
    /// The time of day.
    pub clock: Clock,
}

impl Probes {
    /// Asks those of the devices that nobody uses, and that no person keeps locked; returns how many were asked.
    ///
    /// # Errors
    /// When the store can't be used. What devices do not answer is noted there.
    pub async fn ask(&self, devices: &[Device]) -> Result<usize, AgentError> {
        let asked = devices.iter().filter(|device| device.disabled.is_none()).map(|device| self.ask_one(device));
        let asked: Vec<Result<bool, AgentError>> =
            futures::stream::iter(asked).buffer_unordered(AT_ONCE).collect().await;
        let mut count = 0;
        for asked in asked {
            count += usize::from(asked?);
        }
        Ok(count)
    }

    async fn ask_one(&self, device: &Device) -> Result<bool, AgentError> {
        let (name, now) = (device.name.clone(), (self.clock)());
        let locks = with_store(&self.store, move |store| store.device_locks(Some(&name), now)).await?;
        if !locks.is_empty() {
            return Ok(false);
        }
        let Ok(hold) = self.leases.device(&device.name, None).await? else { return Ok(false) };
        let asked = self.ask_under_lease(device).await;
        let released = hold.release().await;
        asked?;
        released?;
        Ok(true)
    }

    async fn ask_under_lease(&self, device: &Device) -> Result<(), AgentError> {
        let timeouts = Timeouts::default();
        let with = BringUp {
            connect: &self.connect,
            timeouts: &timeouts,
            runners: self.runners.as_ref(),
            pushing: &mut |_, _| {},
        };
        let (name, now) = (device.name.clone(), (self.clock)());
        match Session::bring_up(device, with).await {
            Ok(session) => {
                session.close().await;
                let (facts, free_bytes) = (session.facts(), session.hello.store.free_bytes);
                with_store(&self.store, move |store| {
                    note_seen(store, &name, &facts, free_bytes, now)?;
                    let status = store.device_status(&name)?;
                    let is_due = status.probe_at.is_none_or(|probe_at| probe_at <= now);
                    if status.state == DeviceState::Quarantined && is_due && store.end_quarantine(&name, now)? {
                        let kind = EventKind::DeviceReleased { by: "a health probe".to_owned() };
                        let device = Some(name);
                        store.append_event(&Event {
                            at: now,
                            sweep_id: None,
                            device,
                            job_id: None,
                            run_id: None,
                            kind,
                        })?;
                    }
                    Ok(())
                })
                .await
            }
            Err(failure) => with_store(&self.store, move |store| store.device_missed(&name, &failure, now)).await,
        }
    }
}
