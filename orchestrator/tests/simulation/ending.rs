//! The end of a sweep: who makes it, and that nobody keeps it from its end.

use farmctl::domain::{Record, SweepId, SweepRow, SweepState};
use farmctl::lease::{LEASE, LEASE_POLL_INTERVAL};
use farmctl::store::{LeaseOutcome, Store, StoreError};
use jiff::{SignedDuration, Timestamp};

use super::lab::Lab;

/// How long a sweep may stay open when each job has its record: hosts that were killed come back, and look at devices.
const LONGEST_STAY: SignedDuration = SignedDuration::from_mins(5);

/// Ends a sweep. Of one that several hosts carry out, whoever is the last to leave does so, as daemons do it.
pub async fn end(
    store: &dyn Store,
    is_shared: bool,
    sweep: &SweepId,
    now: &(dyn Fn() -> Timestamp + Sync),
) -> Result<(), StoreError> {
    if !is_shared {
        return store.finish_sweep(sweep, now()).map(drop);
    }
    while store.sweep_state(sweep)? == SweepState::Open {
        match store.lease_sweep(sweep, "sim:the last", LEASE, now())? {
            LeaseOutcome::Taken { epoch } => {
                store.finish_sweep(sweep, now())?;
                return store.release_sweep(sweep, epoch);
            }
            LeaseOutcome::Held(_) => tokio::time::sleep(LEASE_POLL_INTERVAL).await,
        }
    }
    Ok(())
}

/// No host stays at a sweep when each job has its record: nobody else can end it meanwhile.
pub fn check_soon(lab: &Lab<'_>, row: &SweepRow, records: &[Record]) -> Result<(), String> {
    let sweep = lab.store.sweeps().unwrap().into_iter().find(|it| it.id == row.id).unwrap();
    let last = records.iter().map(|record| record.finished_at).max().unwrap();
    let stayed = sweep.finished_at.unwrap().duration_since(last);
    if stayed > LONGEST_STAY { Err(format!("it ended {stayed:#} after its last record")) } else { Ok(()) }
}
