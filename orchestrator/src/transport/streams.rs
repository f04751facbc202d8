//! What goes into a command and comes out of it, and when to give up.
//!
//! Main types: [`Streams`] and [`Limit`]. Moves no byte itself.

use std::sync::Mutex;
use std::time::Duration;

use tokio::io::AsyncRead;
use tokio::time::{Instant, sleep_until};

use super::{ErrorKind, OutputSink, TransportError};

/// When to give up.
#[derive(Debug, Clone, Copy)]
pub enum Limit {
    /// After this time in all.
    Total(Duration),
    /// After this time in which no byte moved.
    Stall(Duration),
}

/// What goes into a command and comes out of it.
pub struct Streams<'a> {
    /// Its standard input.
    pub stdin: &'a mut (dyn AsyncRead + Send + Unpin),
    /// Where its output goes.
    pub output: &'a mut dyn OutputSink,
    /// Told how many bytes of `stdin` were sent so far.
    pub progress: &'a mut (dyn FnMut(u64) + Send),
}

/// When a byte last moved.
pub struct Activity {
    started: Instant,
    last: Mutex<Instant>,
}

impl Activity {
    /// Begins now.
    pub fn new() -> Activity {
        let now = Instant::now();
        Activity { started: now, last: Mutex::new(now) }
    }

    /// A byte moved.
    pub fn note(&self) {
        // A poisoned lock holds a good instant all the same.
        *self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Instant::now();
    }

    /// How long no byte has moved.
    pub fn idle(&self) -> Duration {
        self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner).elapsed()
    }

    fn due(&self, limit: Limit) -> Instant {
        match limit {
            Limit::Total(time) => self.started + time,
            Limit::Stall(time) => *self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner) + time,
        }
    }

    /// Comes back when the limit has passed.
    pub async fn expiry(&self, limit: Limit) {
        while Instant::now() < self.due(limit) {
            sleep_until(self.due(limit)).await;
        }
    }
}

impl Limit {
    /// The error of `what`, which did not end within this limit.
    pub fn expired(self, what: &str, address: &str) -> TransportError {
        let message = match self {
            Limit::Total(time) => format!("{what} on {address}: it was ended after {} s", time.as_secs_f64()),
            Limit::Stall(time) => format!("{what} on {address}: no byte moved for {} s", time.as_secs_f64()),
        };
        TransportError::new(ErrorKind::Timeout, message)
    }
}
