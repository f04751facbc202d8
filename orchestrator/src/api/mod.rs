//! The lab over HTTP: a JSON API, live events, the page, reports and metrics.
//!
//! Main type: [`Api`], which [`serve`] puts behind a listener; what only the command line can do is behind the trait
//! [`Actions`]. What is answered has types of its own, so that a change of the spine is no change of the API. Holds no
//! truth: what is read comes from the store, what is done goes there. Never blocks the runtime on the store or a file.
//!
//! Reading order: `routes` (all there is), `endpoint` (how a route is served and documented), `guard` (who gets in),
//! `devices`, `sweeps`, `schedules` and `lab` (what is answered), `live` (who is told of changes), `server` (connections).

mod devices;
mod endpoint;
mod guard;
mod lab;
mod live;
mod page;
mod person;
mod refusal;
mod reports;
mod routes;
mod schedules;
mod server;
mod session;
mod sweeps;

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{Semaphore, watch};

use crate::daemon::Status;
use crate::domain::{Device, SweepId};
use crate::schedule::Schedule;
use crate::store::Store;

use live::Live;
pub use person::{Person, Role};
pub use refusal::Refusal;
pub use server::{Server, bind, serve};

/// Calls that may read the store at the same time: what more there is waits, and threads stay for the daemon's own work.
const READERS: usize = 8;

/// Sweeps that may be begun at the same time: their files may take a while to be made ready.
const STARTERS: usize = 4;

/// What the daemon is at, as it last said.
#[derive(Debug, Clone)]
pub struct Now {
    /// In short.
    pub status: Status,
    /// What it goes by.
    pub schedules: Arc<[Schedule]>,
    /// When it last looked what is to be done.
    pub looked_at: Timestamp,
}

/// A device of the farm files.
#[derive(Debug, Clone)]
pub struct LabDevice {
    /// What is declared.
    pub device: Device,
    /// How a person would name the way to it.
    pub address: String,
}

/// What is to be started.
#[derive(Debug)]
pub enum Order {
    /// A sweep's file, as [`Actions::sweep_files`] names it, on these devices instead of those it names.
    File(String, Option<Vec<String>>),
    /// The sweep of a schedule, now.
    Schedule(Box<Schedule>),
}

/// What only the command line can do. All calls may block, and are made where that is no harm.
pub trait Actions: Send + Sync {
    /// The devices as the farm files have them now.
    ///
    /// # Errors
    /// When a file is faulty, with its place.
    fn devices(&self) -> Result<Arc<[LabDevice]>, Refusal>;

    /// The files that may be started, relative to the lab.
    fn sweep_files(&self) -> Vec<String>;

    /// Adds a sweep to the store, and has it carried out.
    ///
    /// # Errors
    /// When the file is faulty, or there is nothing to run.
    fn start(&self, order: Order, by: &str) -> Result<SweepId, Refusal>;

    /// Ends a sweep that is marked as cancelled already, where no other process does.
    fn cancel(&self, sweep: &SweepId);
}

/// What a server of a lab is made from.
pub struct Parts {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// What only the command line can do.
    pub actions: Arc<dyn Actions>,
    /// What the daemon is at.
    pub now: watch::Receiver<Now>,
    /// Where reports are.
    pub reports: PathBuf,
    /// The lab's name.
    pub lab: String,
    /// Version and commit of this program.
    pub version: &'static str,
    /// Who everybody is where no tokens are asked for.
    pub owner: String,
    /// Names that this host has, besides those of the loopback.
    pub host_names: Vec<String>,
}

/// The API of a lab.
pub struct Api {
    store: Arc<dyn Store>,
    actions: Arc<dyn Actions>,
    now: watch::Receiver<Now>,
    reports: PathBuf,
    lab: String,
    version: &'static str,
    owner: String,
    host_names: Vec<String>,
    started_at: Timestamp,
    live: Live,
    readers: Semaphore,
    starters: Semaphore,
}

impl Api {
    /// An API that nobody can reach yet.
    pub fn new(parts: Parts) -> Arc<Api> {
        let Parts { store, actions, now, reports, lab, version, owner, host_names } = parts;
        let (readers, starters) = (Semaphore::new(READERS), Semaphore::new(STARTERS));
        let (started_at, live) = (Timestamp::now(), Live::default());
        Arc::new(Api {
            store,
            actions,
            now,
            reports,
            lab,
            version,
            owner,
            host_names,
            started_at,
            live,
            readers,
            starters,
        })
    }

    /// Does what may block where it is no harm.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Api) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.in_turn(&self.readers, work).await
    }

    /// Does what may take as long as files take to be made ready.
    async fn acting<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Api) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        self.in_turn(&self.starters, work).await
    }

    async fn in_turn<T: Send + 'static>(
        self: &Arc<Self>,
        turns: &Semaphore,
        work: impl FnOnce(&Api) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let _turn = turns.acquire().await.map_err(|_| Refusal::unavailable("the daemon stops"))?;
        let api = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&api)).await;
        done.map_err(|error| Refusal::internal(format!("it broke off: {error}")))?
    }

    /// What the daemon is at.
    fn now(&self) -> Now {
        self.now.borrow().clone()
    }
}
