use std::io;

use jiff::Timestamp;

use super::log_lines::LogLines;
use super::{Lines, TaskId, Unit, View};
use crate::domain::Event;
use crate::wording::printable_json;

/// Events as JSON Lines: for programs. What is no event goes to a log, so that every line has the one form.
pub(super) struct JsonLines {
    lines: Lines,
    log: LogLines,
}

impl JsonLines {
    pub(super) fn new(out: Box<dyn io::Write + Send>, log: LogLines) -> JsonLines {
        JsonLines { lines: Lines::new(out), log }
    }
}

impl View for JsonLines {
    fn event(&mut self, event: &Event) {
        match serde_json::to_string(event) {
            Ok(line) => self.lines.write(&printable_json(&line)),
            Err(error) => self.lines.error = Some(error.into()),
        }
    }

    fn task_started(&mut self, task: TaskId, label: &str, total: Option<u64>, unit: Unit, now: Timestamp) {
        self.log.task_started(task, label, total, unit, now);
    }

    fn task_advanced(&mut self, task: TaskId, done: u64, fraction: Option<f64>, now: Timestamp) {
        self.log.task_advanced(task, done, fraction, now);
    }

    fn task_finished(&mut self, task: TaskId, outcome: &str, now: Timestamp) {
        self.log.task_finished(task, outcome, now);
    }

    fn line(&mut self, text: &str) {
        self.log.line(text);
    }

    fn tick(&mut self, _: Timestamp) {}

    fn close(&mut self) -> io::Result<()> {
        self.lines.close().and(self.log.close())
    }
}
