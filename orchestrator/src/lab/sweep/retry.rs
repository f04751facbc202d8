//! Runs again, as a new sweep, what failed in an earlier one.

use std::collections::BTreeSet;

use crate::domain::{FailureKind, JobId, Plan, Record, RunStatus, SweepDefinition};
use crate::lab::{Lab, LabError, PlannedSweep};

impl Lab {
    /// Plans a new sweep of what failed in an earlier one.
    ///
    /// # Errors
    /// When there is no such sweep, it is not over, or nothing failed in it.
    pub fn plan_retry(&self, wanted: &str) -> Result<PlannedSweep, LabError> {
        let store = self.store()?;
        let earlier = self.find_sweep(wanted)?;
        if !earlier.state.is_over() {
            return Err(LabError::usage(format!("sweep {} is not over", earlier.id))
                .with_hint(format!("`farmctl sweep --resume {}` goes on with it", earlier.id)));
        }
        let definition = store.definition(&earlier.id)?.ok_or_else(|| {
            LabError::usage(format!("sweep {} was begun by a farmctl that did not keep what this takes", earlier.id))
                .with_hint("start it anew")
        })?;
        let records = store.records(&earlier.id)?;
        let failed: BTreeSet<JobId> =
            records.iter().filter(|record| is_worth_it(record)).map(|record| record.job.id.clone()).collect();
        let jobs = store.jobs(&earlier.id)?.into_iter().filter(|job| failed.contains(&job.id)).collect();
        let plan = Plan { sweep: earlier.name.clone(), jobs, skipped: Vec::new() };
        if plan.jobs.is_empty() {
            return Err(LabError::nothing(format!("nothing failed in sweep {}", earlier.id)));
        }
        let definition = SweepDefinition { retry_of: Some(earlier.id), due: None, ..definition };
        Ok(PlannedSweep { inventory: self.inventory()?, catalog: self.catalog_with_found_files()?, definition, plan })
    }
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
