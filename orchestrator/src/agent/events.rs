use std::sync::Arc;

use tokio::sync::mpsc;

use crate::domain::{Event, EventKind, JobId, RunId, SweepId};
use crate::lease::Clock;
use crate::store::Store;

/// Sends events to the store and to the live view.
#[derive(Clone)]
pub struct Events {
    store: Arc<dyn Store>,
    live: mpsc::Sender<Event>,
    sweep_id: SweepId,
    clock: Clock,
}

/// What an event is about.
#[derive(Debug, Clone, Default)]
pub struct Subject {
    /// The device.
    pub device: Option<String>,
    /// The job.
    pub job_id: Option<JobId>,
    /// The attempt.
    pub run_id: Option<RunId>,
}

impl Subject {
    /// A device, whatever it does.
    pub fn device(name: &str) -> Subject {
        Subject { device: Some(name.to_owned()), ..Subject::default() }
    }
}

impl Events {
    /// Events of one sweep.
    pub fn new(store: Arc<dyn Store>, live: mpsc::Sender<Event>, sweep_id: SweepId, clock: Clock) -> Events {
        Events { store, live, sweep_id, clock }
    }

    /// Appends an event to the store, then shows it. A store that refuses it is logged: an event is no result.
    pub async fn emit(&self, subject: Subject, kind: EventKind) {
        let event = self.event(subject, kind);
        if tracing::enabled!(tracing::Level::DEBUG) {
            match serde_json::to_string(&event) {
                Ok(text) => tracing::debug!(event = %text, "event"),
                Err(error) => tracing::error!(%error, "an event can't be written down"),
            }
        }
        if let Err(error) = self.store.append_event(&event) {
            tracing::error!(%error, "an event was not kept");
        }
        self.send(event).await;
    }

    /// Shows an event that the store has.
    pub(super) async fn send(&self, event: Event) {
        // A live view that is gone needs no events.
        let _ = self.live.send(event).await;
    }

    /// Shows an event that is not worth keeping; left out when the view is behind.
    pub fn show(&self, subject: Subject, kind: EventKind) {
        let _ = self.live.try_send(self.event(subject, kind));
    }

    pub(super) fn event(&self, subject: Subject, kind: EventKind) -> Event {
        Event {
            at: (self.clock)(),
            sweep_id: Some(self.sweep_id.clone()),
            device: subject.device,
            job_id: subject.job_id,
            run_id: subject.run_id,
            kind,
        }
    }
}
