//! The lab over HTTP: a JSON API, live events, the page, reports and metrics.
//!
//! Main type: [`Api`], which a [`Door`] puts behind a listener; what is done is a call of [`Lab`]. What is answered has
//! types of its own, so that a change of the spine is no change of the API. Holds no truth: what is read comes from the
//! store, what is done goes there. Never blocks the runtime on the store or a file.
//!
//! Reading order: `routes` (all there is), `endpoint` (how a route is served and documented), `bounds` (what may be
//! sent), `guard` (who gets in), `devices`, `hosts`, `utilisation`, `sweeps`, `cells`, `comparison`, `cell_histories`,
//! `history`, `regressions`, `trust`, `schedules` and `lab` (what is answered), `start` (what is done), `live` (who is
//! told of changes), `server` (connections), `door` (where it listens).

mod background;
mod bounds;
mod cell_histories;
mod cells;
mod comparison;
mod devices;
mod door;
mod endpoint;
mod guard;
mod health;
mod history;
mod hosts;
mod judged;
mod lab;
mod limits;
mod live;
mod metrics;
mod page;
mod person;
mod places;
mod refusal;
mod regressions;
mod reports;
mod results;
mod routes;
mod schedules;
mod server;
mod session;
mod shares;
mod start;
mod sweeps;
mod tls;
mod token_uses;
mod tokens;
mod trust;
mod utilisation;

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit, watch};

use crate::domain::DaemonStatus;
use crate::lab::{Lab, LabError, LargeSweeps};
use crate::progress::Progress;
use crate::schedule::Schedule;
use crate::store::Store;

use background::Background;
use cells::KeptCells;
use comparison::Compared;
pub use door::{Certificate, Door, DoorConfig, DoorState, DoorTrouble};
use judged::Judged;
use limits::Limit;
use live::Live;
use metrics::Metrics;
pub use metrics::{METRICS, Metric, MetricKind};
pub use person::{Person, Role};
pub use refusal::Refusal;
pub use routes::document;
use server::{Server, bind, serve};
use session::{Access, TokenAuth};
use shares::Shares;
pub use tls::Tls;
pub use tokens::{Token, TokenError, TokenFile};
use utilisation::Figures;

/// Calls that may read the store at the same time: what more there is waits, and threads stay for the daemon's own
/// work.
const READERS: usize = 8;

/// Sweeps that may be begun at the same time: their files may take a while to be made ready.
const STARTERS: usize = 4;

/// What one person may do: so much at once, then once every so often.
const WRITES_AT_ONCE: u32 = 60;
const WRITES_EACH: Duration = Duration::from_secs(1);

/// Refusals of one address that are logged: so many at once, then one every so often. A log is not for guessers to
/// fill.
const REFUSALS_AT_ONCE: u32 = 30;
const REFUSALS_EACH: Duration = Duration::from_secs(10);

/// What the daemon is at, as it last said.
#[derive(Debug, Clone)]
pub struct Now {
    /// In short.
    pub status: DaemonStatus,
    /// What it goes by.
    pub schedules: Arc<[Schedule]>,
    /// When it last looked what is to be done.
    pub looked_at: Instant,
}

/// What a server of a lab is made from.
pub struct ApiConfig {
    /// The lab. The API opens a store of its own there: who looks does not hold up what is done.
    pub lab: Lab,
    /// Shows work that takes time.
    pub progress: Progress,
    /// What the daemon is at.
    pub now: watch::Receiver<Now>,
    /// Who may ask, by their tokens; without them everybody may, as whoever runs this process.
    pub tokens: Option<TokenFile>,
    /// Whether it is https.
    pub is_secure: bool,
    /// Names that this host has, besides those of the loopback.
    pub host_names: Vec<String>,
    /// The zone whose clocks the page shows, by its name.
    pub time_zone: String,
}

/// The API of a lab.
pub struct Api {
    lab: Lab,
    store: Arc<dyn Store>,
    progress: Progress,
    background: Background,
    now: watch::Receiver<Now>,
    access: Access,
    is_secure: bool,
    writes: Limit<String>,
    /// Refusals that the log has, of each address.
    refusals: Limit<Option<IpAddr>>,
    host_names: Vec<String>,
    time_zone: String,
    started_at: Timestamp,
    live: Live,
    /// Requests that are being answered, and those of them that look on, by who asks.
    answering: Shares,
    looking_on: Shares,
    metrics: Metrics,
    figures: Mutex<Option<Arc<Figures>>>,
    judged: Judged,
    compared: Compared,
    kept_cells: KeptCells,
    large_sweeps: LargeSweeps,
    readers: Semaphore,
    starters: Semaphore,
}

impl Api {
    /// An API that nobody can reach yet.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn new(config: ApiConfig) -> Result<Arc<Api>, LabError> {
        let ApiConfig { lab, progress, now, tokens, is_secure, host_names, time_zone } = config;
        let access = match tokens {
            Some(file) => Access::Tokens(Box::new(TokenAuth::new(file, lab.clock().reader()))),
            None => Access::Open(Person { name: lab.person(), role: Role::Admin }),
        };
        let lab = lab.with_own_store();
        let store = lab.store()?;
        let started_at = lab.now();
        let metrics = Metrics::after(store.last_event()?);
        Ok(Arc::new(Api {
            lab,
            store,
            progress,
            background: Background::default(),
            now,
            access,
            is_secure,
            writes: Limit::new(WRITES_AT_ONCE, WRITES_EACH),
            refusals: Limit::new(REFUSALS_AT_ONCE, REFUSALS_EACH),
            host_names,
            time_zone,
            started_at,
            live: Live::default(),
            answering: Shares::default(),
            looking_on: Shares::default(),
            metrics,
            figures: Mutex::default(),
            judged: Judged::default(),
            compared: Compared::default(),
            kept_cells: KeptCells::default(),
            large_sweeps: LargeSweeps::default(),
            readers: Semaphore::new(READERS),
            starters: Semaphore::new(STARTERS),
        }))
    }

    /// Writes when tokens were last used, where that is due, or all of it at the end.
    pub fn write_uses(&self, is_end: bool) {
        if let Access::Tokens(doors) = &self.access {
            doors.write_uses(is_end);
        }
    }

    /// Waits for what was begun here.
    pub async fn ended(&self) {
        self.background.ended().await;
    }

    /// Does what may block where it is no harm.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Api) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let _turn = take_turn(&self.readers).await?;
        let api = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || work(&api)).await;
        done.map_err(|error| Refusal::internal(format!("it broke off: {error}")))?
    }

    /// What the daemon is at.
    fn now(&self) -> Now {
        self.now.borrow().clone()
    }
}

/// Waits for a turn, which ends with what is returned.
async fn take_turn(turns: &Semaphore) -> Result<SemaphorePermit<'_>, Refusal> {
    turns.acquire().await.map_err(|_| Refusal::unavailable("the daemon stops"))
}
