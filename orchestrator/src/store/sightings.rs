use jiff::Timestamp;

use super::StoreError;
use crate::domain::{DeviceFacts, Failure, Sighting};

/// What was last heard of each device, by sweeps, probes and checks alike.
pub trait SightingStore {
    /// Notes that a device answered, and what it is.
    ///
    /// # Errors
    /// When the store can't be written.
    fn device_seen(&self, device: &str, facts: &DeviceFacts, free_bytes: u64, now: Timestamp)
    -> Result<(), StoreError>;

    /// Notes that a device did not answer as it should. What it was when it last did is kept.
    ///
    /// # Errors
    /// When the store can't be written.
    fn device_missed(&self, device: &str, failure: &Failure, now: Timestamp) -> Result<(), StoreError>;

    /// What was last heard of a device; `None` when it was never asked.
    ///
    /// # Errors
    /// When the store can't be read.
    fn sighting(&self, device: &str) -> Result<Option<Sighting>, StoreError>;

    /// What was last heard of the devices that were ever asked.
    ///
    /// # Errors
    /// When the store can't be read.
    fn sightings(&self) -> Result<Vec<Sighting>, StoreError>;
}
