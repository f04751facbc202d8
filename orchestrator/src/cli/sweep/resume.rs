//! Goes on with a sweep that was stopped.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;

use crate::domain::{Device, Job, JobId, Plan, Submission, SweepDefinition, SweepId, SweepRow, SweepState};
use crate::lease::live_holder;
use crate::progress::Progress;
use crate::store::Store;

use super::super::daemon;
use super::super::lab::person;
use super::super::stored::find_sweep;
use super::drive::{Drive, drive_and_report, start_lease_keeper};
use super::{
    CliError, Context, EngineSource, RunnerSource, Way, devices_with_jobs, lease, models, plan, records_of_skipped, say,
};

pub(super) async fn run(context: &Context, config: Option<&Path>, wanted: &str, way: Way) -> Result<u8, CliError> {
    let store = context.lab.store()?;
    let (sweep, definition) = find(store.as_ref(), config, wanted)?;
    if let Some(config) = config {
        refuse_other_jobs(context, store.as_ref(), &sweep, config)?;
    }
    let holder = live_holder(store.as_ref(), &sweep.id)?.map(|holder| holder.holder);
    let is_daemons = holder.as_deref().is_some_and(|holder| daemon::is_daemon(context, holder));
    if way.by_daemon && (holder.is_none() || is_daemons) {
        if !is_daemons {
            let submission = Submission { by: person(), at: Timestamp::now(), max_devices: way.max_devices };
            store.submit_to_daemon(&sweep.id, &submission)?;
        }
        return super::follow::run(context, &sweep.id, super::super::open_progress(context)).await;
    }
    let progress = super::super::open_progress(context);
    match prepare(context, (sweep.clone(), definition), way.max_devices, &progress).await? {
        Some(drive) => {
            // A daemon that comes later leaves it alone.
            store.withdraw(&sweep.id)?;
            drive_and_report(context, drive, progress).await
        }
        None => {
            super::super::close_progress(context, &progress);
            say(&format!("each job of sweep {} has its record", sweep.id));
            super::drive::conclude(context, store.as_ref(), &sweep.id, false)
        }
    }
}

/// All that it takes to go on with a sweep; `None` when nothing of it is left to be done.
pub(in crate::cli) async fn prepare(
    context: &Context,
    (sweep, definition): (SweepRow, SweepDefinition),
    max_devices: usize,
    progress: &Progress,
) -> Result<Option<Drive>, CliError> {
    let store = context.lab.store()?;
    let jobs = store.open_jobs(&sweep.id, None)?;
    let left = store.devices_left(&sweep.id)?;
    if jobs.is_empty() && left.is_empty() {
        return Ok(None);
    }
    let inventory = context.lab.inventory()?;
    let catalog = models::with_found_files(context, context.lab.catalog()?)?;
    // Taken before anything is built or downloaded: two that resume at once see each other.
    let leases = start_lease_keeper(&store).await?;
    let left_by = last_driver(store.as_ref(), &sweep)?;
    let lease = lease(&leases, &sweep.id).await?;
    let runners = RunnerSource::new(context.lab.runners(), progress.clone());
    if !jobs.is_empty() {
        refuse_other_runners(store.as_ref(), &sweep, &runners).await?;
    }

    let mut open = Plan { sweep: sweep.name.clone(), jobs, skipped: Vec::new() };
    let model_files = models::provide(context, &catalog, &mut open, progress).await?;
    tell_changed_models(&open.jobs, &model_files);
    for record in records_of_skipped(&sweep, &open, &inventory.devices) {
        store.add_record(&record)?;
    }
    let mut devices = devices_with_jobs(&open, &inventory.devices);
    let known: BTreeSet<String> = devices.iter().map(|device| device.name.clone()).collect();
    let gone: BTreeSet<&str> =
        open.jobs.iter().map(|job| job.device.as_str()).filter(|name| !known.contains(*name)).collect();
    if !gone.is_empty() {
        let names = gone.into_iter().collect::<Vec<_>>().join(", ");
        say(&format!("no farm file has these devices now, so their jobs stay open: {names}"));
    }
    // Where nothing is left to be measured, there may be something to be put in order.
    let is_left = |device: &&Device| left.contains(&device.name) && !known.contains(&device.name);
    devices.extend(inventory.devices.iter().filter(is_left).cloned());
    let is_new = !has_begun(store.as_ref(), &sweep.id)?;
    let drive = Drive {
        store,
        sweep,
        definition,
        devices,
        lab_devices: inventory.devices,
        model_files,
        engines: EngineSource::new(context, &catalog, progress.clone()),
        runners,
        leases,
        lease,
        max_devices,
        left_by,
        is_new,
        stop: None,
    };
    Ok(Some(drive))
}

/// Whether anybody has begun to carry a sweep out.
fn has_begun(store: &dyn Store, sweep: &SweepId) -> Result<bool, CliError> {
    Ok(store.events(sweep)?.iter().any(super::follow::is_beginning))
}

/// The sweep that is meant, if it can go on.
pub(in crate::cli) fn find(
    store: &dyn Store,
    config: Option<&Path>,
    wanted: &str,
) -> Result<(SweepRow, SweepDefinition), CliError> {
    let config = config.map(|path| path.display().to_string());
    let sweep = if wanted.is_empty() {
        let mut open = store.sweeps()?.into_iter().filter(|sweep| sweep.state == SweepState::Open);
        let of_file = |sweep: &SweepRow| match (&config, store.definition(&sweep.id)) {
            (None, _) => true,
            (Some(config), Ok(Some(definition))) => definition.config == *config,
            (Some(_), _) => false,
        };
        open.find(of_file).ok_or_else(|| CliError::nothing("no sweep was stopped before its end"))?
    } else {
        find_sweep(store, wanted)?
    };
    if sweep.state.is_over() {
        return Err(CliError::nothing(format!(
            "sweep {} is {}: each of its jobs has its record",
            sweep.id, sweep.state
        ))
        .with_hint(format!("`farmctl sweep --retry-failed {}` runs again what failed", sweep.id)));
    }
    if sweep.state == SweepState::Cancelling {
        return Err(CliError::usage(format!("sweep {} was cancelled", sweep.id))
            .with_hint(format!("`farmctl cancel {}` ends what is left of it", sweep.id)));
    }
    let definition = store.definition(&sweep.id)?.ok_or_else(|| {
        CliError::usage(format!("sweep {} was begun by a farmctl that could not resume", sweep.id))
            .with_hint("start it anew; what it has measured stays in its reports")
    })?;
    Ok((sweep, definition))
}

/// Results of a file that says something else by now are another sweep's.
fn refuse_other_jobs(context: &Context, store: &dyn Store, sweep: &SweepRow, config: &Path) -> Result<(), CliError> {
    let now: BTreeSet<JobId> = plan::load(context, config)?.plan.jobs.into_iter().map(|job| job.id).collect();
    let then: BTreeSet<JobId> = store.jobs(&sweep.id)?.into_iter().map(|job| job.id).collect();
    let (gone, new) = (then.difference(&now).count(), now.difference(&then).count());
    if gone == 0 && new == 0 {
        return Ok(());
    }
    Err(CliError::usage(format!(
        "{} makes other jobs now than when sweep {} began: {gone} of its {} are no more, {new} are new (a model's file, \
         an engine's version, the devices or the options have changed)",
        config.display(),
        sweep.id,
        then.len()
    ))
    .with_hint(format!(
        "`farmctl sweep --resume {}` goes on with the jobs as they were; `farmctl sweep {}` begins a new sweep",
        sweep.id,
        config.display()
    )))
}

/// Rows of one sweep come from one runner a target.
async fn refuse_other_runners(store: &dyn Store, sweep: &SweepRow, runners: &RunnerSource) -> Result<(), CliError> {
    for (target, sha256) in store.pinned_runners(&sweep.id)? {
        let found = runners.get(&target).await?.artifact.sha256;
        if found != sha256 {
            return Err(CliError::usage(format!(
                "the runner for {target} is another now (sha256 {found}) than the one that sweep {} began with ({sha256})",
                sweep.id
            ))
            .with_hint(format!(
                "results of two programs are not mixed: begin the sweep anew, and `farmctl cancel {}`; or go back to \
                 the farmctl it was begun with",
                sweep.id
            )));
        }
    }
    Ok(())
}

/// The process that carried the sweep out when it ended without a word.
fn last_driver(store: &dyn Store, sweep: &SweepRow) -> Result<Option<String>, CliError> {
    let live = store.live_runs(&sweep.id, None)?;
    Ok(live.into_iter().map(|live| live.lease.holder).next())
}

fn tell_changed_models(jobs: &[Job], files: &std::collections::HashMap<String, std::path::PathBuf>) {
    let is_changed = |job: &&Job| job.model.artifact.as_ref().is_some_and(|file| !files.contains_key(&file.sha256));
    let changed: BTreeSet<&str> = jobs.iter().filter(is_changed).map(|job| job.model.name.as_str()).collect();
    for name in changed {
        say(&format!(
            "the file of {name} is another now than when the sweep began; its open jobs run only where a device still \
             has the file of then"
        ));
    }
}
