use std::path::PathBuf;

use clap::Args;

use crate::domain::{Catalog, DeviceSelector, Inventory, Plan, Sweep};
use crate::{config, planner, report};

use super::{CliError, Context, Format, exit, print_data, print_json, print_rows};

#[derive(Debug, Args)]
pub(super) struct PlanArguments {
    /// The sweep's file, for example configs/all.yaml
    config: PathBuf,
}

/// A sweep's file with all that it refers to.
pub(super) struct Loaded {
    pub(super) inventory: Inventory,
    pub(super) catalog: Catalog,
    pub(super) sweep: Sweep,
    pub(super) plan: Plan,
}

pub(super) fn load(context: &Context, file: &std::path::Path) -> Result<Loaded, CliError> {
    load_on(context, file, None)
}

/// The same, on these devices instead of those that the file names.
pub(super) fn load_on(
    context: &Context,
    file: &std::path::Path,
    devices: Option<Vec<DeviceSelector>>,
) -> Result<Loaded, CliError> {
    let inventory = context.lab.inventory()?;
    let mut catalog = super::models::with_found_files(context, context.lab.catalog()?)?;
    let mut sweep = config::load_sweep(file, &inventory, &catalog)?;
    sweep.devices = devices.unwrap_or(sweep.devices);
    super::datasets::with_found_images(context, &mut catalog, sweep.dataset.as_deref());
    let plan = planner::plan(&sweep, &inventory, &catalog);
    Ok(Loaded { inventory, catalog, sweep, plan })
}

pub(super) fn run(context: &Context, arguments: &PlanArguments) -> Result<u8, CliError> {
    let plan = load(context, &arguments.config)?.plan;
    match context.format {
        Format::Human => print_data(report::plan_text(&plan).as_bytes())?,
        Format::Json => print_json(&plan)?,
        Format::Csv | Format::Markdown => {
            let rows = plan
                .jobs
                .iter()
                .map(|job| (job, ""))
                .chain(plan.skipped.iter().map(|skipped| (&skipped.job, skipped.reason.as_str())));
            let header = [
                "job_id",
                "device",
                "model",
                "weights",
                "backend",
                "precision",
                "threads",
                "batch",
                "scenario",
                "repeat",
                "skipped",
            ];
            let cells = rows.map(|(job, reason)| {
                vec![
                    job.id.to_string(),
                    job.device.clone(),
                    job.model.name.clone(),
                    job.model.weights.to_string(),
                    job.backend.clone(),
                    job.precision.to_string(),
                    job.threads.to_string(),
                    job.batch.to_string(),
                    job.scenario.to_string(),
                    job.repeat.to_string(),
                    reason.to_owned(),
                ]
            });
            print_rows(context.format, &header, cells)?;
        }
    }
    Ok(if plan.jobs.is_empty() { exit::NOTHING } else { exit::OK })
}
