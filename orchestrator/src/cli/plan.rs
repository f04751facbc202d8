use std::path::PathBuf;

use clap::Args;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::table::Table;
use crate::lab::{LabError, PlannedSweep};
use crate::report;

const COLUMNS: [&str; 14] = [
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
    "input",
    "macs",
    "position",
];

#[derive(Debug, Args)]
pub(super) struct PlanArguments {
    /// The sweep's file, for example configs/all.yaml
    config: PathBuf,
}

pub(super) fn run(context: &Context, arguments: &PlanArguments) -> Result<u8, LabError> {
    let PlannedSweep { plan, inventory, definition, .. } = context.lab.plan(&arguments.config)?;
    let jobs = plan.jobs.iter().map(|job| (job, ""));
    let skipped = plan.skipped.iter().map(|skipped| (&skipped.job, skipped.reason.as_str()));
    let rows = jobs.chain(skipped).map(|(job, reason)| {
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
            report::inputs_text(&job.model.inputs),
            job.model.macs.map(|macs| macs.to_string()).unwrap_or_default(),
            job.position.map(|position| position.to_string()).unwrap_or_default(),
        ]
    });
    let text = report::plan_text(&plan, &inventory, &definition.sweep);
    Table::new(&COLUMNS, rows).text(text).json(&plan).print(context.format)?;
    Ok(if plan.jobs.is_empty() { exit::NOTHING } else { exit::OK })
}
