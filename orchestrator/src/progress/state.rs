use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{TaskId, Unit};
use crate::domain::{Event, EventKind, RunStatus};

/// What is going on, as the events told.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) sweep: Option<SweepState>,
    pub(super) devices: BTreeMap<String, DeviceState>,
    pub(super) tasks: BTreeMap<TaskId, TaskState>,
}

#[derive(Debug)]
pub(super) struct SweepState {
    pub(super) name: String,
    pub(super) jobs: u64,
    pub(super) done: u64,
    pub(super) failed: u64,
    pub(super) started_at: Timestamp,
    pub(super) is_stopping: bool,
}

#[derive(Debug)]
pub(super) struct DeviceState {
    pub(super) activity: Activity,
    /// The model of the run under way.
    pub(super) model: Option<String>,
    pub(super) since: Timestamp,
    pub(super) done: u64,
    pub(super) failed: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Activity {
    Idle,
    Connecting,
    Reconnecting,
    /// For another process, or for a pause to be over.
    Waiting(String),
    Unusable(String),
    Pushing {
        name: String,
        resumed_bytes: u64,
        sent_bytes: u64,
        size_bytes: u64,
    },
    Running(&'static str),
}

impl Activity {
    pub(super) fn is_active(&self) -> bool {
        !matches!(self, Activity::Idle | Activity::Waiting(_) | Activity::Unusable(_))
    }
}

#[derive(Debug)]
pub(super) struct TaskState {
    pub(super) label: String,
    pub(super) unit: Unit,
    pub(super) done: u64,
    pub(super) total: Option<u64>,
    /// Share of the work that is done, where that is not the share of the count.
    pub(super) fraction: Option<f64>,
    pub(super) started_at: Timestamp,
}

impl TaskState {
    pub(super) fn new(label: &str, total: Option<u64>, unit: Unit, started_at: Timestamp) -> TaskState {
        TaskState { label: label.to_owned(), unit, done: 0, total, fraction: None, started_at }
    }
}

impl State {
    pub(super) fn apply(&mut self, event: &Event) {
        match &event.kind {
            EventKind::SweepStarted { name, jobs, .. } => {
                let (name, jobs) = (name.clone(), *jobs);
                let started_at = event.at;
                self.sweep = Some(SweepState { name, jobs, done: 0, failed: 0, started_at, is_stopping: false });
            }
            EventKind::SweepResumed { name, jobs, recorded, .. } => {
                let (name, jobs, done) = (name.clone(), *jobs, *recorded);
                let started_at = event.at;
                self.sweep = Some(SweepState { name, jobs, done, failed: 0, started_at, is_stopping: false });
            }
            EventKind::StopRequested { .. } | EventKind::CancelRequested { .. } => {
                self.sweep.iter_mut().for_each(|sweep| sweep.is_stopping = true);
            }
            EventKind::RunFinished { status, .. } => {
                if let Some(sweep) = &mut self.sweep {
                    sweep.done += 1;
                    sweep.failed += u64::from(*status == RunStatus::Failed);
                }
            }
            // There is a job more.
            EventKind::JobMoved { .. } | EventKind::RerunPlanned { .. } => {
                self.sweep.iter_mut().for_each(|sweep| sweep.jobs += 1);
            }
            _ => {}
        }
        if let Some(name) = &event.device {
            let idle = || DeviceState { activity: Activity::Idle, model: None, since: event.at, done: 0, failed: 0 };
            self.devices.entry(name.clone()).or_insert_with(idle).apply(event);
        }
    }
}

impl DeviceState {
    fn apply(&mut self, event: &Event) {
        let activity = match &event.kind {
            EventKind::DeviceConnecting => Activity::Connecting,
            EventKind::DeviceReconnecting { .. } => Activity::Reconnecting,
            EventKind::DeviceReady { .. } | EventKind::PushFinished { .. } | EventKind::DeviceReleased { .. } => {
                Activity::Idle
            }
            EventKind::DeviceWaiting { cause } => Activity::Waiting(cause.clone()),
            EventKind::DeviceRetrying { failure, .. } => Activity::Waiting(format!("to try again: {failure}")),
            EventKind::DeviceQuarantined { failure, .. } => Activity::Unusable(format!("quarantined: {failure}")),
            EventKind::HostCommand { purpose, .. } => Activity::Waiting(format!("after {purpose}")),
            EventKind::DeviceFailed { failure } => Activity::Unusable(failure.to_string()),
            of_push @ (EventKind::PushStarted { .. } | EventKind::PushProgress { .. }) => {
                return self.take_in_push(of_push, event.at);
            }
            of_run @ (EventKind::RunStarted { .. }
            | EventKind::RunTakenOver { .. }
            | EventKind::RunCooling { .. }
            | EventKind::RunPhase { .. }
            | EventKind::RunFinished { .. }
            | EventKind::RunRequeued { .. }
            | EventKind::RunLeft { .. }) => self.activity_of_run(of_run),
            EventKind::DeviceDuplicateEntry { same_as } => Activity::Unusable(format!("same device as {same_as}")),
            EventKind::DeviceChanged { .. }
            | EventKind::DeviceRestored { .. }
            | EventKind::DeviceWarning { .. }
            | EventKind::TransportHealing { .. }
            | EventKind::DeviceCleaned { .. }
            | EventKind::DeviceDiffers { .. }
            | EventKind::DeviceChecked(_)
            | EventKind::DeviceCalibrated(_)
            | EventKind::ScheduleChecked { .. }
            | EventKind::DeviceLocked { .. }
            | EventKind::DeviceUnlocked { .. }
            | EventKind::SweepOrdered { .. }
            | EventKind::SchedulePaused { .. }
            | EventKind::ScheduleResumed { .. }
            | EventKind::ClockJumped { .. }
            | EventKind::ClockBelieved { .. }
            | EventKind::Removed { .. }
            | EventKind::TokenAdded { .. }
            | EventKind::TokenRemoved { .. }
            | EventKind::SweepPinned { .. }
            | EventKind::SweepUnpinned { .. }
            | EventKind::BaselineSet { .. }
            | EventKind::BaselineUnset { .. }
            | EventKind::SweepCompared(_)
            | EventKind::RegressionAcknowledged { .. }
            | EventKind::DeviceEdited { .. }
            | EventKind::HostDrained { .. }
            | EventKind::HostResumed { .. }
            | EventKind::HostRemoved { .. }
            | EventKind::RunCollected { .. }
            | EventKind::JobMoved { .. }
            | EventKind::RerunPlanned { .. }
            | EventKind::CellSettled { .. }
            | EventKind::WriteRefused { .. }
            | EventKind::SweepStarted { .. }
            | EventKind::SweepResumed { .. }
            | EventKind::SweepJoined { .. }
            | EventKind::CancelRequested { .. }
            | EventKind::StopRequested { .. }
            | EventKind::SweepFinished { .. } => return,
        };
        self.activity = activity;
        self.since = event.at;
    }

    /// Takes in how far a file is on its way.
    fn take_in_push(&mut self, kind: &EventKind, at: Timestamp) {
        match kind {
            EventKind::PushStarted { name, size_bytes, resumed_bytes, .. } => {
                self.activity = Activity::Pushing {
                    name: name.clone(),
                    resumed_bytes: *resumed_bytes,
                    sent_bytes: *resumed_bytes,
                    size_bytes: *size_bytes,
                };
                self.since = at;
            }
            EventKind::PushProgress { sent_bytes: now, .. } => {
                if let Activity::Pushing { sent_bytes, .. } = &mut self.activity {
                    *sent_bytes = *now;
                }
            }
            _ => {}
        }
    }

    /// Takes in what happened to a run; returns what the device does since.
    fn activity_of_run(&mut self, kind: &EventKind) -> Activity {
        match kind {
            EventKind::RunStarted { name, .. } | EventKind::RunTakenOver { name, .. } => {
                self.model = Some(name.clone());
                Activity::Running("start")
            }
            EventKind::RunCooling { .. } => Activity::Running("cool down"),
            EventKind::RunPhase { phase } => Activity::Running(phase.as_str()),
            EventKind::RunFinished { status, .. } => {
                self.model = None;
                self.done += 1;
                self.failed += u64::from(*status == RunStatus::Failed);
                // A device that can't be used stays so, while its jobs get their records.
                if matches!(self.activity, Activity::Unusable(_)) { self.activity.clone() } else { Activity::Idle }
            }
            // It is no longer on this device.
            _ => {
                self.model = None;
                Activity::Idle
            }
        }
    }
}
