use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::agent::Stop;
use crate::domain::SweepId;

use super::TaskError;

/// A sweep that is being carried out.
pub(super) struct Task {
    /// When it was due, while it is being begun.
    pub(super) due_at: Option<jiff::Timestamp>,
    /// The sweep, once that is there.
    pub(super) sweep: Option<SweepId>,
    /// Whether it ends a cancelled one.
    pub(super) is_end: bool,
    pub(super) stop: Arc<Stop>,
    work: JoinHandle<Result<(), TaskError>>,
}

impl Task {
    pub(super) fn spawn(stop: Arc<Stop>, work: impl AsyncFnOnce() -> Result<(), TaskError> + Send + 'static) -> Task {
        let runtime = Handle::current();
        let work = tokio::task::spawn_blocking(move || runtime.block_on(work()));
        Task { due_at: None, sweep: None, is_end: false, stop, work }
    }

    /// It begins the sweep of this due time.
    pub(super) fn begins(self, due_at: jiff::Timestamp) -> Task {
        Task { due_at: Some(due_at), ..self }
    }

    /// It is about this sweep.
    pub(super) fn with_sweep(self, sweep: SweepId) -> Task {
        Task { sweep: Some(sweep), ..self }
    }

    /// It ends a cancelled sweep.
    pub(super) fn ends(self) -> Task {
        Task { is_end: true, ..self }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.work.is_finished()
    }

    /// Waits for its end; says how that was. To be called once it has ended, or until it has.
    pub(super) async fn ended(&mut self) -> Result<(), TaskError> {
        match (&mut self.work).await {
            Ok(ended) => ended,
            Err(error) => Err(TaskError::Passing(format!("it broke off: {error}"))),
        }
    }
}
