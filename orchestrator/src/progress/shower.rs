//! The thread that shows: whoever reads a terminal or a pipe may stand still, and the work goes on.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;

use super::{TaskId, Unit, View};
use crate::domain::{Event, EventKind};

/// How often a terminal's times are brought up to date when nothing happens.
const TICK: Duration = Duration::from_millis(500);
/// What waits for a reader that stands still: the events of a long night.
const QUEUED: usize = 65_536;

/// Something to show.
pub(super) enum Shown {
    Event(Box<Event>),
    TaskStarted { task: TaskId, label: String, total: Option<u64>, unit: Unit, now: Timestamp },
    TaskAdvanced { task: TaskId, done: u64, fraction: Option<f64>, now: Timestamp },
    TaskFinished { task: TaskId, outcome: String, now: Timestamp },
    Line(String),
}

impl Shown {
    /// Whether the next one of its kind says all that it says.
    fn is_passing(&self) -> bool {
        match self {
            Shown::TaskAdvanced { .. } => true,
            Shown::Event(event) => matches!(event.kind, EventKind::PushProgress { .. }),
            Shown::TaskStarted { .. } | Shown::TaskFinished { .. } | Shown::Line(_) => false,
        }
    }

    fn show(self, view: &mut dyn View) {
        match self {
            Shown::Event(event) => view.event(&event),
            Shown::TaskStarted { task, label, total, unit, now } => view.task_started(task, &label, total, unit, now),
            Shown::TaskAdvanced { task, done, fraction, now } => view.task_advanced(task, done, fraction, now),
            Shown::TaskFinished { task, outcome, now } => view.task_finished(task, &outcome, now),
            Shown::Line(text) => view.line(&text),
        }
    }
}

/// A view on a thread of its own.
pub(super) struct Shower {
    queue: SyncSender<Shown>,
    thread: JoinHandle<io::Result<()>>,
    /// What found no room: nobody read for so long.
    left_out: u64,
}

impl Shower {
    /// # Errors
    /// When there is no thread to spare.
    pub(super) fn start(view: Box<dyn View>) -> io::Result<Shower> {
        let (queue, shown) = sync_channel(QUEUED);
        let thread = std::thread::Builder::new().name("progress".to_owned()).spawn(move || show_all(view, &shown))?;
        Ok(Shower { queue, thread, left_out: 0 })
    }

    /// Has it shown as soon as the reader takes it; never waits.
    pub(super) fn show(&mut self, shown: Shown) {
        if let Err(TrySendError::Full(shown)) = self.queue.try_send(shown) {
            self.left_out += u64::from(!shown.is_passing());
        }
    }

    /// Waits until all is shown, and ends the view.
    ///
    /// # Errors
    /// The first error of writing, or that something was left out.
    pub(super) fn close(self) -> io::Result<()> {
        let Shower { queue, thread, left_out } = self;
        drop(queue);
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the live view broke")))?;
        match left_out {
            0 => Ok(()),
            _ => Err(io::Error::other(format!(
                "its reader stood still, and {left_out} lines were left out: the store has all events"
            ))),
        }
    }
}

fn show_all(mut view: Box<dyn View>, queue: &Receiver<Shown>) -> io::Result<()> {
    loop {
        match queue.recv_timeout(TICK) {
            Ok(shown) => shown.show(view.as_mut()),
            Err(RecvTimeoutError::Timeout) => view.tick(Timestamp::now()),
            Err(RecvTimeoutError::Disconnected) => return view.close(),
        }
    }
}
