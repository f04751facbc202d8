//! What the time of devices went into, over days.
//!
//! Main functions: [`utilisation_of_days`], which reads the history, and [`utilisation`], which is pure: the same
//! history gives the same figures. A moment counts once: a device that is locked while a run of before ends is busy,
//! and a broken one that a person keeps locked is locked. Before the lab first heard of a device it was not idle: it
//! was not known.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::domain::{Device, Event, EventKind, FailureKind, Sighting};
use crate::store::{AttemptEnd, PastAttempt, Store, StoreError};

/// Nanoseconds of a day.
const DAY_NS: f64 = 86_400.0 * 1e9;
/// Days that figures are of, when nobody says of how many.
pub const USUAL_DAYS: u16 = 7;
/// Most days that figures are of.
pub const MOST_DAYS: u16 = 3660;

/// What is known of the history of devices.
#[derive(Debug, Clone, Default)]
pub struct LabHistory {
    /// Attempts of jobs.
    pub attempts: Vec<PastAttempt>,
    /// Events that lock, unlock, quarantine or release devices, oldest first.
    pub events: Vec<Event>,
    /// What was last heard of devices: since when one is silent that does not answer now. Of earlier silences nothing
    /// is kept.
    pub sightings: Vec<Sighting>,
    /// When the first event of each device was; one without has none.
    pub first_events: HashMap<String, Timestamp>,
    /// Devices that their farm files take out of service; since when is not known.
    pub disabled: BTreeSet<String>,
}

/// What the time of a device, or of several, went into.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Utilisation {
    /// The device; none for all of them together.
    pub device: Option<String>,
    /// Share of the time in which an attempt of a job was under way.
    pub busy: f64,
    /// Share in which a person kept it locked.
    pub locked: f64,
    /// Share in which it was quarantined, or does not answer.
    pub broken: f64,
    /// Share in which its farm file took it out of service.
    pub out_of_service: f64,
    /// Share before the lab first heard of it.
    pub not_known: f64,
    /// Share of the rest.
    pub idle: f64,
    /// Attempts that ended with a result or a failure.
    pub attempts: u64,
    /// Attempts that ended with a result, a day.
    pub jobs_per_day: f64,
    /// Share of the attempts that failed.
    pub failed: f64,
    /// The same by kind of failure.
    pub failed_by_kind: BTreeMap<String, f64>,
}

/// What the time of each of these devices went into over the last days, and of all of them together, which comes last.
///
/// # Errors
/// When the store can't be read.
pub fn utilisation_of_days(
    store: &dyn Store,
    devices: &[&Device],
    days: u16,
    now: Timestamp,
) -> Result<Vec<Utilisation>, StoreError> {
    let from = now.checked_sub(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(Timestamp::UNIX_EPOCH);
    let history = LabHistory {
        attempts: store.attempt_history(from)?,
        events: store.availability_events(from)?,
        sightings: store.sightings()?,
        first_events: first_events(store, devices)?,
        disabled: devices.iter().filter(|it| it.disabled.is_some()).map(|it| it.name.clone()).collect(),
    };
    let names: Vec<String> = devices.iter().map(|device| device.name.clone()).collect();
    Ok(utilisation(&names, &history, from, now))
}

fn first_events(store: &dyn Store, devices: &[&Device]) -> Result<HashMap<String, Timestamp>, StoreError> {
    let mut found = HashMap::new();
    for device in devices {
        found.extend(store.first_event(&device.name)?.map(|at| (device.name.clone(), at)));
    }
    Ok(found)
}

/// What the time of each of these devices went into, and of all of them together, which comes last.
pub fn utilisation(devices: &[String], history: &LabHistory, from: Timestamp, until: Timestamp) -> Vec<Utilisation> {
    let period_ns = nanoseconds(until).saturating_sub(nanoseconds(from)).max(1);
    let mut all = Tally::default();
    let mut rows = Vec::new();
    let mut histories = History::by_device(history);
    for device in devices {
        let mut past = histories.remove(device.as_str()).unwrap_or_default();
        past.first_event = history.first_events.get(device).copied();
        past.is_disabled = history.disabled.contains(device);
        let tally = Tally::of(&past, from, until);
        all.add(&tally);
        rows.push(tally.figures(Some(device.clone()), 1, period_ns));
    }
    rows.push(all.figures(None, devices.len().max(1), period_ns));
    rows
}

/// The past of one device.
#[derive(Debug, Default)]
struct History<'a> {
    attempts: Vec<&'a PastAttempt>,
    events: Vec<&'a Event>,
    sighting: Option<&'a Sighting>,
    first_event: Option<Timestamp>,
    is_disabled: bool,
}

impl History<'_> {
    /// When the lab first heard of the device; none: it never did.
    fn known_since(&self) -> Option<Timestamp> {
        let sighting = self.sighting.map(|it| [it.silent_since, it.seen_at, Some(it.asked_at)]);
        let attempts = self.attempts.iter().map(|attempt| attempt.from);
        let events = self.events.iter().map(|event| event.at).chain(self.first_event);
        attempts.chain(events).chain(sighting.into_iter().flatten().flatten()).min()
    }

    fn by_device(history: &LabHistory) -> HashMap<&str, History<'_>> {
        let mut of: HashMap<&str, History<'_>> = HashMap::new();
        for attempt in &history.attempts {
            of.entry(&attempt.device).or_default().attempts.push(attempt);
        }
        for event in &history.events {
            if let Some(device) = &event.device {
                of.entry(device).or_default().events.push(event);
            }
        }
        for sighting in &history.sightings {
            of.entry(&sighting.device).or_default().sighting = Some(sighting);
        }
        of
    }
}

/// Time and attempts of devices.
#[derive(Debug, Default)]
struct Tally {
    busy_ns: i128,
    locked_ns: i128,
    broken_ns: i128,
    out_of_service_ns: i128,
    not_known_ns: i128,
    ok: u64,
    failed: BTreeMap<&'static str, u64>,
}

/// What a stretch of time is, the first one that holds.
#[derive(Debug, Clone, Copy)]
enum Class {
    Busy,
    Locked,
    Broken,
    OutOfService,
    NotKnown,
}

/// A time of one class.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    from: Timestamp,
    until: Timestamp,
    class: Class,
}

/// When a stretch begins (`step` is 1) or ends (-1).
struct Moment {
    at_ns: i128,
    class: Class,
    step: i64,
}

impl Tally {
    fn of(history: &History<'_>, from: Timestamp, until: Timestamp) -> Tally {
        let mut tally = Tally::default();
        let mut stretches: Vec<Stretch> = Vec::new();
        for attempt in &history.attempts {
            stretches.push(Stretch { from: attempt.from, until: attempt.until, class: Class::Busy });
            let ended_within = attempt.until > from && attempt.until <= until;
            match attempt.end {
                AttemptEnd::Ok if ended_within => tally.ok += 1,
                AttemptEnd::Failed(kind) if ended_within => {
                    *tally.failed.entry(FailureKind::as_str(kind)).or_default() += 1
                }
                AttemptEnd::Ok | AttemptEnd::Failed(_) | AttemptEnd::Other => {}
            }
        }
        let events = history.events.as_slice();
        let of = |class| move |(from, until)| Stretch { from, until, class };
        stretches.extend(locks(events, until).into_iter().map(of(Class::Locked)));
        stretches.extend(quarantines(events, until).into_iter().map(of(Class::Broken)));
        let silent_since = history.sighting.and_then(|sighting| sighting.silent_since);
        stretches.extend(silent_since.map(|from| Stretch { from, until, class: Class::Broken }));
        if history.is_disabled {
            stretches.push(Stretch { from, until, class: Class::OutOfService });
        }
        stretches.push(Stretch { from, until: history.known_since().unwrap_or(until), class: Class::NotKnown });
        tally.take_time(&stretches, from, until);
        tally
    }

    /// Goes through all moments at which anything begins or ends, and gives the time between two of them to one class.
    fn take_time(&mut self, stretches: &[Stretch], from: Timestamp, until: Timestamp) {
        let mut moments: Vec<Moment> = Vec::new();
        for stretch in stretches {
            let (begin_ns, end_ns) = (nanoseconds(stretch.from.max(from)), nanoseconds(stretch.until.min(until)));
            if begin_ns < end_ns {
                moments.push(Moment { at_ns: begin_ns, class: stretch.class, step: 1 });
                moments.push(Moment { at_ns: end_ns, class: stretch.class, step: -1 });
            }
        }
        moments.sort_by_key(|moment| moment.at_ns);
        let (mut open, mut last) = ([0i64; 5], nanoseconds(from));
        for Moment { at_ns, class, step } in moments {
            let span = at_ns - last;
            let parts = [
                &mut self.busy_ns,
                &mut self.locked_ns,
                &mut self.broken_ns,
                &mut self.out_of_service_ns,
                &mut self.not_known_ns,
            ];
            if let Some((part, _)) = parts.into_iter().zip(open).find(|(_, open)| *open > 0) {
                *part += span;
            }
            open[class as usize] += step;
            last = at_ns;
        }
    }

    fn add(&mut self, other: &Tally) {
        self.busy_ns += other.busy_ns;
        self.locked_ns += other.locked_ns;
        self.broken_ns += other.broken_ns;
        self.out_of_service_ns += other.out_of_service_ns;
        self.not_known_ns += other.not_known_ns;
        self.ok += other.ok;
        for (kind, count) in &other.failed {
            *self.failed.entry(kind).or_default() += count;
        }
    }

    fn figures(&self, device: Option<String>, devices: usize, period_ns: i128) -> Utilisation {
        let whole = period_ns as f64 * devices as f64;
        let share = |part: i128| part as f64 / whole;
        let failed: u64 = self.failed.values().sum();
        let attempts = self.ok + failed;
        let of_attempts = |count: u64| if attempts == 0 { 0.0 } else { count as f64 / attempts as f64 };
        let (busy, locked, broken) = (share(self.busy_ns), share(self.locked_ns), share(self.broken_ns));
        let (out_of_service, not_known) = (share(self.out_of_service_ns), share(self.not_known_ns));
        Utilisation {
            device,
            busy,
            locked,
            broken,
            out_of_service,
            not_known,
            idle: (1.0 - busy - locked - broken - out_of_service - not_known).max(0.0),
            attempts,
            jobs_per_day: self.ok as f64 * DAY_NS / period_ns as f64,
            failed: of_attempts(failed),
            failed_by_kind: self.failed.iter().map(|(kind, count)| ((*kind).to_owned(), of_attempts(*count))).collect(),
        }
    }
}

/// When people kept a device locked: each lock until it was ended, replaced, or over.
fn locks(events: &[&Event], until: Timestamp) -> Vec<(Timestamp, Timestamp)> {
    let mut found = Vec::new();
    let mut current: Option<(Timestamp, Timestamp)> = None;
    for event in events {
        match &event.kind {
            EventKind::DeviceLocked { until, .. } => {
                found.extend(current.map(|(since, end)| (since, end.min(event.at))));
                current = Some((event.at, *until));
            }
            EventKind::DeviceUnlocked { .. } => {
                found.extend(current.take().map(|(since, end)| (since, end.min(event.at))));
            }
            _ => {}
        }
    }
    found.extend(current.map(|(since, end)| (since, end.min(until))));
    found
}

/// When a device was quarantined.
fn quarantines(events: &[&Event], until: Timestamp) -> Vec<(Timestamp, Timestamp)> {
    let mut found = Vec::new();
    let mut since = None;
    for event in events {
        match &event.kind {
            EventKind::DeviceQuarantined { .. } => since = since.or(Some(event.at)),
            EventKind::DeviceReleased { .. } => found.extend(since.take().map(|since| (since, event.at))),
            _ => {}
        }
    }
    found.extend(since.map(|since| (since, until)));
    found
}

fn nanoseconds(time: Timestamp) -> i128 {
    time.as_nanosecond()
}

#[cfg(test)]
mod tests;
