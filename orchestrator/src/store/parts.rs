use std::time::Duration;

use jiff::Timestamp;

use super::{LeaseHolder, StoreError};
use crate::domain::SweepId;

/// Whether a process takes part in a sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joined {
    /// It does.
    Taken {
        /// Whether it is the first that ever did.
        is_first: bool,
    },
    /// Another process has all of the sweep.
    Held(LeaseHolder),
}

/// The part that a process has in a sweep, or had when it ended without a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepPart {
    /// The process.
    pub holder: String,
    /// The devices that it works on.
    pub devices: Vec<String>,
    /// Until when it has the part, without a word from it.
    pub until: Timestamp,
    /// Whether that is still to come.
    pub is_live: bool,
}

/// Sweeps that several processes carry out at the same time, each on the devices that it reaches. Which of them has a
/// device is settled by the device's lease. While anybody has a part, nobody gets the lease of the whole sweep; while
/// somebody has that, nobody gets a part. Parts are prolonged with a holder's other leases.
pub trait PartStore {
    /// Whether the hosts of a lab share this store: it is on a server.
    fn is_shared(&self) -> bool;

    /// Takes part in a sweep, with these devices.
    ///
    /// # Errors
    /// When there is no such sweep, or the store can't be written.
    fn join_sweep(
        &self,
        sweep: &SweepId,
        devices: &[String],
        holder: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Joined, StoreError>;

    /// Gives a part back.
    ///
    /// # Errors
    /// When the store can't be written.
    fn leave_sweep(&self, sweep: &SweepId, holder: &str) -> Result<(), StoreError>;

    /// The parts of a sweep that were not given back, by their holders' names.
    ///
    /// # Errors
    /// When the store can't be read.
    fn sweep_parts(&self, sweep: &SweepId, now: Timestamp) -> Result<Vec<SweepPart>, StoreError>;

    /// Has no more jobs of a sweep started anywhere, for this reason; the first one stays.
    ///
    /// # Errors
    /// When the store can't be written.
    fn halt_sweep(&self, sweep: &SweepId, why: &str) -> Result<(), StoreError>;

    /// Why no more jobs of a sweep are started, if that is so.
    ///
    /// # Errors
    /// When the store can't be read.
    fn halted(&self, sweep: &SweepId) -> Result<Option<String>, StoreError>;

    /// The devices that have jobs of a sweep without a record, by name.
    ///
    /// # Errors
    /// When the store can't be read.
    fn devices_with_open_jobs(&self, sweep: &SweepId) -> Result<Vec<String>, StoreError>;

    /// Whether a device has jobs of a sweep without a record.
    ///
    /// # Errors
    /// When the store can't be read.
    fn has_open_jobs(&self, sweep: &SweepId, device: &str) -> Result<bool, StoreError>;
}
