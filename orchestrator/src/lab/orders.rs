//! What is begun for somebody who is not there to see it: by a schedule, or by an order over the API.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::agent::Stop;
use crate::domain::{DeviceSelector, DueTime, SweepId};
use crate::planner::{self, PlanEstimate};
use crate::progress::Progress;
use crate::schedule::Schedule;
use crate::store::StoreError;
use crate::wording::BYTES_PER_MB;

use super::sweep::MAX_DEVICES;
use super::{Lab, LabError, PlannedSweep};

/// Files in `configs/` that are no sweeps.
const NO_SWEEPS: &[&str] = &["backends", "daemon", "datasets", "models"];
/// Below this, nothing is begun: results would have no room.
const MIN_FREE_BYTES: u64 = 64 * BYTES_PER_MB;

/// What is to be started.
#[derive(Debug)]
pub enum Order {
    /// A sweep's file, as [`Lab::sweep_files`] names it, on these devices instead of those it names.
    File(String, Option<Vec<String>>),
    /// The sweep of a schedule, now.
    Schedule(Box<Schedule>),
    /// What failed in a sweep, again.
    Retry(String),
}

/// What an order would do.
#[derive(Debug)]
pub struct PlanPreview {
    /// Cells that would be measured.
    pub jobs: usize,
    /// How long that takes.
    pub estimate: PlanEstimate,
    /// Cells that would not be, by the reason.
    pub skipped: BTreeMap<String, usize>,
    /// What is to be known of its devices, and of the clock that it is dated by.
    pub remarks: Vec<String>,
}

/// A sweep that was added for an order.
#[derive(Debug)]
pub struct Started {
    /// The sweep.
    pub sweep: SweepId,
    /// What is to be known of its devices, and of the clock that it is dated by.
    pub remarks: Vec<String>,
}

impl Lab {
    /// Adds the sweep of an order to the store, as one that is the daemon's to carry out.
    ///
    /// # Errors
    /// When the file is faulty, there is nothing to run, or no room for results.
    pub async fn start(&self, order: Order, by: &str, progress: &Progress) -> Result<Started, LabError> {
        if let Order::File(file, names) = &order {
            self.refuse_unknown(file, names.as_deref().unwrap_or_default())?;
        }
        if let Some(obstacle) = self.obstacle() {
            return Err(LabError::unavailable(obstacle));
        }
        let planned = self.plan_order(&order)?;
        let remarks = self.remarks_before(&planned)?;
        let sweep = self.submit(planned, by, MAX_DEVICES, progress).await?;
        Ok(Started { sweep, remarks })
    }

    fn plan_order(&self, order: &Order) -> Result<PlannedSweep, LabError> {
        match order {
            Order::File(file, names) => {
                let select = |names: &Vec<String>| names.iter().cloned().map(DeviceSelector::Name).collect();
                self.plan_on(&self.path(Path::new(file)), names.as_ref().map(select))
            }
            Order::Schedule(schedule) => self.plan_schedule_by_hand(schedule),
            Order::Retry(sweep) => self.plan_retry(sweep),
        }
    }

    /// What an order would do, as far as it is known before its files are made ready.
    ///
    /// # Errors
    /// When a file is faulty.
    pub fn preview(&self, order: &Order) -> Result<PlanPreview, LabError> {
        if let Order::File(file, names) = order {
            self.refuse_unknown(file, names.as_deref().unwrap_or_default())?;
        }
        let planned = self.plan_order(order)?;
        let remarks = self.remarks_before(&planned)?;
        let PlannedSweep { plan, inventory, definition, .. } = planned;
        let mut skipped: BTreeMap<String, usize> = BTreeMap::new();
        for cell in &plan.skipped {
            *skipped.entry(cell.reason.clone()).or_default() += 1;
        }
        let estimate = planner::estimate(&plan, &inventory, definition.sweep.cooldown.as_ref());
        Ok(PlanPreview { jobs: plan.jobs.len(), estimate, skipped, remarks })
    }

    /// Refuses a file that is no sweep, and devices that no farm file has.
    fn refuse_unknown(&self, file: &str, devices: &[String]) -> Result<(), LabError> {
        if !self.sweep_files().iter().any(|known| known == file) {
            return Err(LabError::usage(format!("{file:?} is no sweep of this lab"))
                .with_hint("/api/v1/files lists those there are"));
        }
        let known = self.union_devices()?;
        match devices.iter().find(|name| !known.iter().any(|it| it.device.name == **name)) {
            Some(name) => Err(LabError::usage(format!("no farm file has a device {name:?}"))),
            None => Ok(()),
        }
    }

    /// The files that may be started, relative to the lab.
    pub fn sweep_files(&self) -> Vec<String> {
        let entries = self.path(Path::new("configs")).read_dir().into_iter().flatten().filter_map(Result::ok);
        let is_sweep = |path: &PathBuf| {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let is_yaml = path.extension().is_some_and(|end| end == "yaml" || end == "yml");
            is_yaml && path.is_file() && !stem.starts_with('.') && !NO_SWEEPS.contains(&stem)
        };
        let names = entries.map(|entry| entry.path()).filter(is_sweep);
        let names = names.filter_map(|path| Some(format!("configs/{}", path.file_name()?.to_str()?)));
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// Begins the sweep of a due time, and carries it out until its end, or until it is to stop.
    ///
    /// # Errors
    /// When a file is faulty, there is nothing to run, or it can't go on.
    pub async fn begin_due(
        &self,
        schedule: &Schedule,
        due: DueTime,
        stop: Arc<Stop>,
        progress: &Progress,
    ) -> Result<(), LabError> {
        let mut planned = self.plan_schedule(schedule)?;
        if schedule.checks_first && !self.check_first(schedule, &planned, &stop, progress).await {
            // Its due time waits.
            return Ok(());
        }
        planned.definition.due = Some(due);
        match self.begin(planned, MAX_DEVICES, progress).await {
            Ok(execution) => self.run_headless(execution, stop, progress).await,
            Err(error) => match error.into_store_error() {
                // Another host has begun it meanwhile.
                Ok(StoreError::NotWaiting { .. }) => Ok(()),
                Ok(refusal) => Err(refusal.into()),
                Err(error) => Err(error),
            },
        }
    }

    /// Why nothing can be begun now: no room for its results.
    pub fn obstacle(&self) -> Option<String> {
        let folder = self.daemon_file("");
        let room = nix::sys::statvfs::statvfs(&folder).ok()?;
        let free_bytes = room.blocks_available().saturating_mul(room.fragment_size());
        let least = MIN_FREE_BYTES / BYTES_PER_MB;
        let text =
            || format!("{} MB are free in {}, less than {least} MB", free_bytes / BYTES_PER_MB, folder.display());
        (free_bytes < MIN_FREE_BYTES).then(|| format!("{}: nothing is begun", text()))
    }
}
