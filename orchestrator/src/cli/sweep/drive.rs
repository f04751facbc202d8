//! Carries a sweep out that is in the store, and reports it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::agent::{Agent, AgentMode, Events, LabelFiles, OutputFiles, Stop, Subject, event_queue};
use crate::domain::{
    Device, EventKind, FailureKind, Record, RunStatus, SweepDefinition, SweepId, SweepRow, SweepState,
};
use crate::lease::{Clock, Holder, Lease, LeaseKeeper};
use crate::progress::Progress;
use crate::publish;
use crate::report::{self, ReportInput};
use crate::store::Store;

use super::super::backends::EngineSource;
use super::super::cancel::close_open_jobs;
use super::super::interrupt::Interrupt;
use super::super::runner::RunnerSource;
use super::super::stored::{find_sweep, records_with_open_jobs};
use super::super::{CliError, Context, Format, VERSION, exit, print_data, say};

/// A sweep that is in the store, with all that it takes to carry it out.
pub(in crate::cli) struct Drive {
    pub(in crate::cli) store: Arc<dyn Store>,
    pub(in crate::cli) sweep: SweepRow,
    pub(in crate::cli) definition: SweepDefinition,
    /// Those with open jobs.
    pub(in crate::cli) devices: Vec<Device>,
    pub(in crate::cli) lab_devices: Vec<Device>,
    pub(in crate::cli) model_files: HashMap<String, PathBuf>,
    pub(in crate::cli) runners: RunnerSource,
    pub(in crate::cli) engines: EngineSource,
    pub(in crate::cli) leases: LeaseKeeper,
    /// The sweep's lease.
    pub(in crate::cli) lease: Lease,
    pub(in crate::cli) max_devices: usize,
    /// The process that had it, when it ended without a word.
    pub(in crate::cli) left_by: Option<String>,
    /// Whether it begins, or goes on.
    pub(in crate::cli) is_new: bool,
    /// Who says when it is to stop; without it, this process's signals.
    pub(in crate::cli) stop: Option<Arc<Stop>>,
}

/// The time of day of this host.
pub(in crate::cli) fn wall_clock() -> Clock {
    Arc::new(Timestamp::now)
}

/// The leases of this process.
pub(in crate::cli) async fn start_lease_keeper(store: &Arc<dyn Store>) -> Result<LeaseKeeper, CliError> {
    let holder = Holder::for_next_task().map_err(|error| {
        CliError::internal(format!("failed to name this process: {error}")).with_hint("is /proc mounted on this host?")
    })?;
    Ok(LeaseKeeper::start(Arc::clone(store), holder.to_string(), wall_clock())?)
}

/// Carries a sweep out, writes its reports and prints the table.
pub(super) async fn drive_and_report(context: &Context, drive: Drive, progress: Progress) -> Result<u8, CliError> {
    let (store, id) = (Arc::clone(&drive.store), drive.sweep.id.clone());
    let driven = super::drive(context, drive, AgentMode::Jobs, &progress).await;
    super::super::close_progress(context, &progress);
    let interrupted = driven.inspect_err(|_| {
        say(&format!("what was measured is kept; `farmctl sweep --resume {id}` goes on"));
    })?;
    conclude(context, store.as_ref(), &id, interrupted)
}

/// Writes the reports, prints the table, and marks the sweep as over when each of its jobs has its record. In this order,
/// a sweep that is over has its reports, whatever ends this process in between.
pub(in crate::cli) fn conclude(
    context: &Context,
    store: &dyn Store,
    sweep: &SweepId,
    interrupted: bool,
) -> Result<u8, CliError> {
    let now = Timestamp::now();
    let code = report(context, store, &as_it_ends(store, sweep, now)?, interrupted)?;
    store.finish_sweep(sweep, now)?;
    Ok(code)
}

/// As [`conclude`], for somebody who is not there to see it.
pub(in crate::cli) fn conclude_unseen(context: &Context, store: &dyn Store, sweep: &SweepId) -> Result<(), CliError> {
    let now = Timestamp::now();
    publish_reports(context, store, &as_it_ends(store, sweep, now)?)?;
    store.finish_sweep(sweep, now)?;
    Ok(())
}

/// A sweep as it is now, or over when each of its jobs has its record.
fn as_it_ends(store: &dyn Store, sweep: &SweepId, now: Timestamp) -> Result<SweepRow, CliError> {
    let mut sweep = find_sweep(store, sweep.as_str())?;
    if !sweep.state.is_over() && store.open_jobs(&sweep.id, None)?.is_empty() {
        let is_cancelled = sweep.state == SweepState::Cancelling;
        sweep.state = if is_cancelled { SweepState::Cancelled } else { SweepState::Finished };
        sweep.finished_at = Some(now);
    }
    Ok(sweep)
}

/// Carries out what is open of a sweep; returns whether a person interrupted it.
pub(in crate::cli) async fn drive(
    context: &Context,
    drive: Drive,
    mode: AgentMode,
    progress: &Progress,
) -> Result<bool, CliError> {
    let Drive { store, sweep, definition, devices, lab_devices, model_files, runners, engines, leases, lease, .. } =
        drive;
    let _log =
        context.log.write_to(&publish::sweep_folder(&context.lab.reports(), sweep.id.as_str()).join("log.jsonl"))?;
    tracing::info!(sweep = %sweep.id, config = %definition.config, version = VERSION, ?mode, "sweep begins");
    let (sender, receiver) = event_queue();
    let view = tokio::spawn({
        let progress = progress.clone();
        async move { progress.follow(receiver).await }
    });
    let events = Events::new(Arc::clone(&store), sender, sweep.id.clone(), wall_clock());
    let started = started(store.as_ref(), &sweep, &devices, drive.is_new, drive.left_by)?;
    events.emit(Subject::default(), started).await;
    let (is_told, interrupt) = (drive.stop.is_some(), Interrupt::new(drive.stop.unwrap_or_default()));
    let agent = Arc::new(Agent {
        mode,
        store: Arc::clone(&store),
        lab: store.lab_id()?,
        sweep: sweep.clone(),
        timeouts: definition.sweep.timeouts,
        on_failure: definition.sweep.on_failure,
        retry: definition.sweep.retry.clone(),
        lab_devices,
        connect: Arc::new(context.lab.connect_options()),
        model_files,
        runners: Arc::new(runners),
        engines: Arc::new(engines),
        outputs: OutputFiles::new(context.lab.outputs()),
        labels: LabelFiles::new(context.lab.artifacts()),
        events: events.clone(),
        stop: interrupt.stop(),
        max_devices: drive.max_devices,
        leases,
        clock: wall_clock(),
    });
    tokio::select! {
        ended = agent.carry_out(devices, &lease) => ended?,
        listening = interrupt.listen(events.clone()), if !is_told => listening?,
        // Whoever asks three times does not want to wait; runs on devices go on by themselves.
        () = interrupt.left() => say("left while runs are under way on devices"),
    }
    // While the lease is held: nobody else does the same.
    if store.sweep_state(&sweep.id)? == SweepState::Cancelling {
        close_open_jobs(store.as_ref(), &sweep)?;
    }
    lease.release()?;
    events.emit(Subject::default(), count(&records_with_open_jobs(store.as_ref(), &sweep)?)).await;
    // The view ends with its queue; one that hangs (a terminal that takes no more) must not keep the sweep.
    drop(events);
    let _ = tokio::time::timeout(Duration::from_secs(5), view).await;
    Ok(interrupt.times() > 0)
}

fn started(
    store: &dyn Store,
    sweep: &SweepRow,
    devices: &[Device],
    is_new: bool,
    left_by: Option<String>,
) -> Result<EventKind, CliError> {
    let (jobs, open) = (store.jobs(&sweep.id)?.len() as u64, store.open_jobs(&sweep.id, None)?.len() as u64);
    let (name, devices) = (sweep.name.clone(), devices.len() as u64);
    if !is_new {
        return Ok(EventKind::SweepResumed { name, jobs, recorded: jobs - open, devices, left_by });
    }
    let skipped = store.records(&sweep.id)?.len() as u64;
    Ok(EventKind::SweepStarted { name, jobs, skipped, devices })
}

/// Writes the reports and prints the table.
fn report(context: &Context, store: &dyn Store, sweep: &SweepRow, interrupted: bool) -> Result<u8, CliError> {
    let records = records_with_open_jobs(store, sweep)?;
    let outputs = OutputFiles::new(context.lab.outputs()).load(&records);
    let input = ReportInput { sweep, records: &records, outputs: &outputs };
    let folder = publish::publish(&context.lab.reports(), &input)?;
    show(context, &input, &folder)?;
    Ok(exit_code(&records, interrupted))
}

/// Prints the table of a sweep whose reports another process has written.
pub(super) fn show_published(context: &Context, store: &dyn Store, sweep: &SweepId) -> Result<u8, CliError> {
    let sweep = find_sweep(store, sweep.as_str())?;
    let records = records_with_open_jobs(store, &sweep)?;
    let outputs = OutputFiles::new(context.lab.outputs()).load(&records);
    let input = ReportInput { sweep: &sweep, records: &records, outputs: &outputs };
    show(context, &input, &publish::sweep_folder(&context.lab.reports(), sweep.id.as_str()))?;
    Ok(exit_code(&records, false))
}

/// Prints the table.
fn show(context: &Context, input: &ReportInput<'_>, folder: &Path) -> Result<(), CliError> {
    let sweep = input.sweep;
    match context.format {
        Format::Human => {
            print_data(report::result_table(input, super::super::terminal_width(), context.color).as_bytes())?;
            say(&format!("\nreports: {}", super::super::short_path(folder)));
            if !sweep.state.is_over() {
                say(&format!("`farmctl sweep --resume {}` goes on with what is open", sweep.id));
            }
        }
        Format::Csv => super::super::report::print_report("results.csv", input)?,
        Format::Markdown => super::super::report::print_report("results.md", input)?,
        // Its events are on stdout already.
        Format::Json => {}
    }
    Ok(())
}

/// Carries a sweep out and writes its reports, for somebody who is not there to see it.
pub(in crate::cli) async fn drive_unseen(
    context: &Context,
    drive_: Drive,
    progress: &Progress,
) -> Result<(), CliError> {
    let (store, id) = (Arc::clone(&drive_.store), drive_.sweep.id.clone());
    drive(context, drive_, AgentMode::Jobs, progress).await?;
    conclude_unseen(context, store.as_ref(), &id)
}

/// Writes the reports of a sweep; returns their folder.
fn publish_reports(context: &Context, store: &dyn Store, sweep: &SweepRow) -> Result<PathBuf, CliError> {
    let records = records_with_open_jobs(store, sweep)?;
    let outputs = OutputFiles::new(context.lab.outputs()).load(&records);
    let input = ReportInput { sweep, records: &records, outputs: &outputs };
    Ok(publish::publish(&context.lab.reports(), &input)?)
}

fn exit_code(records: &[Record], interrupted: bool) -> u8 {
    // These jobs were to be run, and a device that was there when the sweep was planned did not take them.
    let is_left_out = |record: &Record| {
        let kind = record.failure.as_ref().map(|failure| failure.kind);
        matches!(kind, Some(FailureKind::Quarantined | FailureKind::Locked))
    };
    let tried = records.iter().filter(|record| record.status != RunStatus::Skipped || is_left_out(record));
    let (mut ok, mut failed, mut reached) = (false, false, false);
    for record in tried {
        ok |= record.status == RunStatus::Ok;
        failed |= record.status == RunStatus::Failed || is_left_out(record);
        reached |= record.device.is_some();
    }
    match (interrupted, failed, reached || ok) {
        (true, ..) => exit::INTERRUPTED,
        (_, true, false) => exit::NO_DEVICE,
        (_, true, true) => exit::SOME_FAILED,
        (_, false, _) => exit::OK,
    }
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
