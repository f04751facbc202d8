use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::report::{print_results, print_rows_of};
use crate::cli::signals::{self, Signals};
use crate::domain::{Record, RunStatus, SweepId, SweepState};
use crate::lab::{
    FollowEnd, LabError, MAX_DEVICES, PlannedSweep, Resumed, Stop, StopRequests, SweepExecution, SweepResults,
};
use crate::progress::Progress;
use crate::terminal::print::{say, say_lines};

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
    #[arg(long, value_name = "N", default_value_t = MAX_DEVICES)]
    jobs: usize,
    /// Carry it out in this process, also when a daemon runs that would
    #[arg(long)]
    local: bool,
}

/// How a sweep is carried out.
#[derive(Debug, Clone, Copy)]
pub(super) struct ExecutionMode {
    /// Most devices that are worked on at the same time.
    max_devices: usize,
    /// Whether by the daemon.
    by_daemon: bool,
    /// Whether its table is shown at the end.
    with_table: bool,
    /// Whether its events are output of their own, where that is JSON.
    with_events: bool,
}

/// A sweep that was begun and is over, or was left.
pub(super) struct Ended {
    /// The sweep.
    pub(super) sweep: SweepId,
    /// The exit code that says how.
    pub(super) code: u8,
}

impl ExecutionMode {
    /// By the daemon, where one runs that may.
    pub(super) fn of_lab(context: &Context) -> ExecutionMode {
        let by_daemon = context.lab.daemon_takes_over();
        ExecutionMode { max_devices: MAX_DEVICES, by_daemon, with_table: true, with_events: true }
    }

    /// By the daemon, where one runs that may and `local` does not forbid it; what came of it is shown by whoever
    /// begins it.
    pub(super) fn without_table(context: &Context, local: bool) -> ExecutionMode {
        let by_daemon = !local && context.lab.daemon_takes_over();
        ExecutionMode { max_devices: MAX_DEVICES, by_daemon, with_table: false, with_events: true }
    }

    /// The same of a sweep that is a step of another verb, whose output is alone on stdout.
    pub(super) fn beside(context: &Context, local: bool) -> ExecutionMode {
        ExecutionMode { with_events: false, ..ExecutionMode::without_table(context, local) }
    }
}

pub(super) async fn run(context: &Context, arguments: SweepArguments) -> Result<u8, LabError> {
    let by_daemon = !arguments.local && context.lab.daemon_takes_over();
    let mode = ExecutionMode { max_devices: arguments.jobs, by_daemon, with_table: true, with_events: true };
    let planned = match (&arguments.config, &arguments.resume, &arguments.retry_failed) {
        (config, Some(wanted), _) => return resume(context, config.as_deref(), wanted, mode).await,
        (_, _, Some(wanted)) => context.lab.plan_retry(wanted)?,
        (Some(config), None, None) => context.lab.plan(config)?,
        (None, None, None) => return Err(LabError::usage("a sweep needs its file")),
    };
    begin(context, planned, mode).await.map(|ended| ended.code)
}

/// Begins a new sweep and carries it out, or has the daemon do that.
pub(super) async fn begin(context: &Context, planned: PlannedSweep, mode: ExecutionMode) -> Result<Ended, LabError> {
    context.lab.look_before_beginning(&planned)?;
    let progress = if mode.with_events { context.open_progress() } else { context.open_progress_beside() };
    if mode.by_daemon {
        let sweep = context.lab.submit(planned, &context.lab.person(), mode.max_devices, &progress).await?;
        let code = follow(context, &sweep, progress, mode.with_table).await?;
        return Ok(Ended { sweep, code });
    }
    let planned = context.lab.of_this_host(planned);
    let execution = context.lab.begin(planned, mode.max_devices, &progress).await?;
    let sweep = execution.id().clone();
    let code = execute_and_conclude(context, execution, progress, mode.with_table).await?;
    Ok(Ended { sweep, code })
}

async fn resume(context: &Context, config: Option<&Path>, wanted: &str, mode: ExecutionMode) -> Result<u8, LabError> {
    let progress = context.open_progress();
    match context.lab.resume(config, wanted, mode.by_daemon, mode.max_devices, &progress).await? {
        Resumed::ByDaemon(sweep) => follow(context, &sweep, progress, true).await,
        Resumed::Here(execution) => execute_and_conclude(context, *execution, progress, true).await,
        Resumed::Complete(sweep) => {
            context.close_progress(&progress);
            say(&format!("each job of sweep {sweep} has its record"));
            conclude(context, &sweep, false)
        }
    }
}

/// Carries a sweep out, writes its reports and prints the table.
async fn execute_and_conclude(
    context: &Context,
    execution: SweepExecution,
    progress: Progress,
    with_table: bool,
) -> Result<u8, LabError> {
    let sweep = execution.id().clone();
    let executed = execute(context, execution, &progress).await;
    // The reports first: whoever reads what is shown may stand still.
    let ended = executed.and_then(|is_interrupted| Ok((context.lab.conclude(&sweep)?, is_interrupted)));
    context.close_progress(&progress);
    let (results, is_interrupted) = ended.inspect_err(|_| {
        say(&format!("what was measured is kept; `farmctl sweep --resume {sweep}` goes on"));
    })?;
    if with_table {
        show(context, &results)?;
    }
    Ok(exit_code(&results.counting(), is_interrupted || results.sweep.state == SweepState::Cancelled))
}

/// Carries a sweep out, until its end or until this process is told to stop; returns whether it was.
pub(super) async fn execute(
    context: &Context,
    execution: SweepExecution,
    progress: &Progress,
) -> Result<bool, LabError> {
    let asked = Arc::new(Stop::default());
    let requests = StopRequests::OfPerson(Arc::clone(&asked));
    tokio::select! {
        executed = context.lab.execute(execution, &requests, progress) => executed,
        error = signals::raise(&asked) => Err(error),
    }
}

/// Concludes a sweep, and prints what came of it.
pub(super) fn conclude(context: &Context, sweep: &SweepId, is_interrupted: bool) -> Result<u8, LabError> {
    let results = context.lab.conclude(sweep)?;
    show(context, &results)?;
    Ok(exit_code(&results.counting(), is_interrupted))
}

/// Shows a sweep of the daemon live until it is over, then its table; Ctrl-C leaves it with the daemon.
async fn follow(context: &Context, sweep: &SweepId, progress: Progress, with_table: bool) -> Result<u8, LabError> {
    let mut signals = Signals::listen()?;
    let ended = tokio::select! {
        ended = context.lab.follow(sweep, &progress) => Some(ended),
        _ = signals.next() => None,
    };
    context.close_progress(&progress);
    let with_daemon = format!(
        "`farmctl sweeps show {sweep}` shows how far it is, `farmctl sweep --resume {sweep}` follows it again, \
         `farmctl cancel {sweep}` ends it"
    );
    match ended {
        None => {
            say(&format!("sweep {sweep} goes on in the daemon: {with_daemon}"));
            Ok(exit::INTERRUPTED)
        }
        Some(Ok(end)) => show_end(context, sweep, end, &with_daemon, with_table),
        Some(Err(error)) => {
            say(&format!("sweep {sweep} stays with the daemon: {with_daemon}"));
            Err(error)
        }
    }
}

/// Shows what became of a sweep that another process carries out.
pub(super) fn show_end(
    context: &Context,
    sweep: &SweepId,
    end: FollowEnd,
    hint: &str,
    with_table: bool,
) -> Result<u8, LabError> {
    match end {
        FollowEnd::Over => {
            let results = context.lab.results_here(sweep)?;
            if with_table {
                show(context, &results)?;
            }
            // Whoever cancelled it, and wherever.
            Ok(exit_code(&results.counting(), results.sweep.state == SweepState::Cancelled))
        }
        FollowEnd::Stuck(trouble) => {
            let text = format!("the daemon can't go on with sweep {sweep}: {trouble}");
            Err(LabError::internal(text).with_hint(format!("it tries again by and by: {hint}")))
        }
        FollowEnd::Stopped => {
            say(&format!("sweep {sweep} was stopped before its end: `farmctl sweep --resume {sweep}` goes on"));
            Ok(exit::INTERRUPTED)
        }
    }
}

/// Prints the table.
fn show(context: &Context, results: &SweepResults) -> Result<(), LabError> {
    let sweep = &results.sweep;
    let for_people = || -> Result<(), LabError> {
        print_results(context, results)?;
        say_lines(&["", &format!("reports: {}", context.lab.short_path(&results.folder))]);
        if !sweep.state.is_over() {
            say(&format!("`farmctl sweep --resume {}` goes on with what is open", sweep.id));
        }
        Ok(())
    };
    let rows = || print_rows_of(context, results);
    // As JSON its events are on stdout already.
    context.format.choose(for_people, || Ok(()), rows, rows)
}

fn exit_code(records: &[&Record], is_interrupted: bool) -> u8 {
    // These jobs were to be run, and a device that was there when the sweep was planned did not take them.
    let is_left_out = |record: &&Record| {
        record.status == RunStatus::Skipped
            && record.failure.as_ref().is_some_and(|failure| failure.kind.leaves_job_out())
    };
    let tried = records.iter().filter(|record| record.status != RunStatus::Skipped || is_left_out(record));
    let (mut ok, mut failed, mut reached) = (false, false, false);
    for record in tried {
        ok |= record.status == RunStatus::Ok;
        failed |= record.status == RunStatus::Failed || is_left_out(record);
        reached |= record.device.is_some();
    }
    match (is_interrupted, failed, reached || ok) {
        (true, ..) => exit::INTERRUPTED,
        (_, true, false) => exit::NO_DEVICE,
        (_, true, true) => exit::SOME_FAILED,
        (_, false, _) => exit::OK,
    }
}
