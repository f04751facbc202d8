use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a device is given before each run, so that none begins hot.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cooldown {
    /// The hottest sensor of the processor is to be this cool; `None`: nearly as cool as the device is at rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_temp_c: Option<f64>,
    /// Shortest wait, however cool it is.
    pub min_seconds: f64,
    /// Longest wait, however hot it is.
    pub max_seconds: f64,
    /// Wait of a device that tells no temperature.
    pub pause_seconds: f64,
}

impl Default for Cooldown {
    /// What a sweep has that asks for a cool-down, and says no more.
    fn default() -> Cooldown {
        Cooldown { start_temp_c: None, min_seconds: 0.0, max_seconds: 120.0, pause_seconds: 5.0 }
    }
}

impl Cooldown {
    /// The shortest and the longest that it can take before a run.
    pub fn bounds_seconds(&self) -> (f64, f64) {
        (self.min_seconds.min(self.pause_seconds), self.max_seconds.max(self.pause_seconds))
    }
}

/// What became of a run's cool-down.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CooledDown {
    /// How long it was waited.
    pub waited_ns: u64,
    /// Whether the device was as cool as it was to be.
    pub reached: Reached,
    /// How cool that is; `None` where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal_c: Option<f64>,
}

/// Whether a device was as cool as it was to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reached {
    /// It was.
    Yes,
    /// It was not: the longest wait was over, or it cooled no further.
    No,
    /// It tells no temperature, or nobody knows yet how cool it is at rest.
    Unknown,
}

impl Reached {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Reached::Yes => "yes",
            Reached::No => "no",
            Reached::Unknown => "unknown",
        }
    }
}

/// How cool a device was at its coolest on a day, before a run.
#[derive(Debug, Clone, PartialEq)]
pub struct IdleTemperature {
    /// When.
    pub at: Timestamp,
    /// The hottest sensor of the processor then.
    pub sensor: String,
    /// What it said.
    pub celsius: f64,
}
