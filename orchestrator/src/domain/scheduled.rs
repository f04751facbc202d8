use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{StartState, SweepId};

/// The due time of a schedule that a sweep was begun for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueTime {
    /// Name of the schedule.
    pub schedule: String,
    /// When it was due.
    pub due_at: Timestamp,
}

/// A person paused a schedule: it starts nothing until somebody resumes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulePause {
    /// Name of the schedule.
    pub schedule: String,
    /// Who.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
}

/// What became of a due time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduledStart {
    /// Which.
    #[serde(flatten)]
    pub due: DueTime,
    /// What it is.
    pub state: StartState,
    /// Why no sweep is begun for it.
    pub why: Option<String>,
    /// The sweep that was begun for it.
    pub sweep_id: Option<SweepId>,
    /// The person who began it then, whatever was due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When that was settled.
    pub settled_at: Timestamp,
}
