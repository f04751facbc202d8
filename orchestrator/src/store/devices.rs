use jiff::Timestamp;

use super::StoreError;
use crate::domain::{DeviceChange, DeviceIdentity, DeviceStatus, Event, Failure, OpenChange};

/// Devices: how they fare, and what was changed on them.
pub trait DeviceStore {
    /// How a device fares. One that never failed is in service.
    ///
    /// # Errors
    /// When the store can't be read.
    fn device_status(&self, device: &str) -> Result<DeviceStatus, StoreError>;

    /// The devices that ever failed.
    ///
    /// # Errors
    /// When the store can't be read.
    fn device_statuses(&self) -> Result<Vec<DeviceStatus>, StoreError>;

    /// Counts a failure of a device.
    ///
    /// # Errors
    /// When the store can't be written.
    fn device_failed(&self, device: &str, failure: &Failure, now: Timestamp) -> Result<DeviceStatus, StoreError>;

    /// Notes that a run ended well on a device: what it counted is forgotten.
    ///
    /// # Errors
    /// When the store can't be written.
    fn device_worked(&self, device: &str) -> Result<(), StoreError>;

    /// Puts a device into quarantine, or prolongs its quarantine, until a health probe that is due at `probe_at`.
    ///
    /// # Errors
    /// When the store can't be written.
    fn quarantine_device(
        &self,
        device: &str,
        failure: &Failure,
        probe_at: Timestamp,
        now: Timestamp,
    ) -> Result<DeviceStatus, StoreError>;

    /// Ends a quarantine, and appends the event of it in the same transaction; returns whether there was one.
    ///
    /// # Errors
    /// When the store can't be written.
    fn end_quarantine(&self, device: &str, event: &Event) -> Result<bool, StoreError>;

    /// Writes down changes that are about to be made to a device, in one transaction and in their order; from then on
    /// they are open.
    ///
    /// # Errors
    /// When the store can't be written: then none of them is there, and none may be made.
    fn add_device_changes(&self, changes: &[DeviceChange]) -> Result<Vec<OpenChange>, StoreError>;

    /// The changes that are not undone, oldest first; of one device, when it is given.
    ///
    /// # Errors
    /// When the store can't be read.
    fn open_device_changes(&self, identity: Option<&DeviceIdentity>) -> Result<Vec<OpenChange>, StoreError>;

    /// Marks changes as undone. One that is marked already, or not there, is left alone.
    ///
    /// # Errors
    /// When the store can't be written.
    fn close_device_changes(&self, numbers: &[u64], now: Timestamp) -> Result<(), StoreError>;
}
