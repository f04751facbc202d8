//! What happened: to a device, in a sweep, and by whom. The newest first, and older ones by a cursor.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{Event, EventKind};
use crate::store::PastEvents;
use crate::wording::event_sentence;

use super::endpoint::{Call, Items, limit_of};
use super::{Api, Refusal};

/// Most events that are told at once.
const MAX_HISTORY: u32 = 1000;
const DEFAULT_HISTORY: u32 = 100;

/// Something that happened.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct HistoryEntry {
    /// Grows with each event of the lab.
    number: u64,
    #[schemars(with = "String")]
    at: Timestamp,
    /// A word for programs: `run_finished`, `device_locked`, …
    kind: String,
    /// For people.
    text: String,
    device: Option<String>,
    sweep_id: Option<String>,
    run_id: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct HistoryQuery {
    /// Most entries; 100 without it.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// Where to go on: `next` of the part before.
    #[schemars(range(min = 0, max = 9007199254740991_u64))]
    before: Option<u64>,
    /// Also what happens in every run: its phases, pushes, results.
    runs: Option<bool>,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ActsQuery {
    /// Most entries; 100 without it.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// Where to go on: `next` of the part before.
    #[schemars(range(min = 0, max = 9007199254740991_u64))]
    before: Option<u64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct SweepEventsQuery {
    /// Most entries; 100 without it.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// Where to go on: `next` of the part before.
    #[schemars(range(min = 0, max = 9007199254740991_u64))]
    after: Option<u64>,
}

/// The first of these events, of which one more than `limit` was asked for: it tells whether there are more.
fn part(mut events: Vec<(u64, Event)>, limit: u32) -> Items<HistoryEntry> {
    let is_cut = events.len() > limit as usize;
    events.truncate(limit as usize);
    let next = events.last().filter(|_| is_cut).map(|(number, _)| number.to_string());
    Items { items: events.iter().filter_map(|(number, event)| entry(*number, event)).collect(), next }
}

pub(super) async fn of_device(call: Call<HistoryQuery>) -> Result<Items<HistoryEntry>, Refusal> {
    let HistoryQuery { limit, before, runs } = call.query;
    let limit = limit_of(limit, DEFAULT_HISTORY, MAX_HISTORY)?;
    let read = move |api: &Api| {
        let device = call.name.as_str();
        let with_runs = runs.unwrap_or(false);
        let which = if with_runs { PastEvents::OfDevice(device) } else { PastEvents::NotableOfDevice(device) };
        let events = api.store.past_events(which, before, limit + 1)?;
        // One that no farm file has any more has a history all the same.
        if events.is_empty() && api.store.first_event(device)?.is_none() {
            api.find_device(device)?;
        }
        Ok(part(events, limit))
    };
    call.api.blocking(read).await
}

pub(super) async fn acts(call: Call<ActsQuery>) -> Result<Items<HistoryEntry>, Refusal> {
    let ActsQuery { limit, before } = call.query;
    let limit = limit_of(limit, DEFAULT_HISTORY, MAX_HISTORY)?;
    let read = move |api: &Api| Ok(part(api.store.past_events(PastEvents::Acts, before, limit + 1)?, limit));
    call.api.blocking(read).await
}

/// In the order in which it happened: what is new comes last.
pub(super) async fn of_sweep(call: Call<SweepEventsQuery>) -> Result<Items<HistoryEntry>, Refusal> {
    let SweepEventsQuery { limit, after } = call.query;
    let limit = limit_of(limit, DEFAULT_HISTORY, MAX_HISTORY)?;
    let read = move |api: &Api| {
        let sweep = api.find_sweep(&call.name)?.id;
        Ok(part(api.store.events_after(&sweep, after.unwrap_or(0), limit + 1)?, limit))
    };
    call.api.blocking(read).await
}

fn entry(number: u64, event: &Event) -> Option<HistoryEntry> {
    let text = event_sentence(event)?;
    Some(HistoryEntry {
        number,
        at: event.at,
        kind: word(&event.kind),
        text,
        device: event.device.clone(),
        sweep_id: event.sweep_id.as_ref().map(ToString::to_string),
        run_id: event.run_id.as_ref().map(ToString::to_string),
    })
}

/// The word for what happened.
fn word(kind: &EventKind) -> String {
    let json = serde_json::to_value(kind).unwrap_or_default();
    json["event"].as_str().unwrap_or_default().to_owned()
}
