//! Work that goes on when nobody waits for its answer any more.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// What was begun and may not have ended.
#[derive(Default)]
pub(super) struct Background {
    tasks: Mutex<JoinSet<()>>,
}

impl Background {
    /// Does work where it may block.
    pub(super) fn spawn<W: Future<Output = ()>>(&self, work: impl FnOnce() -> W + Send + 'static) {
        let mut tasks = self.tasks();
        while tasks.try_join_next().is_some() {}
        let runtime = Handle::current();
        tasks.spawn_blocking(move || runtime.block_on(work()));
    }

    /// Waits for what was begun.
    pub(super) async fn ended(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks());
        while tasks.join_next().await.is_some() {}
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
