use std::time::Duration;

use crate::domain::{
    CheckFigures, DeviceCheck, Event, EventKind, Failure, FailureKind, Pace, Regression, SweepCompared, Unfit, Verdict,
    many,
};

use super::guard::single_line;
use super::text::{bytes_text, clock_off_text, duration_text, latency_text};

/// An event in words, on one line and safe for a terminal; `None` for one that is only shown live.
pub fn event_sentence(event: &Event) -> Option<String> {
    let what = match &event.kind {
        kind @ (EventKind::SweepStarted { .. }
        | EventKind::SweepResumed { .. }
        | EventKind::SweepJoined { .. }
        | EventKind::SweepOrdered { .. }
        | EventKind::SweepFinished { .. }
        | EventKind::CancelRequested { .. }
        | EventKind::StopRequested { .. }) => sweep_sentence(kind)?,
        EventKind::SchedulePaused { by, schedule } => format!("{by} paused the schedule {schedule}"),
        EventKind::ScheduleResumed { by, schedule } => format!("{by} resumed the schedule {schedule}"),
        kind @ (EventKind::ClockJumped { .. }
        | EventKind::ClockBelieved { .. }
        | EventKind::Removed { .. }
        | EventKind::TokenAdded { .. }
        | EventKind::TokenRemoved { .. }
        | EventKind::SweepPinned { .. }
        | EventKind::SweepUnpinned { .. }
        | EventKind::BaselineSet { .. }
        | EventKind::BaselineUnset { .. }
        | EventKind::SweepCompared(_)
        | EventKind::RegressionAcknowledged { .. }
        | EventKind::DeviceEdited { .. }
        | EventKind::HostDrained { .. }
        | EventKind::HostResumed { .. }
        | EventKind::HostRemoved { .. }) => upkeep_sentence(kind)?,
        EventKind::ScheduleChecked { schedule, checked, unfit, devices } => {
            schedule_checked(schedule, *checked, *unfit, devices)
        }
        kind @ (EventKind::DeviceConnecting
        | EventKind::DeviceReady { .. }
        | EventKind::DeviceWaiting { .. }
        | EventKind::DeviceRetrying { .. }
        | EventKind::DeviceReconnecting { .. }
        | EventKind::DeviceFailed { .. }
        | EventKind::DeviceQuarantined { .. }
        | EventKind::DeviceReleased { .. }
        | EventKind::DeviceLocked { .. }
        | EventKind::DeviceUnlocked { .. }
        | EventKind::DeviceDuplicateEntry { .. }
        | EventKind::HostCommand { .. }
        | EventKind::TransportHealing { .. }) => availability_sentence(kind, event.device.as_deref())?,
        kind @ (EventKind::DeviceDiffers { .. }
        | EventKind::DeviceChecked(_)
        | EventKind::DeviceCalibrated(_)
        | EventKind::DeviceCleaned { .. }
        | EventKind::DeviceChanged { .. }
        | EventKind::DeviceRestored { .. }
        | EventKind::DeviceWarning { .. }
        | EventKind::PushStarted { .. }
        | EventKind::PushProgress { .. }
        | EventKind::PushFinished { .. }) => device_sentence(kind)?,
        kind @ (EventKind::RunStarted { .. }
        | EventKind::RunTakenOver { .. }
        | EventKind::RunRequeued { .. }
        | EventKind::RunLeft { .. }
        | EventKind::RunCollected { .. }
        | EventKind::RunCooling { .. }
        | EventKind::RunPhase { .. }
        | EventKind::RunFinished { .. }
        | EventKind::JobMoved { .. }
        | EventKind::RerunPlanned { .. }
        | EventKind::CellSettled { .. }
        | EventKind::WriteRefused { .. }) => run_sentence(kind)?,
    };
    let device = event.device.as_ref().map_or_else(String::new, |device| format!("{device}: "));
    Some(single_line(&format!("{device}{what}")))
}

/// What became of a sweep.
fn sweep_sentence(kind: &EventKind) -> Option<String> {
    Some(match kind {
        EventKind::SweepStarted { name, jobs, skipped, devices } => {
            let (jobs, devices, cells) = (many(*jobs, "job"), many(*devices, "device"), many(*skipped, "cell"));
            format!("sweep {name} started: {jobs} on {devices}, {cells} skipped")
        }
        EventKind::SweepResumed { name, jobs, recorded, devices, left_by } => {
            let left_by = left_by.as_ref().map_or_else(String::new, |holder| format!(", which {holder} had left"));
            let devices = many(*devices, "device");
            format!("sweep {name}{left_by} goes on: {recorded} of {jobs} jobs have their record; {devices}")
        }
        EventKind::SweepJoined { by, devices } => {
            format!("{by} carries the sweep out, too; {}", many(*devices, "device"))
        }
        EventKind::SweepOrdered { by, what } => format!("{by} started {what}"),
        EventKind::SweepFinished { ok, failed, skipped, cancelled } => {
            format!("sweep finished: {ok} ok, {failed} failed, {skipped} skipped, {cancelled} cancelled")
        }
        EventKind::CancelRequested { by } => format!("cancelled by {by}"),
        EventKind::StopRequested { times } => stop_requested(*times).to_owned(),
        _ => return None,
    })
}

/// Whether a device can be used.
fn availability_sentence(kind: &EventKind, device: Option<&str>) -> Option<String> {
    Some(match kind {
        EventKind::DeviceConnecting => "connecting".to_owned(),
        EventKind::DeviceReady { description, duration_ns } => {
            format!("ready in {}: {description}", time(*duration_ns))
        }
        EventKind::DeviceWaiting { cause } => format!("waiting: {cause}"),
        EventKind::DeviceRetrying { failure, failures, pause_ns } => {
            format!("failure {failures} in a row, trying again in {}: {failure}", time(*pause_ns))
        }
        EventKind::DeviceReconnecting { cause } => format!("reconnecting: {cause}"),
        EventKind::DeviceFailed { failure } => device_failed(failure, device),
        EventKind::DeviceQuarantined { failure, failures, pause_ns } => {
            let failures = many(u64::from(*failures), "failure");
            format!("quarantined after {failures} in a row, next probe in {}: {failure}", time(*pause_ns))
        }
        EventKind::DeviceReleased { by } => format!("back in service, by {by}"),
        EventKind::DeviceLocked { by, why, until } => format!("locked by {by} until {until:.0}: {why}"),
        EventKind::DeviceUnlocked { by, locked_by } => format!("unlocked by {by}; {locked_by} had locked it"),
        EventKind::DeviceDuplicateEntry { same_as } => format!("not used: same device as {same_as}"),
        EventKind::HostCommand { purpose, argv, outcome, .. } => {
            format!("{purpose} by {}: {outcome}", argv.join(" "))
        }
        EventKind::TransportHealing { server, serial, step } => {
            let device = serial.as_ref().map_or_else(String::new, |serial| format!("{serial} at "));
            format!("{device}adb server {server}: {step}")
        }
        _ => return None,
    })
}

/// Why a device takes no job of a sweep. One that a person or its own past keeps away has not failed now.
fn device_failed(failure: &Failure, device: Option<&str>) -> String {
    let remedy = failure.remedy(device.unwrap_or("DEVICE"), None);
    match failure.kind {
        FailureKind::Locked | FailureKind::Quarantined => format!("held back: {}; {remedy}", failure.message),
        _ => format!("device failed: {failure}; {remedy}"),
    }
}

/// What a device is like, and what was done to it.
fn device_sentence(kind: &EventKind) -> Option<String> {
    Some(match kind {
        EventKind::DeviceDiffers { what, before, now } => format!("{what} changed: {before} before, {now} now"),
        EventKind::DeviceChecked(check) => checked(check),
        EventKind::DeviceCalibrated(pace) => calibrated(pace),
        EventKind::DeviceCleaned { ended_runs, removed_runs, freed_bytes } => {
            let ended = if ended_runs.is_empty() { String::new() } else { format!("{} ended, ", ended_runs.len()) };
            let removed = many(*removed_runs, "old run");
            format!("cleaned up: {ended}{removed} removed, {} freed", bytes_text(*freed_bytes))
        }
        EventKind::DeviceChanged { setting, previous } => format!("set {setting} for measuring (it was {previous})"),
        EventKind::DeviceRestored { setting, previous, left_by } => {
            let left_by = left_by.as_ref().map_or_else(String::new, |holder| format!(", as {holder} left it changed"));
            format!("set {setting} back to {previous}{left_by}")
        }
        EventKind::DeviceWarning { message } => format!("warning: {message}"),
        EventKind::PushStarted { name, size_bytes, resumed_bytes, .. } => {
            let going_on = match resumed_bytes {
                0 => String::new(),
                _ => format!(", going on at {}", bytes_text(*resumed_bytes)),
            };
            format!("pushing {name}, {}{going_on}", bytes_text(*size_bytes))
        }
        EventKind::PushFinished { name, sent_bytes, duration_ns } => {
            format!("pushed {name}: {} in {}", bytes_text(*sent_bytes), time(*duration_ns))
        }
        _ => return None,
    })
}

/// What became of a job.
fn run_sentence(kind: &EventKind) -> Option<String> {
    Some(match kind {
        EventKind::RunStarted { name, attempt } => format!("run started: {name}, attempt {attempt}"),
        EventKind::RunTakenOver { name, attempt, left_by } => {
            format!("going on with {name}, attempt {attempt}, which {left_by} had left")
        }
        EventKind::RunRequeued { name, attempt, failure, pause_ns } => {
            format!("attempt {attempt} of {name} ended without a result, next in {}: {failure}", time(*pause_ns))
        }
        EventKind::RunLeft { name, attempt, failure } => {
            format!(
                "attempt {attempt} of {name} is left on the device, which is away; it is looked for later: {failure}"
            )
        }
        EventKind::RunCollected { name, of_sweep } => {
            format!("collected {name} of sweep {of_sweep}, which had ended while the device was away")
        }
        EventKind::RunCooling { celsius, goal_c, thermal_status, longest_ns } => {
            cooling(*celsius, *goal_c, *thermal_status, time(*longest_ns))
        }
        EventKind::RunPhase { phase } => format!("run: {phase}"),
        EventKind::RunFinished { name, status, p50_ns, failure, judged } => {
            let p50 = p50_ns.map_or_else(String::new, |p50_ns| format!(", p50 {}", latency_text(p50_ns)));
            let failure = failure.as_ref().map_or_else(String::new, |failure| format!(", {failure}"));
            let doubt = judged.as_ref().filter(|judged| judged.verdict != Verdict::Ok);
            let doubt = doubt.map_or_else(String::new, |judged| format!(", {}", judged.verdict));
            format!("run {}: {name}{p50}{doubt}{failure}", status.as_str())
        }
        EventKind::JobMoved { name, to_device, .. } => format!("{name} moves to {to_device}"),
        EventKind::RerunPlanned { name, verdict, reason, .. } => {
            format!("{name} is measured again at the end, since it is {verdict}: {reason}")
        }
        EventKind::CellSettled { cell, verdict, pairs, left_out } => {
            format!("{cell} is settled by {pairs} pairs, B is {verdict}: {} left out", many(*left_out, "run"))
        }
        EventKind::WriteRefused { write, epoch } => {
            format!("refused {write} under epoch {epoch}: the lease has moved on")
        }
        _ => return None,
    })
}

/// What becomes of the lab itself.
fn upkeep_sentence(kind: &EventKind) -> Option<String> {
    Some(match kind {
        EventKind::ClockJumped { off_seconds, says } => {
            format!("the clock of this host jumped {}: it says {says:.0}", clock_off_text(*off_seconds))
        }
        EventKind::ClockBelieved { by } => format!("the clock of this host is believed again: {by}"),
        EventKind::Removed { kind, name, bytes, why, by } => {
            let by = by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
            format!("taken out{by}: {kind} {name}, {}: {why}", bytes_text(*bytes))
        }
        EventKind::TokenAdded { by, name, role } => format!("{by} made a token of {name}, role {role}"),
        EventKind::TokenRemoved { by, name } => format!("{by} took out the token of {name}"),
        EventKind::SweepPinned { by, sweep } => format!("{by} pinned the sweep {sweep}"),
        EventKind::SweepUnpinned { by, sweep } => format!("{by} let go of the pinned sweep {sweep}"),
        EventKind::BaselineSet { by, name, sweep } => format!("{by} made the sweep {sweep} the baseline {name}"),
        EventKind::BaselineUnset { by, name } => format!("{by} took away the baseline {name}"),
        EventKind::SweepCompared(compared) => sweep_compared(compared),
        EventKind::RegressionAcknowledged { by, regression, what } => {
            format!("{by} acknowledged {regression} as the new level: {what}")
        }
        EventKind::DeviceEdited { by, what } => format!("{what} by {by}"),
        EventKind::HostDrained { by, host } => format!("{by} drained the host {host}"),
        EventKind::HostResumed { by, host } => format!("{by} resumed the host {host}"),
        EventKind::HostRemoved { by, host } => format!("{by} removed the host {host}"),
        _ => return None,
    })
}

/// What the comparison of a sweep found.
fn sweep_compared(compared: &SweepCompared) -> String {
    let SweepCompared { schedule, against, cells, found, gone, slower, ended, .. } = compared;
    let cells = many(*cells, "cell");
    let beginning = format!("compared for schedule {schedule} with {against}, {cells}");
    let names = |list: &[Regression], count: u64, size: fn(&Regression) -> String| {
        let told: Vec<String> = list.iter().map(|it| format!("{} {} ({})", it.cell, size(it), it.id)).collect();
        let more = count.saturating_sub(told.len() as u64);
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        format!("{}{more}", told.join(", "))
    };
    let percent = |it: &Regression| format!("{:+.1} % since {}", it.percent, it.since);
    let parts = [
        (*found > 0).then(|| format!("slower: {}", names(slower, *found, percent))),
        (*gone > 0).then(|| format!("slower no more: {}", names(ended, *gone, |it| format!("{:+.1} %", it.percent)))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    match parts.is_empty() {
        true => format!("{beginning}: nothing new got slower"),
        false => format!("{beginning}: {}", parts.join("; ")),
    }
}

/// What a device is given before a run.
pub(crate) fn cooling(
    celsius: Option<f64>,
    goal_c: Option<f64>,
    thermal_status: Option<u32>,
    longest: String,
) -> String {
    let status = thermal_status.map(|status| format!("Android's thermal status is {status}, not 0 (none)"));
    let heat = match (celsius, goal_c) {
        (Some(celsius), Some(goal_c)) if celsius > goal_c => Some(format!("{celsius:.1} °C, to be {goal_c:.1} °C")),
        (Some(celsius), Some(_)) => Some(format!("{celsius:.1} °C")),
        (Some(celsius), None) => Some(format!("{celsius:.1} °C, until it cools no further")),
        (None, _) => None,
    };
    let known: Vec<String> = [heat, status].into_iter().flatten().collect();
    if known.is_empty() {
        return format!("pausing for {longest}: it tells no temperature");
    }
    format!("cooling down for at most {longest}: {}", known.join("; "))
}

fn stop_requested(times: u32) -> &'static str {
    match times {
        1 => "stopping: runs under way end, no more start",
        2 => "stopping: runs under way are ended on the devices",
        _ => "leaving",
    }
}

fn were(devices: u64) -> String {
    format!("{} {}", many(devices, "device"), if devices == 1 { "was" } else { "were" })
}

fn schedule_checked(schedule: &str, checked: u64, unfit: u64, devices: &[Unfit]) -> String {
    if unfit == 0 {
        return format!("before the sweep of schedule {schedule}, {} checked: all are fit", were(checked));
    }
    let names = devices.iter().map(|unfit| format!("{} ({})", unfit.device, unfit.verdict));
    let names = names.collect::<Vec<_>>().join(", ");
    format!("before the sweep of schedule {schedule}, {unfit} of {checked} devices were found unfit: {names}")
}

/// What a check found out.
fn checked(check: &DeviceCheck) -> String {
    let CheckFigures { round_trip_ms, push_bytes_per_second, free_bytes, calibration, .. } = &check.figures;
    let milliseconds = |time_ns: u64| format!("{:.2} ms", time_ns as f64 / 1e6);
    let figures = [
        calibration.as_ref().map(|it| format!("computes in {}", milliseconds(it.compute_ns()))),
        calibration.as_ref().map(|it| format!("reads memory in {}", milliseconds(it.memory_ns()))),
        round_trip_ms.map(|time| format!("there and back {time:.1} ms")),
        push_bytes_per_second.map(|speed| format!("push {:.1} MB/s", speed / 1e6)),
        free_bytes.map(|free_bytes| format!("{} free", bytes_text(free_bytes))),
    ];
    let figures = figures.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let findings = check.findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let parts = [findings, figures].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ");
    format!("checked, {}: {parts}", check.verdict)
}

/// How fast it is.
fn calibrated(pace: &Pace) -> String {
    let milliseconds = |time_ns: u64| format!("{:.2} ms", time_ns as f64 / 1e6);
    let usual = match (pace.usual_compute_ns, pace.slower_percent()) {
        // Not -0.
        (Some(usual_ns), Some(percent)) => {
            let percent = if percent.abs() < 0.5 { 0.0 } else { percent };
            format!(", usually {}: {percent:+.0} %", milliseconds(usual_ns))
        }
        _ => String::new(),
    };
    let (compute, memory) = (pace.calibration.compute_ns(), pace.calibration.memory_ns());
    format!("computes in {}{usual}; reads memory in {}", milliseconds(compute), milliseconds(memory))
}

fn time(nanoseconds: u64) -> String {
    duration_text(Duration::from_nanos(nanoseconds))
}
