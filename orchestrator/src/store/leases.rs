use std::time::Duration;

use jiff::Timestamp;

use super::StoreError;
use crate::domain::{RunId, SweepId};

/// Who has a lease, or had it last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseHolder {
    /// The process.
    pub holder: String,
    /// The sweep it works on, where the lease is a device's.
    pub sweep_id: Option<SweepId>,
    /// Until when it has it, without a word from it. Of a run by the clock that decides, otherwise by that of whoever
    /// asks.
    pub until: Timestamp,
}

/// Whether a lease was to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseOutcome {
    /// It is the caller's, under this epoch.
    Taken {
        /// Grows with each holder.
        epoch: u64,
    },
    /// Somebody else has it.
    Held(LeaseHolder),
}

/// The leases of one holder, each with its epoch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeldLeases {
    /// Sweeps.
    pub sweeps: Vec<(SweepId, u64)>,
    /// Devices.
    pub devices: Vec<(String, u64)>,
    /// Runs.
    pub runs: Vec<(RunId, u64)>,
    /// Sweeps that it has a part in.
    pub parts: Vec<SweepId>,
}

/// Leases: of sweeps, by which one process at a time carries a sweep out ([`PartStore`](super::PartStore) has those
/// that several do); of devices, by which one process at a time uses a device; and those of runs, which come with
/// [`RunStore::claim`](super::RunStore::claim). A lease that is not
/// prolonged can be taken by another holder, under a higher epoch: epochs only grow, also over leases that ended.
///
/// Each caller says what time it is (`now`). Where several hosts share a store on a server, that server's clock decides
/// instead, so that hosts whose clocks differ agree about who has what.
pub trait LeaseStore {
    /// Takes the lease of a whole sweep.
    ///
    /// # Errors
    /// When there is no such sweep, or the store can't be written.
    fn lease_sweep(
        &self,
        sweep: &SweepId,
        holder: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<LeaseOutcome, StoreError>;

    /// Ends the lease of a sweep. One that was lost is left alone.
    ///
    /// # Errors
    /// When the store can't be written.
    fn release_sweep(&self, sweep: &SweepId, epoch: u64) -> Result<(), StoreError>;

    /// Who has the lease of a whole sweep now.
    ///
    /// # Errors
    /// When there is no such sweep, or the store can't be read.
    fn sweep_holder(&self, sweep: &SweepId, now: Timestamp) -> Result<Option<LeaseHolder>, StoreError>;

    /// Takes the lease of a device, by its name or by what it is however it is connected.
    ///
    /// # Errors
    /// When the store can't be written.
    fn lease_device(
        &self,
        device: &str,
        sweep: Option<&SweepId>,
        holder: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<LeaseOutcome, StoreError>;

    /// Ends the lease of a device. One that was lost is left alone.
    ///
    /// # Errors
    /// When the store can't be written.
    fn release_device(&self, device: &str, epoch: u64) -> Result<(), StoreError>;

    /// Notes that a sweep waits for a device that another one uses, for so long from now.
    ///
    /// # Errors
    /// When the store can't be written.
    fn add_device_waiter(
        &self,
        device: &str,
        sweep: &SweepId,
        wait: Duration,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Notes that a sweep waits for a device no more.
    ///
    /// # Errors
    /// When the store can't be written.
    fn remove_device_waiter(&self, device: &str, sweep: &SweepId) -> Result<(), StoreError>;

    /// The sweep that waits for a device now and goes before this one: a person's goes before a schedule's.
    ///
    /// # Errors
    /// When the store can't be read.
    fn preempted_by(&self, device: &str, sweep: &SweepId, now: Timestamp) -> Result<Option<SweepId>, StoreError>;

    /// The leases of devices that are held now: device and holder.
    ///
    /// # Errors
    /// When the store can't be read.
    fn device_leases(&self, now: Timestamp) -> Result<Vec<(String, LeaseHolder)>, StoreError>;

    /// Devices whose last lease was for this sweep and was never given back: they are used for it now, or whoever used
    /// them ended without a word, and may have left things there half-way.
    ///
    /// # Errors
    /// When the store can't be read.
    fn devices_left(&self, sweep: &SweepId) -> Result<Vec<String>, StoreError>;

    /// Prolongs all leases of a holder, in one transaction, and returns those it has: one that is not among them was
    /// lost to another holder, or has ended. An expired lease that nobody took can still be
    /// renewed.
    ///
    /// # Errors
    /// When the store can't be written.
    fn prolong_leases(&self, holder: &str, lease: Duration, now: Timestamp) -> Result<HeldLeases, StoreError>;

    /// All holders of leases of any kind that are held now.
    ///
    /// # Errors
    /// When the store can't be read.
    fn lease_holders(&self, now: Timestamp) -> Result<Vec<String>, StoreError>;

    /// Lets all leases of a holder run out: it is gone for sure.
    ///
    /// # Errors
    /// When the store can't be written.
    fn expire_leases(&self, holder: &str, now: Timestamp) -> Result<(), StoreError>;
}
