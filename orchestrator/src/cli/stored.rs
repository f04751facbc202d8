//! What the store has of earlier sweeps.

use jiff::Timestamp;

use crate::agent::cell_record;
use crate::domain::{Failure, FailureKind, Record, RunStatus, SweepRow};
use crate::store::Store;

use super::CliError;

/// The records of a sweep, with a row `cancelled` for each job that has none: a report never leaves a cell out.
pub(super) fn records_with_open_jobs(store: &dyn Store, sweep: &SweepRow) -> Result<Vec<Record>, CliError> {
    let mut records = store.records(&sweep.id)?;
    for job in store.open_jobs(&sweep.id, None)? {
        let failure = Failure::new(FailureKind::Cancelled, "the sweep was stopped before this job had a result");
        let moment = sweep.finished_at.unwrap_or_else(Timestamp::now);
        records.push(cell_record(sweep, None, &job, RunStatus::Cancelled, Some(failure), moment));
    }
    Ok(records)
}

/// The sweep that a person means by its identifier, the beginning of one, or `latest`.
pub(super) fn find_sweep(store: &dyn Store, wanted: &str) -> Result<SweepRow, CliError> {
    let sweeps = store.sweeps()?;
    if wanted == "latest" {
        return sweeps.into_iter().next().ok_or_else(|| CliError::nothing("this lab has no sweep yet"));
    }
    if let Some(exact) = sweeps.iter().find(|sweep| sweep.id.as_str() == wanted) {
        return Ok(exact.clone());
    }
    let mut matching = sweeps.iter().filter(|sweep| sweep.id.as_str().starts_with(wanted));
    match (matching.next(), matching.next()) {
        (Some(sweep), None) => Ok(sweep.clone()),
        (Some(_), Some(_)) => Err(CliError::usage(format!("{wanted:?} is the beginning of several sweeps"))),
        (None, _) => {
            let newest: Vec<&str> = sweeps.iter().take(5).map(|sweep| sweep.id.as_str()).collect();
            Err(CliError::usage(format!("there is no sweep {wanted:?}"))
                .with_hint(format!("the newest are: {}", newest.join(", "))))
        }
    }
}
