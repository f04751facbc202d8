//! Says in words why a device, a job or a sweep is as it is, from what the store has.

use std::ops::ControlFlow;

use jiff::Timestamp;

use crate::domain::{
    Device, DeviceState, Event, Job, JobState, Record, RunState, Submission, SweepId, SweepRow, SweepState,
};
use crate::lease::{holder_in_words, holders, is_holder_gone, live_holder};
use crate::status;
use crate::store::{Attempt, LeaseHolder, PastEvents, Store, SweepPart};
use crate::wording::{event_sentence, many};

use super::{Lab, LabError};

/// Events that are told at the end of an answer.
const EVENTS_TOLD: usize = 8;
/// Events of a device that are looked through.
const EVENTS_READ: u32 = 200;

impl Lab {
    /// Why a device, a job or a sweep is as it is, in lines; `sweep` is the one that a job is in.
    ///
    /// # Errors
    /// When there is no such thing.
    pub fn why(&self, what: &str, sweep: &str) -> Result<Vec<String>, LabError> {
        let store = self.store()?;
        if let Some(device) = self.union_devices()?.into_iter().find(|it| it.device.name == what) {
            return device_reasons(store.as_ref(), &device.device, self.now());
        }
        if let Some((sweep, job)) = self.find_job(what, sweep)? {
            return job_reasons(store.as_ref(), &sweep, &job, self.now());
        }
        let hint = "give the name of a device, a job's identifier (with --sweep ID), or a sweep's";
        match self.sweep_of_id_or_name(what).map_err(|error| error.with_only_hint(hint))? {
            Some(sweep) => self.sweep_reasons(&sweep),
            None => Err(LabError::usage(format!("there is no device, job or sweep {what:?}")).with_hint(hint)),
        }
    }

    fn find_job(&self, what: &str, sweep: &str) -> Result<Option<(SweepRow, Job)>, LabError> {
        // Nothing but a job's identifier begins so and has only hexadecimal digits.
        let digits = what.strip_prefix('j');
        if digits.is_none_or(|digits| digits.is_empty() || !digits.chars().all(|c| c.is_ascii_hexdigit())) {
            return Ok(None);
        }
        let sweep = self.sweep_meant(sweep)?;
        let mut jobs = self.store()?.jobs(&sweep.id)?.into_iter().filter(|job| job.id.as_str().starts_with(what));
        match (jobs.next(), jobs.next()) {
            (Some(job), None) => Ok(Some((sweep, job))),
            (Some(_), Some(_)) => Err(LabError::usage(format!("{what:?} is the beginning of several jobs"))),
            (None, _) => Err(LabError::usage(format!("sweep {} has no job {what:?}", sweep.id))
                .with_hint("`--sweep ID` names another sweep; results.csv has the identifiers of its jobs")),
        }
    }

    fn sweep_reasons(&self, sweep: &SweepRow) -> Result<Vec<String>, LabError> {
        let store = self.store()?;
        let store = store.as_ref();
        let counts = store.counts(&sweep.id)?;
        let mut live = holders(store, &sweep.id, self.now())?;
        live.retain(|holder| !is_holder_gone(&holder.holder));
        let handed = self.submissions()?.remove(&sweep.id);
        let standing = status::sweep_status(sweep.state, !live.is_empty(), handed.is_some());
        let done = counts.jobs - counts.open;
        let mut lines =
            vec![format!("Sweep {} is {standing}: {done} of {} jobs have their record.", sweep.id, counts.jobs)];
        if let Some(Submission { by, at, .. }) = &handed {
            lines.push(format!("{by} gave it to the daemon at {at:.0}."));
        }
        for holder in &live {
            lines.push(match self.is_daemon(&holder.holder) {
                true => "The daemon carries it out.".to_owned(),
                false => format!("{} carries it out.", holder_in_words(&holder.holder)),
            });
        }
        match live.first() {
            Some(_) => {}
            None if handed.is_some() && sweep.state == SweepState::Open => lines.push(format!(
                "Nobody carries it out; it is the daemon's. Where no daemon runs: `farmctl daemon`, or `farmctl sweep \
                 --resume {} --local`.",
                sweep.id
            )),
            None if !sweep.state.is_over() => {
                lines.push(format!("Nobody carries it out: `farmctl sweep --resume {}` goes on with it.", sweep.id));
            }
            None => {}
        }
        let mut waiting: Vec<String> = Vec::new();
        for job in store.open_jobs(&sweep.id, None)? {
            if !waiting.contains(&job.device) {
                waiting.push(job.device);
            }
        }
        for device in waiting {
            lines.push(format!("Open on {device}: {}", waits_for(store, sweep, &device, self.now())?));
        }
        let mut reasons: Vec<(String, usize)> = Vec::new();
        each_record(store, &sweep.id, &mut |record| {
            let Some(failure) = &record.failure else { return ControlFlow::Continue(()) };
            let reason = format!(
                "{} {}: {}",
                record.status.as_str(),
                failure.kind,
                failure.remedy(&record.job.device, Some(&record.job.model.name))
            );
            match reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, count)) => *count += 1,
                None => reasons.push((reason, 1)),
            }
            ControlFlow::Continue(())
        })?;
        lines.extend(reasons.into_iter().map(|(reason, count)| format!("{count} × {reason}")));
        lines.extend(last_events(&store.events(&sweep.id)?));
        Ok(lines)
    }
}

/// Records that are in memory at once.
const AT_ONCE: usize = 200;

/// Hands over the records of a sweep, which may have a million, until it is told to stop.
fn each_record(
    store: &dyn Store,
    sweep: &SweepId,
    each: &mut dyn FnMut(Record) -> ControlFlow<()>,
) -> Result<(), LabError> {
    for numbers in store.record_numbers(sweep)?.chunks(AT_ONCE) {
        if store.records_by_number(sweep, numbers)?.into_iter().try_for_each(&mut *each).is_break() {
            break;
        }
    }
    Ok(())
}

fn device_reasons(store: &dyn Store, device: &Device, now: Timestamp) -> Result<Vec<String>, LabError> {
    let name = &device.name;
    let status = store.device_status(name)?;
    let mut lines = Vec::new();
    if let Some(why) = &device.disabled {
        lines.push(format!("{name} is out of service: its farm file ({}) says «{why}».", device.declared_at));
        lines.push(format!("Once it is well: `farmctl devices edit {name} --enable`."));
    }
    match status.state {
        DeviceState::Quarantined => {
            let since = status.since.map_or_else(String::new, |since| format!(" since {since:.0}"));
            lines.push(format!(
                "{name} is quarantined{since}, after {} in a row. It takes no jobs until a health probe passes.",
                many(u64::from(status.failures_in_row), "failure")
            ));
            lines.extend(
                status
                    .probe_at
                    .map(|at| format!("The next probe is due at {at:.0}, by a sweep or a daemon that runs then.")),
            );
            lines.extend(status.failure.as_ref().map(|failure| format!("Its last failure: {failure}.")));
            lines.extend(status.failure.as_ref().map(|failure| format!("What helps: {}.", failure.remedy(name, None))));
            lines.push(format!("Once it is well: `farmctl devices release {name}`."));
        }
        DeviceState::InService if status.failures_in_row > 0 => {
            let failure = status.failure.as_ref().map(ToString::to_string).unwrap_or_default();
            let times = many(u64::from(status.failures_in_row), "time");
            lines.push(format!("{name} is in service. It failed {times} in a row: {failure}."));
        }
        DeviceState::InService if device.disabled.is_none() => lines.push(format!("{name} is in service.")),
        DeviceState::InService => {}
    }
    if let Some(sighting) = store.sighting(name)? {
        let since = sighting.silent_since.map_or_else(String::new, |since| format!(" since {since:.0}"));
        if let Some(failure) = &sighting.failure {
            lines.push(format!("It has not answered{since}: {failure}."));
            lines.push(format!("What helps: {}. Then: `farmctl devices check {name}`.", failure.remedy(name, None)));
        }
    }
    if let Some(lock) = store.device_locks(Some(name), now)?.into_iter().next() {
        lines.push(format!(
            "{lock}, since {:.0}. Sweeps take no job of it until then; a run under way ends first.",
            lock.since
        ));
        lines.push(format!("To give it free before: `farmctl devices unlock {name}`."));
    }
    let leases = store.device_leases(now)?;
    match leases.into_iter().find(|(held, lease)| held == name && !is_holder_gone(&lease.holder)) {
        Some((_, lease)) => {
            let sweep = lease.sweep_id.map_or_else(String::new, |sweep| format!(" for sweep {sweep}"));
            let holder = holder_in_words(&lease.holder);
            lines.push(format!("{holder} uses it{sweep}; without a word from it, until {:.0}.", lease.until));
        }
        None => lines.push("Nobody uses it now.".to_owned()),
    }
    let newest = store.past_events(PastEvents::NotableOfDevice(name), None, EVENTS_READ)?;
    lines.extend(last_events(&newest.into_iter().rev().map(|(_, event)| event).collect::<Vec<_>>()));
    Ok(lines)
}

fn job_reasons(store: &dyn Store, sweep: &SweepRow, job: &Job, now: Timestamp) -> Result<Vec<String>, LabError> {
    let (state, attempts) = store.attempts(&sweep.id, &job.id)?;
    let what = format!("{} on {}", job.model.name, job.device);
    let mut lines = vec![format!("Job {} of sweep {}: {what}.", job.id, sweep.id)];
    let mut record = None;
    each_record(store, &sweep.id, &mut |found| {
        if found.job.id != job.id {
            return ControlFlow::Continue(());
        }
        record = Some(found);
        ControlFlow::Break(())
    })?;
    match (state, record) {
        (JobState::Recorded, Some(record)) => {
            lines.push(format!("It has its record: {}, at {:.0}.", record.status.as_str(), record.finished_at));
            if let Some(failure) = &record.failure {
                lines.push(format!("Why: {failure}."));
                let model = Some(job.model.name.as_str());
                lines.push(format!("What helps: {}.", failure.remedy(&job.device, model)));
                lines.extend(failure.stderr_tail.iter().map(|line| format!("  | {line}")));
            }
        }
        (JobState::Running, _) => lines.push(running(&attempts, &store.lease_holders(now)?)),
        (_, _) => {
            lines.push("It waits to be claimed.".to_owned());
            lines.push(waits_for(store, sweep, &job.device, now)?);
        }
    }
    lines.extend(attempts.iter().map(attempt_line));
    let events: Vec<Event> =
        store.events(&sweep.id)?.into_iter().filter(|event| event.job_id.as_ref() == Some(&job.id)).collect();
    lines.extend(last_events(&events));
    Ok(lines)
}

fn running(attempts: &[Attempt], live_holders: &[String]) -> String {
    match attempts.iter().find(|attempt| attempt.state == RunState::Live) {
        Some(attempt) if live_holders.contains(&attempt.lease.holder) && !is_holder_gone(&attempt.lease.holder) => {
            format!("Attempt {} is under way, by {}.", attempt.attempt, holder_in_words(&attempt.lease.holder))
        }
        Some(attempt) => format!(
            "Attempt {} was left by {}; `farmctl sweep --resume` goes on with it where it is on the device.",
            attempt.attempt, attempt.lease.holder
        ),
        None => "It is marked as running, and no attempt is: `farmctl store check` says more.".to_owned(),
    }
}

/// What a job that waits waits for.
fn waits_for(store: &dyn Store, sweep: &SweepRow, device: &str, now: Timestamp) -> Result<String, LabError> {
    let holder = live_holder(store, &sweep.id, now)?;
    if holder.is_none() && (!store.is_shared() || store.sweep_parts(&sweep.id, now)?.is_empty()) {
        return Ok(format!("Nobody carries the sweep out: `farmctl sweep --resume {}` goes on with it.", sweep.id));
    }
    let status = store.device_status(device)?;
    if status.state == DeviceState::Quarantined {
        return Ok(format!("{device} is quarantined: `farmctl why {device}` says more."));
    }
    if let Some(lock) = store.device_locks(Some(device), now)?.into_iter().next() {
        return Ok(format!("{lock}. `farmctl devices unlock {device}` gives it free before."));
    }
    if let Some(other) = store.preempted_by(device, &sweep.id, now)? {
        return Ok(format!("Sweep {other} goes before on {device}: a person's does, and one by a schedule waits."));
    }
    let lease = store.device_leases(now)?.into_iter().find(|(held, _)| held == device).map(|(_, lease)| lease);
    let is_of_sweep = |lease: &LeaseHolder| lease.sweep_id.as_ref() == Some(&sweep.id);
    let is_holders = |lease: &LeaseHolder| holder.as_ref().is_some_and(|holder| lease.holder == holder.holder);
    Ok(match lease.filter(|lease| !is_holder_gone(&lease.holder)) {
        Some(lease) if is_holders(&lease) || (store.is_shared() && is_of_sweep(&lease)) => {
            format!("{} carries the sweep out; jobs before it on {device} come first.", holder_in_words(&lease.holder))
        }
        Some(lease) => format!("{} uses {device}.", holder_in_words(&lease.holder)),
        None => match &holder {
            Some(holder) if !store.is_shared() => {
                format!("{} carries the sweep out, and does not use {device} now.", holder_in_words(&holder.holder))
            }
            _ => nobody_uses(store, sweep, device, now)?,
        },
    })
}

/// What a device of a sweep waits for that nobody uses, where hosts share the store: for one that reaches it, perhaps.
fn nobody_uses(store: &dyn Store, sweep: &SweepRow, device: &str, now: Timestamp) -> Result<String, LabError> {
    let mut parts = store.sweep_parts(&sweep.id, now)?;
    parts.retain(|part| part.devices.iter().any(|name| name == device));
    let (live, left): (Vec<SweepPart>, Vec<SweepPart>) =
        parts.into_iter().partition(|part| part.is_live && !is_holder_gone(&part.holder));
    if let Some(part) = live.first() {
        return Ok(format!("{} reaches {device}, and does not use it now.", holder_in_words(&part.holder)));
    }
    let last = left.into_iter().max_by_key(|part| part.until);
    let gone = last
        .map_or_else(String::new, |part| format!(" {} had it until {:.0}.", holder_in_words(&part.holder), part.until));
    Ok(format!(
        "No host that works on the sweep reaches {device}.{gone} Its jobs wait until a daemon runs that reaches it; \
         `farmctl cancel {}` ends them.",
        sweep.id
    ))
}

fn attempt_line(attempt: &Attempt) -> String {
    let ended = match (attempt.state, &attempt.failure) {
        (RunState::Live, _) => "has not ended".to_owned(),
        (RunState::Recorded, _) => "ended with the record".to_owned(),
        (RunState::Requeued, Some(failure)) => format!("ended without a result: {failure}"),
        (RunState::Requeued, None) => "ended without a result".to_owned(),
    };
    format!("Attempt {}, claimed at {:.0}: {ended}.", attempt.attempt, attempt.claimed_at)
}

/// The last things that happened, a line each.
fn last_events(events: &[Event]) -> Vec<String> {
    let sentences: Vec<String> = events
        .iter()
        .filter_map(|event| event_sentence(event).map(|sentence| format!("  {:.0}  {sentence}", event.at)))
        .collect();
    if sentences.is_empty() {
        return Vec::new();
    }
    let mut lines = vec!["What happened last:".to_owned()];
    lines.extend_from_slice(&sentences[sentences.len().saturating_sub(EVENTS_TOLD)..]);
    lines
}
