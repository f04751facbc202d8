//! Carries out what is open of a sweep that is in the store.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::agent::{Agent, AgentMode, Events, LabelFiles, OutputFiles, Stop, Subject, event_queue};
use crate::domain::{Device, EventKind, Record, RunStatus, SweepDefinition, SweepId, SweepRow, SweepState};
use crate::lab::{EngineSource, Lab, LabError, RunnerSource, VERSION};
use crate::lease::{Clock, Holder, Lease, LeaseKeeper};
use crate::progress::Progress;
use crate::store::Store;

use super::MAX_DEVICES;

/// How long a view may take to show its last events.
const VIEW_TIMEOUT: Duration = Duration::from_secs(5);

/// The lease of a sweep, and what prolongs it.
pub(super) struct SweepLease {
    pub(super) keeper: LeaseKeeper,
    pub(super) lease: Lease,
}

/// A sweep that is in the store, with all that it takes to carry it out.
pub struct SweepExecution {
    pub(super) sweep: SweepRow,
    pub(super) definition: SweepDefinition,
    pub(super) mode: AgentMode,
    /// Those with open jobs.
    pub(super) devices: Vec<Device>,
    pub(super) lab_devices: Vec<Device>,
    pub(super) model_files: HashMap<String, PathBuf>,
    pub(super) runners: RunnerSource,
    pub(super) engines: EngineSource,
    pub(super) lease: SweepLease,
    pub(super) max_devices: usize,
    /// The process that had it, when it ended without a word.
    pub(super) left_by: Option<String>,
    /// Whether it begins, or goes on.
    pub(super) is_new: bool,
}

impl SweepExecution {
    /// One that goes on with the jobs of no device yet.
    pub(super) fn new(
        sweep: SweepRow,
        definition: SweepDefinition,
        lease: SweepLease,
        runners: RunnerSource,
        engines: EngineSource,
    ) -> SweepExecution {
        SweepExecution {
            sweep,
            definition,
            mode: AgentMode::Jobs,
            devices: Vec::new(),
            lab_devices: Vec::new(),
            model_files: HashMap::new(),
            runners,
            engines,
            lease,
            max_devices: MAX_DEVICES,
            left_by: None,
            is_new: false,
        }
    }

    /// The sweep.
    pub fn id(&self) -> &SweepId {
        &self.sweep.id
    }
}

/// Who says when an execution is to stop.
pub enum StopRequests {
    /// A person who waits for its end: each time they ask is an event, and whoever asks three times leaves.
    OfPerson(Arc<Stop>),
    /// The daemon.
    OfDaemon(Arc<Stop>),
}

impl StopRequests {
    /// What workers look at.
    fn stop(&self) -> Arc<Stop> {
        match self {
            // A person may cancel the sweep from elsewhere, too: then they did not ask here.
            StopRequests::OfPerson(_) => Arc::default(),
            StopRequests::OfDaemon(stop) => Arc::clone(stop),
        }
    }

    /// Whether a person asked.
    fn is_interrupted(&self) -> bool {
        match self {
            StopRequests::OfPerson(asked) => asked.times() > 0,
            StopRequests::OfDaemon(_) => false,
        }
    }

    /// Passes on what a person asks for, until it is dropped.
    async fn pass_on(&self, stop: &Stop, events: &Events) {
        let StopRequests::OfPerson(asked) = self else { return std::future::pending().await };
        let mut times = 0;
        loop {
            asked.reached(times + 1).await;
            times = asked.times();
            stop.raise(times);
            events.emit(Subject::default(), EventKind::StopRequested { times }).await;
        }
    }
}

impl Lab {
    /// Carries out what is open of a sweep; returns whether a person interrupted it.
    ///
    /// # Errors
    /// When the store can't be used any more, or the sweep's lease is lost.
    pub async fn execute(
        &self,
        execution: SweepExecution,
        requests: &StopRequests,
        progress: &Progress,
    ) -> Result<bool, LabError> {
        let store = self.store()?;
        let SweepExecution { sweep, definition, mode, devices, lab_devices, lease, .. } = execution;
        let results = crate::publish::sweep_folder(&self.reports(), sweep.id.as_str());
        let _log = self.logs.write_to(&results.join("log.jsonl"))?;
        tracing::info!(sweep = %sweep.id, config = %definition.config, version = VERSION, ?mode, "sweep begins");
        let (sender, receiver) = event_queue();
        let view = tokio::spawn({
            let progress = progress.clone();
            async move { progress.follow(receiver).await }
        });
        let events = Events::new(Arc::clone(&store), sender, sweep.id.clone(), wall_clock());
        let started = started(store.as_ref(), &sweep, &devices, execution.is_new, execution.left_by)?;
        events.emit(Subject::default(), started).await;
        let SweepLease { keeper, lease } = lease;
        let stop = requests.stop();
        let agent = Arc::new(Agent {
            mode,
            store: Arc::clone(&store),
            lab: store.lab_id()?,
            sweep: sweep.clone(),
            timeouts: definition.sweep.timeouts,
            on_failure: definition.sweep.on_failure,
            retry: definition.sweep.retry.clone(),
            lab_devices,
            connect: Arc::new(self.connect_options()),
            model_files: execution.model_files,
            runners: Arc::new(execution.runners),
            engines: Arc::new(execution.engines),
            outputs: OutputFiles::new(self.outputs()),
            labels: LabelFiles::new(self.artifacts()),
            events: events.clone(),
            stop: Arc::clone(&stop),
            max_devices: execution.max_devices,
            leases: keeper,
            clock: wall_clock(),
        });
        tokio::select! {
            ended = agent.carry_out(devices, &lease) => ended?,
            () = requests.pass_on(&stop, &events) => {}
            // Whoever asks three times does not want to wait; runs on devices go on by themselves.
            () = stop.reached(3) => self.remark("left while runs are under way on devices"),
        }
        let is_interrupted = requests.is_interrupted();
        // While the lease is held: nobody else does the same.
        if store.sweep_state(&sweep.id)? == SweepState::Cancelling {
            self.close_open_jobs(&sweep)?;
        }
        lease.release()?;
        events.emit(Subject::default(), count(&self.records(&sweep)?)).await;
        // The view ends with its queue; one that hangs (a terminal that takes no more) must not keep the sweep.
        drop(events);
        let _ = tokio::time::timeout(VIEW_TIMEOUT, view).await;
        Ok(is_interrupted)
    }

    /// Carries a sweep out and concludes it, for somebody who is not there to see it.
    ///
    /// # Errors
    /// As for [`Lab::execute`] and [`Lab::conclude`].
    pub async fn run_headless(
        &self,
        execution: SweepExecution,
        stop: Arc<Stop>,
        progress: &Progress,
    ) -> Result<(), LabError> {
        let id = execution.sweep.id.clone();
        self.execute(execution, &StopRequests::OfDaemon(stop), progress).await?;
        self.conclude(&id).map(drop)
    }

    /// Begins to keep the leases of a task of this process.
    pub(in crate::lab) fn start_lease_keeper(&self) -> Result<LeaseKeeper, LabError> {
        let holder = Holder::for_next_task().map_err(|error| {
            LabError::internal(format!("failed to name this process: {error}"))
                .with_hint("is /proc mounted on this host?")
        })?;
        Ok(LeaseKeeper::start(self.store()?, holder.to_string(), wall_clock())?)
    }
}

/// The time of day of this host.
pub(in crate::lab) fn wall_clock() -> Clock {
    Arc::new(Timestamp::now)
}

fn started(
    store: &dyn Store,
    sweep: &SweepRow,
    devices: &[Device],
    is_new: bool,
    left_by: Option<String>,
) -> Result<EventKind, LabError> {
    let (jobs, open) = (store.jobs(&sweep.id)?.len() as u64, store.open_jobs(&sweep.id, None)?.len() as u64);
    let (name, devices) = (sweep.name.clone(), devices.len() as u64);
    if !is_new {
        return Ok(EventKind::SweepResumed { name, jobs, recorded: jobs - open, devices, left_by });
    }
    let skipped = store.records(&sweep.id)?.len() as u64;
    Ok(EventKind::SweepStarted { name, jobs, skipped, devices })
}

fn count(records: &[Record]) -> EventKind {
    let of = |status| records.iter().filter(|record| record.status == status).count() as u64;
    EventKind::SweepFinished {
        ok: of(RunStatus::Ok),
        failed: of(RunStatus::Failed),
        skipped: of(RunStatus::Skipped),
        cancelled: of(RunStatus::Cancelled),
    }
}
