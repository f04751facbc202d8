use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A person keeps every sweep off a device; it ends by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceLock {
    /// Name of the device.
    pub device: String,
    /// Who: `user@host`.
    pub by: String,
    /// What for.
    pub why: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

impl DeviceLock {
    /// What it says of its device: who, until when, what for.
    pub fn words(&self) -> String {
        format!("locked by {} until {:.0} for «{}»", self.by, self.until, self.why)
    }
}

impl fmt::Display for DeviceLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keeps {} locked until {:.0} for «{}»", self.by, self.device, self.until, self.why)
    }
}
