use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use crate::agent::{Agent, Events, Holder, OutputFiles, Subject, event_queue, record_of_cell};
use crate::domain::{
    Device, EventKind, Failure, Plan, Record, RunStatus, Skipped, SweepId, SweepRow, TransportConfig, sha256_hex,
};
use crate::progress::Progress;
use crate::publish;
use crate::report::{self, ReportInput};
use crate::runners::HOST_TARGET;
use crate::store::Store;

use super::interrupt::Interrupt;
use super::plan::Loaded;
use super::runner::RunnerSource;
use super::stored::records_with_open_jobs;
use super::{CliError, Context, Format, VERSION, exit, models, plan, print_data, say};

#[derive(Debug, Args)]
pub(super) struct SweepArguments {
    /// The sweep's file, for example configs/all.yaml
    config: PathBuf,
    /// Most devices that are worked on at the same time
    #[arg(long, value_name = "N", default_value_t = 128)]
    jobs: usize,
}

pub(super) async fn run(context: &Context, arguments: SweepArguments) -> Result<u8, CliError> {
    let mut loaded = plan::load(context, &arguments.config)?;
    if loaded.plan.jobs.is_empty() {
        return Err(nothing_to_run(&loaded.plan));
    }
    let progress = super::open_progress(context);
    let model_files = models::provide(context, &loaded.catalog, &mut loaded.plan, &progress).await?;
    let runners = RunnerSource::new(context.lab.runners(), progress.clone());
    if uses_this_host(&loaded) {
        runners.get(HOST_TARGET).await?;
    }
    if loaded.plan.jobs.is_empty() {
        return Err(nothing_to_run(&loaded.plan));
    }
    let finished = carry_out(context, &arguments, &loaded, model_files, runners, &progress).await;
    super::close_progress(context, &progress);
    finish(context, finished?).await
}

/// What is left to tell once the workers are done.
struct Finished {
    store: Arc<dyn Store>,
    sweep: SweepRow,
    interrupted: bool,
}

async fn carry_out(
    context: &Context,
    arguments: &SweepArguments,
    loaded: &Loaded,
    model_files: HashMap<String, PathBuf>,
    runners: RunnerSource,
    progress: &Progress,
) -> Result<Finished, CliError> {
    let store = context.lab.store()?;
    let holder = this_process()?;
    let sweep = new_sweep(&loaded.sweep.name);
    context.log.write_to(&publish::sweep_folder(&context.lab.reports(), sweep.id.as_str()).join("log.jsonl"))?;
    tracing::info!(sweep = %sweep.id, config = %arguments.config.display(), version = VERSION, "sweep begins");
    store.create_sweep(&sweep, &loaded.plan)?;
    add_skipped(store.as_ref(), &sweep, &loaded.plan, &loaded.inventory.devices)?;

    let (sender, receiver) = event_queue();
    let view = tokio::spawn({
        let progress = progress.clone();
        async move { progress.follow(receiver).await }
    });
    let events = Events::new(Arc::clone(&store), sender, sweep.id.clone());
    let devices = devices_with_jobs(&loaded.plan, &loaded.inventory.devices);
    let started = EventKind::SweepStarted {
        name: sweep.name.clone(),
        jobs: loaded.plan.jobs.len() as u64,
        skipped: loaded.plan.skipped.len() as u64,
        devices: devices.len() as u64,
    };
    events.emit(Subject::default(), started).await;
    let interrupt = Interrupt::new();
    let agent = Arc::new(Agent {
        store: Arc::clone(&store),
        sweep: sweep.clone(),
        timeouts: loaded.sweep.timeouts,
        on_failure: loaded.sweep.on_failure,
        connect_options: context.lab.connect_options(),
        model_files,
        runners: Arc::new(runners),
        outputs: OutputFiles::new(context.lab.outputs()),
        events: events.clone(),
        stop: interrupt.subscribe(),
        max_devices: arguments.jobs,
        holder,
    });
    let mut left = interrupt.subscribe();
    tokio::select! {
        ended = agent.carry_out(devices) => ended?,
        listening = interrupt.listen(events.clone()) => listening?,
        // Whoever asks three times does not want to wait; runs on devices go on by themselves.
        _ = left.wait_for(|times| *times >= 3) => say("left while runs are under way on devices"),
    }
    store.finish_sweep(&sweep.id, Timestamp::now())?;
    events.emit(Subject::default(), count(&records_with_open_jobs(store.as_ref(), &sweep)?)).await;
    // The view ends with its queue; one that hangs (a terminal that takes no more) must not keep the sweep.
    drop(events);
    let _ = tokio::time::timeout(Duration::from_secs(5), view).await;
    Ok(Finished { store, sweep, interrupted: interrupt.times() > 0 })
}

/// This process's name in leases and in the journal of changes.
fn this_process() -> Result<String, CliError> {
    let holder = Holder::of_this_process();
    holder.map(|holder| holder.to_string()).map_err(|error| {
        CliError::internal(format!("failed to name this process: {error}")).with_hint("is /proc mounted on this host?")
    })
}

/// Writes the reports and prints the table.
async fn finish(context: &Context, finished: Finished) -> Result<u8, CliError> {
    let Finished { store, sweep, interrupted } = finished;
    let records = records_with_open_jobs(store.as_ref(), &sweep)?;
    let outputs = OutputFiles::new(context.lab.outputs()).load(&records);
    let input = ReportInput { sweep: &sweep, records: &records, outputs: &outputs };
    let folder = publish::publish(&context.lab.reports(), &input)?;
    match context.format {
        Format::Human => {
            print_data(report::result_table(&input, super::terminal_width(), context.color).as_bytes())?;
            say(&format!("\nreports: {}", super::short_path(&folder)));
        }
        Format::Csv => super::report::print_report("results.csv", &input)?,
        Format::Markdown => super::report::print_report("results.md", &input)?,
        // Its events are on stdout already.
        Format::Json => {}
    }
    Ok(exit_code(&records, interrupted))
}

fn exit_code(records: &[Record], interrupted: bool) -> u8 {
    let tried = records.iter().filter(|record| record.status != RunStatus::Skipped);
    let (mut ok, mut failed, mut reached) = (false, false, false);
    for record in tried {
        ok |= record.status == RunStatus::Ok;
        failed |= record.status == RunStatus::Failed;
        reached |= record.device.is_some();
    }
    match (interrupted, failed, reached || ok) {
        (true, ..) => exit::INTERRUPTED,
        (_, true, false) => exit::NO_DEVICE,
        (_, true, true) => exit::SOME_FAILED,
        (_, false, _) => exit::OK,
    }
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

fn devices_with_jobs(plan: &Plan, devices: &[Device]) -> Vec<Device> {
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
    }
}

fn add_skipped(store: &dyn Store, sweep: &SweepRow, plan: &Plan, devices: &[Device]) -> Result<(), CliError> {
    for Skipped { job, kind, reason } in &plan.skipped {
        let device = devices.iter().find(|device| device.name == job.device);
        let failure = Failure::new(*kind, reason.clone());
        let record = record_of_cell(sweep, device, job, RunStatus::Skipped, Some(failure));
        store.add_record(&record, Timestamp::now())?;
    }
    Ok(())
}

fn count(records: &[Record]) -> EventKind {
    let of = |status| records.iter().filter(|record| record.status == status).count() as u64;
    EventKind::SweepFinished {
        ok: of(RunStatus::Ok),
        failed: of(RunStatus::Failed),
        skipped: of(RunStatus::Skipped),
        cancelled: of(RunStatus::Cancelled),
    }
}
