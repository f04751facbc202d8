use jiff::Timestamp;

use super::StoreError;
use crate::domain::{DeviceLock, Event};

/// Locks of devices by people. One that has ended is none, whether or not its row is still there: by the clock that
/// decides about leases. Who sets one and who looks at it give and get its end by their own clocks.
pub trait LockStore {
    /// Locks a device, and appends the event of it in the same transaction. Of a lock that the same person has, reason
    /// and end are replaced. One that somebody else has stays, and is returned.
    ///
    /// # Errors
    /// When the store can't be written.
    fn lock_device(&self, lock: &DeviceLock, event: &Event) -> Result<Option<DeviceLock>, StoreError>;

    /// Ends the lock of a device, and appends the event that tells of it in the same transaction; returns the lock that
    /// was in force.
    ///
    /// # Errors
    /// When the store can't be written.
    fn unlock_device(
        &self,
        device: &str,
        now: Timestamp,
        event: &dyn Fn(&DeviceLock) -> Event,
    ) -> Result<Option<DeviceLock>, StoreError>;

    /// The locks that are in force, by device; of one device, when it is given.
    ///
    /// # Errors
    /// When the store can't be read.
    fn device_locks(&self, device: Option<&str>, now: Timestamp) -> Result<Vec<DeviceLock>, StoreError>;
}
