//! The workers of one sweep, and what they share.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tracing::Instrument as _;

use crate::domain::Device;

use super::activity::Activity;
use super::machines::Machines;
use super::{Agent, AgentError, worker};

/// What the workers of one call share.
pub(super) struct Shared {
    pub(super) places: Semaphore,
    /// Why no more jobs start anywhere, once `on_failure: stop_sweep` fired.
    pub(super) halt: watch::Sender<Option<String>>,
    pub(super) machines: Machines,
    pub(super) activity: Activity,
    pub(super) wanted: Wanted,
}

impl Shared {
    pub(super) fn new(max_devices: usize) -> Shared {
        Shared {
            places: Semaphore::new(max_devices.clamp(1, Semaphore::MAX_PERMITS)),
            halt: watch::channel(None).0,
            machines: Machines::default(),
            activity: Activity::new(),
            wanted: Wanted::default(),
        }
    }
}

/// Devices that got a job from another device. Bounded by the devices there are.
#[derive(Default)]
pub(super) struct Wanted {
    devices: Mutex<BTreeSet<String>>,
    more: Notify,
}

impl Wanted {
    /// Makes sure that a worker looks for jobs of this device.
    pub(super) fn want(&self, device: &str) {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner).insert(device.to_owned());
        self.more.notify_one();
    }

    fn take(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.devices.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The workers that are at work.
pub(super) struct WorkerPool {
    agent: Arc<Agent>,
    shared: Arc<Shared>,
    workers: JoinSet<(String, Result<(), AgentError>)>,
    at_work: HashSet<String>,
    /// Devices that got a job after their worker had looked for the last time, perhaps.
    again: HashSet<String>,
    first_error: Option<AgentError>,
}

impl WorkerPool {
    pub(super) fn new(agent: &Arc<Agent>, shared: &Arc<Shared>) -> WorkerPool {
        WorkerPool {
            agent: Arc::clone(agent),
            shared: Arc::clone(shared),
            workers: JoinSet::new(),
            at_work: HashSet::new(),
            again: HashSet::new(),
            first_error: None,
        }
    }

    pub(super) fn start(&mut self, device: Device) {
        self.at_work.insert(device.name.clone());
        let (agent, shared, busy) = (Arc::clone(&self.agent), Arc::clone(&self.shared), self.shared.activity.begin());
        let span = tracing::info_span!("sweep", id = %self.agent.assignment.sweep.id);
        let work = async move {
            let ended = worker::work(&agent, &device, &shared, busy).await;
            (device.name, ended)
        };
        self.workers.spawn(work.instrument(span));
    }

    /// Waits until all have ended; gives the first error.
    pub(super) async fn work(mut self) -> Result<(), AgentError> {
        let shared = Arc::clone(&self.shared);
        loop {
            tokio::select! {
                ended = self.workers.join_next(), if !self.workers.is_empty() => match ended {
                    Some(Ok((name, result))) => self.note(&name, result),
                    Some(Err(error)) => self.fail(AgentError::Worker(error.to_string())),
                    None => {}
                },
                () = shared.wanted.more.notified() => {}
            }
            // A request is made before the one who makes it ends.
            shared.wanted.take().iter().for_each(|name| self.want(name));
            if self.workers.is_empty() {
                return self.first_error.map_or(Ok(()), Err);
            }
        }
    }

    fn want(&mut self, name: &str) {
        if self.at_work.contains(name) {
            self.again.insert(name.to_owned());
        } else if let Some(device) =
            self.agent.assignment.lab_devices.iter().find(|device| device.name == name).cloned()
        {
            self.start(device);
        }
    }

    fn note(&mut self, name: &str, result: Result<(), AgentError>) {
        self.at_work.remove(name);
        if self.again.remove(name) {
            self.want(name);
        }
        if let Err(error) = result {
            self.fail(error);
        }
    }

    fn fail(&mut self, error: AgentError) {
        tracing::error!(%error, "a worker gave up");
        self.first_error.get_or_insert(error);
    }
}
