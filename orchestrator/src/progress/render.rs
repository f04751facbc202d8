use std::time::Duration;

use jiff::Timestamp;

use super::eta::remaining;
use super::state::{Activity, DeviceState, State, SweepState, TaskState};
use crate::wording::{bytes_text, duration_text, single_line};

/// Longest name that gets a column of its own; a longer one moves its line only.
const NAME_COLUMNS: usize = 20;
/// Lines a terminal needs for itself: the one with the cursor, and one of what stood there before.
const SPARE_LINES: usize = 2;

/// The live view as lines, none wider than `width`, and few enough for a terminal of `height` lines: work, the sweep,
/// then its devices, busy ones first; those without room are summed up in the last line.
pub(super) fn lines(state: &State, now: Timestamp, width: usize, height: usize) -> Vec<String> {
    let room = height.saturating_sub(SPARE_LINES).max(1);
    let mut lines: Vec<_> = state.tasks.values().map(|task| task_line(task, now)).collect();
    lines.extend(state.sweep.as_ref().map(|sweep| sweep_line(sweep, now)));
    lines.truncate(room);
    let mut devices: Vec<_> = state.devices.iter().collect();
    devices.sort_by(|(one, a), (other, b)| {
        b.activity.is_active().cmp(&a.activity.is_active()).then_with(|| numeric_sort::cmp(one, other))
    });
    let left = room - lines.len();
    let shown = if devices.len() <= left { devices.len() } else { left.saturating_sub(1) };
    let name_width = devices.iter().map(|(name, _)| console::measure_text_width(&single_line(name))).max().unwrap_or(0);
    let name_width = name_width.min(NAME_COLUMNS);
    lines.extend(devices[..shown].iter().map(|(name, device)| device_line(name, name_width, device, now)));
    if shown < devices.len() && left > 0 {
        lines.push(rest_line(&devices[shown..]));
    }
    lines.iter().map(|line| console::truncate_str(&single_line(line), width, "…").into_owned()).collect()
}

fn task_line(task: &TaskState, now: Timestamp) -> String {
    match shares(task) {
        Some((done, total)) => format!("{}: {} {}", task.label, bar(done, total), task_progress(task, now)),
        None => format!("{}: {}", task.label, task_progress(task, now)),
    }
}

/// How far a task is, in words: «12 of 133 crates, ETA 4m10s».
pub(super) fn task_progress(task: &TaskState, now: Timestamp) -> String {
    let elapsed = since(task.started_at, now);
    match (task.total, shares(task)) {
        (Some(total), Some((done_share, all))) => {
            let left = eta(remaining(done_share, all, elapsed));
            format!("{}{left}", task.unit.of(task.done, total))
        }
        _ => format!("{} {}", task.unit.count(task.done), duration_text(elapsed)),
    }
}

/// The share of a task's work that is done, as two whole numbers.
fn shares(task: &TaskState) -> Option<(u64, u64)> {
    const WHOLE: f64 = 1e6;
    match (task.fraction, task.total) {
        (Some(fraction), _) => Some(((fraction.clamp(0.0, 1.0) * WHOLE) as u64, WHOLE as u64)),
        (None, total) => total.map(|total| (task.done, total)),
    }
}

fn sweep_line(sweep: &SweepState, now: Timestamp) -> String {
    let elapsed = since(sweep.started_at, now);
    let failed = if sweep.failed > 0 { format!(", {} failed", sweep.failed) } else { String::new() };
    let stopping = if sweep.is_stopping { ", stopping" } else { "" };
    format!(
        "{}: {} {} of {} jobs{failed}, {}{}{stopping}",
        sweep.name,
        bar(sweep.done, sweep.jobs),
        sweep.done,
        sweep.jobs,
        duration_text(elapsed),
        eta(remaining(sweep.done, sweep.jobs, elapsed))
    )
}

fn device_line(name: &str, name_width: usize, device: &DeviceState, now: Timestamp) -> String {
    let elapsed = since(device.since, now);
    let name = single_line(name);
    let name = console::pad_str(&name, name_width, console::Alignment::Left, None);
    let model = device.model.as_ref().map_or_else(String::new, |model| format!(" {model}"));
    let what = match &device.activity {
        Activity::Idle => format!("idle, {} done", device.done),
        Activity::Connecting => format!("connecting {}", duration_text(elapsed)),
        Activity::Reconnecting => format!("reconnecting{model} {}", duration_text(elapsed)),
        Activity::Waiting(cause) => format!("waiting {}: {cause}", duration_text(elapsed)),
        Activity::Unusable(reason) => format!("unusable: {reason}"),
        Activity::Running(phase) => format!("{phase}{model} {}", duration_text(elapsed)),
        Activity::Pushing { name, resumed_bytes, sent_bytes, size_bytes } => {
            let sent_now = sent_bytes.saturating_sub(*resumed_bytes);
            let remaining = remaining(sent_now, size_bytes.saturating_sub(*resumed_bytes), elapsed);
            let percent = sent_bytes.saturating_mul(100).checked_div(*size_bytes).unwrap_or(100);
            format!("push {name} {percent}% of {}{}", bytes_text(*size_bytes), eta(remaining))
        }
    };
    let failed = if device.failed > 0 { format!(", {} failed", device.failed) } else { String::new() };
    format!("{name}  {what}{failed}")
}

fn rest_line(devices: &[(&String, &DeviceState)]) -> String {
    let count = |which: fn(&Activity) -> bool| devices.iter().filter(|(_, device)| which(&device.activity)).count();
    let (active, unusable) = (count(Activity::is_active), count(|activity| matches!(activity, Activity::Unusable(_))));
    let idle = devices.len() - active - unusable;
    format!("… and {} more devices: {active} busy, {idle} idle, {unusable} unusable", devices.len())
}

fn eta(remaining: Option<Duration>) -> String {
    remaining.map_or_else(String::new, |remaining| format!(", ETA {}", duration_text(remaining)))
}

fn bar(done: u64, total: u64) -> String {
    const WIDTH: u64 = 20;
    let filled = done.min(total).saturating_mul(WIDTH).checked_div(total).unwrap_or(WIDTH).min(WIDTH);
    let repeat = |text: &str, count: u64| text.repeat(usize::try_from(count).unwrap_or(0));
    format!("[{}{}]", repeat("#", filled), repeat("-", WIDTH - filled))
}

/// The time since then; none when the clock was set back.
fn since(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}
