use std::path::PathBuf;

use clap::Args;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::print::{Format, print_data, print_json, print_rows};
use crate::lab::LabError;
use crate::report;

#[derive(Debug, Args)]
pub(super) struct PlanArguments {
    /// The sweep's file, for example configs/all.yaml
    config: PathBuf,
}

pub(super) fn run(context: &Context, arguments: &PlanArguments) -> Result<u8, LabError> {
    let plan = context.lab.plan(&arguments.config)?.plan;
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
