use farmctl_protocol::Phase;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    DeviceCheck, Failure, JobId, Judgement, Pace, Regression, RegressionId, RunId, RunStatus, Setting, SweepId, Unfit,
    Verdict,
};

/// What happened, when, to which run. Append-only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When, by the host's clock.
    pub at: Timestamp,
    /// In which sweep; none for what a person does to a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep_id: Option<SweepId>,
    /// On which device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Of which job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
    /// Of which attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// A sweep began.
    SweepStarted {
        /// The sweep's name.
        name: String,
        /// Cells to run.
        jobs: u64,
        /// Cells that can't run.
        skipped: u64,
        /// Devices with jobs.
        devices: u64,
    },
    /// A sweep that had been stopped goes on.
    SweepResumed {
        /// The sweep's name.
        name: String,
        /// Cells to run, those with a record included.
        jobs: u64,
        /// Cells that have their record.
        recorded: u64,
        /// Devices with open jobs.
        devices: u64,
        /// The process that had carried it out, when it ended without a word.
        #[serde(skip_serializing_if = "Option::is_none")]
        left_by: Option<String>,
    },
    /// Another process carries a sweep out, too, on devices that it reaches.
    SweepJoined {
        /// The process, and its host.
        by: String,
        /// Devices with open jobs that it reaches.
        devices: u64,
    },
    /// A worker waits for its device.
    DeviceWaiting {
        /// For what: who uses it.
        cause: String,
    },
    /// A worker began to reach its device.
    DeviceConnecting,
    /// The device answered and its runner speaks.
    DeviceReady {
        /// What it is, in a few words.
        description: String,
        /// Time from connecting until then.
        duration_ns: u64,
    },
    /// The device can't be used; its jobs fail or are skipped.
    DeviceFailed {
        /// Why.
        failure: Failure,
    },
    /// The device failed, and is tried again after a pause.
    DeviceRetrying {
        /// Why.
        failure: Failure,
        /// Failures in a row until now.
        failures: u32,
        /// Until then.
        pause_ns: u64,
    },
    /// The device failed too often in a row, or failed a health probe: it takes no jobs.
    DeviceQuarantined {
        /// Why.
        failure: Failure,
        /// Failures in a row until now.
        failures: u32,
        /// Until the next health probe.
        pause_ns: u64,
    },
    /// The device takes jobs again.
    DeviceReleased {
        /// What, or who, found it well.
        by: String,
    },
    /// Something about the device is another than when it last answered.
    DeviceDiffers {
        /// What.
        what: String,
        /// What it was.
        before: String,
        /// What it is.
        now: String,
    },
    /// The device was checked.
    DeviceChecked(Box<DeviceCheck>),
    /// Before its runs of a sweep, it was timed how fast the device is.
    DeviceCalibrated(Box<Pace>),
    /// The devices of a schedule were checked before its sweep.
    ScheduleChecked {
        /// The schedule.
        schedule: String,
        /// Devices that were checked.
        checked: u64,
        /// How many of them were not found fit.
        unfit: u64,
        /// Those, or the first of many.
        devices: Vec<Unfit>,
    },
    /// A person keeps every sweep off the device.
    DeviceLocked {
        /// Who.
        by: String,
        /// What for.
        why: String,
        /// Until when.
        until: Timestamp,
    },
    /// A person gave the device free before its lock had ended.
    DeviceUnlocked {
        /// Who.
        by: String,
        /// Who had locked it.
        locked_by: String,
    },
    /// A person started a sweep over the API.
    SweepOrdered {
        /// Who.
        by: String,
        /// What: its file, or the schedule it is of.
        what: String,
    },
    /// A person paused a schedule.
    SchedulePaused {
        /// Who.
        by: String,
        /// Its name.
        schedule: String,
    },
    /// A person resumed a schedule.
    ScheduleResumed {
        /// Who.
        by: String,
        /// Its name.
        schedule: String,
    },
    /// A person made a token.
    TokenAdded {
        /// Who.
        by: String,
        /// Whose it is.
        name: String,
        /// What it lets its owner do.
        role: String,
    },
    /// A person took a token out.
    TokenRemoved {
        /// Who.
        by: String,
        /// Whose it was.
        name: String,
    },
    /// A person keeps a sweep, whatever the rules of retention say.
    SweepPinned {
        /// Who.
        by: String,
        /// The sweep. It may leave before the event does.
        sweep: SweepId,
    },
    /// A person lets the rules of retention hold for a sweep again.
    SweepUnpinned {
        /// Who.
        by: String,
        /// The sweep.
        sweep: SweepId,
    },
    /// A person made a sweep one that others are compared with.
    BaselineSet {
        /// Who.
        by: String,
        /// The name it goes by.
        name: String,
        /// The sweep.
        sweep: SweepId,
    },
    /// A person took such a name away.
    BaselineUnset {
        /// Who.
        by: String,
        /// The name.
        name: String,
    },
    /// A sweep of a schedule was compared with its baseline or its history.
    SweepCompared(Box<SweepCompared>),
    /// A person says that something that got slower is as it should be.
    RegressionAcknowledged {
        /// Who.
        by: String,
        /// What got slower.
        regression: RegressionId,
        /// The same in words.
        what: String,
    },
    /// A person wants no more runs begun by the daemon of a host.
    HostDrained {
        /// Who.
        by: String,
        /// The host.
        host: String,
    },
    /// A person wants runs begun there again.
    HostResumed {
        /// Who.
        by: String,
        /// The host.
        host: String,
    },
    /// A person had a host forgotten that was not there any more.
    HostRemoved {
        /// Who.
        by: String,
        /// The host.
        host: String,
    },
    /// A person changed what a farm file says of the device.
    DeviceEdited {
        /// Who.
        by: String,
        /// What was done: `added to farms/lab.yaml`.
        what: String,
    },
    /// The clock of the host jumped: what goes by it is held back.
    ClockJumped {
        /// By how much it is off: ahead, or back where it is negative.
        off_seconds: i64,
        /// What it said.
        says: Timestamp,
    },
    /// The clock of the host is believed again.
    ClockBelieved {
        /// Who or what says so.
        by: String,
    },
    /// The rules of retention, or a person by them, took something out.
    Removed {
        /// What kind of thing: `sweep`, `reports`, `events`, `output` or `artifact`.
        kind: String,
        /// Its name.
        name: String,
        /// Its size.
        bytes: u64,
        /// By which part of the rules.
        why: String,
        /// Who had it done; none where the daemon did it by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// A command of the device's farm entry was run on this host.
    HostCommand {
        /// What it is for: `reset`, `power_off` or `power_on`.
        purpose: String,
        /// The command.
        argv: Vec<String>,
        /// How it ended, with the end of what it printed.
        outcome: String,
        /// Whether it ended well.
        succeeded: bool,
    },
    /// What ended runs had left on the device was removed.
    DeviceCleaned {
        /// Runs of this lab that nobody waits for and that were ended there.
        ended_runs: Vec<RunId>,
        /// Folders of ended runs that were removed.
        removed_runs: u64,
        /// Bytes of models and runners that were removed, the least recently used first.
        freed_bytes: u64,
    },
    /// The connection broke while work was under way, and is being made anew.
    DeviceReconnecting {
        /// What broke.
        cause: String,
    },
    /// A step was begun to bring back what devices are reached through.
    TransportHealing {
        /// Address of the adb server.
        server: String,
        /// What names the device to it, when one device alone is brought back.
        #[serde(skip_serializing_if = "Option::is_none")]
        serial: Option<String>,
        /// What is done, and why.
        step: String,
    },
    /// The device is reached another way already; its jobs are skipped.
    #[serde(rename = "device_spare")]
    DeviceDuplicateEntry {
        /// The device that is the same phone.
        same_as: String,
    },
    /// Something about the device was changed for measuring; its undo is in the journal.
    DeviceChanged {
        /// What.
        setting: Setting,
        /// What it was before, in the device's own words.
        previous: String,
    },
    /// A change was undone.
    DeviceRestored {
        /// What.
        setting: Setting,
        /// What it is again, in the device's own words.
        previous: String,
        /// The process that made the change and ended without undoing it; none when this sweep made it.
        #[serde(skip_serializing_if = "Option::is_none")]
        left_by: Option<String>,
    },
    /// Something about the device may disturb what is measured, and was left as it is.
    DeviceWarning {
        /// What, and why.
        message: String,
    },
    /// A file is being sent.
    PushStarted {
        /// What file, for a person.
        name: String,
        /// Its hash.
        sha256: String,
        /// Its size.
        size_bytes: u64,
        /// Bytes that the device had from a broken push.
        resumed_bytes: u64,
    },
    /// So much of a file is there. Shown live, not kept in the store.
    PushProgress {
        /// What file, for a person.
        name: String,
        /// Bytes that are there, those from before included.
        sent_bytes: u64,
        /// Its size.
        size_bytes: u64,
    },
    /// A file is on the device and verified.
    PushFinished {
        /// What file, for a person.
        name: String,
        /// Bytes that went over the wire.
        sent_bytes: u64,
        /// Time it took.
        duration_ns: u64,
    },
    /// A run was claimed and is being started.
    RunStarted {
        /// The model's name.
        name: String,
        /// Number of the attempt.
        attempt: u32,
    },
    /// A run that another process had left is gone on with.
    RunTakenOver {
        /// The model's name.
        name: String,
        /// Number of the attempt.
        attempt: u32,
        /// The process that had it.
        left_by: String,
    },
    /// An attempt ended without a result; the job waits for another.
    #[serde(rename = "run_given_back")]
    RunRequeued {
        /// The model's name.
        name: String,
        /// Number of the attempt.
        attempt: u32,
        /// Why.
        failure: Failure,
        /// Until the next attempt at the earliest.
        pause_ns: u64,
    },
    /// The device went away while a run was on it: the run is looked for when the device is back.
    RunLeft {
        /// The model's name.
        name: String,
        /// Number of the attempt.
        attempt: u32,
        /// What the device refused last.
        failure: Failure,
    },
    /// What a run of an earlier sweep had measured was found on the device: it has its place in that sweep now.
    RunCollected {
        /// The model's name.
        name: String,
        /// The sweep, which had ended while the device was away.
        of_sweep: SweepId,
    },
    /// The job is done on an equal device instead.
    JobMoved {
        /// The model's name.
        name: String,
        /// The other device.
        to_device: String,
        /// The job there.
        to_job_id: JobId,
    },
    /// A write about a run came under a lease that had moved on, and was refused.
    WriteRefused {
        /// What was refused, in a few words.
        write: String,
        /// Epoch of the write.
        epoch: u64,
    },
    /// Before a run, its device is given time to cool down.
    RunCooling {
        /// How hot it is; `None` where it does not tell.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        celsius: Option<f64>,
        /// How cool it is to be; `None` where it is not known how cool it is at rest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        goal_c: Option<f64>,
        /// Android's thermal status, where it is not «none».
        #[serde(default, skip_serializing_if = "Option::is_none")]
        thermal_status: Option<u32>,
        /// Longest wait.
        longest_ns: u64,
    },
    /// A run entered a phase.
    RunPhase {
        /// Which.
        phase: Phase,
    },
    /// A run has its record.
    RunFinished {
        /// The model's name.
        name: String,
        /// How it ended.
        status: RunStatus,
        /// Median latency, when it was measured.
        #[serde(skip_serializing_if = "Option::is_none")]
        p50_ns: Option<u64>,
        /// Why it did not end well.
        #[serde(skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
        /// Whether to believe its numbers; `None` where there are none, and in events of older versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        judged: Option<Judgement>,
    },
    /// What a run measured is doubtful: it is measured again, behind all that its device has to do.
    RerunPlanned {
        /// The model's name.
        name: String,
        /// The job that measures it again.
        rerun_job_id: JobId,
        /// Which measurement of the same that will be, from 1: the first is none.
        rerun: u32,
        /// What was found of this one.
        verdict: Verdict,
        /// Why, with the limits.
        reason: String,
    },
    /// A cell of two sides that are measured in pairs is settled: its other runs are left out.
    CellSettled {
        /// The cell, but for its device.
        cell: String,
        /// What B is: `slower`, `faster` or `same`.
        verdict: String,
        /// So many pairs settled it.
        pairs: u32,
        /// Runs that are left out.
        left_out: u64,
    },
    /// A person asked to stop.
    StopRequested {
        /// 1: start no more runs; 2: end those under way; 3: leave.
        times: u32,
    },
    /// A person wants no more of the sweep.
    CancelRequested {
        /// The process that asked.
        by: String,
    },
    /// All jobs of the sweep have their record, or it was stopped before.
    SweepFinished {
        /// Rows with status `ok`.
        ok: u64,
        /// Rows with status `failed`.
        failed: u64,
        /// Rows with status `skipped`.
        skipped: u64,
        /// Rows with status `cancelled`.
        cancelled: u64,
    },
}

/// What the comparison of a schedule's sweep found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepCompared {
    /// The schedule.
    pub schedule: String,
    /// What it was compared with: `history` or `baseline:NAME`.
    pub against: String,
    /// Cells that were compared.
    pub cells: u64,
    /// Whether people are told by the lab's channels.
    pub is_told: bool,
    /// Changes to slower that are new.
    pub found: u64,
    /// Those that are there no more.
    pub gone: u64,
    /// The new ones, or the first of many.
    pub slower: Vec<Regression>,
    /// Those that are gone, or the first of many.
    pub ended: Vec<Regression>,
}
