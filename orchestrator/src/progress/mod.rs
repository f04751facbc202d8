//! The live view of a sweep, and of other work that takes its time.
//!
//! Main type: [`Progress`], a handle that any thread may hold; behind it stands one [`View`]: a terminal's lines, a
//! log's lines, or JSON Lines. Prints, and so is one of the few places that do; never decides anything, and never fails
//! the work it shows: a view that can't be written any more falls silent and says so when it is closed.

mod eta;
mod json_lines;
mod log_lines;
mod render;
mod state;
mod terminal;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::domain::Event;

pub use eta::remaining;
use json_lines::JsonLines;
use log_lines::LogLines;
use terminal::Terminal;

/// How often a terminal's times are brought up to date when nothing happens.
const TICK: Duration = Duration::from_millis(500);

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
            Unit::Crates => format!("{count} crates"),
            Unit::Images => format!("{count} images"),
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

/// A handle to the view. Cheap to clone.
#[derive(Clone)]
pub struct Progress {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    view: Option<Box<dyn View>>,
    tasks: u64,
}

impl Progress {
    /// Opens a view on this process's standard streams.
    pub fn open(mode: Mode) -> Progress {
        match mode {
            Mode::Terminal => {
                let progress = Progress::with_view(Box::new(Terminal::stderr()));
                keep_ticking(&progress);
                progress
            }
            Mode::Log => Progress::with_view(Box::new(LogLines::new(Box::new(io::stderr())))),
            Mode::JsonLines => {
                Progress::with_view(Box::new(JsonLines::new(Box::new(io::stdout()), Box::new(io::stderr()))))
            }
            Mode::Silent => Progress { shared: Arc::new(Mutex::new(Shared { view: None, tasks: 0 })) },
        }
    }

    /// Shows on any view.
    pub fn with_view(view: Box<dyn View>) -> Progress {
        Progress { shared: Arc::new(Mutex::new(Shared { view: Some(view), tasks: 0 })) }
    }

    /// Shows an event.
    pub fn event(&self, event: &Event) {
        self.show(|view| view.event(event));
    }

    /// Shows a piece of work until the returned task is finished or dropped.
    pub fn start_task(&self, label: &str, total: Option<u64>, unit: Unit) -> Task {
        let mut shared = self.lock();
        shared.tasks += 1;
        let id = TaskId(shared.tasks);
        if let Some(view) = &mut shared.view {
            view.task_started(id, label, total, unit, Timestamp::now());
        }
        drop(shared);
        Task { progress: self.clone(), id, done: 0, is_finished: false }
    }

    /// Shows events until their sender is gone.
    pub async fn follow(&self, mut events: mpsc::Receiver<Event>) {
        while let Some(event) = events.recv().await {
            self.event(&event);
        }
    }

    /// Brings the view's times up to date; returns whether it is still open.
    fn tick(&self) -> bool {
        let mut shared = self.lock();
        shared.view.as_mut().map(|view| view.tick(Timestamp::now())).is_some()
    }

    /// Prints a line past what is drawn; returns whether there was a view to do so.
    pub fn print_line(&self, text: &str) -> bool {
        let mut shared = self.lock();
        shared.view.as_mut().map(|view| view.line(text)).is_some()
    }

    /// Ends the view: what comes after is not shown.
    ///
    /// # Errors
    /// The first error of writing, if there was one.
    pub fn close(&self) -> io::Result<()> {
        self.lock().view.take().map_or(Ok(()), |mut view| view.close())
    }

    fn show(&self, show: impl FnOnce(&mut dyn View)) {
        if let Some(view) = &mut self.lock().view {
            show(view.as_mut());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Brings the times of a view up to date until it is closed or dropped, whatever the rest of the program waits for.
fn keep_ticking(progress: &Progress) {
    let shared = Arc::downgrade(&progress.shared);
    let tick = move || {
        while let Some(shared) = shared.upgrade() {
            let progress = Progress { shared };
            if !progress.tick() {
                return;
            }
            drop(progress);
            std::thread::sleep(TICK);
        }
    };
    // Without a thread to spare, times stand still between events.
    if let Err(error) = std::thread::Builder::new().name("progress".to_owned()).spawn(tick) {
        tracing::debug!(%error, "no thread for the live view");
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
        self.progress.show(|view| view.task_advanced(self.id, done, fraction, Timestamp::now()));
    }

    /// It ended; `outcome` says how.
    pub fn finish(mut self, outcome: &str) {
        self.end(outcome);
    }

    fn end(&mut self, outcome: &str) {
        if !std::mem::replace(&mut self.is_finished, true) {
            self.progress.show(|view| view.task_finished(self.id, outcome, Timestamp::now()));
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
