//! Carries out what is open of a sweep that is in the store.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::agent::{Agent, AgentMode, Events, LabelFiles, OutputFiles, Stop, Subject, event_queue};
use crate::domain::{Device, Event, EventKind, Record, RunStatus, SweepDefinition, SweepId, SweepRow, SweepState};
use crate::lab::{EngineSource, Lab, LabError, RunnerSource, VERSION};
use crate::lease::{Clock, Holder, Lease, LeaseKeeper};
use crate::progress::Progress;
use crate::publish;
use crate::store::Store;

use super::MAX_DEVICES;

/// How long a view may take to show its last events.
const VIEW_TIMEOUT: Duration = Duration::from_secs(5);

/// The lease of a sweep, and what prolongs it.
pub(super) struct SweepLease {
    pub(super) keeper: LeaseKeeper,
    pub(super) lease: Lease,
}

/// A sweep that is in the store, with all that it takes to carry it out. `Lab::execution` is the one place that makes it.
pub struct SweepExecution {
    /// What its workers share.
    pub(super) agent: Agent,
    /// The devices with open jobs.
    pub(super) devices: Vec<Device>,
    /// The process that had it, when it ended without a word.
    pub(super) left_by: Option<String>,
    /// Whether it begins, or goes on.
    pub(super) is_new: bool,
    lease: Lease,
    /// Its file, as it was named when it began.
    config: String,
    /// What happens, for a view.
    events: mpsc::Receiver<Event>,
}

impl SweepExecution {
    /// The sweep.
    pub fn id(&self) -> &SweepId {
        &self.agent.sweep.id
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
    /// Whether a person asked: here, not by cancelling the sweep from elsewhere.
    fn is_interrupted(&self) -> bool {
        match self {
            StopRequests::OfPerson(asked) => asked.times() > 0,
            StopRequests::OfDaemon(_) => false,
        }
    }

    /// Passes on to workers what is asked for, until it is dropped.
    async fn pass_on(&self, stop: &Stop, events: &Events) {
        let (StopRequests::OfPerson(asked) | StopRequests::OfDaemon(asked)) = self;
        let mut times = 0;
        loop {
            asked.reached(times + 1).await;
            times = asked.times();
            stop.raise(times);
            if matches!(self, StopRequests::OfPerson(_)) {
                events.emit(Subject::default(), EventKind::StopRequested { times }).await;
            }
        }
    }
}

impl Lab {
    /// An execution that goes on with the jobs of no device yet.
    pub(super) fn execution(
        &self,
        sweep: SweepRow,
        definition: SweepDefinition,
        lease: SweepLease,
        runners: RunnerSource,
        engines: EngineSource,
    ) -> Result<SweepExecution, LabError> {
        let store = self.store()?;
        let (sender, events) = event_queue();
        let SweepLease { keeper, lease } = lease;
        let agent = Agent {
            mode: AgentMode::Jobs,
            lab: store.lab_id()?,
            timeouts: definition.sweep.timeouts,
            on_failure: definition.sweep.on_failure,
            retry: definition.sweep.retry,
            lab_devices: Vec::new(),
            connect: Arc::new(self.connect_options()),
            model_files: HashMap::new(),
            runners: Arc::new(runners),
            engines: Arc::new(engines),
            outputs: OutputFiles::new(self.outputs()),
            labels: LabelFiles::new(self.artifacts()),
            events: Events::new(Arc::clone(&store), sender, sweep.id.clone(), wall_clock()),
            stop: Arc::default(),
            max_devices: MAX_DEVICES,
            leases: keeper,
            clock: wall_clock(),
            store,
            sweep,
        };
        let config = definition.config;
        Ok(SweepExecution { agent, devices: Vec::new(), left_by: None, is_new: false, lease, config, events })
    }

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
        let SweepExecution { agent, devices, left_by, is_new, lease, config, events: receiver } = execution;
        let (store, sweep, mode) = (Arc::clone(&agent.store), agent.sweep.clone(), agent.mode);
        let folder = publish::sweep_folder(&self.reports(), sweep.id.as_str());
        let _log = self.logs.write_to(&folder.join("log.jsonl"))?;
        tracing::info!(sweep = %sweep.id, config = %config, version = VERSION, ?mode, "sweep begins");
        let view = tokio::spawn({
            let progress = progress.clone();
            async move { progress.follow(receiver).await }
        });
        let (events, stop) = (agent.events.clone(), Arc::clone(&agent.stop));
        let started = started(store.as_ref(), &sweep, &devices, is_new, left_by)?;
        events.emit(Subject::default(), started).await;
        tokio::select! {
            ended = Arc::new(agent).carry_out(devices, &lease) => ended?,
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
        let id = execution.id().clone();
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
