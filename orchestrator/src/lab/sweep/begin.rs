//! A new sweep: its files are made ready, and it is added to the store.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::agent::{AgentMode, HostFiles, cell_record};
use crate::domain::{
    Catalog, Device, Failure, Plan, Record, RunStatus, Skipped, Submission, SweepDefinition, SweepId, SweepOrder,
    SweepRow, SweepState, TransportConfig, sha256_hex,
};
use crate::lab::files::{Renew, SweepRunners};
use crate::lab::{EngineSource, Lab, LabError, PlannedSweep, VERSION};
use crate::lease::{LeaseError, holder_in_words, live_holder};
use crate::planner;
use crate::progress::Progress;
use crate::runners::HOST_TARGET;
use crate::store::{NewSweep, people};

use super::execute::{Beginning, ProvidedFiles, SweepDevices, SweepExecution, SweepLease, SweepStart};

impl Lab {
    /// Adds a sweep to the store, with all that it takes to carry it out, on so many devices at the same time.
    ///
    /// # Errors
    /// When there is nothing to run, or files can't be had.
    pub async fn begin(
        &self,
        mut planned: PlannedSweep,
        max_devices: usize,
        progress: &Progress,
    ) -> Result<SweepExecution, LabError> {
        let (models, runners) = self.provide(&mut planned, progress).await?;
        let sweep = self.add(&mut planned, &self.person(), None)?;
        // A schedule's is each host's that goes by the schedule; a person's is this process's alone.
        let is_due = planned.definition.due.is_some();
        let used = devices_with_jobs(&planned.plan, &planned.inventory.devices);
        let (lease, beginning) = if is_due && self.store()?.is_shared() {
            self.take_part(&sweep.id, &used, None)?
        } else {
            (self.take_lease(&sweep.id)?, Beginning::New)
        };
        let runners = runners.of_sweep(self, &sweep.id)?;
        let PlannedSweep { inventory, catalog, definition, .. } = planned;
        let engines = EngineSource::new(self, &catalog, progress.clone());
        let max_devices = definition.at_once(max_devices);
        let start = SweepStart { sweep, definition, lease, mode: AgentMode::Jobs, beginning };
        let devices = SweepDevices { used, of_lab: inventory.devices, max_devices };
        Ok(self.execution(start, devices, ProvidedFiles { models, runners, engines }))
    }

    /// Adds a sweep to the store that is the daemon's to carry out, on so many devices at the same time.
    ///
    /// # Errors
    /// As for [`Lab::begin`].
    pub async fn submit(
        &self,
        mut planned: PlannedSweep,
        by: &str,
        max_devices: usize,
        progress: &Progress,
    ) -> Result<SweepId, LabError> {
        self.provide(&mut planned, progress).await?;
        let submission = Submission { by: by.to_owned(), at: self.now(), max_devices };
        Ok(self.add(&mut planned, by, Some(&submission))?.id)
    }

    /// Looks at a new sweep before it is begun: whether it has anything to run, and which sweeps of the same file were
    /// stopped, so that a person may want to go on with one instead.
    ///
    /// # Errors
    /// When there is nothing to run.
    pub fn look_before_beginning(&self, planned: &PlannedSweep) -> Result<(), LabError> {
        if planned.plan.jobs.is_empty() {
            return Err(nothing_to_run(&planned.plan));
        }
        let (store, submitted) = (self.store()?, self.submissions()?);
        self.remarks_before(planned)?.iter().for_each(|remark| self.remark(remark));
        let is_left = |sweep: &SweepRow| sweep.state == SweepState::Open && !submitted.contains_key(&sweep.id);
        for sweep in store.open_sweeps()?.into_iter().filter(is_left) {
            let known = store.definition(&sweep.id)?;
            let is_same =
                known.is_some_and(|known| known.config == planned.definition.config && known.retry_of.is_none());
            if is_same && live_holder(store.as_ref(), &sweep.id, self.now())?.is_none() {
                let (open, all) = (store.open_jobs(&sweep.id, None)?.len(), store.jobs(&sweep.id)?.len());
                let id = &sweep.id;
                self.remark(&format!(
                    "sweep {id} of this file was stopped with {open} of {all} jobs open; this is a new one. `farmctl \
                     sweep --resume {id}` goes on with it, `farmctl cancel {id}` ends it"
                ));
            }
        }
        Ok(())
    }

    /// What is to be known of a sweep before it begins, whoever begins it.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(in crate::lab) fn remarks_before(&self, planned: &PlannedSweep) -> Result<Vec<String>, LabError> {
        // The clock is held against the store when that is opened.
        self.store()?;
        let mut remarks = planner::remarks_on_machines_of(&planned.plan, &planned.inventory);
        remarks.extend(self.remark_on_clock());
        Ok(remarks)
    }

    /// Has all files ready that a new sweep takes on this host; takes cells out of its plan that can't run without.
    async fn provide(
        &self,
        planned: &mut PlannedSweep,
        progress: &Progress,
    ) -> Result<(HostFiles, SweepRunners), LabError> {
        if planned.plan.jobs.is_empty() {
            return Err(nothing_to_run(&planned.plan));
        }
        // One that is faulty is told before anything is got.
        self.shared_files()?;
        let PlannedSweep { inventory, catalog, definition, plan, is_fixed } = planned;
        let renew = |catalog: &Catalog| planner::plan(&definition.sweep, inventory, catalog);
        // The jobs of an earlier sweep stay what they were.
        let renew = (!*is_fixed).then_some(&renew as Renew<'_>);
        let model_files = self.provide_files(catalog, plan, renew, progress).await;
        if let Some(sides) = &definition.sweep.side_by_side {
            planner::leave_halves_out(plan, sides);
        }
        let runners = self.runners_of(&planned.definition.sweep, progress);
        if uses_this_host(planned) {
            for source in std::iter::once(&runners.a).chain(&runners.b) {
                source.get(HOST_TARGET).await?;
            }
        }
        if planned.plan.jobs.is_empty() {
            return Err(nothing_to_run(&planned.plan));
        }
        Ok((model_files, runners))
    }

    /// Takes the lease of a sweep, which nobody else may have.
    pub(super) fn take_lease(&self, sweep: &SweepId) -> Result<SweepLease, LabError> {
        let keeper = self.start_lease_keeper()?;
        let lease = keeper.sweep(sweep).map_err(|error| refused(sweep, error))?;
        Ok(SweepLease { keeper, lease })
    }

    /// Adds a new sweep to the store, whole; of one that no schedule begins, with who did.
    fn add(&self, planned: &mut PlannedSweep, by: &str, submission: Option<&Submission>) -> Result<SweepRow, LabError> {
        let PlannedSweep { inventory, definition, plan, .. } = planned;
        if definition.due.is_none() {
            let schedule = definition.ordered.take().and_then(|order| order.schedule);
            definition.ordered = Some(SweepOrder { by: by.to_owned(), schedule });
        }
        let sweep = new_sweep(&definition.sweep.name, self.now());
        let skipped = records_of_skipped(&sweep, plan, &inventory.devices);
        let order = people::order(&sweep.id, by, &what_is_begun(definition), sweep.started_at);
        let order = definition.due.is_none().then_some(&order);
        let new = NewSweep { skipped: &skipped, submission, order, ..NewSweep::new(&sweep, definition, plan) };
        self.store()?.create_sweep(&new)?;
        Ok(sweep)
    }
}

/// Why a sweep, or a part of it, is not to be had.
pub(super) fn refused(sweep: &SweepId, error: LeaseError) -> LabError {
    match error {
        LeaseError::Held(holder) => {
            let hint = format!(
                "`farmctl sweeps show {sweep}` shows how far it is; a process that ended without a word gives it free \
                 at {}",
                holder.until
            );
            let who = holder_in_words(&holder.holder);
            LabError::usage(format!("sweep {sweep} is being carried out by {who} now")).with_hint(hint)
        }
        LeaseError::Store(error) => error.into(),
    }
}

/// What a person began, in words.
fn what_is_begun(definition: &SweepDefinition) -> String {
    match (&definition.retry_of, definition.schedule()) {
        (Some(earlier), _) => format!("what failed in sweep {earlier}"),
        (None, Some(schedule)) => format!("the sweep of schedule {schedule}"),
        (None, None) => definition.config.clone(),
    }
}

fn nothing_to_run(plan: &Plan) -> LabError {
    // Of two sides, both are left out for what one of them can't do: that is said once.
    let reason = |reason: &'_ str| reason.strip_prefix(planner::OTHER_SIDE).unwrap_or(reason).to_owned();
    let reasons: HashSet<String> = plan.skipped.iter().map(|skipped| reason(&skipped.reason)).collect();
    let mut reasons: Vec<String> = reasons.into_iter().collect();
    reasons.sort_unstable();
    let why = if reasons.is_empty() { "the matrix is empty".to_owned() } else { reasons.join("; ") };
    LabError::nothing(format!("sweep {:?} has nothing to run: {why}", plan.sweep))
}

fn uses_this_host(planned: &PlannedSweep) -> bool {
    let devices = devices_with_jobs(&planned.plan, &planned.inventory.devices);
    devices.iter().any(|device| device.transport == TransportConfig::Local)
}

/// The devices of this host that a plan has jobs for.
pub(in crate::lab) fn devices_with_jobs(plan: &Plan, devices: &[Device]) -> Vec<Device> {
    let used: HashSet<&str> = plan.jobs.iter().map(|job| job.device.as_str()).collect();
    let is_used = |device: &&Device| !device.is_elsewhere && used.contains(device.name.as_str());
    devices.iter().filter(is_used).cloned().collect()
}

fn new_sweep(name: &str, started_at: Timestamp) -> SweepRow {
    let unique = sha256_hex(format!("{} {}", started_at.as_nanosecond(), std::process::id()).as_bytes());
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(24).collect();
    SweepRow {
        id: SweepId(format!("{}-{plain}-{}", started_at.strftime("%Y%m%d-%H%M%S"), &unique[..4])),
        name: name.to_owned(),
        started_at,
        finished_at: None,
        farmctl_version: VERSION.to_owned(),
        state: SweepState::Open,
    }
}

/// The records of cells that can't run.
pub(super) fn records_of_skipped(sweep: &SweepRow, plan: &Plan, devices: &[Device]) -> Vec<Record> {
    let record = |Skipped { job, kind, reason }: &Skipped| {
        let device = devices.iter().find(|device| device.name == job.device);
        let failure = Failure::new(*kind, reason.clone());
        cell_record(sweep, device, job, RunStatus::Skipped, Some(failure), sweep.started_at)
    };
    plan.skipped.iter().map(record).collect()
}
