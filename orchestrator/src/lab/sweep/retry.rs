//! Runs again, as a new sweep, what failed in an earlier one.

use std::collections::BTreeSet;

use crate::domain::{FailureKind, JobId, Plan, Record, RunStatus, Skipped, SweepDefinition};
use crate::lab::files::files_of;
use crate::lab::{Lab, LabError, PlannedSweep};
use crate::planner;

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
        if definition.sweep.side_by_side.is_some() {
            let why = format!("sweep {} measures two sides in pairs: one side alone says nothing", earlier.id);
            return Err(LabError::usage(why).with_hint("begin `farmctl ab` anew"));
        }
        let records = store.records(&earlier.id)?;
        let failed: BTreeSet<JobId> =
            records.iter().filter(|record| is_worth_it(record)).map(|record| record.job.id.clone()).collect();
        let mut jobs = store.jobs(&earlier.id)?;
        jobs.retain(|job| failed.contains(&job.id));
        // A new sweep's images are prepared anew.
        jobs.iter_mut().filter_map(|job| job.dataset.as_mut()).for_each(|dataset| dataset.prepared = None);
        if jobs.is_empty() {
            return Err(LabError::nothing(format!("nothing failed in sweep {}", earlier.id)));
        }
        let catalog = self.with_found_files(self.catalog()?, &files_of(&jobs));
        let mut plan = Plan { sweep: earlier.name.clone(), jobs: Vec::new(), skipped: Vec::new() };
        for job in jobs {
            match planner::replaced_file(&job, &catalog) {
                Some(reason) => plan.skipped.push(Skipped { job, kind: FailureKind::ArtifactUnavailable, reason }),
                None => plan.jobs.push(job),
            }
        }
        if let (true, Some(first)) = (plan.jobs.is_empty(), plan.skipped.first()) {
            let reason = &first.reason;
            return Err(LabError::nothing(format!("no job of sweep {} can be run again: {reason}", earlier.id)));
        }
        planner::renumber(&mut plan.jobs);
        self.tell_changed_facts(plan.jobs.iter(), &catalog);
        let definition = SweepDefinition { retry_of: Some(earlier.id), due: None, ordered: None, ..definition };
        Ok(PlannedSweep { inventory: self.of_all_hosts(self.inventory()?), catalog, definition, plan, is_fixed: true })
    }
}

/// Whether a record is of a job that was tried, or would have been. What was to be measured again has a result all the
/// same.
fn is_worth_it(record: &Record) -> bool {
    if record.job.rerun.is_some() {
        return false;
    }
    let kind = record.failure.as_ref().map(|failure| failure.kind);
    match record.status {
        RunStatus::Ok => false,
        RunStatus::Failed | RunStatus::Cancelled => true,
        RunStatus::Skipped => kind.is_some_and(|kind| kind.leaves_job_out() || kind == FailureKind::Cancelled),
    }
}
