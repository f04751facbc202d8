//! A simulated host: its clock, and its way to what hosts share.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use farmctl::store::Store;
use farmctl::store::sqlite::SimulatedServer;
use jiff::SignedDuration;
use tokio::time::Instant;

/// When something ends.
pub type Moment = Arc<Mutex<Option<Instant>>>;

/// Lets something last for so long from now on.
pub fn set(until: &Moment, length: Duration) {
    *until.lock().unwrap() = Some(Instant::now() + length);
}

fn lasts(until: &Moment) -> bool {
    until.lock().unwrap().is_some_and(|until| Instant::now() < until)
}

/// The simulated time since then.
pub fn passed(began: Instant) -> SignedDuration {
    SignedDuration::try_from(began.elapsed()).unwrap()
}

pub struct Host {
    pub number: u64,
    pub offset: Arc<Mutex<SignedDuration>>,
    /// By its own way.
    pub store: Arc<dyn Store>,
    /// Until when it does not reach the store.
    cut_until: Moment,
}

impl Host {
    /// One whose clock is so far ahead. It reaches the server by a way of its own, unless nobody reaches that. Without
    /// a server it has this store.
    pub fn new(
        number: u64,
        ahead: SignedDuration,
        server: Option<&SimulatedServer>,
        gone_until: &Moment,
        alone: &Arc<dyn Store>,
    ) -> Host {
        let (cut_until, gone_until) = (Moment::default(), Arc::clone(gone_until));
        let own = Arc::clone(&cut_until);
        let store: Arc<dyn Store> = match server {
            Some(server) => Arc::new(server.reached(Arc::new(move || lasts(&own) || lasts(&gone_until)))),
            None => Arc::clone(alone),
        };
        Host { number, offset: Arc::new(Mutex::new(ahead)), store, cut_until }
    }

    /// It does not reach the store for so long.
    pub fn cut_off(&self, length: Duration) {
        set(&self.cut_until, length);
    }

    /// Somebody sets the clock.
    pub fn set_clock(&self, offset: SignedDuration) {
        *self.offset.lock().unwrap() = offset;
    }
}
