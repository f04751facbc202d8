use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{DeviceFacts, Failure};

/// What was last heard of a device, whoever asked it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sighting {
    /// Name of the device.
    pub device: String,
    /// When it was last asked.
    pub asked_at: Timestamp,
    /// When it last answered; `None` when it never did.
    pub seen_at: Option<Timestamp>,
    /// What it said of itself then.
    pub facts: Option<DeviceFacts>,
    /// Space that was free on the file system of its workdir then.
    pub free_bytes: Option<u64>,
    /// Since when it has not answered; `None` when it answered the last time.
    pub silent_since: Option<Timestamp>,
    /// Why it did not answer the last time.
    pub failure: Option<Failure>,
}
