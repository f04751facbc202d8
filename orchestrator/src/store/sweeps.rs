use jiff::Timestamp;
use serde::Serialize;

use super::StoreError;
use crate::domain::{Event, Job, LabId, Plan, Record, Submission, SweepDefinition, SweepId, SweepRow, SweepState};

/// A sweep that is to be added.
#[derive(Debug, Clone, Copy)]
pub struct NewSweep<'a> {
    /// The sweep.
    pub row: &'a SweepRow,
    /// What it takes to go on with it.
    pub definition: &'a SweepDefinition,
    /// Its jobs.
    pub jobs: &'a [Job],
    /// Records of the cells that can't run.
    pub skipped: &'a [Record],
    /// Who gives it to the daemon to carry out; none when whoever adds it does that.
    pub submission: Option<&'a Submission>,
    /// The event of who began it, where a person did.
    pub order: Option<&'a Event>,
}

impl<'a> NewSweep<'a> {
    /// A sweep of a plan's jobs, which whoever adds it carries out.
    pub fn new(row: &'a SweepRow, definition: &'a SweepDefinition, plan: &'a Plan) -> NewSweep<'a> {
        NewSweep { row, definition, jobs: &plan.jobs, skipped: &[], submission: None, order: None }
    }
}

/// Which sweeps are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct SweepPage<'a> {
    /// Those that began before this one: when it began, and its identifier. It need not be there any more.
    pub before: Option<(Timestamp, &'a str)>,
    /// Words that each stand somewhere in its identifier, name, state, file, schedule, or the name of who began it;
    /// in small letters.
    pub words: &'a [String],
    /// Most sweeps.
    pub limit: u32,
}

/// How many jobs and records a sweep has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct SweepCounts {
    /// Jobs.
    pub jobs: u64,
    /// Of them, those without a record.
    pub open: u64,
    /// Records with status `ok`.
    pub ok: u64,
    /// Records with status `failed`.
    pub failed: u64,
    /// Records with status `skipped`, of cells that are no jobs too.
    pub skipped: u64,
    /// Records with status `cancelled`.
    pub cancelled: u64,
}

/// Sweeps, with the jobs they are made of and the records they end in.
pub trait SweepStore {
    /// The lab that this store is.
    ///
    /// # Errors
    /// When the store can't be read.
    fn lab_id(&self) -> Result<LabId, StoreError>;

    /// Adds a sweep with all its jobs and the records of its skipped cells, in one transaction. One that is begun for a
    /// due time settles that in the same transaction, so that none is begun twice; so does one that the daemon gets, so
    /// that none is added and then forgotten.
    ///
    /// # Errors
    /// When a sweep of that identifier exists, when nothing waits for the due time, or the store can't be written.
    fn create_sweep(&self, new: &NewSweep<'_>) -> Result<(), StoreError>;

    /// The sweeps, newest first.
    ///
    /// # Errors
    /// When the store can't be read.
    fn sweeps(&self) -> Result<Vec<SweepRow>, StoreError>;

    /// Sweeps, the newest first.
    ///
    /// # Errors
    /// When the store can't be read.
    fn sweeps_page(&self, page: SweepPage<'_>) -> Result<Vec<SweepRow>, StoreError>;

    /// The newest sweeps whose identifier begins so, newest first, at most `limit`.
    ///
    /// # Errors
    /// When the store can't be read.
    fn newest_sweeps(&self, beginning: &str, limit: u32) -> Result<Vec<SweepRow>, StoreError>;

    /// The sweep of this identifier.
    ///
    /// # Errors
    /// When the store can't be read.
    fn sweep(&self, sweep: &SweepId) -> Result<Option<SweepRow>, StoreError>;

    /// The sweeps that are not over, newest first.
    ///
    /// # Errors
    /// When the store can't be read.
    fn open_sweeps(&self) -> Result<Vec<SweepRow>, StoreError>;

    /// The sweeps that are not over, or were over after this time; newest first.
    ///
    /// # Errors
    /// When the store can't be read.
    fn sweeps_since(&self, since: Timestamp) -> Result<Vec<SweepRow>, StoreError>;

    /// What a sweep is.
    ///
    /// # Errors
    /// When there is no such sweep, or the store can't be read.
    fn sweep_state(&self, sweep: &SweepId) -> Result<SweepState, StoreError>;

    /// What it takes to go on with a sweep; `None` when an older version began it.
    ///
    /// # Errors
    /// When there is no such sweep, or the store can't be read.
    fn definition(&self, sweep: &SweepId) -> Result<Option<SweepDefinition>, StoreError>;

    /// Marks an open sweep as one that a person wants no more of; whoever carries it out sees that. The
    /// event is appended in the same transaction, if one is given. Done twice, the sweep does not change.
    ///
    /// # Errors
    /// [`StoreError::IllegalStep`] when it is over.
    fn cancel_sweep(&self, sweep: &SweepId, event: Option<&Event>) -> Result<(), StoreError>;

    /// Marks a sweep as over, when all its jobs have a record; returns whether they have.
    ///
    /// # Errors
    /// When the store can't be written.
    fn finish_sweep(&self, sweep: &SweepId, now: Timestamp) -> Result<bool, StoreError>;

    /// Notes with which runner a sweep measures on a target, if that was not settled before; returns the one that it
    /// is.
    ///
    /// # Errors
    /// When the store can't be written.
    fn pin_runner(&self, sweep: &SweepId, target: &str, sha256: &str) -> Result<String, StoreError>;

    /// The runners that a sweep measures with: target and hash.
    ///
    /// # Errors
    /// When the store can't be read.
    fn pinned_runners(&self, sweep: &SweepId) -> Result<Vec<(String, String)>, StoreError>;

    /// How many jobs and records a sweep has.
    ///
    /// # Errors
    /// When the store can't be read.
    fn counts(&self, sweep: &SweepId) -> Result<SweepCounts, StoreError>;

    /// Jobs of the sweep without a record, in the order of the plan; of one device, when it is given.
    ///
    /// # Errors
    /// When the store can't be read.
    fn open_jobs(&self, sweep: &SweepId, device: Option<&str>) -> Result<Vec<Job>, StoreError>;

    /// All jobs of the sweep, in the order of the plan.
    ///
    /// # Errors
    /// When the store can't be read.
    fn jobs(&self, sweep: &SweepId) -> Result<Vec<Job>, StoreError>;

    /// The records of a sweep: those of jobs in the order of the plan, then those of skipped cells in the order added.
    ///
    /// # Errors
    /// When the store can't be read.
    fn records(&self, sweep: &SweepId) -> Result<Vec<Record>, StoreError>;

    /// The numbers of these records, in the same order: for who reads them part by part.
    ///
    /// # Errors
    /// When the store can't be read.
    fn record_numbers(&self, sweep: &SweepId) -> Result<Vec<i64>, StoreError>;

    /// The records of a sweep that have these numbers, in the order of the numbers.
    ///
    /// # Errors
    /// When the store can't be read, or one of them has left: then the sweep has.
    fn records_by_number(&self, sweep: &SweepId, numbers: &[i64]) -> Result<Vec<Record>, StoreError>;
}
