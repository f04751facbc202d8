//! The lab as a whole.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::lab::VERSION;

use super::devices::DeviceAnswer;
use super::endpoint::Call;
use super::regressions::RegressionAnswer;
use super::{Api, Refusal};

/// The lab.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct LabAnswer {
    name: String,
    version: String,
    /// Zone whose clocks people are shown: `Europe/Berlin`.
    timezone: String,
    /// When this daemon was started.
    #[schemars(with = "String")]
    started_at: Timestamp,
    #[schemars(with = "String")]
    now: Timestamp,
    status: StatusAnswer,
    /// What is slower now: the newest 50.
    regressions: Vec<RegressionAnswer>,
    /// How many devices have each status.
    devices: BTreeMap<String, usize>,
}

/// What the daemon is at.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
struct StatusAnswer {
    /// Schedules whose sweep is being carried out.
    running: Vec<String>,
    next: Option<NextAnswer>,
    /// What is wrong.
    troubles: Vec<String>,
}

/// What starts next.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
struct NextAnswer {
    schedule: String,
    #[schemars(with = "String")]
    at: Timestamp,
}

impl LabAnswer {
    /// The same at this time.
    pub(super) fn at(self, now: Timestamp) -> LabAnswer {
        LabAnswer { now, ..self }
    }

    /// Whether the other one says the same, whatever time it is.
    pub(super) fn is_like(&self, other: &LabAnswer) -> bool {
        self.status == other.status && self.devices == other.devices && self.regressions == other.regressions
    }
}

impl Api {
    /// The lab, with these devices.
    pub(super) fn lab_answer(&self, devices: &[DeviceAnswer]) -> Result<LabAnswer, Refusal> {
        let status = self.now().status;
        let mut counts = BTreeMap::new();
        for device in devices {
            *counts.entry(device.status.clone()).or_default() += 1;
        }
        Ok(LabAnswer {
            name: self.lab.name(),
            version: VERSION.to_owned(),
            timezone: self.time_zone.clone(),
            started_at: self.started_at,
            now: self.lab.now(),
            status: StatusAnswer {
                running: status.running,
                next: status.next.map(|(schedule, at)| NextAnswer { schedule, at }),
                troubles: status.troubles,
            },
            regressions: self.open_regressions()?,
            devices: counts,
        })
    }
}

pub(super) async fn show(call: Call) -> Result<LabAnswer, Refusal> {
    call.api.blocking(|api| api.lab_answer(&api.all_devices()?)).await
}
