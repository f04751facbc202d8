use std::time::Duration;

use crate::domain::{CheckFigures, DeviceCheck, Event, EventKind};
use crate::report::{duration_text, single_line};

/// An event in words, on one line and safe for a terminal; `None` for one that is only shown live.
pub fn event_sentence(event: &Event) -> Option<String> {
    let what = match &event.kind {
        EventKind::SweepStarted { name, jobs, skipped, devices } => {
            format!("sweep {name} started: {jobs} jobs on {devices} devices, {skipped} cells skipped")
        }
        EventKind::SweepResumed { name, jobs, recorded, devices, left_by } => {
            let left_by = left_by.as_ref().map_or_else(String::new, |holder| format!(", which {holder} had left"));
            format!("sweep {name}{left_by} goes on: {recorded} of {jobs} jobs have their record; {devices} devices")
        }
        EventKind::DeviceWaiting { cause } => format!("waiting: {cause}"),
        EventKind::DeviceRetrying { failure, failures, pause_ns } => {
            format!("failure {failures} in a row, trying again in {}: {failure}", time(*pause_ns))
        }
        EventKind::DeviceQuarantined { failure, failures, pause_ns } => {
            format!("quarantined after {failures} failures in a row, next probe in {}: {failure}", time(*pause_ns))
        }
        EventKind::DeviceReleased { by } => format!("back in service, by {by}"),
        EventKind::DeviceDiffers { what, before, now } => format!("{what} changed: {before} before, {now} now"),
        EventKind::DeviceChecked(check) => checked(check),
        EventKind::ScheduleChecked { schedule, checked, unfit: 0, .. } => {
            format!("before the sweep of schedule {schedule}, {checked} devices were checked: all are fit")
        }
        EventKind::ScheduleChecked { schedule, checked, unfit, devices } => {
            let names = devices.iter().map(|unfit| format!("{} ({})", unfit.device, unfit.verdict));
            let names = names.collect::<Vec<_>>().join(", ");
            format!("before the sweep of schedule {schedule}, {unfit} of {checked} devices were found unfit: {names}")
        }
        EventKind::DeviceLocked { by, why, until } => format!("locked by {by} until {until:.0}: {why}"),
        EventKind::DeviceUnlocked { by, locked_by } => format!("unlocked by {by}; {locked_by} had locked it"),
        EventKind::SweepOrdered { by, what } => format!("{by} started {what}"),
        EventKind::SchedulePaused { by, schedule } => format!("{by} paused the schedule {schedule}"),
        EventKind::ScheduleResumed { by, schedule } => format!("{by} resumed the schedule {schedule}"),
        EventKind::HostCommand { purpose, argv, outcome, .. } => {
            format!("{purpose} by {}: {outcome}", argv.join(" "))
        }
        EventKind::DeviceCleaned { ended_runs, removed_runs, freed_bytes } => {
            let ended = if ended_runs.is_empty() { String::new() } else { format!("{} ended, ", ended_runs.len()) };
            format!("cleaned up: {ended}{removed_runs} old runs removed, {} freed", bytes(*freed_bytes))
        }
        EventKind::RunTakenOver { name, attempt, left_by } => {
            format!("going on with {name}, attempt {attempt}, which {left_by} had left")
        }
        EventKind::RunRequeued { name, attempt, failure, pause_ns } => {
            format!("attempt {attempt} of {name} ended without a result, next in {}: {failure}", time(*pause_ns))
        }
        EventKind::JobMoved { name, to_device, .. } => format!("{name} moves to {to_device}"),
        EventKind::WriteRefused { write, epoch } => {
            format!("refused {write} under epoch {epoch}: the lease has moved on")
        }
        EventKind::CancelRequested { by } => format!("cancelled by {by}"),
        EventKind::DeviceConnecting => "connecting".to_owned(),
        EventKind::DeviceReady { description, duration_ns } => {
            format!("ready in {}: {description}", time(*duration_ns))
        }
        EventKind::DeviceFailed { failure } => format!("device failed: {failure}; {}", failure.kind.remedy()),
        EventKind::DeviceReconnecting { cause } => format!("reconnecting: {cause}"),
        EventKind::TransportHealing { server, serial: None, step } => format!("adb server {server}: {step}"),
        EventKind::TransportHealing { server, serial: Some(serial), step } => {
            format!("{serial} at adb server {server}: {step}")
        }
        EventKind::DeviceDuplicateEntry { same_as } => format!("not used: same phone as {same_as}"),
        EventKind::DeviceChanged { setting, previous } => format!("set {setting} for measuring (it was {previous})"),
        EventKind::DeviceRestored { setting, previous, left_by: None } => format!("set {setting} back to {previous}"),
        EventKind::DeviceRestored { setting, previous, left_by: Some(holder) } => {
            format!("set {setting} back to {previous}, as {holder} left it changed")
        }
        EventKind::DeviceWarning { message } => format!("warning: {message}"),
        EventKind::PushStarted { name, size_bytes, resumed_bytes: 0, .. } => {
            format!("pushing {name}, {}", bytes(*size_bytes))
        }
        EventKind::PushStarted { name, size_bytes, resumed_bytes, .. } => {
            format!("pushing {name}, {}, going on at {}", bytes(*size_bytes), bytes(*resumed_bytes))
        }
        EventKind::PushProgress { .. } => return None,
        EventKind::PushFinished { name, sent_bytes, duration_ns } => {
            format!("pushed {name}: {} in {}", bytes(*sent_bytes), time(*duration_ns))
        }
        EventKind::RunStarted { name, attempt } => format!("run started: {name}, attempt {attempt}"),
        EventKind::RunPhase { phase } => format!("run: {phase}"),
        EventKind::RunFinished { name, status, p50_ns, failure } => {
            let mut text = format!("run {}: {name}", status.as_str());
            if let Some(p50_ns) = p50_ns {
                text.push_str(&format!(", p50 {:.3} ms", *p50_ns as f64 / 1e6));
            }
            if let Some(failure) = failure {
                text.push_str(&format!(", {failure}"));
            }
            text
        }
        EventKind::StopRequested { times: 1 } => "stopping: runs under way end, no more start".to_owned(),
        EventKind::StopRequested { times: 2 } => "stopping: runs under way are ended on the devices".to_owned(),
        EventKind::StopRequested { .. } => "leaving".to_owned(),
        EventKind::SweepFinished { ok, failed, skipped, cancelled } => {
            format!("sweep finished: {ok} ok, {failed} failed, {skipped} skipped, {cancelled} cancelled")
        }
    };
    let device = event.device.as_ref().map_or_else(String::new, |device| format!("{device}: "));
    Some(single_line(&format!("{device}{what}")))
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
        free_bytes.map(|free_bytes| format!("{} free", bytes(free_bytes))),
    ];
    let figures = figures.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let findings = check.findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let parts = [findings, figures].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ");
    format!("checked, {}: {parts}", check.verdict)
}

/// An amount of data for people, in powers of ten.
pub(super) fn bytes(number: u64) -> String {
    match number {
        0..1_000 => format!("{number} B"),
        1_000..1_000_000 => format!("{:.1} kB", number as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", number as f64 / 1e6),
        _ => format!("{:.2} GB", number as f64 / 1e9),
    }
}

fn time(nanoseconds: u64) -> String {
    duration_text(Duration::from_nanos(nanoseconds))
}
