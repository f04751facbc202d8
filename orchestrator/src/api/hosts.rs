//! The hosts that share the lab: what is told of them.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::lab::HostOverview;

use super::Refusal;
use super::endpoint::{Call, Items};

/// A host. Times are those of the store's clock.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(super) struct HostAnswer {
    name: String,
    /// `working`, `draining`, `stopped` or `silent`.
    status: String,
    /// In a few words: since when, and by whom.
    detail: String,
    /// Devices in service that its farm files declare.
    devices: u32,
    /// The machine's load average of the last minute.
    load: f64,
    cores: u32,
    version: String,
    #[schemars(with = "String")]
    registered_at: Timestamp,
    /// When its daemon was last heard of.
    #[schemars(with = "String")]
    beat_at: Timestamp,
    beat_seconds_ago: u64,
    /// Behind the store's where it is negative.
    clock_ahead_seconds: f64,
}

impl From<HostOverview> for HostAnswer {
    fn from(host: HostOverview) -> HostAnswer {
        HostAnswer {
            name: host.host,
            status: host.status.as_str().to_owned(),
            detail: host.detail,
            devices: host.devices,
            load: host.load,
            cores: host.cores,
            version: host.version,
            registered_at: host.registered_at,
            beat_at: host.beat_at,
            beat_seconds_ago: host.beat_seconds_ago,
            clock_ahead_seconds: host.clock_ahead_seconds,
        }
    }
}

pub(super) async fn list(call: Call) -> Result<Items<HostAnswer>, Refusal> {
    let read = |api: &super::Api| Ok(api.lab.hosts()?.into_iter().map(HostAnswer::from).collect::<Vec<_>>().into());
    call.api.blocking(read).await
}
