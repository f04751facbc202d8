use clap::Subcommand;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::lab::{FoundRunner, LabError};
use crate::runners::{HOST_TARGET, MEASURING_PROFILE};
use crate::terminal::print::say;
use crate::terminal::table::Table;
use crate::wording::single_line;

#[derive(Debug, Subcommand)]
pub(super) enum RunnerVerb {
    /// Build the runner for a target
    Build {
        /// Rust target triple
        #[arg(long, default_value = HOST_TARGET)]
        target: String,
        /// cargo's profile; sweeps take only what is built by `release`
        #[arg(long, value_name = "NAME", default_value = MEASURING_PROFILE)]
        profile: String,
        /// Copy it to the data folder, where any farmctl of this version finds it
        #[arg(long, conflicts_with = "profile")]
        install: bool,
    },
    /// List the runners that are there
    List,
}

pub(super) async fn run(context: &Context, verb: RunnerVerb) -> Result<u8, LabError> {
    match verb {
        RunnerVerb::Build { target, profile, install } => build(context, &target, &profile, install).await,
        RunnerVerb::List => list(context).await,
    }
}

async fn build(context: &Context, target: &str, profile: &str, install: bool) -> Result<u8, LabError> {
    let progress = context.open_progress();
    let built = context.lab.build_runner(target, profile, install, &progress).await?;
    context.close_progress(&progress);
    print_found(context, &[built])
}

async fn list(context: &Context) -> Result<u8, LabError> {
    let found = context.lab.found_runners().await?;
    if found.is_empty() && context.format.is_for_people() {
        say("no runner is built yet; `farmctl runner build` builds one, and a sweep does so by itself");
    }
    print_found(context, &found)
}

fn print_found(context: &Context, found: &[FoundRunner]) -> Result<u8, LabError> {
    let text = |runner: &FoundRunner| {
        format!(
            "{}\n  path    {}\n  size    {:.1} MB\n  sha256  {}\n  version {}\n  found   {}\n",
            runner.target,
            context.lab.short_path(&runner.path),
            runner.size_bytes as f64 / 1e6,
            runner.sha256,
            single_line(runner.version.as_deref().unwrap_or("unknown")),
            runner.found_by
        )
    };
    Table::of(found)
        .column("target", |runner| runner.target.clone())
        .column("path", |runner| runner.path.display().to_string())
        .column("found_by", |runner| runner.found_by.to_owned())
        .column("size_bytes", |runner| runner.size_bytes.to_string())
        .column("sha256", |runner| runner.sha256.clone())
        .column("version", |runner| runner.version.clone().unwrap_or_default())
        .done()
        .text(found.iter().map(text).collect())
        .json(found)
        .print(context.format)?;
    Ok(exit::OK)
}
