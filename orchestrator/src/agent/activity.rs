use std::sync::Arc;

use tokio::sync::watch;

/// How many workers may still get something done by themselves: those that do not sit in quarantine.
#[derive(Debug, Clone)]
pub(super) struct Activity(Arc<watch::Sender<usize>>);

impl Activity {
    pub(super) fn new() -> Activity {
        Activity(Arc::new(watch::channel(0).0))
    }

    /// Counts a worker until what is returned is dropped.
    pub(super) fn begin(&self) -> Busy {
        self.0.send_modify(|busy| *busy += 1);
        Busy(self.clone())
    }

    pub(super) fn is_idle(&self) -> bool {
        *self.0.borrow() == 0
    }

    /// Waits until no worker is counted.
    pub(super) async fn idle(&self) {
        // The sender lives as long as this value.
        let _ = self.0.subscribe().wait_for(|busy| *busy == 0).await;
    }
}

/// A worker that is counted.
#[derive(Debug)]
pub(super) struct Busy(Activity);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.send_modify(|busy| *busy -= 1);
    }
}
