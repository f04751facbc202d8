use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a daemon is at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DaemonStatus {
    /// Sweeps that are being carried out, or begun: by their schedules, or as they are called.
    pub running: Vec<String>,
    /// What is due next, and when its sweep is to start.
    pub next: Option<(String, Timestamp)>,
    /// What is wrong.
    pub troubles: Vec<String>,
}

impl DaemonStatus {
    /// In one line.
    pub fn line(&self) -> String {
        let mut parts = Vec::new();
        if !self.troubles.is_empty() {
            parts.push(format!("TROUBLE: {}", self.troubles.join("; ")));
        }
        if !self.running.is_empty() {
            parts.push(format!("running: {}", self.running.join(", ")));
        }
        parts.push(match &self.next {
            Some((schedule, at)) => format!("next: {schedule} at {at:.0}"),
            None => "nothing is due".to_owned(),
        });
        parts.join("; ")
    }
}
