//! What this process knows of an adb server that all its devices share, so that they don't heal it against each other.
//!
//! Main type: [`ServerState`], one for each address of a server. Knows which calls move bytes, and when the server was
//! started. Restarts it at most once at a time. Keeps notices of what was done. Decides nothing.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::address::ServerAddress;
use crate::transport::streams::Activity;

/// Notices that wait to be taken; older ones go first.
const MAX_NOTICES: usize = 256;

static SERVERS: LazyLock<Mutex<HashMap<ServerAddress, Arc<ServerState>>>> = LazyLock::new(Mutex::default);
static NOTICES: Mutex<VecDeque<HealingNotice>> = Mutex::new(VecDeque::new());

/// One step of healing, as it is begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealingNotice {
    /// `host:port` of the adb server.
    pub server: String,
    /// What names the device to it, when one device alone is healed.
    pub serial: Option<String>,
    /// What is done, and why.
    pub step: String,
}

/// Takes the notices of all servers since the last call, oldest first.
pub fn take_healing_notices() -> Vec<HealingNotice> {
    lock(&NOTICES).drain(..).collect()
}

/// The shared knowledge of one server.
#[derive(Default)]
pub(super) struct ServerState {
    /// Counts restarts.
    generation: AtomicU64,
    /// When the server was last started, as far as this process knows.
    started_at: Mutex<Option<Instant>>,
    /// Its version when it was last asked.
    version: Mutex<Option<u32>>,
    /// Held while the server is restarted.
    pub restarting: tokio::sync::Mutex<()>,
    streams: Mutex<HashMap<u64, (String, Arc<Activity>)>>,
    next_stream: AtomicU64,
    /// Devices for which the server was restarted, and which have not answered since.
    restarted_for: Mutex<HashSet<String>>,
}

impl ServerState {
    pub(super) fn of(server: &ServerAddress) -> Arc<ServerState> {
        Arc::clone(lock(&SERVERS).entry(server.clone()).or_default())
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(super) fn restarted(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// The server was started just now, by this process or another.
    pub(super) fn started(&self) {
        *lock(&self.started_at) = Some(Instant::now());
    }

    /// What the server's version was, if it is another now.
    pub(super) fn another_version(&self, version: u32) -> Option<u32> {
        lock(&self.version).replace(version).filter(|before| *before != version)
    }

    /// Whether the server was started within this time: it has yet to find its devices.
    pub(super) fn is_fresh(&self, within: Duration) -> bool {
        lock(&self.started_at).is_some_and(|at| at.elapsed() < within)
    }

    /// Counts a call to a device as long as the answer lives.
    pub(super) fn stream(self: &Arc<ServerState>, serial: &str, activity: &Arc<Activity>) -> StreamGuard {
        let number = self.next_stream.fetch_add(1, Ordering::Relaxed);
        lock(&self.streams).insert(number, (serial.to_owned(), Arc::clone(activity)));
        StreamGuard { state: Arc::clone(self), number }
    }

    /// Another device than `serial` that has a call under way, with bytes moved within `recently` if that is given.
    pub(super) fn busy_other(&self, serial: &str, recently: Option<Duration>) -> Option<String> {
        let streams = lock(&self.streams);
        let mut others = streams.values().filter(|(other, _)| other != serial);
        let busy = others.find(|(_, activity)| recently.is_none_or(|recently| activity.idle() < recently));
        busy.map(|(other, _)| other.clone())
    }

    /// Whether the server may be restarted for this device: once, until it has answered again.
    pub(super) fn may_restart_for(&self, serial: &str) -> bool {
        lock(&self.restarted_for).insert(serial.to_owned())
    }

    /// The device answers.
    pub(super) fn healthy(&self, serial: &str) {
        lock(&self.restarted_for).remove(serial);
    }
}

/// Tells a step to the log and to whoever takes the notices.
pub(super) fn tell(server: &ServerAddress, serial: Option<&str>, step: &str) {
    tracing::warn!(%server, serial, step, "healing adb");
    let mut notices = lock(&NOTICES);
    if notices.len() == MAX_NOTICES {
        notices.pop_front();
    }
    notices.push_back(HealingNotice {
        server: server.to_string(),
        serial: serial.map(str::to_owned),
        step: step.to_owned(),
    });
}

/// A call that is under way.
pub(super) struct StreamGuard {
    state: Arc<ServerState>,
    number: u64,
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        lock(&self.state.streams).remove(&self.number);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is in there is whole after each statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_calls_of_other_devices_count_and_only_while_they_last() {
        let state = Arc::new(ServerState::default());
        let activity = Arc::new(Activity::new());
        let own = state.stream("a", &activity);
        assert_eq!(state.busy_other("a", None), None);
        assert_eq!(state.busy_other("b", None), Some("a".to_owned()));
        assert_eq!(state.busy_other("b", Some(Duration::MAX)), Some("a".to_owned()));
        assert_eq!(state.busy_other("b", Some(Duration::ZERO)), None, "no byte moved so recently");
        drop(own);
        assert_eq!(state.busy_other("b", None), None);
    }

    #[test]
    fn a_server_is_restarted_once_for_a_device_until_that_answers() {
        let state = ServerState::default();
        assert!(state.may_restart_for("a") && state.may_restart_for("b"));
        assert!(!state.may_restart_for("a"));
        state.healthy("a");
        assert!(state.may_restart_for("a") && !state.may_restart_for("b"));
    }
}
