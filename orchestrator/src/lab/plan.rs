use std::collections::BTreeSet;
use std::path::Path;

use crate::domain::{Catalog, DeviceSelector, Inventory, Plan, Sweep, SweepDefinition, SweepOrder};
use crate::schedule::Schedule;
use crate::wording::many;
use crate::{config, planner};

use super::{Lab, LabError};

/// A sweep's file with all that it refers to, and the plan that comes of it.
pub struct PlannedSweep {
    /// The devices of the lab.
    pub inventory: Inventory,
    /// The models, engines and datasets.
    pub catalog: Catalog,
    /// What the sweep is, as the store keeps it.
    pub definition: SweepDefinition,
    /// Its jobs, and the cells that can't run.
    pub plan: Plan,
    /// Whether the plan is what it is, and not made anew of the sweep's matrix when more is known of its files.
    pub is_fixed: bool,
}

impl Lab {
    /// Plans the sweep of a file. Touches no device.
    ///
    /// # Errors
    /// When a file is faulty, with its place.
    pub fn plan(&self, file: &Path) -> Result<PlannedSweep, LabError> {
        self.plan_named(file, file.display().to_string(), None)
    }

    /// The same, on these devices instead of those that the file names; it is known by its short path.
    ///
    /// # Errors
    /// As for [`Lab::plan`].
    pub(super) fn plan_on(&self, file: &Path, devices: Option<Vec<DeviceSelector>>) -> Result<PlannedSweep, LabError> {
        self.plan_named(file, self.short_path(file), devices)
    }

    /// Plans the sweep of a schedule, on the devices that it names, if it names some.
    ///
    /// # Errors
    /// As for [`Lab::plan`].
    pub fn plan_schedule(&self, schedule: &Schedule) -> Result<PlannedSweep, LabError> {
        let devices = Some(schedule.devices.clone()).filter(|devices| !devices.is_empty());
        let mut planned = self.plan_on(&schedule.sweep, devices)?;
        planned.definition.max_parallel = schedule.max_parallel;
        Ok(planned)
    }

    /// The same, for a person who begins it now, whatever is due.
    ///
    /// # Errors
    /// As for [`Lab::plan`].
    pub fn plan_schedule_by_hand(&self, schedule: &Schedule) -> Result<PlannedSweep, LabError> {
        let mut planned = self.plan_schedule(schedule)?;
        planned.definition.ordered = Some(SweepOrder { by: self.person(), schedule: Some(schedule.name.clone()) });
        Ok(planned)
    }

    fn plan_named(
        &self,
        file: &Path,
        config: String,
        devices: Option<Vec<DeviceSelector>>,
    ) -> Result<PlannedSweep, LabError> {
        let (inventory, catalog) = match self.declared(&|name| self.variable(name)) {
            Ok(declared) => declared,
            Err(errors) => config::both(Err(errors), config::check_sweep(file)).map(|(declared, ())| declared)?,
        };
        let inventory = self.of_all_hosts(inventory);
        let mut sweep = config::load_sweep(file, &inventory, &catalog)?;
        sweep.devices = devices.unwrap_or(sweep.devices);
        Ok(self.planned(sweep, config, inventory, catalog))
    }

    /// What this process can carry out alone of what is planned for all hosts of the lab.
    pub fn of_this_host(&self, mut planned: PlannedSweep) -> PlannedSweep {
        let PlannedSweep { inventory, plan, .. } = &mut planned;
        let elsewhere = inventory.devices.iter().filter(|device| device.is_elsewhere);
        let elsewhere: BTreeSet<String> = elsewhere.map(|device| device.name.clone()).collect();
        let all = plan.jobs.len();
        plan.jobs.retain(|job| !elsewhere.contains(&job.device));
        plan.skipped.retain(|skipped| !elsewhere.contains(&skipped.job.device));
        inventory.devices.retain(|device| !device.is_elsewhere);
        let left_out = (all - plan.jobs.len()) as u64;
        if left_out > 0 {
            let jobs = many(left_out, "job");
            self.remark(&format!(
                "left out: {jobs} for devices of other hosts; only a daemon shares a sweep with them"
            ));
        }
        planned
    }

    /// The plan of a sweep, which is known by this name of its file.
    pub(super) fn planned(&self, sweep: Sweep, config: String, inventory: Inventory, catalog: Catalog) -> PlannedSweep {
        let inventory = self.without_conflicts(inventory);
        let mut catalog = self.with_found_files(catalog, &|name, kind| sweep.names_files(name, kind));
        self.find_images(&mut catalog, sweep.dataset.as_deref());
        let plan = planner::plan(&sweep, &inventory, &catalog);
        let definition =
            SweepDefinition { config, sweep, retry_of: None, due: None, ordered: None, max_parallel: None };
        PlannedSweep { inventory, catalog, definition, plan, is_fixed: false }
    }
}
