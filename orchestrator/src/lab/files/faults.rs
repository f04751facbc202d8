//! What is wrong with files of models before any sweep takes them.

use std::collections::BTreeSet;

use crate::config;
use crate::domain::{Catalog, CatalogModel, Inventory, WeightsFile, WeightsSource};
use crate::lab::Lab;
use crate::schedule::Schedule;

impl Lab {
    /// What is wrong with files of this host that the sweeps of these schedules take models from: not there, or no
    /// model. What can be had again is nobody's fault, and a faulty YAML file is told of where it is read.
    pub fn model_file_faults(&self, schedules: &[Schedule]) -> Option<String> {
        let (inventory, catalog) = self.declared(&|name| self.variable(name)).ok()?;
        let inventory = self.of_all_hosts(inventory);
        let faults: BTreeSet<String> =
            schedules.iter().flat_map(|schedule| self.faults_of(schedule, &inventory, &catalog)).collect();
        Some(faults.into_iter().collect::<Vec<_>>().join("; ")).filter(|faults| !faults.is_empty())
    }

    fn faults_of(&self, schedule: &Schedule, inventory: &Inventory, catalog: &Catalog) -> Vec<String> {
        let Ok(sweep) = config::load_sweep(&schedule.sweep, inventory, catalog) else { return Vec::new() };
        let catalog = self.with_found_files(catalog.clone(), &|name, kind| sweep.names_files(name, kind));
        let of_model = |model: &CatalogModel| {
            let files = model.files.iter().filter(|file| sweep.names_files(&model.name, file.weights));
            files.filter_map(fault).map(|why| format!("{}: {why}", model.name)).collect::<Vec<_>>()
        };
        catalog.models.iter().flat_map(of_model).collect()
    }
}

/// What is wrong with a file of the user's; nothing is known of one that is built or downloaded.
fn fault(file: &WeightsFile) -> Option<String> {
    let WeightsSource::Path(path) = &file.source else { return None };
    match &file.signature {
        Some(Err(why)) => Some(why.clone()),
        _ if !path.is_file() => Some(format!("the model file {} is not there", path.display())),
        _ => None,
    }
}
