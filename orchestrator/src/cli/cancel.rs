//! Ends a sweep for good: its runs are ended on the devices, what was measured is kept, and what is left is cancelled.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::agent::{AgentMode, cell_record};
use crate::domain::{Failure, FailureKind, RunStatus, SweepRow};
use crate::lease::{LeaseError, live_holder};
use crate::store::{Store, StoreError, people};

use super::backends::EngineSource;
use super::lab::person;
use super::runner::RunnerSource;
use super::stored::find_sweep;
use super::sweep::{Drive, conclude, drive, start_lease_keeper};
use super::{CliError, Context, say};

/// How long the process that carries the sweep out may take to end its runs.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is looked whether it is done.
const LOOK_INTERVAL: Duration = Duration::from_millis(300);

#[derive(Debug, Args)]
pub(super) struct CancelArguments {
    /// A sweep's identifier, the beginning of one, or `latest`
    sweep: String,
}

pub(super) async fn run(context: &Context, arguments: &CancelArguments) -> Result<u8, CliError> {
    let store = context.lab.store()?;
    let sweep = find_sweep(store.as_ref(), &arguments.sweep)?;
    if sweep.state.is_over() {
        return Err(CliError::nothing(format!("sweep {} is {} already", sweep.id, sweep.state)));
    }
    people::cancel_sweep(store.as_ref(), &sweep.id, &person(), Timestamp::now())?;
    let give_up_at = Instant::now() + PATIENCE;
    loop {
        wait_for_holder(store.as_ref(), &sweep, give_up_at).await?;
        let is_over = find_sweep(store.as_ref(), sweep.id.as_str())?.state.is_over();
        // A daemon ends what was handed to it, and may have been faster.
        if is_over || end_what_is_left(context, &sweep).await? {
            break;
        }
    }
    conclude(context, store.as_ref(), &sweep.id, false)
}

/// Waits until the process that carries the sweep out has ended its runs, if there is one.
async fn wait_for_holder(store: &dyn Store, sweep: &SweepRow, give_up_at: Instant) -> Result<(), CliError> {
    let mut told = false;
    while let Some(holder) = live_holder(store, &sweep.id)? {
        if !told {
            say(&format!("{} carries it out, and ends its runs now", holder.holder));
            told = true;
        }
        if Instant::now() >= give_up_at {
            return Err(CliError::internal(format!(
                "{} has not ended sweep {} within {} s",
                holder.holder,
                sweep.id,
                PATIENCE.as_secs()
            ))
            .with_hint("look whether it hangs; end it, and cancel again"));
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    Ok(())
}

/// Ends on the devices what a process has left there, and gives each open job its record; returns false, and does nothing,
/// when another process has the sweep.
pub(super) async fn end_what_is_left(context: &Context, sweep: &SweepRow) -> Result<bool, CliError> {
    let store = context.lab.store()?;
    let leases = start_lease_keeper(&store).await?;
    let lease = match leases.sweep(&sweep.id) {
        Ok(lease) => lease,
        Err(LeaseError::Held(_)) => return Ok(false),
        Err(LeaseError::Store(error)) => return Err(error.into()),
    };
    let live = store.live_runs(&sweep.id, None)?.into_iter().map(|run| run.device);
    let live: BTreeSet<String> = live.chain(store.devices_left(&sweep.id)?).collect();
    let inventory = context.lab.inventory()?;
    let devices: Vec<_> = inventory.devices.iter().filter(|device| live.contains(&device.name)).cloned().collect();
    match store.definition(&sweep.id)? {
        Some(definition) if !devices.is_empty() => {
            let progress = super::open_progress(context);
            let runners = RunnerSource::new(context.lab.runners(), progress.clone());
            let drive_ = Drive {
                store: store.clone(),
                sweep: sweep.clone(),
                definition,
                devices,
                lab_devices: Vec::new(),
                model_files: HashMap::new(),
                // Runs are only ended here: a catalogue that can't be read must not keep them.
                engines: EngineSource::new(context, &context.lab.catalog().unwrap_or_default(), progress.clone()),
                runners,
                leases,
                lease,
                max_devices: 128,
                left_by: None,
                is_new: false,
                stop: None,
            };
            let driven = drive(context, drive_, AgentMode::EndRuns, &progress).await;
            super::close_progress(context, &progress);
            driven?;
        }
        _ => {
            close_open_jobs(store.as_ref(), sweep)?;
            lease.release()?;
        }
    }
    Ok(true)
}

/// Gives each job that is still open a record that says so.
pub(super) fn close_open_jobs(store: &dyn Store, sweep: &SweepRow) -> Result<(), CliError> {
    for job in store.open_jobs(&sweep.id, None)? {
        let failure = Failure::new(FailureKind::Cancelled, "the sweep was cancelled before this job had a result");
        let record = cell_record(sweep, None, &job, RunStatus::Cancelled, Some(failure), Timestamp::now());
        match store.add_record(&record) {
            // A run of it is on a device that could not be asked, or that no farm file has any more.
            Err(StoreError::StaleEpoch { run, .. }) => {
                say(&format!("run {run} on {} could not be ended, and stays open", job.device));
            }
            written => written?,
        }
    }
    Ok(())
}
