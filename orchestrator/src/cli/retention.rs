//! Takes out what the lab's rules do not keep, or shows what that would be.

use std::path::PathBuf;

use clap::Args;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::lab::{LabError, Removal, Tidying};
use crate::terminal::print::say;
use crate::terminal::table::Table;

#[derive(Debug, Args)]
pub(super) struct RetentionArguments {
    /// Only show what would leave
    #[arg(long)]
    dry_run: bool,
    /// Take it out, however much of the lab that is
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// The file with the rules, instead of the lab's configs/daemon.yaml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

pub(super) fn run(context: &Context, arguments: &RetentionArguments) -> Result<u8, LabError> {
    let path = arguments.config.clone().unwrap_or_else(|| context.lab.daemon_config());
    let retention = context.lab.daemon_rules(&path)?.retention.ok_or_else(|| {
        LabError::nothing(format!("{} has no `retention:`, so everything is kept", path.display()))
            .with_hint("`farmctl schema daemon` describes it")
    })?;
    let how = match (arguments.dry_run, arguments.yes) {
        (true, _) => Tidying::Shown,
        (false, true) => Tidying::Confirmed,
        (false, false) => Tidying::Bounded,
    };
    let removals = context.lab.tidy(&retention, how, Some(context.lab.person()))?;
    let header = ["kind", "name", "mb", "why"];
    let rows = removals.iter().map(|Removal { kind, leaving }| {
        let mb = format!("{:.1}", leaving.bytes as f64 / 1e6);
        vec![(*kind).to_owned(), leaving.name.clone(), mb, leaving.why.clone()]
    });
    Table::new(&header, rows).json(&removals).when_empty("").print(context.format)?;
    say(&Removal::summary(&removals, arguments.dry_run));
    Ok(exit::OK)
}
