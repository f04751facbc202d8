use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::DeviceIdentity;

/// Something about a device that is changed for measuring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    /// Whether it stays awake while it has power.
    StayAwake,
    /// The kernel's lock against suspending.
    WakeLock,
    /// Whether the screen is on.
    Screen,
    /// Whether radios are off.
    AirplaneMode,
}

impl Setting {
    /// Every setting.
    pub const ALL: &'static [Setting] =
        &[Setting::StayAwake, Setting::WakeLock, Setting::Screen, Setting::AirplaneMode];

    /// The word used in the store and in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Setting::StayAwake => "stay_awake",
            Setting::WakeLock => "wake_lock",
            Setting::Screen => "screen",
            Setting::AirplaneMode => "airplane_mode",
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for Setting {
    type Err = String;
    fn from_str(word: &str) -> Result<Setting, String> {
        let found = Setting::ALL.iter().copied().find(|setting| setting.as_str() == word);
        found.ok_or_else(|| format!("{word:?} is no setting of a device"))
    }
}

/// A change that is about to be made to a device, with what undoes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceChange {
    /// Which phone, however it is connected.
    pub identity: DeviceIdentity,
    /// Its name at that time.
    pub device: String,
    /// What is changed.
    pub setting: Setting,
    /// What it was before, in the device's own words.
    pub previous: String,
    /// When.
    pub made_at: Timestamp,
    /// The process that changes it.
    pub holder: String,
}

/// A change in the journal that has not been undone yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenChange {
    /// Its number in the journal: later changes have higher ones.
    pub number: u64,
    /// The change.
    pub change: DeviceChange,
}
