//! The command line: one file a verb. It prints by `terminal`.
//!
//! Main function: [`run`]. stdout is data, stderr is for people. Each verb reads what was asked, makes a call of
//! [`Lab`](crate::lab::Lab), and prints the answer; it decides nothing that `lab` or a library module decides. The
//! environment is read once, in `environment`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::lab::{LabError, VERSION};
use crate::terminal::print::{self, Format};

mod ab;
mod audit;
mod backends;
mod baseline;
mod cancel;
mod clock;
mod compare;
mod completions;
mod context;
mod daemon;
mod devices;
mod doctor;
mod environment;
mod events;
pub mod exit;
mod history;
mod host;
mod measured_again;
mod models;
mod only_runs;
mod plan;
mod report;
mod results;
mod retention;
mod runner;
mod schedules;
mod schema;
mod score;
mod signals;
mod store;
mod sweep;
mod sweeps;
mod tokens;
mod watch;
mod why;
mod words;

use context::Context;

/// A remote device-farm orchestrator for on-device AI benchmarks.
#[derive(Debug, Parser)]
#[command(name = "farmctl", version = VERSION, max_term_width = 110, propagate_version = false)]
#[command(after_help = "Exit codes: 0 all passed, 1 internal error, 2 usage, 3 a file is invalid, 4 nothing to run, \
5 no device usable, 6 some runs failed, 7 a gate failed, 130 interrupted.\n\
Start with: farmctl sweep configs/smoke.yaml")]
pub struct Cli {
    #[command(flatten)]
    global: GlobalOptions,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Common options")]
struct GlobalOptions {
    /// The lab's folder: configs/, farms/, reports/ and .farm/ are below it
    #[arg(long, global = true, value_name = "DIR", default_value = ".")]
    lab: PathBuf,
    /// A farm file, or a folder of them, instead of the lab's farms/ (may be given several times)
    #[arg(long, global = true, value_name = "PATH")]
    farm: Vec<PathBuf>,
    /// The catalogue of models, instead of the lab's configs/models.yaml
    #[arg(long, global = true, value_name = "FILE")]
    models: Option<PathBuf>,
    /// A folder of runners, DIR/TARGET/device-runner, instead of those found or built
    #[arg(long, global = true, value_name = "DIR")]
    runner_dir: Option<PathBuf>,
    /// Accept the host keys of devices that are not known yet, and remember them
    #[arg(long, global = true)]
    accept_new: bool,
    /// Form of the output
    #[arg(long, global = true, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    color: Color,
    /// Log more (-v: what is done, -vv: how); FARMCTL_LOG takes a tracing filter instead
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a sweep on the farm's devices and write its reports
    Sweep(sweep::SweepArguments),
    /// The sweeps of this lab
    #[command(subcommand)]
    Sweeps(sweeps::SweepsVerb),
    /// End a sweep for good: its runs on the devices too; what was measured is kept
    Cancel(cancel::CancelArguments),
    /// Show a sweep that another process carries out, as it goes, until it ends
    Watch(watch::WatchArguments),
    /// Say in words why a device, job or sweep waits, was skipped or failed
    Why(why::WhyArguments),
    /// Start the sweeps that are due, night after night, and go on with those that were stopped
    Daemon(daemon::DaemonArguments),
    /// What is due next, and what became of what was due
    #[command(subcommand)]
    Schedules(schedules::SchedulesVerb),
    /// Who may look at the lab, run sweeps and administer it over HTTP
    #[command(subcommand)]
    Tokens(tokens::TokensVerb),
    /// Who did what: sweeps begun and cancelled, devices locked and released, schedules paused
    Audit(audit::AuditArguments),
    /// The hosts that share this lab
    #[command(subcommand)]
    Host(host::HostVerb),
    /// Print what a sweep would do, without touching a device
    Plan(plan::PlanArguments),
    /// The devices of the farm
    #[command(subcommand)]
    Devices(devices::DevicesVerb),
    /// The catalogue of models and their files
    #[command(subcommand)]
    Models(models::ModelsVerb),
    /// The engines that are programs of their own, and their files
    #[command(subcommand)]
    Backends(backends::BackendsVerb),
    /// The program that measures on devices
    #[command(subcommand)]
    Runner(runner::RunnerVerb),
    /// Write the reports of a sweep anew, or print one of them
    Report(report::ReportArguments),
    /// The runs of all sweeps that a condition is true of
    Results(results::ResultsArguments),
    /// How fast a network was over sweeps, and where that changed
    History(history::HistoryArguments),
    /// Rank devices by a score, from a sweep's results or any table of results
    Score(score::ScoreArguments),
    /// Compare two sweeps, or any tables of results, cell by cell: slower, faster, same, or what would tell
    Compare(compare::CompareArguments),
    /// Measure two sides in turn on the same device until it is settled which is slower
    Ab(ab::AbArguments),
    /// Sweeps that others are compared with, by a name
    #[command(subcommand)]
    Baseline(baseline::BaselineVerb),
    /// The lab's store: is it sound, can it be smaller, what is in it, copies of it
    #[command(subcommand)]
    Store(store::StoreVerb),
    /// Whether the clock of this host is believed
    #[command(subcommand)]
    Clock(clock::ClockVerb),
    /// Take out old sweeps, reports, events and files, by the rules of configs/daemon.yaml
    Retention(retention::RetentionArguments),
    /// Say what is missing on this host, with the command that mends it
    Doctor,
    /// Print the JSON Schema of a kind of file
    Schema(schema::SchemaArguments),
    /// Print the completions of a shell
    Completions(completions::CompletionsArguments),
}

/// Runs the program with these words and returns its exit code.
pub fn run(words: Vec<std::ffi::OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout, faults to stderr.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(exit::USAGE));
        }
    };
    let color = match cli.global.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => print::is_drawn_on_terminal() && environment::wants_color(),
    };
    let verbose = cli.global.verbose;
    match start(cli, color) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            print::print_error(&error, color, verbose > 0);
            ExitCode::from(exit::code(error.kind()))
        }
    }
}

fn start(cli: Cli, color: bool) -> Result<u8, LabError> {
    let has_page = matches!(cli.verb, Verb::Compare(_) | Verb::Ab(_) | Verb::Report(_));
    if cli.global.format.is_page() && !has_page {
        return Err(LabError::usage("there is no page of this")
            .with_hint("`--format html` is for compare, ab and report; others have human, json, csv and markdown"));
    }
    let context = Context::new(&cli.global, matches!(cli.verb, Verb::Daemon(_)), color)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| LabError::internal(format!("failed to start: {error}")).caused_by(error))?;
    let code = runtime.block_on(dispatch(cli.verb, &context));
    context.end_view();
    // A blocking call that hangs (a download, a name look-up) must not keep the program.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    code
}

async fn dispatch(verb: Verb, context: &Context) -> Result<u8, LabError> {
    match verb {
        Verb::Sweep(arguments) => sweep::run(context, arguments).await,
        Verb::Sweeps(verb) => sweeps::run(context, &verb),
        Verb::Cancel(arguments) => cancel::run(context, &arguments).await,
        Verb::Watch(arguments) => watch::run(context, &arguments).await,
        Verb::Why(arguments) => why::run(context, &arguments),
        Verb::Daemon(arguments) => daemon::run(context, &arguments).await,
        Verb::Schedules(verb) => schedules::run(context, &verb).await,
        Verb::Tokens(verb) => tokens::run(context, &verb),
        Verb::Audit(arguments) => audit::run(context, &arguments),
        Verb::Host(verb) => host::run(context, &verb),
        Verb::Plan(arguments) => plan::run(context, &arguments),
        Verb::Devices(verb) => devices::run(context, verb).await,
        Verb::Models(verb) => models::run(context, verb).await,
        Verb::Backends(verb) => backends::run(context, verb).await,
        Verb::Runner(verb) => runner::run(context, verb).await,
        Verb::Report(arguments) => report::run(context, &arguments),
        Verb::Results(arguments) => results::run(context, &arguments),
        Verb::History(arguments) => history::run(context, &arguments),
        Verb::Score(arguments) => score::run(context, &arguments),
        Verb::Compare(arguments) => compare::run(context, &arguments).await,
        Verb::Ab(arguments) => ab::run(context, &arguments).await,
        Verb::Baseline(verb) => baseline::run(context, &verb),
        Verb::Store(verb) => store::run(context, &verb),
        Verb::Clock(verb) => clock::run(context, &verb),
        Verb::Retention(arguments) => retention::run(context, &arguments),
        Verb::Doctor => doctor::run(context).await,
        Verb::Schema(arguments) => schema::run(&arguments),
        Verb::Completions(arguments) => completions::run(&arguments),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
