//! A sweep that the hosts of a lab carry out together, each on the devices that it reaches: what of it is this host's,
//! and its end, which one of them makes.

use std::collections::BTreeSet;

use crate::domain::{Device, Event, Job, SweepId, SweepRow};
use crate::lab::{Lab, LabError};
use crate::lease::{LeaseError, is_holder_gone};
use crate::progress::Progress;
use crate::publish;
use crate::store::Store;

use super::begin::refused;
use super::conclude::SweepResults;
use super::execute::{Beginning, SweepLease, finished};

impl Lab {
    /// Whether this host reaches one of these devices: its farm files have it, in service.
    ///
    /// # Errors
    /// When a farm file is faulty, and none was good before.
    pub fn reaches_any(&self, devices: &[String]) -> Result<bool, LabError> {
        let known = self.devices()?;
        let is_reached = |name: &String| known.iter().any(|it| it.device.name == *name && it.device.disabled.is_none());
        Ok(devices.iter().any(is_reached))
    }

    /// Leaves of a sweep's jobs, and of devices that were not given back, those that are this host's to see to.
    pub(super) fn keep_own(
        &self,
        store: &dyn Store,
        jobs: &mut Vec<Job>,
        left: &mut Vec<String>,
    ) -> Result<(), LabError> {
        let inventory = self.inventory()?;
        let reached: BTreeSet<&str> = inventory.devices.iter().map(|device| device.name.as_str()).collect();
        // What another host uses now was not left.
        let leases = store.device_leases(self.now())?.into_iter().filter(|(_, lease)| !is_holder_gone(&lease.holder));
        let used: BTreeSet<String> = leases.map(|(device, _)| device).collect();
        jobs.retain(|job| reached.contains(job.device.as_str()));
        left.retain(|device| reached.contains(device.as_str()) && !used.contains(device));
        Ok(())
    }

    /// Takes part in a sweep with these devices, beside other hosts.
    pub(super) fn take_part(
        &self,
        sweep: &SweepId,
        devices: &[Device],
        left_by: Option<String>,
    ) -> Result<(SweepLease, Beginning), LabError> {
        let keeper = self.start_lease_keeper()?;
        let names: Vec<String> = devices.iter().map(|device| device.name.clone()).collect();
        let (lease, is_first) = keeper.part(sweep, &names).map_err(|error| refused(sweep, error))?;
        let store = self.store()?;
        let is_other = |holder: &str| holder != keeper.holder() && !is_holder_gone(holder);
        let parts = store.sweep_parts(sweep, self.now())?;
        let beginning = if is_first && store.last_start(sweep)?.is_none() {
            Beginning::New
        } else if parts.iter().any(|part| part.is_live && is_other(&part.holder)) {
            Beginning::Joins
        } else {
            Beginning::GoesOn { left_by }
        };
        Ok((SweepLease { keeper, lease }, beginning))
    }

    /// The end of a sweep that nobody waits for here. Where hosts share the store, one of them makes it: the first that
    /// finds all jobs with their records, and nobody else at it.
    ///
    /// # Errors
    /// As for [`Lab::conclude`].
    pub(super) fn conclude_once(&self, sweep: &SweepId, progress: &Progress) -> Result<(), LabError> {
        let store = self.store()?;
        if !store.is_shared() {
            return self.conclude(sweep).map(drop);
        }
        if !store.devices_with_open_jobs(sweep)?.is_empty() {
            return Ok(());
        }
        let keeper = self.start_lease_keeper()?;
        let lease = match keeper.sweep(sweep) {
            Ok(lease) => lease,
            // Whoever is the last to leave concludes it.
            Err(LeaseError::Held(_)) => return Ok(()),
            Err(LeaseError::Store(error)) => return Err(error.into()),
        };
        let row = self.find_sweep(sweep.as_str())?;
        if !row.state.is_over() {
            self.tell_end(store.as_ref(), &row, progress)?;
            self.conclude(sweep)?;
        }
        Ok(lease.release()?)
    }

    /// What came of a sweep that another process has carried out. Where another host has concluded it, its reports are
    /// written here, too.
    ///
    /// # Errors
    /// When there is no such sweep, or the reports can't be written.
    pub fn results_here(&self, sweep: &SweepId) -> Result<SweepResults, LabError> {
        let is_there = publish::sweep_folder(&self.reports(), sweep.as_str()).join("results.csv").is_file();
        if is_there || !self.store()?.is_shared() {
            return self.results(self.find_sweep(sweep.as_str())?);
        }
        self.publish(sweep.as_str())
    }

    fn tell_end(&self, store: &dyn Store, sweep: &SweepRow, progress: &Progress) -> Result<(), LabError> {
        let (at, sweep_id) = (self.now(), Some(sweep.id.clone()));
        let kind = finished(store.counts(&sweep.id)?);
        let event = Event { at, sweep_id, device: None, job_id: None, run_id: None, kind };
        store.append_event(&event)?;
        progress.event(&event);
        Ok(())
    }
}
