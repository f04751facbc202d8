//! What a device's worker waits for between two turns: the end of a quarantine, of a person's lock, or of a pause.

use std::time::Duration;

use tokio::time::Instant;

use crate::domain::{DeviceLock, DeviceState, DeviceStatus, EventKind};
use crate::lease::LEASE_POLL_INTERVAL;
use crate::store::StoreError;

use super::worker::Worker;
use super::{AgentError, endings};

/// How often it is looked whether a person released a device.
const RELEASE_POLL_INTERVAL: Duration = Duration::from_secs(5);

/// Shortest time between two looks at a lock that is about to end.
const SHORTEST_REST: Duration = Duration::from_millis(10);

impl Worker<'_> {
    /// Waits in quarantine until a health probe is due, or a person releases the device. Returns false when it is in
    /// vain: nothing else goes on in the sweep, and the device's jobs have their records.
    pub(super) async fn wait_in_quarantine(&self, status: &DeviceStatus) -> Result<bool, AgentError> {
        let agent = self.agent;
        let due_at = status.probe_at.map_or_else(Instant::now, |probe_at| agent.instant_of(probe_at));
        loop {
            if agent.is_stopping() || Instant::now() >= due_at || self.is_released()? {
                return Ok(true);
            }
            if self.shared.activity.is_idle() {
                endings::skip_quarantined(agent, self.device, status).await?;
                return Ok(false);
            }
            tokio::select! {
                () = self.rest(RELEASE_POLL_INTERVAL.min(due_at.saturating_duration_since(Instant::now()))) => {}
                () = self.shared.activity.idle() => {}
            }
        }
    }

    /// Waits while a person keeps the device locked. Returns false when it is in vain: nothing else goes on in the
    /// sweep, the lock lasts, and the device's jobs have their records.
    pub(super) async fn wait_while_locked(&self, lock: &DeviceLock) -> Result<bool, AgentError> {
        let agent = self.agent;
        self.emit(EventKind::DeviceWaiting { cause: lock.to_string() }).await;
        // A lock that is about to end is waited for as long as a device that is to come back.
        let waits_until = Instant::now() + Duration::from_secs_f64(agent.assignment.rules.timeouts.reconnect_seconds);
        loop {
            let Some(lock) = self.lock()? else { return Ok(true) };
            let ends_at = agent.instant_of(lock.until);
            if agent.is_stopping() {
                return Ok(true);
            }
            if self.shared.activity.is_idle() && ends_at > waits_until {
                endings::skip_locked(agent, self.device, &lock).await?;
                return Ok(false);
            }
            let pause = LEASE_POLL_INTERVAL.min(ends_at.saturating_duration_since(Instant::now()));
            self.rest(pause.max(SHORTEST_REST)).await;
        }
    }

    /// The device's lock that is in force.
    pub(super) fn lock(&self) -> Result<Option<DeviceLock>, StoreError> {
        let locks = self.agent.store.device_locks(Some(&self.device.name), self.agent.now())?;
        Ok(locks.into_iter().next())
    }

    fn is_released(&self) -> Result<bool, StoreError> {
        Ok(self.agent.store.device_status(&self.device.name)?.state == DeviceState::InService)
    }

    /// Waits, but not when a person stops the sweep.
    pub(super) async fn rest(&self, pause: Duration) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.agent.stopped() => {}
        }
    }
}
