use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One look at the clocks of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// What its clock says.
    pub wall: Timestamp,
    /// How long ago it was booted, sleep included: nobody can set this one.
    pub since_boot: Duration,
}

/// A look at a clock that is kept for processes to come: by the store that of one which was believed, by the lab that
/// of one which was in doubt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BelievedClock {
    /// What the clock said.
    pub wall: Timestamp,
    /// How long ago the host was booted.
    pub since_boot: Duration,
    /// Which boot that was.
    pub boot: String,
    /// Number of the newest event then: what came later was written since.
    pub last_event: u64,
}
