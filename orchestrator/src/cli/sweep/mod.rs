use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;

use crate::agent::cell_record;
use crate::domain::{
    Device, DeviceSelector, Failure, Plan, Record, RunStatus, Skipped, Submission, SweepDefinition, SweepId, SweepRow,
    SweepState, TransportConfig, sha256_hex,
};
use crate::lease::{Lease, LeaseError, LeaseKeeper, live_holder};
use crate::progress::Progress;
use crate::runners::HOST_TARGET;
use crate::store::{NewSweep, Store};

use super::backends::EngineSource;
use super::lab::person;
use super::plan::Loaded;
use super::runner::RunnerSource;
use super::{CliError, Context, VERSION, daemon, models, plan, say};

mod drive;
mod follow;
mod resume;
mod retry;

pub(super) use drive::{Drive, conclude, conclude_unseen, drive, drive_unseen, start_lease_keeper, wall_clock};
pub(super) use resume::{find as find_unfinished, prepare as prepare_to_go_on};

#[derive(Debug, Args)]
pub(super) struct SweepArguments {
    /// The sweep's file, for example configs/all.yaml
    #[arg(required_unless_present_any = ["resume", "retry_failed"])]
    config: Option<PathBuf>,
    /// Go on with a sweep that was stopped: its identifier, the beginning of one, or none for the newest (of that file)
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "")]
    resume: Option<String>,
    /// Run again, as a new sweep, what failed in an earlier one
    #[arg(long, value_name = "ID", conflicts_with_all = ["resume", "config"])]
    retry_failed: Option<String>,
    /// Most devices that are worked on at the same time
    #[arg(long, value_name = "N", default_value_t = 128)]
    jobs: usize,
    /// Carry it out in this process, also when a daemon runs that would
    #[arg(long)]
    local: bool,
}

/// How a sweep is carried out.
#[derive(Debug, Clone, Copy)]
struct Way {
    /// Most devices that are worked on at the same time.
    max_devices: usize,
    /// Whether by the daemon.
    by_daemon: bool,
}

pub(super) async fn run(context: &Context, arguments: SweepArguments) -> Result<u8, CliError> {
    let way = Way { max_devices: arguments.jobs, by_daemon: !arguments.local && daemon::takes_over(context) };
    match (&arguments.config, &arguments.resume, &arguments.retry_failed) {
        (config, Some(wanted), _) => resume::run(context, config.as_deref(), wanted, way).await,
        (_, _, Some(wanted)) => retry::run(context, wanted, way).await,
        (Some(config), None, None) => {
            let loaded = plan::load(context, config)?;
            let definition = SweepDefinition {
                config: config.display().to_string(),
                sweep: loaded.sweep.clone(),
                retry_of: None,
                due: None,
            };
            begin(context, loaded, definition, way).await
        }
        (None, None, None) => Err(CliError::usage("a sweep needs its file")),
    }
}

/// Runs the sweep of a file, on these devices instead of those it names; by the daemon, where one runs.
pub(super) async fn run_on(
    context: &Context,
    config: &Path,
    devices: Option<Vec<DeviceSelector>>,
) -> Result<u8, CliError> {
    const MAX_DEVICES: usize = 128;
    let loaded = plan::load_on(context, config, devices)?;
    let config = super::short_path(config);
    let definition = SweepDefinition { config, sweep: loaded.sweep.clone(), retry_of: None, due: None };
    let way = Way { max_devices: MAX_DEVICES, by_daemon: daemon::takes_over(context) };
    begin(context, loaded, definition, way).await
}

/// Begins a new sweep and carries it out, or has the daemon do that.
async fn begin(context: &Context, loaded: Loaded, definition: SweepDefinition, way: Way) -> Result<u8, CliError> {
    if loaded.plan.jobs.is_empty() {
        return Err(nothing_to_run(&loaded.plan));
    }
    mention_unfinished(context.lab.store()?.as_ref(), &definition)?;
    let progress = super::open_progress(context);
    if way.by_daemon {
        let id = hand_over(context, loaded, definition, (&person(), way.max_devices), &progress).await?;
        return follow::run(context, &id, progress).await;
    }
    let drive = prepare(context, loaded, definition, way.max_devices, &progress).await?;
    drive::drive_and_report(context, drive, progress).await
}

/// Adds a sweep to the store that is the daemon's to carry out: by whom, and on how many devices at the same time.
pub(super) async fn hand_over(
    context: &Context,
    mut loaded: Loaded,
    definition: SweepDefinition,
    (by, max_devices): (&str, usize),
    progress: &Progress,
) -> Result<SweepId, CliError> {
    provide(context, &mut loaded, progress).await?;
    let submission = Submission { by: by.to_owned(), at: Timestamp::now(), max_devices };
    Ok(add(context.lab.store()?.as_ref(), &loaded, &definition, Some(&submission))?.id)
}

/// Has all files ready that a new sweep takes on this host; takes cells out of its plan that can't run without.
async fn provide(
    context: &Context,
    loaded: &mut Loaded,
    progress: &Progress,
) -> Result<(HashMap<String, PathBuf>, RunnerSource), CliError> {
    if loaded.plan.jobs.is_empty() {
        return Err(nothing_to_run(&loaded.plan));
    }
    let model_files = models::provide(context, &loaded.catalog, &mut loaded.plan, progress).await?;
    let runners = RunnerSource::new(context.lab.runners(), progress.clone());
    if uses_this_host(loaded) {
        runners.get(HOST_TARGET).await?;
    }
    if loaded.plan.jobs.is_empty() {
        return Err(nothing_to_run(&loaded.plan));
    }
    Ok((model_files, runners))
}

/// Adds a new sweep to the store, whole.
fn add(
    store: &dyn Store,
    loaded: &Loaded,
    definition: &SweepDefinition,
    submission: Option<&Submission>,
) -> Result<SweepRow, CliError> {
    let sweep = new_sweep(&loaded.sweep.name);
    let skipped = records_of_skipped(&sweep, &loaded.plan, &loaded.inventory.devices);
    let new = NewSweep { skipped: &skipped, submission, ..NewSweep::new(&sweep, definition, &loaded.plan) };
    store.create_sweep(&new)?;
    Ok(sweep)
}

/// Adds a sweep to the store, with all that it takes to carry it out.
pub(super) async fn prepare(
    context: &Context,
    mut loaded: Loaded,
    definition: SweepDefinition,
    max_devices: usize,
    progress: &Progress,
) -> Result<Drive, CliError> {
    let (model_files, runners) = provide(context, &mut loaded, progress).await?;
    let store = context.lab.store()?;
    let sweep = add(store.as_ref(), &loaded, &definition, None)?;
    let leases = start_lease_keeper(&store).await?;
    let lease = lease(&leases, &sweep.id).await?;
    Ok(Drive {
        store,
        sweep,
        definition,
        devices: devices_with_jobs(&loaded.plan, &loaded.inventory.devices),
        lab_devices: loaded.inventory.devices,
        model_files,
        engines: EngineSource::new(context, &loaded.catalog, progress.clone()),
        runners,
        leases,
        lease,
        max_devices,
        left_by: None,
        is_new: true,
        stop: None,
    })
}

/// Takes the lease of a sweep, which nobody else may have.
async fn lease(leases: &LeaseKeeper, sweep: &SweepId) -> Result<Lease, CliError> {
    leases.sweep(sweep).map_err(|error| match error {
        LeaseError::Held(holder) => {
            CliError::usage(format!("sweep {sweep} is being carried out by {} now", holder.holder)).with_hint(format!(
                "`farmctl sweeps show {sweep}` shows how far it is; a process that ended without a word gives it free \
                 at {}",
                holder.until
            ))
        }
        LeaseError::Store(error) => error.into(),
    })
}

/// Says which sweeps of the same file were stopped: a person may want to go on with one instead.
fn mention_unfinished(store: &dyn Store, definition: &SweepDefinition) -> Result<(), CliError> {
    let handed = super::sweeps::handed_over(store)?;
    let is_left = |sweep: &SweepRow| sweep.state == SweepState::Open && !handed.contains_key(&sweep.id);
    for sweep in store.sweeps()?.into_iter().filter(is_left) {
        let of_it = store.definition(&sweep.id)?;
        let is_same = of_it.is_some_and(|known| known.config == definition.config && known.retry_of.is_none());
        if is_same && live_holder(store, &sweep.id)?.is_none() {
            let (open, all) = (store.open_jobs(&sweep.id, None)?.len(), store.jobs(&sweep.id)?.len());
            let id = &sweep.id;
            say(&format!(
                "sweep {id} of this file was stopped with {open} of {all} jobs open; this is a new one. `farmctl sweep \
                 --resume {id}` goes on with it, `farmctl cancel {id}` ends it"
            ));
        }
    }
    Ok(())
}

fn nothing_to_run(plan: &Plan) -> CliError {
    let reasons: HashSet<&str> = plan.skipped.iter().map(|skipped| skipped.reason.as_str()).collect();
    let mut reasons: Vec<&str> = reasons.into_iter().collect();
    reasons.sort_unstable();
    let why = if reasons.is_empty() { "the matrix is empty".to_owned() } else { reasons.join("; ") };
    CliError::nothing(format!("sweep {:?} has nothing to run: {why}", plan.sweep))
}

fn uses_this_host(loaded: &Loaded) -> bool {
    let used: HashSet<&str> = loaded.plan.jobs.iter().map(|job| job.device.as_str()).collect();
    loaded
        .inventory
        .devices
        .iter()
        .any(|device| device.transport == TransportConfig::Local && used.contains(device.name.as_str()))
}

/// The devices that a plan has jobs for.
pub(super) fn devices_with_jobs(plan: &Plan, devices: &[Device]) -> Vec<Device> {
    let used: HashSet<&str> = plan.jobs.iter().map(|job| job.device.as_str()).collect();
    devices.iter().filter(|device| used.contains(device.name.as_str())).cloned().collect()
}

fn new_sweep(name: &str) -> SweepRow {
    let started_at = Timestamp::now();
    let unique = sha256_hex(format!("{} {}", started_at.as_nanosecond(), std::process::id()).as_bytes());
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(24).collect();
    SweepRow {
        id: SweepId(format!("{}-{plain}-{}", started_at.strftime("%Y%m%d-%H%M%S"), &unique[..4])),
        name: name.to_owned(),
        started_at,
        finished_at: None,
        farmctl_version: VERSION.to_owned(),
        state: SweepState::Open,
    }
}

/// The records of cells that can't run.
fn records_of_skipped(sweep: &SweepRow, plan: &Plan, devices: &[Device]) -> Vec<Record> {
    let record = |Skipped { job, kind, reason }: &Skipped| {
        let device = devices.iter().find(|device| device.name == job.device);
        let failure = Failure::new(*kind, reason.clone());
        cell_record(sweep, device, job, RunStatus::Skipped, Some(failure), Timestamp::now())
    };
    plan.skipped.iter().map(record).collect()
}
