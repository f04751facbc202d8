//! What of an event stands in columns of its own, so that it is found without a look into its JSON.

use std::borrow::Cow;

use serde::Deserialize;

use crate::domain::{Event, EventKind, RunStatus};

/// The columns beside an event's JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EventColumns {
    /// The word of its kind, as the JSON has it.
    pub(super) kind: String,
    /// Whether people are told of it by the lab's channels.
    pub(super) is_news: bool,
    /// Whether it is of a device, and more than what happens in every run that goes well.
    pub(super) is_notable: bool,
    /// Whether it is what a person did.
    pub(super) is_act: bool,
}

impl EventColumns {
    /// Of an event, of which `json` is the text.
    ///
    /// # Errors
    /// When the text is another thing's.
    pub(super) fn of(event: &Event, json: &str) -> Result<EventColumns, serde_json::Error> {
        #[derive(Deserialize)]
        struct Word<'a> {
            #[serde(borrow)]
            event: Cow<'a, str>,
        }
        let Word { event: word } = serde_json::from_str(json)?;
        Ok(EventColumns {
            kind: word.into_owned(),
            is_news: is_news(&event.kind),
            is_notable: event.device.is_some() && is_notable(&event.kind),
            is_act: is_act(&event.kind),
        })
    }
}

fn is_news(kind: &EventKind) -> bool {
    match kind {
        EventKind::DeviceQuarantined { .. } | EventKind::ClockJumped { .. } | EventKind::ClockBelieved { .. } => true,
        EventKind::ScheduleChecked { unfit, .. } => *unfit > 0,
        EventKind::SweepCompared(compared) => compared.is_told && (compared.found > 0 || compared.gone > 0),
        _ => false,
    }
}

fn is_notable(kind: &EventKind) -> bool {
    match kind {
        EventKind::DeviceConnecting
        | EventKind::DeviceWaiting { .. }
        | EventKind::DeviceChanged { .. }
        | EventKind::DeviceRestored { .. }
        | EventKind::DeviceCleaned { .. }
        | EventKind::PushStarted { .. }
        | EventKind::PushProgress { .. }
        | EventKind::PushFinished { .. }
        | EventKind::RunStarted { .. }
        | EventKind::RunPhase { .. }
        | EventKind::RunCooling { .. } => false,
        EventKind::RunFinished { status, .. } => *status == RunStatus::Failed,
        _ => true,
    }
}

fn is_act(kind: &EventKind) -> bool {
    match kind {
        EventKind::SweepOrdered { .. }
        | EventKind::CancelRequested { .. }
        | EventKind::SchedulePaused { .. }
        | EventKind::ScheduleResumed { .. }
        | EventKind::DeviceLocked { .. }
        | EventKind::DeviceUnlocked { .. }
        | EventKind::DeviceReleased { .. }
        | EventKind::ClockBelieved { .. }
        | EventKind::TokenAdded { .. }
        | EventKind::TokenRemoved { .. }
        | EventKind::SweepPinned { .. }
        | EventKind::SweepUnpinned { .. }
        | EventKind::BaselineSet { .. }
        | EventKind::BaselineUnset { .. }
        | EventKind::RegressionAcknowledged { .. }
        | EventKind::DeviceEdited { .. }
        | EventKind::HostDrained { .. }
        | EventKind::HostResumed { .. }
        | EventKind::HostRemoved { .. } => true,
        EventKind::Removed { by, .. } => by.is_some(),
        _ => false,
    }
}
