//! The leases of this process: taken, prolonged all together, and given back.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::domain::SweepId;
use crate::store::{HeldLeases, Joined, LeaseHolder, LeaseOutcome, Store, StoreError};

use super::{Clock, LEASE, holder};

/// How often leases are prolonged.
const BEAT: Duration = Duration::from_secs(20);
/// How soon it is tried again when the store refused.
const BEAT_AGAIN: Duration = Duration::from_secs(2);

/// Why a lease was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another process has it.
    #[error("take a lease that {} has", .0.holder)]
    Held(LeaseHolder),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The leases of this process. They are prolonged until it is dropped.
pub struct LeaseKeeper {
    store: Arc<dyn Store>,
    holder: String,
    clock: Clock,
    /// What the store said when they were last prolonged, and when it was asked.
    held: watch::Receiver<(Option<Instant>, Arc<HeldLeases>)>,
    beat: JoinHandle<()>,
}

impl LeaseKeeper {
    /// Expires the leases of dead processes, and starts to prolong those of `holder`.
    ///
    /// # Errors
    /// When the store can't be used.
    pub fn start(store: Arc<dyn Store>, holder: String, clock: Clock) -> Result<LeaseKeeper, StoreError> {
        let holders = store.lease_holders(clock())?;
        for gone in holders.into_iter().filter(|name| holder::is_holder_gone(name)) {
            tracing::info!(holder = %gone, "a process ended without giving its leases back");
            store.expire_leases(&gone, clock())?;
        }
        let (sender, held) = watch::channel((None, Arc::default()));
        let beat = tokio::spawn(prolong(Arc::clone(&store), holder.clone(), Arc::clone(&clock), sender));
        Ok(LeaseKeeper { store, holder, clock, held, beat })
    }

    /// The store that has the leases.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The time of day by which they are taken.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Name of this process in leases.
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// Takes the lease of a whole sweep.
    ///
    /// # Errors
    /// When another process has it, or a part of it, or the store can't be used.
    pub fn sweep(&self, sweep: &SweepId) -> Result<Lease, LeaseError> {
        let outcome = self.store.lease_sweep(sweep, &self.holder, LEASE, (self.clock)())?;
        self.lease(outcome, Held::Sweep(sweep.clone()))
    }

    /// Takes part in a sweep that others may carry out at the same time, with these devices; tells whether it is the
    /// first that ever did.
    ///
    /// # Errors
    /// When another process has all of it, or the store can't be used.
    pub fn part(&self, sweep: &SweepId, devices: &[String]) -> Result<(Lease, bool), LeaseError> {
        let joined = self.store.join_sweep(sweep, devices, &self.holder, LEASE, (self.clock)())?;
        let of = Held::Part { sweep: sweep.clone(), holder: self.holder.clone() };
        match joined {
            Joined::Taken { is_first } => Ok((self.taken(of, 0), is_first)),
            Joined::Held(holder) => Err(LeaseError::Held(holder)),
        }
    }

    /// Takes the lease of a device, for a sweep or for something short.
    ///
    /// # Errors
    /// When another process has it, or the store can't be used.
    pub fn device(&self, device: &str, sweep: Option<&SweepId>) -> Result<Lease, LeaseError> {
        let outcome = self.store.lease_device(device, sweep, &self.holder, LEASE, (self.clock)())?;
        self.lease(outcome, Held::Device(device.to_owned()))
    }

    fn lease(&self, outcome: LeaseOutcome, of: Held) -> Result<Lease, LeaseError> {
        match outcome {
            LeaseOutcome::Taken { epoch } => Ok(self.taken(of, epoch)),
            LeaseOutcome::Held(holder) => Err(LeaseError::Held(holder)),
        }
    }

    fn taken(&self, of: Held, epoch: u64) -> Lease {
        let (store, held) = (Arc::clone(&self.store), self.held.clone());
        Lease { store, of, epoch, taken_at: Instant::now(), held, released: false }
    }
}

impl Drop for LeaseKeeper {
    fn drop(&mut self) {
        self.beat.abort();
        holder::end(&self.holder);
    }
}

async fn prolong(
    store: Arc<dyn Store>,
    holder: String,
    clock: Clock,
    held: watch::Sender<(Option<Instant>, Arc<HeldLeases>)>,
) {
    let mut pause = BEAT;
    loop {
        tokio::time::sleep(pause).await;
        let asked_at = Instant::now();
        match store.prolong_leases(&holder, LEASE, clock()) {
            Ok(leases) => {
                held.send_replace((Some(asked_at), Arc::new(leases)));
                pause = BEAT;
            }
            Err(error) => {
                tracing::warn!(%error, "leases were not prolonged");
                pause = BEAT_AGAIN;
            }
        }
    }
}

/// What a lease is of.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Held {
    Sweep(SweepId),
    Part { sweep: SweepId, holder: String },
    Device(String),
}

/// A lease that this process has, until it is given back, or lost.
pub struct Lease {
    store: Arc<dyn Store>,
    of: Held,
    epoch: u64,
    taken_at: Instant,
    held: watch::Receiver<(Option<Instant>, Arc<HeldLeases>)>,
    released: bool,
}

impl Lease {
    /// Its epoch; 0 of a part of a sweep, which has none.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether it is a part of a sweep: others may have theirs.
    pub fn is_part(&self) -> bool {
        matches!(self.of, Held::Part { .. })
    }

    /// Waits until the lease is found to be lost to another process.
    pub async fn lost(&self) {
        let mut held = self.held.clone();
        let is_lost = |(asked_at, leases): &(Option<Instant>, Arc<HeldLeases>)| {
            asked_at.is_some_and(|asked_at| asked_at >= self.taken_at) && !self.is_among(leases)
        };
        if held.wait_for(is_lost).await.is_err() {
            // Nobody prolongs leases any more: this process ends.
            std::future::pending::<()>().await;
        }
    }

    fn is_among(&self, leases: &HeldLeases) -> bool {
        match &self.of {
            Held::Sweep(sweep) => leases.sweeps.iter().any(|(held, epoch)| held == sweep && *epoch == self.epoch),
            Held::Part { sweep, .. } => leases.parts.contains(sweep),
            Held::Device(device) => leases.devices.iter().any(|(held, epoch)| held == device && *epoch == self.epoch),
        }
    }

    /// Lets a part of a sweep run out now, with work left that is this process's host's: others are told who had it.
    ///
    /// # Errors
    /// When the store can't be written; it then runs out by itself.
    pub fn leave_behind(mut self, now: Timestamp) -> Result<(), StoreError> {
        match &self.of {
            Held::Part { holder, .. } => {
                self.released = true;
                self.store.expire_leases(holder, now)
            }
            Held::Sweep(_) | Held::Device(_) => self.release(),
        }
    }

    /// Gives the lease back.
    ///
    /// # Errors
    /// When the store can't be written; the lease then runs out by itself.
    pub fn release(mut self) -> Result<(), StoreError> {
        self.released = true;
        match &self.of {
            Held::Sweep(sweep) => self.store.release_sweep(sweep, self.epoch),
            Held::Part { sweep, holder } => self.store.leave_sweep(sweep, holder),
            Held::Device(device) => self.store.release_device(device, self.epoch),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.released {
            tracing::debug!(of = ?self.of, "a lease is left to run out");
        }
    }
}
