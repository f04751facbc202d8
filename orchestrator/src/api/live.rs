//! Who looks is told of changes: the store is looked at once a second for all viewers together, and what differs from
//! what they were told last is sent. Nobody looks, nothing is done. A viewer who takes no more is dropped.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName};
use axum::response::sse::{Event as Message, Sse};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::{Mutex, broadcast};
use tokio::time::{Instant, MissedTickBehavior};

use crate::domain::{Event, EventKind, SweepId, SweepRow};
use crate::wording::event_sentence;

use super::cells::CellAnswer;
use super::devices::DeviceAnswer;
use super::guard::Caller;
use super::lab::LabAnswer;
use super::schedules::ScheduleAnswer;
use super::session::Access;
use super::shares::Share;
use super::sweeps::SweepAnswer;
use super::{Api, Refusal, Role};

/// How often the store is looked at while somebody looks.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// A line that says nothing, so that both sides see when the other is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often it is looked whether a viewer may still look.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Messages that a viewer may be behind. One that is further behind is dropped, and loads all anew.
const MAX_BEHIND: usize = 4096;
/// Most viewers: half of what the loopback has of connections, so that who only asks finds a place.
const MAX_VIEWERS: usize = 128;
/// Of these, those with one token.
const VIEWERS_OF_TOKEN: u32 = 16;
/// How long ago a sweep may have ended that is looked at. One that begins and ends between two looks is told of, too.
const LATELY: SignedDuration = SignedDuration::from_hours(24);
/// Most events of the store that are told in one look.
const MAX_EVENTS: u32 = 1000;

/// A message, made once for all viewers.
#[derive(Debug, Clone)]
pub(super) struct SseMessage {
    event: &'static str,
    data: Arc<str>,
}

impl SseMessage {
    fn new(event: &'static str, data: &impl Serialize) -> SseMessage {
        let data = serde_json::to_string(data).unwrap_or_default();
        SseMessage { event, data: data.into() }
    }

    fn message(&self) -> Message {
        Message::default().event(self.event).data(&self.data)
    }
}

/// A cell of some sweep.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CellOf<'a> {
    sweep_id: &'a str,
    #[serde(flatten)]
    cell: &'a CellAnswer,
}

/// Something that happened, for people.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Line<'a> {
    #[schemars(with = "String")]
    at: Timestamp,
    device: Option<&'a str>,
    sweep_id: Option<&'a str>,
    text: String,
}

/// What viewers were told.
#[derive(Debug, Clone)]
struct Seen {
    /// The last event of the store.
    sequence: u64,
    lab: LabAnswer,
    devices: HashMap<String, DeviceAnswer>,
    schedules: HashMap<String, ScheduleAnswer>,
    /// Sweeps that are not over.
    sweeps: HashMap<String, SweepAnswer>,
    /// Cells of sweeps of which something was told.
    cells: HashMap<SweepId, HashMap<String, CellAnswer>>,
    /// Sweeps that are over since lately.
    over: BTreeSet<SweepId>,
}

/// The viewers, and what they were told.
pub(super) struct Live {
    sender: broadcast::Sender<SseMessage>,
    seen: Mutex<Option<Seen>>,
}

impl Seen {
    /// All of it. Changes are told against this, not against what an endpoint answers: what is so only between two
    /// looks is never told, and a viewer who took it from there would keep it.
    fn all(&self, now: Timestamp) -> Vec<SseMessage> {
        let mut all = vec![SseMessage::new("lab", &self.lab.clone().at(now))];
        all.extend(self.devices.values().map(|device| SseMessage::new("device", device)));
        all.extend(self.schedules.values().map(|schedule| SseMessage::new("schedule", schedule)));
        all.extend(self.sweeps.values().map(|sweep| SseMessage::new("sweep", sweep)));
        all
    }
}

impl Default for Live {
    fn default() -> Live {
        Live { sender: broadcast::Sender::new(MAX_BEHIND), seen: Mutex::new(None) }
    }
}

impl Api {
    /// Tells viewers of changes, for ever.
    pub(super) async fn tell_viewers(self: Arc<Self>) {
        let mut look = tokio::time::interval(POLL_INTERVAL);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            let mut seen = self.live.seen.lock().await;
            if self.live.sender.receiver_count() == 0 {
                *seen = None;
                continue;
            }
            let Some(before) = seen.clone() else { continue };
            match self.blocking(move |api| api.look(Some(before))).await {
                Ok((now, told)) => {
                    *seen = Some(now);
                    // Without a viewer nobody hears it.
                    told.into_iter().for_each(|one| drop(self.live.sender.send(one)));
                }
                // What is not told now is told the next time.
                Err(error) => tracing::warn!(?error, "viewers were not told of changes"),
            }
        }
    }

    /// One more viewer: what all viewers were told is so, and all that changes from there on.
    pub(super) async fn join(self: &Arc<Self>) -> Result<(Vec<SseMessage>, broadcast::Receiver<SseMessage>), Refusal> {
        let mut seen = self.live.seen.lock().await;
        if self.live.sender.receiver_count() >= MAX_VIEWERS {
            return Err(Refusal::too_many(format!("{MAX_VIEWERS} viewers look already")));
        }
        if seen.is_none() {
            *seen = Some(self.blocking(|api| api.look(None)).await?.0);
        }
        let seen = seen.as_ref().ok_or_else(|| Refusal::internal("nothing was seen"))?;
        Ok((seen.all(self.lab.now()), self.live.sender.subscribe()))
    }

    /// Looks at the store; what differs from `before` is to be told.
    fn look(&self, before: Option<Seen>) -> Result<(Seen, Vec<SseMessage>), Refusal> {
        let mut told = Vec::new();
        let is_first = before.is_none();
        // Read first: what happens while the rest is read is told the next time.
        let (sequence, events) = match &before {
            None => (self.store.last_event()?, Vec::new()),
            Some(seen) => self.new_events(seen.sequence)?,
        };
        let devices = self.all_devices()?;
        let lab = self.lab_answer(&devices)?;
        let schedules = self.schedule_answers()?;
        let mut seen = before.unwrap_or_else(|| Seen {
            sequence,
            lab: lab.clone(),
            devices: HashMap::new(),
            schedules: HashMap::new(),
            sweeps: HashMap::new(),
            cells: HashMap::new(),
            over: BTreeSet::new(),
        });
        seen.sequence = sequence;
        if !lab.is_like(&seen.lab) {
            told.push(SseMessage::new("lab", &lab));
        }
        seen.lab = lab;
        seen.devices = differing("device", devices, |device| &device.name, &seen.devices, &mut told);
        seen.schedules = differing("schedule", schedules, |one| &one.name, &seen.schedules, &mut told);
        for event in &events {
            if let Some(text) = event_sentence(event) {
                let (device, sweep_id) = (event.device.as_deref(), event.sweep_id.as_ref().map(SweepId::as_str));
                told.push(SseMessage::new("log", &Line { at: event.at, device, sweep_id, text }));
            }
        }
        self.look_at_cells(&mut seen, &events, &mut told)?;
        self.look_at_sweeps(&mut seen, is_first, &mut told)?;
        if is_first {
            told.clear();
        }
        Ok((seen, told))
    }

    fn new_events(&self, after: u64) -> Result<(u64, Vec<Event>), Refusal> {
        let events = self.store.new_events(after, MAX_EVENTS)?;
        let sequence = events.last().map_or(after, |(sequence, _)| *sequence);
        Ok((sequence, events.into_iter().map(|(_, event)| event).collect()))
    }

    /// Sweeps that run, and those that are over since the last look.
    fn look_at_sweeps(&self, seen: &mut Seen, is_first: bool, told: &mut Vec<SseMessage>) -> Result<(), Refusal> {
        let (mut now, mut over) = (Vec::new(), BTreeSet::new());
        for row in self.sweeps_that_may_change(seen)? {
            let is_over = row.state.is_over();
            if is_over {
                over.insert(row.id.clone());
            }
            if is_over && (is_first || seen.over.contains(&row.id)) {
                continue;
            }
            if is_over {
                seen.cells.remove(&row.id);
            }
            now.push(self.sweep_answer(row)?);
        }
        seen.over = over;
        seen.sweeps = differing("sweep", now, |sweep| &sweep.id, &seen.sweeps, told);
        Ok(())
    }

    /// Sweeps that are not over, or are since lately, and those that were not at the last look.
    fn sweeps_that_may_change(&self, seen: &Seen) -> Result<Vec<SweepRow>, Refusal> {
        let lately = self.lab.now().checked_sub(LATELY).unwrap_or(Timestamp::UNIX_EPOCH);
        let mut rows = self.store.sweeps_since(lately)?;
        let is_there = |id: &String| rows.iter().any(|row| row.id.as_str() == id);
        let missing: BTreeSet<&String> = seen.sweeps.keys().filter(|id| !is_there(id)).collect();
        let missing: Vec<SweepId> = missing.into_iter().map(|id| SweepId(id.clone())).collect();
        // A host whose clock is wrong has ended them.
        for id in missing {
            rows.extend(self.store.sweep(&id)?);
        }
        Ok(rows)
    }

    /// Cells that events tell of.
    fn look_at_cells(&self, seen: &mut Seen, events: &[Event], told: &mut Vec<SseMessage>) -> Result<(), Refusal> {
        for event in events {
            let (Some(sweep), Some(job)) = (&event.sweep_id, &event.job_id) else { continue };
            let is_known = seen.cells.get(sweep).is_some_and(|cells| cells.contains_key(job.as_str()));
            if !is_known {
                let jobs = self.store.jobs(sweep)?;
                let cells = jobs.iter().map(|job| (job.id.0.clone(), CellAnswer::of(job))).collect();
                seen.cells.insert(sweep.clone(), cells);
            }
            let cell = seen.cells.get_mut(sweep).and_then(|cells| cells.get_mut(job.as_str()));
            if let Some(cell) = cell
                && step(cell, &event.kind)
            {
                told.push(SseMessage::new("cell", &CellOf { sweep_id: sweep.as_str(), cell }));
            }
        }
        Ok(())
    }
}

/// What a cell is after this has happened; says whether anything about it changed.
fn step(cell: &mut CellAnswer, kind: &EventKind) -> bool {
    let before = cell.clone();
    match kind {
        EventKind::RunStarted { .. } | EventKind::RunTakenOver { .. } => cell.state = "running".to_owned(),
        EventKind::RunRequeued { failure, .. } | EventKind::RunLeft { failure, .. } => {
            cell.state = "waiting".to_owned();
            cell.fail(Some(failure));
        }
        EventKind::RunFinished { status, p50_ns, failure, judged, .. } => {
            cell.end(*status, *p50_ns, failure.as_ref());
            cell.judge(judged.as_ref());
        }
        _ => return false,
    }
    *cell != before
}

/// Tells of those that are new or another than before; returns those there are now.
fn differing<T: PartialEq + Serialize>(
    event: &'static str,
    now: Vec<T>,
    name: impl Fn(&T) -> &String,
    before: &HashMap<String, T>,
    told: &mut Vec<SseMessage>,
) -> HashMap<String, T> {
    let differs = |one: &&T| before.get(name(one)) != Some(*one);
    told.extend(now.iter().filter(differs).map(|one| SseMessage::new(event, one)));
    now.into_iter().map(|one| (name(&one).clone(), one)).collect()
}

pub(super) async fn events(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let person = caller.may(Role::View)?;
    let share =
        match &api.access {
            Access::Open(_) => None,
            Access::Tokens(_) => Some(api.looking_on.take(&person.name, VIEWERS_OF_TOKEN).ok_or_else(|| {
                Refusal::too_many(format!("{} looks on {VIEWERS_OF_TOKEN} times already", person.name))
            })?),
        };
    let (first, receiver) = api.join().await?;
    let stream = messages(first, receiver, api, headers, share);
    // A proxy that gathers would hold messages back.
    Ok(([(HeaderName::from_static("x-accel-buffering"), "no")], Sse::new(stream)).into_response())
}

/// What is told next; `None` for one who is too far behind.
async fn next(receiver: &mut broadcast::Receiver<SseMessage>) -> Option<SseMessage> {
    receiver.recv().await.ok()
}

/// The first messages, then what is told, and a comment where nothing is. Ends for one who is too far behind, or may
/// not look any more.
fn messages(
    first: Vec<SseMessage>,
    receiver: broadcast::Receiver<SseMessage>,
    api: Arc<Api>,
    headers: HeaderMap,
    share: Option<Share>,
) -> impl Stream<Item = Result<Message, Infallible>> {
    let start = (first.into_iter(), receiver, Instant::now() + KEEP_ALIVE);
    futures::stream::unfold(start, move |(mut first, mut receiver, mut beat_at)| {
        // The viewer's until the stream ends.
        let _ = &share;
        let (api, headers) = (Arc::clone(&api), headers.clone());
        async move {
            let message = if let Some(one) = first.next() {
                one.message()
            } else {
                let told = loop {
                    let look_at = beat_at.min(Instant::now() + LOOK_AGAIN);
                    let told = tokio::select! {
                        told = next(&mut receiver) => Some(told?),
                        () = tokio::time::sleep_until(look_at) => None,
                    };
                    // Whose token is out hears nothing more.
                    api.access.caller(&headers, None).ok()?.may(Role::View).ok()?;
                    if told.is_some() || Instant::now() >= beat_at {
                        break told;
                    }
                };
                told.map_or_else(
                    || {
                        beat_at = Instant::now() + KEEP_ALIVE;
                        Message::default().comment("")
                    },
                    |told| told.message(),
                )
            };
            Some((Ok(message), (first, receiver, beat_at)))
        }
    })
}

#[cfg(test)]
impl Live {
    /// Tells more than is kept for who does not listen.
    pub(super) fn flood(&self) {
        (0..=MAX_BEHIND).for_each(|number| drop(self.sender.send(SseMessage::new("log", &number))));
    }
}

/// Whether a viewer is one that is not told any more.
#[cfg(test)]
pub(super) async fn is_dropped(mut receiver: broadcast::Receiver<SseMessage>) -> bool {
    next(&mut receiver).await.is_none()
}
