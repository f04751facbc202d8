use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use crate::agent::{Events, Stop, Subject};
use crate::domain::EventKind;

use super::CliError;

/// Counts how often a person asked to stop: Ctrl-C, or SIGTERM, which counts as two, since whoever sends it wants an end.
#[derive(Default)]
pub(super) struct Interrupt {
    stop: Arc<Stop>,
    times: std::sync::atomic::AtomicU32,
}

impl Interrupt {
    /// What the work looks at.
    pub(super) fn stop(&self) -> Arc<Stop> {
        Arc::clone(&self.stop)
    }

    /// How often a person asked.
    pub(super) fn times(&self) -> u32 {
        self.times.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Waits until a person wants to leave at once.
    pub(super) async fn left(&self) {
        self.stop.reached(3).await;
    }

    /// Listens until it is dropped.
    ///
    /// # Errors
    /// When the system does not let this process listen to signals.
    pub(super) async fn listen(&self, events: Events) -> Result<(), CliError> {
        let listen =
            |kind| signal(kind).map_err(|error| CliError::internal(format!("failed to listen to signals: {error}")));
        let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        loop {
            let more = tokio::select! {
                _ = interrupt.recv() => 1,
                _ = terminate.recv() => 2,
            };
            let times = self.times.fetch_add(more, std::sync::atomic::Ordering::Relaxed) + more;
            self.stop.raise(times);
            events.emit(Subject::default(), EventKind::StopRequested { times }).await;
        }
    }
}
