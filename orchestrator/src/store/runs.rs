use std::time::Duration;

use jiff::Timestamp;

use super::{LeaseHolder, StoreError};
use crate::domain::{DeviceLock, Failure, Job, JobId, JobState, Record, RunId, RunState, SweepId, SweepState};

/// A run that its holder may carry out until the lease's deadline.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedRun {
    /// The attempt.
    pub run_id: RunId,
    /// The job.
    pub job: Job,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Attempts before this one that failed, without those that their host gave up.
    pub failed_attempts: u32,
    /// Epoch of the lease: goes into every write about the run.
    pub epoch: u64,
}

/// What there is to claim.
#[derive(Debug, Clone, PartialEq)]
pub enum Claim {
    /// This run is the caller's now.
    Run(Box<ClaimedRun>),
    /// The jobs that wait do so until then, at the earliest.
    NotBefore(Timestamp),
    /// A person keeps sweeps off the device.
    Locked(DeviceLock),
    /// This sweep waits for the device, and goes before.
    Preempted(SweepId),
    /// No job waits.
    Nothing,
    /// Another has the lease of the device by now, or it was given back: nothing begins there for the caller.
    LeaseLost,
}

/// A run that is under way, or was left.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveRun {
    /// The attempt.
    pub run_id: RunId,
    /// Its job.
    pub job_id: JobId,
    /// The device it is on.
    pub device: String,
    /// Who has its lease, or had it last.
    pub lease: LeaseHolder,
}

/// One attempt of a job, for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// The attempt.
    pub run_id: RunId,
    /// Its number, from 1.
    pub attempt: u32,
    /// What it is.
    pub state: RunState,
    /// When it was claimed.
    pub claimed_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Who has its lease, or had it last.
    pub lease: LeaseHolder,
    /// Why it was given back.
    pub failure: Option<Failure>,
}

/// What the store knows of a run that was found on a device.
#[derive(Debug, Clone, PartialEq)]
pub struct RunOwner {
    /// The sweep it belongs to.
    pub sweep_id: SweepId,
    /// What the sweep is.
    pub sweep: SweepState,
    /// What the run is.
    pub run: RunState,
}

/// How a run ended that has no result.
#[derive(Debug, Clone, PartialEq)]
pub struct Requeue<'a> {
    /// The run.
    pub run_id: &'a RunId,
    /// Epoch of its lease.
    pub epoch: u64,
    /// Why.
    pub failure: &'a Failure,
    /// Whether it counts as an attempt of the job; one that its host gave up does not.
    pub counts: bool,
    /// No other attempt begins before.
    pub not_before: Timestamp,
}

/// A job that is added with the record of another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AddedJob<'a> {
    /// The job.
    pub job: &'a Job,
    /// No attempt of it begins before.
    pub not_before: Timestamp,
}

/// Runs and the records they end in. Every write about a run carries the epoch of its lease; a stale one is refused,
/// and kept as an event.
pub trait RunStore {
    /// Claims the next job of a device, by its `position` in the plan, in one transaction: one that waits, and whose
    /// pause is over; none while a person keeps the device locked, or a sweep that goes before this one waits for it.
    /// The holder must have the lease of the device for this sweep ([`super::LeaseStore::lease_device`]): that is
    /// prolonged with the claim, so that no two begin a run on a device at once, however long one of them stood still.
    /// The run's identifier is made from sweep, job and attempt.
    ///
    /// # Errors
    /// When the store can't be written.
    fn claim(
        &self,
        sweep: &SweepId,
        device: &str,
        holder: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Claim, StoreError>;

    /// The runs of a sweep that have not ended; of one device, when it is given.
    ///
    /// # Errors
    /// When the store can't be read.
    fn live_runs(&self, sweep: &SweepId, device: Option<&str>) -> Result<Vec<LiveRun>, StoreError>;

    /// Takes the lease of a run that has not ended, under a new epoch; `None` when somebody else has it, or it ended.
    /// Its own holder may: after it had lost the device, it begins anew.
    ///
    /// # Errors
    /// When the store can't be written.
    fn take_over(
        &self,
        run: &RunId,
        holder: &str,
        lease: Duration,
        now: Timestamp,
    ) -> Result<Option<ClaimedRun>, StoreError>;

    /// Gives back the leases of a holder's runs of a sweep on a device that have not ended: whoever has the device goes
    /// on with them.
    ///
    /// # Errors
    /// When the store can't be written.
    fn leave_runs(&self, sweep: &SweepId, device: &str, holder: &str) -> Result<(), StoreError>;

    /// Ends a run with its record, in one transaction; with a job behind all others of the sweep, if one is given
    /// and is not there yet: one that takes its place on another device, or measures the same again.
    ///
    /// # Errors
    /// [`StoreError::StaleEpoch`] when the lease was lost to another holder or the run has ended: the record given is
    /// then not kept.
    fn finish(
        &self,
        epoch: u64,
        record: &Record,
        added: Option<AddedJob<'_>>,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Ends a run without a result; its job waits again.
    ///
    /// # Errors
    /// [`StoreError::StaleEpoch`] when the lease was lost to another holder or the run has ended.
    fn requeue(&self, requeue: &Requeue<'_>, now: Timestamp) -> Result<(), StoreError>;

    /// Adds the record of a job that waits, or of a cell that is no job (skipped, cancelled, device unusable).
    ///
    /// # Errors
    /// [`StoreError::StaleEpoch`] when the job has a record already, or a run of it has not ended.
    fn add_record(&self, record: &Record) -> Result<(), StoreError>;

    /// What a job is, and its attempts, oldest first.
    ///
    /// # Errors
    /// When there is no such job, or the store can't be read.
    fn attempts(&self, sweep: &SweepId, job: &JobId) -> Result<(JobState, Vec<Attempt>), StoreError>;

    /// What a run that was found on a device is to this lab; `None` when it is not known.
    ///
    /// # Errors
    /// When the store can't be read.
    fn run_owner(&self, run: &RunId) -> Result<Option<RunOwner>, StoreError>;

    /// The record of a job that was skipped, since its device went away while this run was on it; `None` for any other
    /// run.
    ///
    /// # Errors
    /// When the store can't be read.
    fn record_without(&self, run: &RunId) -> Result<Option<Record>, StoreError>;

    /// Puts the record of a run that was collected late in the place of that of its skipped job.
    ///
    /// # Errors
    /// [`StoreError::StaleEpoch`] when there is no such record any more.
    fn amend_record(&self, record: &Record) -> Result<(), StoreError>;

    /// Wall times of finished runs of the same job in earlier sweeps, newest first, at most `limit`; for estimates.
    ///
    /// # Errors
    /// When the store can't be read.
    fn past_durations(&self, job: &JobId, limit: u32) -> Result<Vec<Duration>, StoreError>;
}
