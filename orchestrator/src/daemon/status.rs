use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::schedule::Schedule;

use super::Daemon;

/// What a daemon is at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Sweeps that are being carried out, or begun: by their schedules, or as they are called.
    pub running: Vec<String>,
    /// What is due next, and when its sweep is to start.
    pub next: Option<(String, Timestamp)>,
    /// What is wrong.
    pub troubles: Vec<String>,
}

impl Status {
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

impl Daemon {
    /// What it goes by.
    pub fn schedules(&self) -> &[Schedule] {
        &self.schedules
    }

    /// What it is at.
    pub fn status(&self) -> Status {
        let now = (self.clock)();
        let is_in_force = |schedule: &&Schedule| schedule.is_enabled && !self.paused.contains(&schedule.name);
        let enabled = self.schedules.iter().filter(is_in_force);
        let next = enabled.filter_map(|schedule| {
            let starts_at = schedule.starts_at(schedule.next_due(now)?);
            Some((schedule.name.clone(), starts_at))
        });
        let troubles = self.troubles.iter().map(|(about, trouble)| format!("{about}: {trouble}"));
        Status {
            running: self.tasks.keys().cloned().chain(self.handed.keys().map(|id| format!("sweep {id}"))).collect(),
            next: next.min_by_key(|(_, at)| *at),
            troubles: troubles.collect(),
        }
    }
}
