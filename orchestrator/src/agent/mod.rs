//! Claims jobs and carries them out: one worker per device, one run at a time on each.
//!
//! Main type: [`Agent`]. Owns the sessions with devices; everything that must survive goes into the store at once, and
//! what happened goes to the store and to the live view as events. Never prints, and decides nothing that a plan
//! decides.
//!
//! Reading order: `assignment` (what is to be done), `worker` (a device's turns), `waiting` (what comes between them),
//! `prepare`, `quiet` and `pace` (before its first run), `jobs` (what is done in a turn), `attempt` (one run),
//! `cooldown` (before each run), `ledger` (what is written about it), `policy` (what a failure means).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::domain::{Device, Event, LabId, SweepId, SweepState, TransportConfig};
use crate::inventory::{PhoneSurvey, survey_phones};
use crate::lease::{Clock, Lease, LeaseKeeper};
use crate::store::{Store, StoreError};
use crate::transport::Connect;

use healing::Healing;
use worker_pool::{Shared, WorkerPool};

mod activity;
mod assignment;
mod attempt;
mod check;
mod cooldown;
mod endings;
mod events;
mod healing;
mod host_files;
mod jobs;
mod labels;
mod late;
mod leasing;
mod ledger;
mod machines;
mod orphans;
mod outputs;
mod pace;
mod policy;
mod precedence;
mod prepare;
mod probe;
mod quiet;
mod records;
mod recovery;
mod refusals;
mod run_end;
mod side_by_side;
mod sightings;
mod stop;
mod turns;
mod verdict;
mod waiting;
mod worker;
mod worker_pool;

pub use assignment::{AgentMode, Assignment, SweepFiles, SweepRules};
pub use events::{Events, Subject};
pub use host_files::HostFiles;
pub use labels::LabelFiles;
pub use outputs::OutputFiles;
pub use prepare::{Undone, is_left_behind, undo_changes};
pub use probe::{Initiator, ProbeResult, Probes};
pub use records::cell_record;
pub use stop::Stop;
pub use verdict::{Baseline, slower_by};

/// How often it is looked whether a person cancelled the sweep, or another host ended it.
const CANCEL_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// What an agent could not do, beyond what is a failed run.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The store refused; the sweep can't go on.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What a network answered can't be written; the run is not ended, so that nothing is lost.
    #[error("keep what a network answered: {0}; the sweep can be resumed once there is room")]
    Outputs(#[source] std::io::Error),
    /// What images really show can't be read; the run is not ended, so that its answers are not lost.
    #[error("read what the images of a dataset show: {0}; `farmctl sweep --resume` makes the file anew")]
    Labels(#[source] std::io::Error),
    /// Another process carries the sweep out by now.
    #[error("go on with the sweep: its lease was lost to another process while this one stood still")]
    SweepLost,
    /// A worker ended in a way it never should.
    #[error("work on a device: {0}")]
    Worker(String),
}

/// Everything the workers of one sweep share.
pub struct Agent {
    assignment: Assignment,
    files: SweepFiles,
    connect: Arc<dyn Connect>,
    /// The truth.
    store: Arc<dyn Store>,
    /// The lab, as devices remember its leases.
    lab: LabId,
    /// The leases of this process.
    leases: LeaseKeeper,
    clock: Clock,
    /// When this work began, by that clock.
    began_at: Timestamp,
    events: Events,
    stop: Arc<Stop>,
    /// Earlier sweeps that got a late result.
    amended: Mutex<BTreeSet<SweepId>>,
}

impl Agent {
    /// An agent for one sweep, which works with the keeper's store, leases and clock. What happens goes to `live`, too.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn new(
        assignment: Assignment,
        files: SweepFiles,
        connect: Arc<dyn Connect>,
        leases: LeaseKeeper,
        live: mpsc::Sender<Event>,
    ) -> Result<Agent, StoreError> {
        let (store, clock) = (Arc::clone(leases.store()), leases.clock().clone());
        let events = Events::new(Arc::clone(&store), live, assignment.sweep.id.clone(), clock.clone());
        let (lab, began_at) = (store.lab_id()?, clock());
        Ok(Agent {
            assignment,
            files,
            connect,
            store,
            lab,
            leases,
            clock,
            began_at,
            events,
            stop: Arc::default(),
            amended: Mutex::default(),
        })
    }

    /// Where what happens in the sweep is told.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Earlier sweeps whose reports have to be written again, for one of their runs was found.
    pub fn amended(&self) -> BTreeSet<SweepId> {
        self.amended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note_amended(&self, sweep: &SweepId) {
        self.amended.lock().unwrap_or_else(PoisonError::into_inner).insert(sweep.clone());
    }

    /// By this it is told to stop.
    pub fn stop(&self) -> &Arc<Stop> {
        &self.stop
    }

    /// Carries out the open jobs of the sweep on these devices, under the sweep's lease or a part of it. Returns when
    /// all are done, or when a person stopped it.
    ///
    /// # Errors
    /// When the store can't be used any more, or the sweep's lease is lost. Failures of devices and runs are records,
    /// not errors.
    pub async fn carry_out(self: Arc<Self>, devices: Vec<Device>, lease: &Lease) -> Result<(), AgentError> {
        tokio::select! {
            done = Arc::clone(&self).work(devices) => done,
            () = lease.lost() => Err(AgentError::SweepLost),
            never = self.watch_for_cancel() => never,
        }
    }

    async fn work(self: Arc<Self>, devices: Vec<Device>) -> Result<(), AgentError> {
        let shared = Arc::new(Shared::new(self.assignment.max_devices));
        let mut pool = WorkerPool::new(&self, &shared);
        // Count as busy until every worker has started.
        let beginning = shared.activity.begin();
        // Which phones are the same must be known before any of them is worked on; no other device waits for that.
        let (phones, others): (Vec<Device>, Vec<Device>) =
            devices.into_iter().partition(|device| matches!(device.transport, TransportConfig::Adb(_)));
        others.into_iter().for_each(|device| pool.start(device));
        let healing = Healing::watch(self.events.clone(), &phones);
        shared.machines.set_survey(self.survey_phones(&phones).await);
        phones.into_iter().for_each(|device| pool.start(device));
        drop(beginning);
        let worked = tokio::select! {
            worked = pool.work() => worked,
            never = self.watch_for_halt(&shared) => never,
        };
        healing.end().await;
        worked
    }

    /// Has no more jobs started here once another process that carries out the same sweep says so; never returns but
    /// for an error.
    async fn watch_for_halt(&self, shared: &Shared) -> Result<(), AgentError> {
        if !self.assignment.is_shared {
            return std::future::pending().await;
        }
        let why = loop {
            if let Some(why) = self.store.halted(&self.assignment.sweep.id)? {
                break why;
            }
            tokio::time::sleep(CANCEL_POLL_INTERVAL).await;
        };
        shared.halt.send_replace(Some(why));
        std::future::pending().await
    }

    /// Which of the devices are others reached another way; none when a person stops it meanwhile.
    async fn survey_phones(&self, devices: &[Device]) -> PhoneSurvey {
        let timeouts = &self.assignment.rules.timeouts;
        tokio::select! {
            survey = survey_phones(devices, self.connect.as_ref(), timeouts) => survey,
            () = self.stopped() => PhoneSurvey::default(),
        }
    }

    /// Ends the runs under way once a person has cancelled the sweep; never returns but for an error.
    async fn watch_for_cancel(&self) -> Result<(), AgentError> {
        loop {
            tokio::time::sleep(CANCEL_POLL_INTERVAL).await;
            if self.store.sweep_state(&self.assignment.sweep.id)? == SweepState::Cancelling {
                self.stop.raise(2);
            }
        }
    }

    /// Whether no more runs are to be started.
    fn is_stopping(&self) -> bool {
        self.assignment.mode == AgentMode::Jobs && self.stop.times() > 0
    }

    /// Waits until no more runs are to be started.
    async fn stopped(&self) {
        match self.assignment.mode {
            AgentMode::Jobs => self.stop.reached(1).await,
            AgentMode::EndRuns => std::future::pending().await,
        }
    }

    /// Waits until the runs under way are to be ended.
    async fn asked_to_end(&self) {
        match self.assignment.mode {
            AgentMode::Jobs => self.stop.reached(2).await,
            AgentMode::EndRuns => {}
        }
    }

    fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// When it will be this time of day; now when it was so before.
    fn instant_of(&self, moment: Timestamp) -> Instant {
        let left = Duration::try_from(moment.duration_since(self.now())).unwrap_or(Duration::ZERO);
        Instant::now() + left
    }

    fn bring_up_limit(&self) -> Duration {
        Duration::from_secs_f64(self.assignment.rules.timeouts.bring_up_seconds)
    }
}

/// The bounded queue between the agent and a live view.
pub fn event_queue() -> (mpsc::Sender<Event>, mpsc::Receiver<Event>) {
    const QUEUED_EVENTS: usize = 1024;
    mpsc::channel(QUEUED_EVENTS)
}

fn as_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The time of day after a pause.
fn later(now: Timestamp, pause: Duration) -> Timestamp {
    let pause = SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX);
    now.checked_add(pause).unwrap_or(Timestamp::MAX)
}
