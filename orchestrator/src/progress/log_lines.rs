use std::collections::BTreeMap;
use std::io;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::state::TaskState;
use super::{Lines, TaskId, Unit, View, render};
use crate::domain::Event;
use crate::wording::{event_sentence, in_zone, single_line};

/// How often a log tells how far a piece of work is.
const TASK_PACE: SignedDuration = SignedDuration::from_secs(30);

/// One line an event, with its time: for logs.
pub(super) struct LogLines {
    lines: Lines,
    /// By whose clocks times are told.
    zone: TimeZone,
    /// Work under way, with the time at which it was last told of.
    tasks: BTreeMap<TaskId, (TaskState, Timestamp)>,
}

impl LogLines {
    pub(super) fn new(out: Box<dyn io::Write + Send>, zone: TimeZone) -> LogLines {
        LogLines { lines: Lines::new(out), zone, tasks: BTreeMap::new() }
    }

    fn write(&mut self, at: Timestamp, text: &str) {
        self.line(&format!("{at:.0} {}", single_line(text)));
    }
}

impl View for LogLines {
    fn event(&mut self, event: &Event) {
        if let Some(sentence) = event_sentence(event) {
            self.write(event.at, &sentence);
        }
    }

    fn task_started(&mut self, task: TaskId, label: &str, total: Option<u64>, unit: Unit, now: Timestamp) {
        let amount = total.map_or_else(String::new, |total| format!(" ({})", unit.count(total)));
        self.write(now, &format!("{label}{amount}: started"));
        self.tasks.insert(task, (TaskState::new(label, total, unit, now), now));
    }

    /// A log tells how far work is now and then only: every step would be thousands of lines.
    fn task_advanced(&mut self, task: TaskId, done: u64, fraction: Option<f64>, now: Timestamp) {
        let Some((task, told_at)) = self.tasks.get_mut(&task) else { return };
        (task.done, task.fraction) = (done, fraction);
        if now.duration_since(*told_at) >= TASK_PACE {
            *told_at = now;
            let line = format!("{}: {}", task.label, render::task_progress(task, now));
            self.write(now, &line);
        }
    }

    fn task_finished(&mut self, task: TaskId, outcome: &str, now: Timestamp) {
        let label = self.tasks.remove(&task).map(|(task, _)| task.label).unwrap_or_default();
        self.write(now, &format!("{label}: {outcome}"));
    }

    fn line(&mut self, text: &str) {
        self.lines.write(&in_zone(text, &self.zone));
    }

    fn tick(&mut self, _: Timestamp) {}

    fn close(&mut self) -> io::Result<()> {
        self.lines.close()
    }
}
