use std::io;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::state::{State, TaskState};
use super::{TaskId, Unit, View, render};
use crate::domain::{Event, EventKind, RunStatus};
use crate::wording::{event_sentence, in_zone, single_line};

/// Lines on a terminal that are drawn anew as things change; what goes wrong scrolls by above them.
pub(super) struct Terminal {
    state: State,
    screen: MultiProgress,
    lines: Vec<ProgressBar>,
    size: Box<dyn Fn() -> (u16, u16) + Send>,
    /// By whose clocks times are told.
    zone: TimeZone,
    error: Option<io::Error>,
}

impl Terminal {
    /// On standard error, as wide and high as that is.
    pub(super) fn stderr(zone: TimeZone) -> Terminal {
        let terminal = console::Term::stderr();
        Terminal::new(ProgressDrawTarget::stderr(), Box::new(move || terminal.size()), zone)
    }

    /// On any target; `size` tells its lines and columns.
    pub(super) fn new(
        target: ProgressDrawTarget,
        size: Box<dyn Fn() -> (u16, u16) + Send>,
        zone: TimeZone,
    ) -> Terminal {
        let screen = MultiProgress::with_draw_target(target);
        Terminal { state: State::default(), screen, lines: Vec::new(), size, zone, error: None }
    }

    fn draw(&mut self, now: Timestamp) {
        let (height, width) = (self.size)();
        let lines = render::lines(&self.state, now, width.into(), height.into());
        let lines: Vec<String> = lines.iter().map(|line| in_zone(line, &self.zone).into_owned()).collect();
        while self.lines.len() > lines.len() {
            self.lines.pop().iter().for_each(|line| self.screen.remove(line));
        }
        while self.lines.len() < lines.len() {
            let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
            self.lines.push(self.screen.add(ProgressBar::no_length().with_style(style)));
        }
        for (line, text) in self.lines.iter().zip(lines) {
            if line.message() != text {
                line.set_message(text);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn shown(&self) -> Vec<String> {
        self.lines.iter().map(ProgressBar::message).collect()
    }

    /// Writes a line above the live ones.
    fn say(&mut self, text: &str) {
        if let Err(error) = self.screen.println(in_zone(text, &self.zone)) {
            self.error.get_or_insert(error);
        }
    }
}

impl View for Terminal {
    fn event(&mut self, event: &Event) {
        self.state.apply(event);
        let is_trouble = match &event.kind {
            EventKind::DeviceFailed { .. } | EventKind::DeviceReconnecting { .. } | EventKind::StopRequested { .. } => {
                true
            }
            EventKind::RunFinished { status, .. } => *status != RunStatus::Ok,
            _ => false,
        };
        if let Some(sentence) = event_sentence(event).filter(|_| is_trouble) {
            self.say(&sentence);
        }
        self.draw(event.at);
    }

    fn task_started(&mut self, task: TaskId, label: &str, total: Option<u64>, unit: Unit, now: Timestamp) {
        self.state.tasks.insert(task, TaskState::new(label, total, unit, now));
        self.draw(now);
    }

    fn task_advanced(&mut self, task: TaskId, done: u64, fraction: Option<f64>, now: Timestamp) {
        if let Some(task) = self.state.tasks.get_mut(&task) {
            (task.done, task.fraction) = (done, fraction);
            self.draw(now);
        }
    }

    fn task_finished(&mut self, task: TaskId, outcome: &str, now: Timestamp) {
        if let Some(task) = self.state.tasks.remove(&task) {
            self.say(&single_line(&format!("{}: {outcome}", task.label)));
            self.draw(now);
        }
    }

    fn line(&mut self, text: &str) {
        self.say(text);
    }

    fn tick(&mut self, now: Timestamp) {
        self.draw(now);
    }

    fn close(&mut self) -> io::Result<()> {
        self.lines.clear();
        let cleared = self.screen.clear();
        self.error.take().map_or(cleared, Err)
    }
}
