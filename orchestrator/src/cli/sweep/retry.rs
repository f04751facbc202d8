//! Runs again, as a new sweep, what failed in an earlier one.

use std::collections::BTreeSet;

use crate::domain::{FailureKind, JobId, Plan, Record, RunStatus, SweepDefinition};

use super::super::stored::find_sweep;
use super::{CliError, Context, Way, begin, models};
use crate::cli::plan::Loaded;

pub(super) async fn run(context: &Context, wanted: &str, way: Way) -> Result<u8, CliError> {
    let store = context.lab.store()?;
    let earlier = find_sweep(store.as_ref(), wanted)?;
    if !earlier.state.is_over() {
        return Err(CliError::usage(format!("sweep {} is not over", earlier.id))
            .with_hint(format!("`farmctl sweep --resume {}` goes on with it", earlier.id)));
    }
    let definition = store.definition(&earlier.id)?.ok_or_else(|| {
        CliError::usage(format!("sweep {} was begun by a farmctl that did not keep what this takes", earlier.id))
            .with_hint("start it anew")
    })?;
    let failed: BTreeSet<JobId> =
        store.records(&earlier.id)?.iter().filter(|record| is_worth_it(record)).map(|it| it.job.id.clone()).collect();
    let jobs = store.jobs(&earlier.id)?.into_iter().filter(|job| failed.contains(&job.id)).collect();
    let plan = Plan { sweep: earlier.name.clone(), jobs, skipped: Vec::new() };
    if plan.jobs.is_empty() {
        return Err(CliError::nothing(format!("nothing failed in sweep {}", earlier.id)));
    }
    let loaded = Loaded {
        inventory: context.lab.inventory()?,
        catalog: models::with_found_files(context, context.lab.catalog()?)?,
        sweep: definition.sweep.clone(),
        plan,
    };
    let definition = SweepDefinition { retry_of: Some(earlier.id), due: None, ..definition };
    begin(context, loaded, definition, way).await
}

/// Whether a record is of a job that was tried, or would have been.
fn is_worth_it(record: &Record) -> bool {
    let kind = record.failure.as_ref().map(|failure| failure.kind);
    match record.status {
        RunStatus::Ok => false,
        RunStatus::Failed | RunStatus::Cancelled => true,
        RunStatus::Skipped => {
            matches!(kind, Some(FailureKind::Quarantined | FailureKind::Locked | FailureKind::Cancelled))
        }
    }
}
