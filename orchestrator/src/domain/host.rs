use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Device, HostState};

/// A host without a beat for so long, by the database's clock, is silent.
pub const HOST_SILENT_AFTER: Duration = Duration::from_secs(60);

/// What a daemon tells of its host with each beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HostFigures {
    /// Devices in service that its farm files declare.
    pub devices: u32,
    /// The machine's load average of the last minute, in thousandths: tasks that ran or waited for a processor.
    pub load_milli: u32,
    /// Processors.
    pub cores: u32,
}

/// What a daemon registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHost {
    /// Name of the host, unique in the lab.
    pub name: String,
    /// Which machine it is; empty where that has no identity.
    pub machine: String,
    /// The daemon's process, as leases name it.
    pub process: String,
    /// Version of farmctl.
    pub version: String,
    /// What it tells of itself.
    pub figures: HostFigures,
}

/// A host of the lab. Its times are those of the database's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// What its daemon registered, with the figures of its last beat.
    pub registered: NewHost,
    /// What it is to the lab.
    pub state: HostState,
    /// Who made it that.
    pub state_by: Option<String>,
    /// When its daemon registered.
    pub registered_at: Timestamp,
    /// When it last beat.
    pub beat_at: Timestamp,
    /// How long that is ago.
    pub since_beat: Duration,
    /// When its daemon said goodbye; `None` while it runs, or when it ended without a word.
    pub ended_at: Option<Timestamp>,
    /// How far its clock was ahead of the database's at its last beat, in milliseconds; behind where it is negative.
    pub clock_ahead_ms: i64,
}

/// What a host does, or why it does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HostStatus {
    /// Its daemon runs, and begins runs.
    Working,
    /// Its daemon runs, and lets runs end.
    Draining,
    /// Its daemon said goodbye.
    Stopped,
    /// Nothing was heard of it for [`HOST_SILENT_AFTER`].
    Silent,
}

impl HostStatus {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            HostStatus::Working => "working",
            HostStatus::Draining => "draining",
            HostStatus::Stopped => "stopped",
            HostStatus::Silent => "silent",
        }
    }
}

impl Host {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.registered.name
    }

    /// What it does.
    pub fn status(&self) -> HostStatus {
        if self.ended_at.is_some() || self.state == HostState::Removed {
            HostStatus::Stopped
        } else if self.since_beat >= HOST_SILENT_AFTER {
            HostStatus::Silent
        } else if self.state == HostState::Draining {
            HostStatus::Draining
        } else {
            HostStatus::Working
        }
    }

    /// Whether its daemon runs, as far as that can be known.
    pub fn is_there(&self) -> bool {
        matches!(self.status(), HostStatus::Working | HostStatus::Draining)
    }
}

/// A device as a host declares it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeclaredDevice {
    /// The host.
    pub host: String,
    /// What its farm file says, without what is that host's own business: how it logs in, and brings the device back.
    pub device: Device,
    /// Of all in that which must be the same wherever the device is declared.
    pub hash: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_silent_after_a_while_without_a_beat_and_not_when_it_said_goodbye() {
        let host = |state, seconds: u64, has_ended: bool| Host {
            registered: NewHost {
                name: "a".to_owned(),
                machine: String::new(),
                process: "p".to_owned(),
                version: "0".to_owned(),
                figures: HostFigures::default(),
            },
            state,
            state_by: None,
            registered_at: Timestamp::UNIX_EPOCH,
            beat_at: Timestamp::UNIX_EPOCH,
            since_beat: Duration::from_secs(seconds),
            ended_at: has_ended.then_some(Timestamp::UNIX_EPOCH),
            clock_ahead_ms: 0,
        };
        let status = |state, seconds, has_ended| host(state, seconds, has_ended).status();
        assert_eq!(status(HostState::Working, 59, false), HostStatus::Working);
        assert_eq!(status(HostState::Draining, 59, false), HostStatus::Draining);
        assert_eq!(status(HostState::Draining, 60, false), HostStatus::Silent);
        assert_eq!(status(HostState::Working, 600, true), HostStatus::Stopped);
        assert!(!host(HostState::Removed, 0, false).is_there());
    }
}
