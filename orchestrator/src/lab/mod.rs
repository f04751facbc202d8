//! What a lab can do: plan, begin, go on with, cancel and conclude sweeps, have files ready, ask devices, tidy, notify.
//!
//! Main type: [`Lab`], which stands between the faces (`cli`, `api`, `daemon`) and `agent`. A face reads what was
//! asked, makes a call of it, and prints, serves or schedules the answer. Knows no format, colour, exit code or HTTP
//! status; reads no environment: what it takes of that is handed to it as [`Environment`].

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::clock::LabClock;
use crate::store::Store;

use devices::KnownDevices;
use files::OpenShared;

mod acts;
mod baselines;
mod checks;
mod clock;
mod compare;
mod daemon_process;
mod devices;
mod doctor;
mod environment;
mod error;
mod farm_files;
mod files;
mod folder;
mod history;
mod hosts;
mod maintenance;
mod notices;
mod once;
mod orders;
mod plan;
mod regressions;
mod restore;
mod result_rows;
mod result_tables;
mod retention;
mod schedules;
mod shared_reports;
mod side_by_side;
mod sweep;
mod sweep_log;
mod trust;
mod watched;
mod why;

pub use crate::agent::{ProbeResult, Stop, slower_by};
pub use crate::planner::DeviceEstimate;
pub use crate::store::people::LONGEST_LOCK;
pub use crate::store::{Aside, StoreCheck, SweepCounts, Vacuumed};
pub use baselines::BaselineChange;
pub use clock::{ACCEPT_CLOCK, ClockState};
pub use compare::BASELINE;
pub use daemon_process::{DaemonLock, NamedVariables, TokensPlace};
pub use devices::{LabDevice, Question, check_lock_reason};
pub use doctor::Finding;
pub use environment::{Environment, Overrides};
pub use error::{ErrorKind, LabError};
pub use farm_files::{AddedDevices, declared_in};
pub use files::{
    EngineFileOutcome, EngineSource, FileChoice, FileOutcome, FoundRunner, InspectedModel, ReadyModel, RunnerSource,
    find_backend, find_model, find_published,
};
pub use history::{HistoryQuery, MOST_RUNS, ModelHistory};
pub use hosts::{HostDetails, HostDevice, HostKeeper, HostNews, HostOverview};
pub use orders::{Order, PlanPreview, Started};
pub use plan::PlannedSweep;
pub use restore::Restored;
pub use result_rows::{LargeSweeps, RowPlace, RowQuery, RowsRead};
pub use retention::{Removal, Tidying};
pub use schedules::ScheduleOverview;
pub use side_by_side::{AgainOrder, PlannedAgain, SideBySideOrder, SideBySideResult, SweepAgain};
pub use sweep::{
    Cancelled, FollowEnd, MAX_DEVICES, Resumed, StopRequests, SweepExecution, SweepOverview, SweepResults, Unpinned,
};
pub use sweep_log::{SweepLog, SweepLogWriter, SweepLogs};
pub use trust::{TrustOfDevice, TrustOfDevices};
pub use watched::{FileStamp, FileStamps};

/// Version and commit, as `--version` and every record have them.
pub const VERSION: &str = if env!("FARMCTL_COMMIT").is_empty() {
    env!("CARGO_PKG_VERSION")
} else {
    concat!(env!("CARGO_PKG_VERSION"), " (", env!("FARMCTL_COMMIT"), ")")
};

/// Takes a remark for people that is no result: one line, or some.
pub type Remarks = Arc<dyn Fn(&str) + Send + Sync>;

/// One lab, one folder, with what this process was given by its user and its environment. Cheap to clone; clones share
/// the open store.
#[derive(Clone)]
pub struct Lab {
    root: PathBuf,
    overrides: Overrides,
    environment: Environment,
    store: Arc<Mutex<Option<Arc<dyn Store>>>>,
    known_devices: Arc<Mutex<Option<KnownDevices>>>,
    shared: Arc<Mutex<Option<OpenShared>>>,
    clock: LabClock,
    logs: SweepLogs,
    remarks: Remarks,
}

impl Lab {
    /// The lab in this folder.
    ///
    /// # Errors
    /// When there is no such folder.
    pub fn open(
        folder: &Path,
        overrides: Overrides,
        environment: Environment,
        logs: SweepLogs,
        remarks: Remarks,
    ) -> Result<Lab, LabError> {
        let root = std::path::absolute(folder).map_err(|error| {
            LabError::usage(format!("failed to find {}: {error}", folder.display())).caused_by(error)
        })?;
        if !root.is_dir() {
            return Err(LabError::usage(format!("the lab {} is no folder", root.display())));
        }
        let clock = LabClock::of_host();
        let (store, known_devices, shared) = (Arc::default(), Arc::default(), Arc::default());
        Ok(Lab { root, overrides, environment, store, known_devices, shared, clock, logs, remarks })
    }

    /// The same lab with a store of its own: who only looks does not hold up what is done.
    #[must_use]
    pub fn with_own_store(&self) -> Lab {
        Lab { store: Arc::default(), ..self.clone() }
    }

    /// Tells a person something that is no result.
    fn remark(&self, text: &str) {
        (self.remarks)(text);
    }
}
