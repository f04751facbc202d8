//! The command line: one file a verb. With `progress` the only place that prints.
//!
//! Main function: [`run`]. stdout is data, stderr is for people. Reads the environment once, in `Lab`, and hands values
//! on; decides nothing that a library module decides.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::progress::{Mode, Progress};

mod backends;
mod cancel;
mod completions;
mod daemon;
mod datasets;
mod devices;
mod doctor;
mod error;
mod interrupt;
mod lab;
mod logging;
mod models;
mod plan;
mod report;
mod retention;
mod runner;
mod schedules;
mod schema;
mod score;
mod shown;
mod store;
mod stored;
mod sweep;
mod sweeps;
mod tokens;
mod why;

pub use error::{CliError, exit};
use lab::Lab;

/// Version and commit, as `--version` and every record have them.
pub const VERSION: &str = if env!("FARMCTL_COMMIT").is_empty() {
    env!("CARGO_PKG_VERSION")
} else {
    concat!(env!("CARGO_PKG_VERSION"), " (", env!("FARMCTL_COMMIT"), ")")
};

/// A remote device-farm orchestrator for on-device AI benchmarks.
#[derive(Debug, Parser)]
#[command(name = "farmctl", version = VERSION, max_term_width = 110, propagate_version = false)]
#[command(after_help = "Exit codes: 0 all passed, 1 internal error, 2 usage, 3 a file is invalid, 4 nothing to run, \
5 no device usable, 6 some runs failed, 130 interrupted.\nStart with: farmctl sweep configs/smoke.yaml")]
pub struct Cli {
    #[command(flatten)]
    global: GlobalOptions,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Args)]
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

/// Form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Human,
    /// For programs: JSON; of a sweep, its events as JSON Lines.
    Json,
    /// For spreadsheets.
    Csv,
    /// For an issue or a page.
    Markdown,
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
    /// Rank devices by a score, from a sweep's results or any table of results
    Score(score::ScoreArguments),
    /// The lab's store: is it sound, can it be smaller, what is in it
    #[command(subcommand)]
    Store(store::StoreVerb),
    /// Take out old sweeps, reports, events and files, by the rules of configs/daemon.yaml
    Retention(retention::RetentionArguments),
    /// Say what is missing on this host, with the command that mends it
    Doctor,
    /// Print the JSON Schema of a kind of file
    Schema(schema::SchemaArguments),
    /// Print the completions of a shell
    Completions(completions::CompletionsArguments),
}

/// What every verb gets.
#[derive(Clone)]
pub struct Context {
    /// The lab and this process's surroundings.
    pub lab: Lab,
    /// Form of the output.
    pub format: Format,
    /// Whether output for people has colour.
    pub color: bool,
    /// The log's switchboard.
    pub log: logging::Log,
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
        Color::Auto => is_drawn_on_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()),
    };
    match start(cli, color) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            error.print(color);
            ExitCode::from(error.exit_code())
        }
    }
}

fn start(cli: Cli, color: bool) -> Result<u8, CliError> {
    let log = logging::start(cli.global.verbose, color)?;
    let format = cli.global.format;
    let context = Context { lab: Lab::new(&cli.global)?, format, color, log };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::internal(format!("failed to start: {error}")))?;
    let code = runtime.block_on(dispatch(cli.verb, &context));
    // A blocking call that hangs (a download, a name look-up) must not keep the program.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    code
}

async fn dispatch(verb: Verb, context: &Context) -> Result<u8, CliError> {
    match verb {
        Verb::Sweep(arguments) => sweep::run(context, arguments).await,
        Verb::Sweeps(verb) => sweeps::run(context, &verb),
        Verb::Cancel(arguments) => cancel::run(context, &arguments).await,
        Verb::Why(arguments) => why::run(context, &arguments),
        Verb::Daemon(arguments) => daemon::run(context, &arguments).await,
        Verb::Schedules(verb) => schedules::run(context, &verb).await,
        Verb::Tokens(verb) => tokens::run(context, &verb),
        Verb::Plan(arguments) => plan::run(context, &arguments),
        Verb::Devices(verb) => devices::run(context, verb).await,
        Verb::Models(verb) => models::run(context, verb).await,
        Verb::Backends(verb) => backends::run(context, verb).await,
        Verb::Runner(verb) => runner::run(context, verb).await,
        Verb::Report(arguments) => report::run(context, &arguments),
        Verb::Score(arguments) => score::run(context, &arguments),
        Verb::Store(verb) => store::run(context, &verb),
        Verb::Retention(arguments) => retention::run(context, &arguments),
        Verb::Doctor => doctor::run(context).await,
        Verb::Schema(arguments) => schema::run(&arguments),
        Verb::Completions(arguments) => completions::run(&arguments),
    }
}

/// Writes data to stdout. A reader that has seen enough (`| head`) is no error.
fn print_data(bytes: &[u8]) -> Result<(), CliError> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CliError::internal(format!("failed to write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes a value to stdout as JSON.
fn print_json(value: &impl serde::Serialize) -> Result<(), CliError> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|error| CliError::internal(format!("failed to write JSON: {error}")))?;
    text.push('\n');
    print_data(text.as_bytes())
}

/// Writes rows to stdout as a table in Markdown, as objects in JSON, or else as CSV.
fn print_rows(format: Format, header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Result<(), CliError> {
    match format {
        Format::Markdown => return print_data(crate::report::markdown_table(header, rows).as_bytes()),
        Format::Json => {
            let object = |row: Vec<String>| header.iter().copied().zip(row).collect::<BTreeMap<&str, String>>();
            return print_json(&rows.into_iter().map(object).collect::<Vec<_>>());
        }
        Format::Human | Format::Csv => {}
    }
    let failed = |error: csv::Error| CliError::internal(format!("failed to write CSV: {error}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(header).map_err(failed)?;
    for row in rows {
        writer.write_record(&row).map_err(failed)?;
    }
    let bytes = writer.into_inner().map_err(|error| CliError::internal(error.to_string()))?;
    print_data(&bytes)
}

/// Whether standard error is a terminal that can draw a line anew, in colour. One of an editor or without `TERM` can't:
/// the library that draws would show nothing there.
fn is_drawn_on_terminal() -> bool {
    std::io::stderr().is_terminal() && !console::is_dumb()
}

/// Opens the live view; the log's lines are printed past it from now on.
fn open_progress(context: &Context) -> Progress {
    open_progress_as(
        context,
        match context.format {
            Format::Json => Mode::JsonLines,
            Format::Human | Format::Csv | Format::Markdown if is_drawn_on_terminal() => Mode::Terminal,
            Format::Human | Format::Csv | Format::Markdown => Mode::Log,
        },
    )
}

/// The same, shown in this way.
fn open_progress_as(context: &Context, mode: Mode) -> Progress {
    let progress = Progress::open(mode);
    let printer = progress.clone();
    context.log.print_with(Some(std::sync::Arc::new(move |line: &str| {
        if !printer.print_line(line) {
            say(line);
        }
    })));
    progress
}

/// Ends a view; one that could not show everything is no reason to fail.
fn close_progress(context: &Context, progress: &Progress) {
    let closed = progress.close();
    context.log.print_with(None);
    if let Err(error) = closed {
        tracing::warn!(%error, "progress could not be shown to its end");
    }
}

/// Columns that a table on stdout may have.
fn terminal_width() -> u16 {
    const WITHOUT_TERMINAL: u16 = 120;
    console::Term::stdout().size_checked().map_or(WITHOUT_TERMINAL, |(_, columns)| columns)
}

/// A path as a person in the working folder would write it.
fn short_path(path: &std::path::Path) -> String {
    let here = std::env::current_dir().ok();
    here.and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path).display().to_string()
}

/// A table for people, without lines: as wide as its content.
fn text_table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header.to_vec());
    table.add_rows(
        rows.map(|row| row.into_iter().map(|cell| cell.chars().filter(|c| !c.is_control()).collect::<String>())),
    );
    let lines = table.lines().map(|line| line.trim_end().to_owned() + "\n");
    lines.collect()
}

/// Writes a line for people to stderr.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
