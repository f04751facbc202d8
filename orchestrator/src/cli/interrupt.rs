use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::agent::{Events, StopSignal, Subject};
use crate::domain::EventKind;

use super::CliError;

/// Counts how often a person asked to stop: Ctrl-C, or SIGTERM, which counts as two, since whoever sends it wants an end.
pub(super) struct Interrupt {
    times: watch::Sender<u32>,
}

impl Interrupt {
    pub(super) fn new() -> Interrupt {
        Interrupt { times: watch::channel(0).0 }
    }

    pub(super) fn subscribe(&self) -> StopSignal {
        self.times.subscribe()
    }

    pub(super) fn times(&self) -> u32 {
        *self.times.borrow()
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
            let times = self.times() + more;
            self.times.send_replace(times);
            events.emit(Subject::default(), EventKind::StopRequested { times }).await;
        }
    }
}
