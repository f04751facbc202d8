//! Goes on with a sweep that was stopped.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use crate::agent::{AgentMode, HostFiles, Stop};
use crate::domain::{Catalog, Device, Job, JobId, Plan, Submission, SweepDefinition, SweepId, SweepRow, SweepState};
use crate::lab::files::{SweepRunners, files_of};
use crate::lab::{EngineSource, Lab, LabError};
use crate::lease::{is_holder_gone, live_holder};
use crate::planner;
use crate::progress::Progress;
use crate::store::{Store, StoreError};
use crate::wording::many;

use super::MAX_DEVICES;
use super::begin::{devices_with_jobs, records_of_skipped};
use super::execute::{Beginning, ProvidedFiles, SweepDevices, SweepExecution, SweepStart};

/// How it is gone on with a sweep.
pub enum Resumed {
    /// By this process.
    Here(Box<SweepExecution>),
    /// By the daemon.
    ByDaemon(SweepId),
    /// Not at all: each of its jobs has its record.
    Complete(SweepId),
}

impl Lab {
    /// Goes on with a sweep that was stopped: the one that is `wanted`, or the newest (of this file) without a word. By
    /// the daemon, where it may and one runs that does what this process was told to.
    ///
    /// # Errors
    /// When there is no such sweep, it can't go on, or its file makes other jobs now.
    pub async fn resume(
        &self,
        config: Option<&Path>,
        wanted: &str,
        by_daemon: bool,
        max_devices: usize,
        progress: &Progress,
    ) -> Result<Resumed, LabError> {
        let store = self.store()?;
        let (sweep, definition) = self.find_unfinished(config, wanted)?;
        if let Some(config) = config {
            self.refuse_other_jobs(&sweep, config)?;
        }
        let holder = live_holder(store.as_ref(), &sweep.id, self.now())?.map(|holder| holder.holder);
        // Where hosts share the store, it may be another host's daemon.
        let is_given = || Ok::<_, LabError>(store.is_shared() && self.submissions()?.contains_key(&sweep.id));
        let is_daemons = match holder.as_deref() {
            Some(holder) => self.is_daemon(holder) || is_given()?,
            None => false,
        };
        if by_daemon && (holder.is_none() || is_daemons) {
            if !is_daemons {
                let submission = Submission { by: self.person(), at: self.now(), max_devices };
                store.submit_to_daemon(&sweep.id, &submission)?;
            }
            return Ok(Resumed::ByDaemon(sweep.id));
        }
        let id = sweep.id.clone();
        match self.prepare_to_go_on(sweep, definition, max_devices, false, progress).await? {
            Some(execution) => {
                // A daemon that comes later leaves it alone.
                store.withdraw(&id)?;
                Ok(Resumed::Here(Box::new(execution)))
            }
            None => Ok(Resumed::Complete(id)),
        }
    }

    /// Goes on with a sweep until its end, or until it is to stop, for somebody who is not there to see it.
    ///
    /// # Errors
    /// When it can't go on, or jobs stay open that nobody stopped.
    pub async fn go_on_headless(&self, sweep: &SweepId, stop: Arc<Stop>, progress: &Progress) -> Result<(), LabError> {
        // Another host may have concluded it, or a person cancelled it, since it was looked at.
        if self.store()?.is_shared() && self.store()?.sweep_state(sweep)? != SweepState::Open {
            return Ok(());
        }
        let (row, definition) = self.find_unfinished(None, sweep.as_str())?;
        let max_devices = self.submissions()?.get(sweep).map_or(MAX_DEVICES, |submission| submission.max_devices);
        match self.prepare_to_go_on(row, definition, max_devices, true, progress).await? {
            Some(execution) => self.run_headless(execution, Arc::clone(&stop), progress).await?,
            None => self.conclude_once(sweep, progress)?,
        }
        let left = self.open_here(sweep)?;
        if left > 0 && stop.times() == 0 {
            return Err(LabError::internal(format!("sweep {sweep} is left with {}", many(left as u64, "open job")))
                .with_hint(format!("`farmctl why {sweep}` says more; `farmctl cancel {sweep}` ends it")));
        }
        Ok(())
    }

    /// How many jobs of a sweep are open that this host can see to.
    fn open_here(&self, sweep: &SweepId) -> Result<usize, LabError> {
        let store = self.store()?;
        let mut jobs = store.open_jobs(sweep, None)?;
        if store.is_shared() {
            self.keep_own(store.as_ref(), &mut jobs, &mut Vec::new())?;
        }
        Ok(jobs.len())
    }

    /// All that it takes to go on with a sweep; `None` when nothing of it is left to be done. For somebody who is not
    /// there to see it (`is_headless`), where hosts share the store: what is this host's of it.
    async fn prepare_to_go_on(
        &self,
        sweep: SweepRow,
        definition: SweepDefinition,
        max_devices: usize,
        is_headless: bool,
        progress: &Progress,
    ) -> Result<Option<SweepExecution>, LabError> {
        let store = self.store()?;
        let (mut jobs, mut left) = (store.open_jobs(&sweep.id, None)?, store.devices_left(&sweep.id)?);
        // What other hosts reach is theirs.
        if store.is_shared() && is_headless {
            self.keep_own(store.as_ref(), &mut jobs, &mut left)?;
        }
        if jobs.is_empty() && left.is_empty() {
            return Ok(None);
        }
        let inventory = self.inventory()?;
        self.shared_files()?;
        let mut catalog = self.with_found_files(self.catalog_of(&definition.sweep)?, &files_of(&jobs));
        // Taken before anything is built or downloaded: two that resume at once see each other.
        let left_by = self.last_driver(store.as_ref(), &sweep)?;
        let (lease, beginning) = if store.is_shared() && is_headless {
            let planned = Plan { sweep: sweep.name.clone(), jobs: jobs.clone(), skipped: Vec::new() };
            self.take_part(&sweep.id, &devices_with_jobs(&planned, &inventory.devices), left_by)?
        } else {
            let lease = self.take_lease(&sweep.id)?;
            let is_new = !has_begun(store.as_ref(), &sweep.id)?;
            (lease, if is_new { Beginning::New } else { Beginning::GoesOn { left_by } })
        };
        let runners = self.runners_of(&definition.sweep, progress).of_sweep(self, &sweep.id)?;
        if !jobs.is_empty() {
            refuse_other_runners(store.as_ref(), &sweep, &runners).await?;
        }

        let mut open = Plan { sweep: sweep.name.clone(), jobs, skipped: Vec::new() };
        let model_files = self.provide_files(&mut catalog, &mut open, None, progress).await;
        self.tell_changed_models(&open.jobs, &model_files, &catalog);
        for record in records_of_skipped(&sweep, &open, &inventory.devices) {
            match store.add_record(&record) {
                // Another host that reaches the device has the file, and is at it.
                Err(StoreError::StaleEpoch { .. }) if lease.lease.is_part() => {}
                added => added?,
            }
        }
        let mut devices = devices_with_jobs(&open, &inventory.devices);
        let known: BTreeSet<String> = devices.iter().map(|device| device.name.clone()).collect();
        self.tell_missing_devices(&open.jobs, &known);
        // Where nothing is left to be measured, there may be something to be put in order.
        let is_left = |device: &&Device| left.contains(&device.name) && !known.contains(&device.name);
        devices.extend(inventory.devices.iter().filter(is_left).cloned());
        let engines = EngineSource::new(self, &catalog, progress.clone());
        let max_devices = definition.at_once(max_devices);
        let start = SweepStart { sweep, definition, lease, mode: AgentMode::Jobs, beginning };
        let devices = SweepDevices { used: devices, of_lab: inventory.devices, max_devices };
        Ok(Some(self.execution(start, devices, ProvidedFiles { models: model_files, runners, engines })))
    }

    /// The process that carried the sweep out when it ended without a word.
    fn last_driver(&self, store: &dyn Store, sweep: &SweepRow) -> Result<Option<String>, LabError> {
        let mut live = store.live_runs(&sweep.id, None)?.into_iter().map(|live| live.lease.holder);
        if !store.is_shared() {
            return Ok(live.next());
        }
        // Others are at work on their devices.
        let holders: BTreeSet<String> = store.lease_holders(self.now())?.into_iter().collect();
        Ok(live.find(|holder| !holders.contains(holder) || is_holder_gone(holder)))
    }

    /// Results of a file that says something else by now are another sweep's.
    fn refuse_other_jobs(&self, sweep: &SweepRow, config: &Path) -> Result<(), LabError> {
        let now: BTreeSet<JobId> = self.plan(config)?.plan.jobs.into_iter().map(|job| job.id).collect();
        let then: BTreeSet<JobId> = self.store()?.jobs(&sweep.id)?.into_iter().map(|job| job.id).collect();
        let (gone, new) = (then.difference(&now).count(), now.difference(&then).count());
        if gone == 0 && new == 0 {
            return Ok(());
        }
        Err(LabError::usage(format!(
            "{} makes other jobs now than when sweep {} began: {gone} of its {} are no more, {new} are new (a model's \
             file, an engine's version, the devices or the options have changed)",
            config.display(),
            sweep.id,
            then.len()
        ))
        .with_hint(format!(
            "`farmctl sweep --resume {}` goes on with the jobs as they were; `farmctl sweep {}` begins a new sweep",
            sweep.id,
            config.display()
        )))
    }

    fn tell_missing_devices(&self, jobs: &[Job], known: &BTreeSet<String>) {
        let names = jobs.iter().map(|job| job.device.as_str());
        let missing: BTreeSet<&str> = names.filter(|name| !known.contains(*name)).collect();
        if !missing.is_empty() {
            let names = missing.into_iter().collect::<Vec<_>>().join(", ");
            self.remark(&format!("no farm file has these devices now, so their jobs stay open: {names}"));
        }
    }

    fn tell_changed_models(&self, jobs: &[Job], files: &HostFiles, catalog: &Catalog) {
        let is_changed = |job: &&Job| {
            job.model.artifact.as_ref().is_some_and(|file| files.of(&job.model.name, &file.sha256).is_none())
        };
        let changed: BTreeSet<&str> = jobs.iter().filter(is_changed).map(|job| job.model.name.as_str()).collect();
        for name in &changed {
            self.remark(&format!(
                "the file of {name} is another now than when the sweep began, or gone; its open jobs run only where a \
                 device still has the file of then"
            ));
        }
        let others = jobs.iter().filter(|job| !changed.contains(job.model.name.as_str()));
        self.tell_changed_facts(others, catalog);
    }

    /// Says where models.yaml tells something else of a job's model than when the job was planned.
    pub(super) fn tell_changed_facts<'a>(&self, jobs: impl Iterator<Item = &'a Job>, catalog: &Catalog) {
        let told: BTreeSet<String> = jobs.filter_map(|job| planner::changed_facts(job, catalog)).collect();
        told.iter().for_each(|what| self.remark(what));
    }
}

/// Whether anybody has begun to carry a sweep out.
fn has_begun(store: &dyn Store, sweep: &SweepId) -> Result<bool, LabError> {
    Ok(store.last_start(sweep)?.is_some())
}

/// Rows of one sweep come from one runner a target, or from one a side.
async fn refuse_other_runners(store: &dyn Store, sweep: &SweepRow, runners: &SweepRunners) -> Result<(), LabError> {
    for (target, sha256) in store.pinned_runners(&sweep.id)? {
        if let Some(of_b) = &runners.b {
            of_b.get(&target).await?;
        }
        let found = runners.a.get(&target).await?.artifact.sha256;
        if found != sha256 {
            return Err(LabError::usage(format!(
                "the runner for {target} is another now (sha256 {found}) than the one that sweep {} began with \
                 ({sha256})",
                sweep.id
            ))
            .with_hint(format!(
                "results of two programs are not mixed: begin the sweep anew, and `farmctl cancel {}`; or go back to \
                 the farmctl it was begun with",
                sweep.id
            )));
        }
    }
    Ok(())
}
