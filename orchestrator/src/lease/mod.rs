//! Who may do it: the leases of this process, and the names of processes in them.
//!
//! Main types: [`LeaseKeeper`], which takes leases and prolongs them, and [`Holder`], the name of a process. The truth
//! is the store's. Never talks to a device.

mod holder;
mod keeper;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

pub use holder::{Holder, holder_in_words, holders, is_holder_gone, is_of_process, live_holder, machine_identity};
pub use keeper::{Lease, LeaseError, LeaseKeeper};

/// How long a lease lasts without a word from its holder.
pub const LEASE: Duration = Duration::from_secs(60);
/// How often whoever wants a lease asks whether it is free.
pub const LEASE_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Tells the time of day.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;
