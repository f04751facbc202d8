use std::path::PathBuf;

use clap::Args;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::domain::Job;
use crate::lab::{LabError, PlannedSweep};
use crate::report;
use crate::terminal::table::Table;

#[derive(Debug, Args)]
pub(super) struct PlanArguments {
    /// The sweep's file, for example configs/all.yaml
    config: PathBuf,
}

pub(super) fn run(context: &Context, arguments: &PlanArguments) -> Result<u8, LabError> {
    let PlannedSweep { plan, inventory, definition, .. } = context.lab.plan(&arguments.config)?;
    let jobs = plan.jobs.iter().map(|job| (job, ""));
    let skipped = plan.skipped.iter().map(|skipped| (&skipped.job, skipped.reason.as_str()));
    let cells: Vec<(&Job, &str)> = jobs.chain(skipped).collect();
    let text = report::plan_text(&plan, &inventory, &definition.sweep);
    Table::of(&cells)
        .column("job_id", |(job, _)| job.id.to_string())
        .column("device", |(job, _)| job.device.clone())
        .column("model", |(job, _)| job.model.name.clone())
        .column("weights", |(job, _)| job.model.weights.to_string())
        .column("backend", |(job, _)| job.backend.clone())
        .column("precision", |(job, _)| job.precision.to_string())
        .column("threads", |(job, _)| job.threads.to_string())
        .column("batch", |(job, _)| job.batch.to_string())
        .column("scenario", |(job, _)| job.scenario.to_string())
        .column("repeat", |(job, _)| job.repeat.to_string())
        .column("skipped", |(_, reason)| (*reason).to_owned())
        .column("input", |(job, _)| report::inputs_text(&job.model.inputs))
        .column("macs", |(job, _)| job.model.macs.map(|macs| macs.to_string()).unwrap_or_default())
        .column("position", |(job, _)| job.position.map(|position| position.to_string()).unwrap_or_default())
        .done()
        .text(text)
        .json(&plan)
        .print(context.format)?;
    Ok(if plan.jobs.is_empty() { exit::NOTHING } else { exit::OK })
}
