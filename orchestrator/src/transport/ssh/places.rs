//! How many channels and logins there may be at the same time.
//!
//! Main types: [`Channels`] of one connection, and the places of [`login_place`] at one jump host.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::config::Hop;
use crate::transport::{ErrorKind, TransportError};

/// Logins at one jump host at the same time.
const LOGINS_AT_ONCE: usize = 2;
/// How long one of them may wait for the others.
const LOGIN_QUEUE_LIMIT: Duration = Duration::from_secs(120);

/// How many channels there may be at the same time.
pub(super) struct Channels {
    free: Arc<Semaphore>,
    limit: AtomicUsize,
}

impl Channels {
    pub(super) fn new(limit: usize) -> Channels {
        Channels { free: Arc::new(Semaphore::new(limit)), limit: AtomicUsize::new(limit) }
    }

    pub(super) async fn acquire(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        Arc::clone(&self.free).acquire_owned().await
    }

    /// There is one less from now on: that of who asks, if others are open. Says whether there is.
    pub(super) fn lower(&self, permit: OwnedSemaphorePermit) -> bool {
        let is_lowered = self.limit.load(Ordering::SeqCst) > 1 && self.are_others_open();
        if is_lowered {
            self.limit.fetch_sub(1, Ordering::SeqCst);
            permit.forget();
        }
        is_lowered
    }

    /// Whether there are more than that of who asks.
    fn are_others_open(&self) -> bool {
        self.limit.load(Ordering::SeqCst).saturating_sub(self.free.available_permits()) > 1
    }
}

/// The logins at a jump host that are under way: a server takes few at a time (MaxStartups), and behind it there may be
/// a whole lab. One of each host that was ever gone through.
static LOGINS: LazyLock<Mutex<HashMap<String, Arc<Semaphore>>>> = LazyLock::new(Mutex::default);

/// Waits until few others log in at this jump host.
pub(super) async fn login_place(hop: &Hop) -> Result<OwnedSemaphorePermit, TransportError> {
    let places = {
        let mut logins = LOGINS.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(
            logins
                .entry(format!("{}:{}", hop.host, hop.port))
                .or_insert_with(|| Arc::new(Semaphore::new(LOGINS_AT_ONCE))),
        )
    };
    match timeout(LOGIN_QUEUE_LIMIT, places.acquire_owned()).await {
        Ok(Ok(place)) => Ok(place),
        _ => Err(TransportError::new(
            ErrorKind::Timeout,
            format!("log in as {hop}: others of this lab were before it for {} s", LOGIN_QUEUE_LIMIT.as_secs()),
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_server_that_refuses_one_more_gets_as_many_as_it_took() {
        let channels = Channels::new(8);
        let first = channels.acquire().await.unwrap();
        for _ in 0..7 {
            assert!(channels.lower(channels.acquire().await.unwrap()));
        }
        assert!(timeout(Duration::from_millis(1), channels.acquire()).await.is_err(), "one at a time from now on");
        drop(first);
        let alone = channels.acquire().await.unwrap();
        assert!(!channels.lower(alone), "the last one stays");
        drop(channels.acquire().await.unwrap());
    }
}
