//! Claims jobs and carries them out: one worker per device, one run at a time on each.
//!
//! Main type: [`Agent`]. Owns the sessions with devices; everything that must survive goes into the store at once, and
//! what happened goes to the store and to the live view as events. Never prints, and decides nothing that a plan decides.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tracing::Instrument as _;

use crate::device::RunnerProvider;
use crate::domain::{Device, Event, OnFailure, SweepRow, Timeouts, TransportConfig};
use crate::inventory::{Spare, find_spares};
use crate::store::{Store, StoreError};
use crate::transport::ConnectOptions;

use healing::Healing;
use spares::Phones;

mod events;
mod healing;
mod holder;
mod outputs;
mod prepare;
mod records;
mod spares;
mod worker;

pub use events::{Events, Subject};
pub use holder::Holder;
pub use outputs::OutputFiles;
pub use prepare::{Undone, is_left_behind, undo_changes};
pub use records::of_cell as record_of_cell;

/// How often a person asked to stop: 0 not at all; 1 starts no more runs; 2 ends those under way; 3 leaves.
pub type StopSignal = watch::Receiver<u32>;

/// What an agent could not do, beyond what is a failed run.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The store refused; the sweep can't go on.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A worker ended in a way it never should.
    #[error("work on a device: {0}")]
    Worker(String),
}

/// Everything the workers of one sweep share.
pub struct Agent {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// The sweep that is carried out.
    pub sweep: SweepRow,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// What a failed run means for those after it.
    pub on_failure: OnFailure,
    /// How to connect.
    pub connect_options: ConnectOptions,
    /// Where the models' files are on this host, by hash.
    pub model_files: HashMap<String, PathBuf>,
    /// Where runners come from.
    pub runners: Arc<dyn RunnerProvider>,
    /// Where outputs are kept.
    pub outputs: OutputFiles,
    /// Where events go.
    pub events: Events,
    /// Whether a person asked to stop.
    pub stop: StopSignal,
    /// Most devices that are worked on at the same time.
    pub max_devices: usize,
    /// Name of this process in leases and in the journal of changes: a [`Holder`].
    pub holder: String,
}

impl Agent {
    /// Carries out the open jobs of the sweep on these devices; returns when all are done or a person stopped it.
    ///
    /// # Errors
    /// When the store can't be used any more. Failures of devices and runs are records, not errors.
    pub async fn carry_out(self: Arc<Self>, devices: Vec<Device>) -> Result<(), AgentError> {
        let places = Arc::new(Semaphore::new(self.max_devices.max(1)));
        // on_failure: stop_sweep. Workers look at it before each job.
        let (halt, _) = watch::channel(None::<String>);
        let halt = Arc::new(halt);
        let mut workers = JoinSet::new();
        let known = Arc::new(Phones::default());
        let start = |workers: &mut JoinSet<_>, device: Device| {
            let (agent, places, halt) = (Arc::clone(&self), Arc::clone(&places), Arc::clone(&halt));
            let known = Arc::clone(&known);
            let work = async move {
                // The semaphore is never closed.
                let Ok(_place) = places.acquire_owned().await else { return Ok(()) };
                worker::work(&agent, &device, &known, &halt).await
            };
            workers.spawn(work.instrument(tracing::info_span!("sweep", id = %self.sweep.id)));
        };
        // Which phones are the same must be known before any of them is worked on; no other device waits for that.
        let (phones, others): (Vec<Device>, Vec<Device>) =
            devices.into_iter().partition(|device| matches!(device.transport, TransportConfig::Adb(_)));
        others.into_iter().for_each(|device| start(&mut workers, device));
        let healing = Healing::watch(self.events.clone(), &phones);
        known.set_spares(self.find_spares(&phones).await);
        phones.into_iter().for_each(|device| start(&mut workers, device));
        let mut first_error = None;
        while let Some(ended) = workers.join_next().await {
            let result = ended.unwrap_or_else(|error| Err(AgentError::Worker(error.to_string())));
            if let Err(error) = result {
                tracing::error!(%error, "a worker gave up");
                first_error.get_or_insert(error);
            }
        }
        healing.end().await;
        first_error.map_or(Ok(()), Err)
    }

    /// Which of the devices are others reached another way; none when a person stops it meanwhile.
    async fn find_spares(&self, devices: &[Device]) -> Vec<Spare> {
        let mut stop = self.stop.clone();
        tokio::select! {
            spares = find_spares(devices, &self.connect_options, &self.timeouts) => spares,
            _ = stop.wait_for(|times| *times > 0) => Vec::new(),
        }
    }

    fn bring_up_limit(&self) -> Duration {
        Duration::from_secs_f64(self.timeouts.bring_up_seconds)
    }
}

/// The bounded queue between the agent and a live view.
pub fn event_queue() -> (mpsc::Sender<Event>, mpsc::Receiver<Event>) {
    const QUEUED_EVENTS: usize = 1024;
    mpsc::channel(QUEUED_EVENTS)
}

/// Runs a call of the store where it may block.
async fn with_store<T, F>(store: &Arc<dyn Store>, call: F) -> Result<T, AgentError>
where
    T: Send + 'static,
    F: FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
{
    let store = Arc::clone(store);
    tokio::task::spawn_blocking(move || call(store.as_ref()))
        .await
        .map_err(|error| AgentError::Worker(error.to_string()))?
        .map_err(AgentError::Store)
}
