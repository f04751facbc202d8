//! The live view of a sweep, and of other work that takes its time.
//!
//! Main type: [`Progress`], a handle that any thread may hold; behind it stands one [`View`]: a terminal's lines, a
//! log's lines, or JSON Lines. Prints, and so is one of the few places that do; never decides anything, and never fails
//! or holds up the work it shows: a view that can't be written any more falls silent and says so when it is closed.

mod eta;
mod json_lines;
mod log_lines;
mod render;
mod shower;
mod state;
mod terminal;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::mpsc;

use crate::domain::{Event, many};

pub use eta::remaining;
use json_lines::JsonLines;
use log_lines::LogLines;
use shower::{Shower, Shown};
use terminal::Terminal;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Lines that are drawn anew, on standard error.
    Terminal,
    /// One line an event, on standard error.
    Log,
    /// Events as JSON Lines on standard output; other work as log lines on standard error.
    JsonLines,
    /// Nothing.
    Silent,
}

/// Counts a piece of work among those of its view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(u64);

/// What a piece of work is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Crates that are compiled.
    Crates,
    /// Images that are prepared.
    Images,
}

impl Unit {
    fn count(self, count: u64) -> String {
        match self {
            Unit::Bytes => format!("{} MB", megabytes(count)),
            Unit::Crates => many(count, "crate"),
            Unit::Images => many(count, "image"),
        }
    }

    fn of(self, done: u64, total: u64) -> String {
        match self {
            Unit::Bytes => format!("{} of {} MB", megabytes(done), megabytes(total)),
            Unit::Crates => format!("{done} of {total} crates"),
            Unit::Images => format!("{done} of {total} images"),
        }
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

/// One way of showing. New ones are added to [`Progress::open`].
pub trait View: Send {
    /// Shows an event of a sweep.
    fn event(&mut self, event: &Event);

    /// Shows that work began; `total` is how much there is, when that is known.
    fn task_started(&mut self, task: TaskId, label: &str, total: Option<u64>, unit: Unit, now: Timestamp);

    /// Shows how much of it is done; `fraction` is the share of the work, where that is not the share of the count.
    fn task_advanced(&mut self, task: TaskId, done: u64, fraction: Option<f64>, now: Timestamp);

    /// Shows that it ended, and how.
    fn task_finished(&mut self, task: TaskId, outcome: &str, now: Timestamp);

    /// Prints a line that is no progress: a log's.
    fn line(&mut self, text: &str);

    /// Brings what depends on the time alone up to date.
    fn tick(&mut self, now: Timestamp);

    /// Ends the view.
    ///
    /// # Errors
    /// The first error of writing, if there was one.
    fn close(&mut self) -> io::Result<()>;
}

/// A handle to the view. Cheap to clone. Nothing waits for whoever reads what is shown, but for the end of the view.
#[derive(Clone)]
pub struct Progress {
    shower: Arc<Mutex<Option<Shower>>>,
    tasks: Arc<AtomicU64>,
}

impl Progress {
    /// Opens a view on this process's standard streams; people are told times by the clocks of this zone.
    pub fn open(mode: Mode, zone: TimeZone) -> Progress {
        let log = |zone| LogLines::new(Box::new(io::stderr()), zone);
        match mode {
            Mode::Terminal => Progress::with_view(Box::new(Terminal::stderr(zone))),
            Mode::Log => Progress::with_view(Box::new(log(zone))),
            Mode::JsonLines => Progress::with_view(Box::new(JsonLines::new(Box::new(io::stdout()), log(zone)))),
            Mode::Silent => Progress::of(None),
        }
    }

    /// Shows on any view.
    pub fn with_view(view: Box<dyn View>) -> Progress {
        let shower = Shower::start(view);
        if let Err(error) = &shower {
            tracing::error!(%error, "no thread for the live view");
        }
        Progress::of(shower.ok())
    }

    fn of(shower: Option<Shower>) -> Progress {
        Progress { shower: Arc::new(Mutex::new(shower)), tasks: Arc::default() }
    }

    /// Shows an event.
    pub fn event(&self, event: &Event) {
        self.show(|| Shown::Event(Box::new(event.clone())));
    }

    /// Shows a piece of work until the returned task is finished or dropped.
    pub fn start_task(&self, label: &str, total: Option<u64>, unit: Unit) -> Task {
        let task = TaskId(self.tasks.fetch_add(1, Ordering::Relaxed) + 1);
        self.show(|| Shown::TaskStarted { task, label: label.to_owned(), total, unit, now: Timestamp::now() });
        Task { progress: self.clone(), id: task, done: 0, is_finished: false }
    }

    /// Shows events until their sender is gone.
    pub async fn follow(&self, mut events: mpsc::Receiver<Event>) {
        while let Some(event) = events.recv().await {
            self.event(&event);
        }
    }

    /// Prints a line past what is drawn; returns whether there was a view to do so.
    pub fn print_line(&self, text: &str) -> bool {
        self.show(|| Shown::Line(text.to_owned()))
    }

    /// Ends the view, once all of it was read: what comes after is not shown.
    ///
    /// # Errors
    /// The first error of writing, if there was one, or that a reader stood still for too long.
    pub fn close(&self) -> io::Result<()> {
        // Not under the lock: nobody waits for the reader.
        let shower = self.lock().take();
        shower.map_or(Ok(()), Shower::close)
    }

    /// Has something shown; returns whether there is a view.
    fn show(&self, shown: impl FnOnce() -> Shown) -> bool {
        self.lock().as_mut().map(|shower| shower.show(shown())).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Shower>> {
        self.shower.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A piece of work that is shown: a build, a download.
pub struct Task {
    progress: Progress,
    id: TaskId,
    done: u64,
    is_finished: bool,
}

impl Task {
    /// So much more is done.
    pub fn advance(&mut self, by: u64) {
        self.advance_to(self.done.saturating_add(by));
    }

    /// So much is done in all.
    pub fn advance_to(&mut self, done: u64) {
        self.advance_by_share(done, None);
    }

    /// So much is done in all, which is this share of the work: what is left may be slower than what is done.
    pub fn advance_by_share(&mut self, done: u64, fraction: Option<f64>) {
        self.done = done;
        self.progress.show(|| Shown::TaskAdvanced { task: self.id, done, fraction, now: Timestamp::now() });
    }

    /// It ended; `outcome` says how.
    pub fn finish(mut self, outcome: &str) {
        self.end(outcome);
    }

    fn end(&mut self, outcome: &str) {
        if !std::mem::replace(&mut self.is_finished, true) {
            let outcome = outcome.to_owned();
            self.progress.show(|| Shown::TaskFinished { task: self.id, outcome, now: Timestamp::now() });
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.end("broken off");
    }
}

/// Somewhere to write lines, until it fails for the first time.
struct Lines {
    out: Box<dyn io::Write + Send>,
    error: Option<io::Error>,
}

impl Lines {
    fn new(out: Box<dyn io::Write + Send>) -> Lines {
        Lines { out, error: None }
    }

    fn write(&mut self, line: &str) {
        if self.error.is_none() {
            let written = writeln!(self.out, "{line}").and_then(|()| self.out.flush());
            self.error = written.err();
        }
    }

    fn close(&mut self) -> io::Result<()> {
        self.error.take().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests;
