use jiff::{SignedDuration, Timestamp};

use super::{Missed, Overlap, Schedule};
use crate::domain::SweepId;

/// A due time that is seen later than this after it should have started a sweep was missed.
const LATE: SignedDuration = SignedDuration::from_secs(120);
/// Most sweeps of a schedule that wait for their turn.
pub const MAX_QUEUED: usize = 10;
/// Most due times that nobody saw of which each is looked at; of earlier ones none is.
pub const MAX_SKIPPED: usize = 100;

/// The sweep of a schedule that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// The sweep.
    pub sweep_id: SweepId,
    /// When it was due.
    pub due_at: Timestamp,
    /// Whether it is being carried out.
    pub is_running: bool,
    /// Whether a person, or the schedule, wants no more of it.
    pub is_cancelled: bool,
}

/// Where a schedule stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleState {
    /// What became of all due times until then is settled.
    pub settled_until: Timestamp,
    /// Due times whose sweep is still to be begun, oldest first.
    pub waiting: Vec<Timestamp>,
    /// The sweep that has not ended.
    pub current: Option<Current>,
}

/// What becomes of a due time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The due time.
    pub due_at: Timestamp,
    /// Why no sweep is begun for it; `None`: one is.
    pub skipped: Option<String>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Begin the sweep of this due time.
    Begin(Timestamp),
    /// Go on with a sweep that was stopped.
    GoOn(SweepId),
    /// Start no more jobs of it: those under way end, and the rest are kept.
    Stop(SweepId),
    /// End it for good.
    Cancel(SweepId),
    /// Nothing, until something happens, or at the latest until then.
    Wait(Option<Timestamp>),
}

/// What becomes of the due times since those that are settled, oldest first. Of the waiting ones it may leave some out,
/// too.
pub fn newly_due(schedule: &Schedule, state: &ScheduleState, now: Timestamp) -> Vec<Settled> {
    if !schedule.is_enabled {
        return Vec::new();
    }
    let (dues, has_more) = due_since(schedule, state.settled_until, now);
    let is_missed = |due_at: &Timestamp| now.duration_since(schedule.starts_at(*due_at)) > LATE;
    let (missed, on_time): (Vec<Timestamp>, Vec<Timestamp>) = dues.into_iter().partition(is_missed);
    let made_up_for = match (schedule.missed, missed.last()) {
        (Missed::Once, Some(last)) if on_time.is_empty() => vec![*last],
        (Missed::All, _) => missed.clone(),
        _ => Vec::new(),
    };
    let mut settled: Vec<Settled> = Vec::new();
    let mut waiting = state.waiting.clone();
    for (index, due_at) in missed.iter().enumerate() {
        if made_up_for.contains(due_at) {
            settle(schedule, state, &mut waiting, &mut settled, *due_at);
            continue;
        }
        let more = if index == 0 && has_more { ", and so were all before it" } else { "" };
        let by = match schedule.missed {
            Missed::None => "is not made up for",
            Missed::Once | Missed::All => "a later one makes up for it",
        };
        settled.push(Settled { due_at: *due_at, skipped: Some(format!("missed{more}: nothing ran then; {by}")) });
    }
    for due_at in on_time {
        settle(schedule, state, &mut waiting, &mut settled, due_at);
    }
    settled
}

/// The due times that have come since then, oldest first, and whether there were more before them.
fn due_since(schedule: &Schedule, since: Timestamp, now: Timestamp) -> (Vec<Timestamp>, bool) {
    // Backwards: after a long pause nobody counts what was due each second.
    let mut found = Vec::new();
    // The search goes by whole seconds.
    let mut before = now.checked_add(SignedDuration::from_secs(1)).unwrap_or(now);
    while let Some(due_at) = schedule.cron.previous(before, &schedule.time_zone).filter(|due_at| *due_at > since) {
        if due_at > now {
            before = due_at;
            continue;
        }
        if found.len() == MAX_SKIPPED {
            found.reverse();
            return (found, true);
        }
        before = due_at;
        found.push(due_at);
    }
    found.reverse();
    // One that starts a little later holds up those behind it: what is settled has no gaps.
    let first_to_come = found.iter().position(|due_at| schedule.starts_at(*due_at) > now);
    found.truncate(first_to_come.unwrap_or(found.len()));
    (found, false)
}

/// By the rule for sweeps that overlap.
fn settle(
    schedule: &Schedule,
    state: &ScheduleState,
    waiting: &mut Vec<Timestamp>,
    settled: &mut Vec<Settled>,
    due_at: Timestamp,
) {
    let busy = state.current.as_ref().map(|current| current.due_at).or_else(|| waiting.first().copied());
    let skipped = match (schedule.overlap, busy) {
        (Overlap::Skip, Some(other)) => Some(format!("overlap: the sweep that was due at {other:.0} has not ended")),
        (Overlap::Queue, _) if waiting.len() >= MAX_QUEUED => Some(format!("overlap: {MAX_QUEUED} wait already")),
        (Overlap::Replace, _) => {
            for older in waiting.drain(..) {
                let why = Some(format!("overlap: replaced by the one that was due at {due_at:.0}"));
                match settled.iter_mut().find(|settled| settled.due_at == older) {
                    Some(known) => known.skipped = why,
                    None => settled.push(Settled { due_at: older, skipped: why }),
                }
            }
            None
        }
        _ => None,
    };
    if skipped.is_none() {
        waiting.push(due_at);
    }
    settled.push(Settled { due_at, skipped });
}

/// What is to be done now.
pub fn next_step(schedule: &Schedule, state: &ScheduleState, now: Timestamp) -> Step {
    let opening = schedule.opening(now);
    let may_start = schedule.is_enabled && opening.is_open();
    match &state.current {
        Some(current) if current.is_running && !may_start => Step::Stop(current.sweep_id.clone()),
        Some(current) if schedule.overlap == Overlap::Replace && !state.waiting.is_empty() && !current.is_cancelled => {
            Step::Cancel(current.sweep_id.clone())
        }
        Some(current) if !current.is_running && current.is_cancelled => Step::Cancel(current.sweep_id.clone()),
        Some(current) if !current.is_running && may_start => Step::GoOn(current.sweep_id.clone()),
        None if may_start && !state.waiting.is_empty() => Step::Begin(state.waiting[0]),
        _ => Step::Wait(wake_at(schedule, state, opening)),
    }
}

/// When time alone makes something happen.
fn wake_at(schedule: &Schedule, state: &ScheduleState, opening: super::Opening) -> Option<Timestamp> {
    let due = schedule.next_due(state.settled_until).map(|due_at| schedule.starts_at(due_at));
    let turn = match opening {
        super::Opening::Always => None,
        super::Opening::OpenUntil(at) | super::Opening::ClosedUntil(at) => Some(at),
    };
    if schedule.is_enabled { due.into_iter().chain(turn).min() } else { None }
}
