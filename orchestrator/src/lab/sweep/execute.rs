//! Carries out what is open of a sweep that is in the store.

use std::sync::Arc;
use std::time::Duration;

use crate::agent::{
    Agent, AgentMode, Assignment, Events, HostFiles, LabelFiles, Stop, Subject, SweepFiles, SweepRules, event_queue,
};
use crate::device::RunnerProvider;
use crate::domain::{Device, EventKind, SweepDefinition, SweepId, SweepRow, SweepState};
use crate::lab::files::SweepRunners;
use crate::lab::sweep_log::LOG_FILE;
use crate::lab::{EngineSource, Lab, LabError, VERSION};
use crate::lease::{Holder, Lease, LeaseKeeper, holder_in_words};
use crate::progress::Progress;
use crate::publish;
use crate::store::{Store, SweepCounts};

/// How long a view may take to show its last events.
const VIEW_TIMEOUT: Duration = Duration::from_secs(5);

/// The lease of a sweep or of a part of it, and what prolongs it.
pub(super) struct SweepLease {
    pub(super) keeper: LeaseKeeper,
    pub(super) lease: Lease,
}

/// A sweep that is in the store, with all that it takes to carry it out. `Lab::execution` is the one place that makes
/// it.
pub struct SweepExecution {
    assignment: Assignment,
    files: SweepFiles,
    devices: Vec<Device>,
    lease: SweepLease,
    /// Its file, as it was named when it began.
    config: String,
    beginning: Beginning,
}

/// Whether a sweep begins, or goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Beginning {
    /// It begins.
    New,
    /// It goes on.
    GoesOn {
        /// The process that had it, when it ended without a word.
        left_by: Option<String>,
    },
    /// Others carry it out, and go on with that.
    Joins,
}

/// A sweep that is begun, gone on with, or ended.
pub(super) struct SweepStart {
    pub(super) sweep: SweepRow,
    pub(super) definition: SweepDefinition,
    pub(super) lease: SweepLease,
    pub(super) mode: AgentMode,
    pub(super) beginning: Beginning,
}

/// The devices of a sweep.
pub(super) struct SweepDevices {
    /// Those that it has something to do on.
    pub(super) used: Vec<Device>,
    /// All of the lab.
    pub(super) of_lab: Vec<Device>,
    /// Most that are worked on at the same time.
    pub(super) max_devices: usize,
}

/// The files that were made ready for a sweep.
pub(super) struct ProvidedFiles {
    pub(super) models: HostFiles,
    pub(super) runners: SweepRunners,
    pub(super) engines: EngineSource,
}

impl SweepExecution {
    /// The sweep.
    pub fn id(&self) -> &SweepId {
        &self.assignment.sweep.id
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
    /// All that it takes to carry a sweep out.
    pub(super) fn execution(&self, start: SweepStart, devices: SweepDevices, files: ProvidedFiles) -> SweepExecution {
        let SweepStart { sweep, definition, lease, mode, beginning } = start;
        let SweepDevices { used, of_lab: lab_devices, max_devices } = devices;
        let (rules, is_shared) = (SweepRules::from(&definition.sweep), lease.lease.is_part());
        SweepExecution {
            assignment: Assignment { mode, sweep, rules, lab_devices, max_devices, is_shared },
            files: SweepFiles {
                models: files.models,
                runners: Arc::new(files.runners.a),
                b_runners: files.runners.b.map(|runners| Arc::new(runners) as Arc<dyn RunnerProvider>),
                engines: Arc::new(files.engines),
                outputs: self.output_files(),
                labels: LabelFiles::new(self.artifacts()),
            },
            devices: used,
            lease,
            config: definition.config,
            beginning,
        }
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
        let SweepExecution { assignment, files, devices, lease, config, beginning } = execution;
        let SweepLease { keeper, lease } = lease;
        let (store, sweep, mode) = (self.store()?, assignment.sweep.clone(), assignment.mode);
        let folder = publish::sweep_folder(&self.reports(), sweep.id.as_str());
        let log = self.logs.write_to(&folder.join(LOG_FILE))?;
        tracing::info!(sweep = %sweep.id, config = %config, version = VERSION, ?mode, "sweep begins");
        let names: Vec<String> = devices.iter().map(|device| device.name.clone()).collect();
        let (live, receiver) = event_queue();
        let view = tokio::spawn({
            let progress = progress.clone();
            async move { progress.follow(receiver).await }
        });
        let started = started(store.as_ref(), &sweep, &devices, beginning, keeper.holder())?;
        let agent = Agent::new(assignment, files, Arc::new(self.connect_options()), keeper, live)?;
        let (events, stop) = (agent.events().clone(), Arc::clone(agent.stop()));
        events.emit(Subject::default(), started).await;
        let agent = Arc::new(agent);
        tokio::select! {
            ended = Arc::clone(&agent).carry_out(devices, &lease) => ended?,
            () = requests.pass_on(&stop, &events) => {}
            // Whoever asks three times does not want to wait; runs on devices go on by themselves.
            () = stop.reached(3) => self.remark("left while runs are under way on devices"),
        }
        for amended in agent.amended() {
            if let Err(error) = self.publish(amended.as_str()) {
                tracing::warn!(sweep = %amended, %error, "its reports were not written again");
            }
        }
        drop(agent);
        let (is_interrupted, is_part) = (requests.is_interrupted(), lease.is_part());
        // While the lease is held: nobody else does the same, or they end what is theirs.
        if store.sweep_state(&sweep.id)? == SweepState::Cancelling {
            self.close_open_jobs(&sweep, is_part)?;
        }
        // Of a sweep that others carry out, too, whoever concludes it tells.
        if is_part {
            let is_open = |device: &String| names.contains(device);
            match store.devices_with_open_jobs(&sweep.id)?.iter().any(is_open) {
                true => lease.leave_behind(self.now())?,
                false => lease.release()?,
            }
        } else {
            lease.release()?;
            events.emit(Subject::default(), finished(store.counts(&sweep.id)?)).await;
        }
        // The view ends with its queue; one that hangs (a terminal that takes no more) must not keep the sweep.
        drop(events);
        let _ = tokio::time::timeout(VIEW_TIMEOUT, view).await;
        drop(log);
        self.share_log(&sweep.id);
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
        self.conclude_once(&id, progress)
    }

    /// Begins to keep the leases of a task of this process.
    pub(in crate::lab) fn start_lease_keeper(&self) -> Result<LeaseKeeper, LabError> {
        let holder = Holder::for_next_task().map_err(|error| {
            LabError::internal(format!("failed to name this process: {error}"))
                .with_hint("is /proc mounted on this host?")
                .caused_by(error)
        })?;
        Ok(LeaseKeeper::start(self.store()?, holder.to_string(), self.clock.reader())?)
    }
}

fn started(
    store: &dyn Store,
    sweep: &SweepRow,
    devices: &[Device],
    beginning: Beginning,
    holder: &str,
) -> Result<EventKind, LabError> {
    let (name, devices) = (sweep.name.clone(), devices.len() as u64);
    let left_by = match beginning {
        Beginning::Joins => return Ok(EventKind::SweepJoined { by: holder_in_words(holder), devices }),
        Beginning::New => None,
        Beginning::GoesOn { left_by } => Some(left_by.as_deref().map(holder_in_words)),
    };
    let (jobs, open) = (store.jobs(&sweep.id)?.len() as u64, store.open_jobs(&sweep.id, None)?.len() as u64);
    if let Some(left_by) = left_by {
        return Ok(EventKind::SweepResumed { name, jobs, recorded: jobs - open, devices, left_by });
    }
    let skipped = store.record_numbers(&sweep.id)?.len() as u64;
    Ok(EventKind::SweepStarted { name, jobs, skipped, devices })
}

/// A job that has no record is told as cancelled, as reports tell it.
pub(super) fn finished(counts: SweepCounts) -> EventKind {
    let SweepCounts { ok, failed, skipped, cancelled, open, .. } = counts;
    EventKind::SweepFinished { ok, failed, skipped, cancelled: cancelled + open }
}
