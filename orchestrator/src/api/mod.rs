//! The lab over HTTP: a JSON API, live events, the page, reports and metrics.
//!
//! Main type: [`Api`], which [`serve`] puts behind a listener; what only the command line can do is behind the trait
//! [`Actions`]. What is answered has types of its own, so that a change of the spine is no change of the API. Holds no
//! truth: what is read comes from the store, what is done goes there. Never blocks the runtime on the store or a file.
//!
//! Reading order: `routes` (all there is), `endpoint` (how a route is served and documented), `guard` (who gets in),
//! `devices`, `utilisation`, `sweeps`, `schedules` and `lab` (what is answered), `live` (who is told of changes), `server` (connections).

mod devices;
mod endpoint;
mod guard;
mod health;
mod lab;
mod limits;
mod live;
mod metrics;
mod page;
mod person;
mod refusal;
mod reports;
mod routes;
mod schedules;
mod server;
mod session;
mod sweeps;
mod tls;
mod tokens;
mod utilisation;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Mutex, Semaphore, watch};

use crate::daemon::Status;
use crate::domain::{Device, SweepId};
use crate::schedule::Schedule;
use crate::store::{Store, StoreError};

use limits::Limit;
use live::Live;
use metrics::Metrics;
pub use metrics::{METRICS, Metric, MetricKind};
pub use person::{Person, Role};
pub use refusal::Refusal;
pub use routes::document;
pub use server::{Server, bind, serve};
use session::{Access, Doors};
pub use tls::{Tls, tls};
pub use tokens::{Token, TokenError, TokenFile};
use utilisation::Figures;

/// Calls that may read the store at the same time: what more there is waits, and threads stay for the daemon's own work.
const READERS: usize = 8;

/// Sweeps that may be begun at the same time: their files may take a while to be made ready.
const STARTERS: usize = 4;

/// What one person may do: so much at once, then once every so often.
const WRITES_AT_ONCE: u32 = 60;
const WRITES_EACH: Duration = Duration::from_secs(1);

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

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Order::File(file, None) => f.write_str(file),
            Order::File(file, Some(devices)) => write!(f, "{file} on {}", devices.join(", ")),
            Order::Schedule(schedule) => write!(f, "the sweep of schedule {}", schedule.name),
        }
    }
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
    /// Who may ask, by their tokens; without them everybody may, as the owner.
    pub tokens: Option<TokenFile>,
    /// Who everybody is where no tokens are asked for.
    pub owner: String,
    /// Whether it is https.
    pub is_secure: bool,
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
    access: Access,
    is_secure: bool,
    writes: Limit<String>,
    host_names: Vec<String>,
    started_at: Timestamp,
    live: Live,
    metrics: Metrics,
    figures: Mutex<Option<Arc<Figures>>>,
    readers: Semaphore,
    starters: Semaphore,
}

impl Api {
    /// An API that nobody can reach yet.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn new(parts: Parts) -> Result<Arc<Api>, StoreError> {
        let Parts { store, actions, now, reports, lab, version, tokens, owner, is_secure, host_names } = parts;
        let access = match tokens {
            Some(file) => Access::Tokens(Doors::new(file)),
            None => Access::Open(Person { name: owner, role: Role::Admin }),
        };
        let (readers, starters) = (Semaphore::new(READERS), Semaphore::new(STARTERS));
        let (started_at, live) = (Timestamp::now(), Live::default());
        let metrics = Metrics::after(store.last_event()?);
        Ok(Arc::new(Api {
            store,
            actions,
            now,
            reports,
            lab,
            version,
            access,
            is_secure,
            writes: Limit::new(WRITES_AT_ONCE, WRITES_EACH),
            host_names,
            started_at,
            live,
            metrics,
            figures: Mutex::default(),
            readers,
            starters,
        }))
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
