//! The sweeps of the lab: which there are, how far they are, and what became of each job.

use clap::Subcommand;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::print::{Format, print_data, print_json, say};
use crate::cli::report::print_rows_of;
use crate::cli::table::Table;
use crate::domain::{Record, RunStatus, SweepState};
use crate::lab::{LabError, SweepCounts, SweepOverview, Unpinned};

#[derive(Debug, Subcommand)]
pub(super) enum SweepsVerb {
    /// List the sweeps, the newest first
    List,
    /// Show one sweep: how far it is, who carries it out, and what failed
    Show {
        /// A sweep's identifier, the beginning of one, or `latest`
        #[arg(default_value = "latest")]
        sweep: String,
    },
    /// Keep sweeps, whatever the rules of retention say: a baseline, what a paper rests on
    Pin {
        /// Their identifiers, or the beginnings of them
        #[arg(required = true)]
        sweeps: Vec<String>,
    },
    /// Let the rules hold for sweeps again
    Unpin {
        /// Their identifiers, or the beginnings of them
        #[arg(required = true)]
        sweeps: Vec<String>,
    },
}

pub(super) fn run(context: &Context, verb: &SweepsVerb) -> Result<u8, LabError> {
    match verb {
        SweepsVerb::List => list(context),
        SweepsVerb::Show { sweep } => show(context, sweep),
        SweepsVerb::Pin { sweeps } => {
            for sweep in sweeps {
                say(&format!("sweep {} stays", context.lab.pin_sweep(sweep)?));
            }
            Ok(exit::OK)
        }
        SweepsVerb::Unpin { sweeps } => {
            for sweep in sweeps {
                let Unpinned { sweep, was_pinned } = context.lab.unpin_sweep(sweep)?;
                let text = if was_pinned { "is pinned no more" } else { "was not pinned" };
                say(&format!("sweep {sweep} {text}"));
            }
            Ok(exit::OK)
        }
    }
}

fn list(context: &Context) -> Result<u8, LabError> {
    let sweeps = context.lab.sweep_overviews()?;
    let header = ["sweep", "state", "jobs", "open", "ok", "failed", "skipped", "cancelled", "started", "config"];
    let rows = sweeps.iter().map(|overview| {
        let counts = &overview.counts;
        let mut row = vec![overview.sweep.id.to_string(), overview.standing.to_owned()];
        let numbers = [counts.jobs, counts.open, counts.ok, counts.failed, counts.skipped, counts.cancelled];
        row.extend(numbers.map(|number| number.to_string()));
        row.push(format!("{:.0}", overview.sweep.started_at));
        row.push(overview.config.clone().unwrap_or_default());
        row
    });
    Table::new(&header, rows).json(&sweeps).when_empty("this lab has no sweep yet").print(context.format)?;
    Ok(if sweeps.is_empty() { exit::NOTHING } else { exit::OK })
}

fn show(context: &Context, wanted: &str) -> Result<u8, LabError> {
    let sweep = context.lab.find_sweep(wanted)?;
    match context.format {
        Format::Human => {
            let overview = context.lab.sweep_overview(sweep)?;
            let records = context.lab.records_so_far(&overview.sweep)?;
            print_data(text(&overview, &records).as_bytes())?;
        }
        Format::Json => print_json(&context.lab.sweep_overview(sweep)?)?,
        Format::Csv | Format::Markdown => print_rows_of(context, &context.lab.results(sweep)?)?,
    }
    Ok(exit::OK)
}

fn text(overview: &SweepOverview, records: &[Record]) -> String {
    let SweepOverview { sweep, counts, .. } = overview;
    let mut lines = vec![
        ("sweep", sweep.id.to_string()),
        ("state", overview.standing.to_owned()),
        ("file", overview.config.clone().unwrap_or_else(|| "-".to_owned())),
        ("started", format!("{:.0} by farmctl {}", sweep.started_at, sweep.farmctl_version)),
    ];
    lines.extend(sweep.finished_at.map(|at| ("finished", format!("{at:.0}"))));
    lines.extend(overview.retry_of.clone().map(|id| ("retry of", id)));
    lines.extend(overview.pinned_by.clone().map(|by| ("pinned", format!("by {by}"))));
    lines.extend(overview.submitted_by.clone().map(|by| ("daemon's", format!("handed over by {by}"))));
    lines.extend(overview.holder.clone().map(|holder| ("by", holder)));
    let done = counts.jobs - counts.open;
    lines.push(("jobs", format!("{done} of {} have their record", counts.jobs)));
    let SweepCounts { ok, failed, skipped, cancelled, .. } = counts;
    lines.push(("records", format!("{ok} ok, {failed} failed, {skipped} skipped, {cancelled} cancelled")));
    let mut text: String = lines.iter().map(|(what, value)| format!("{what:<9} {value}\n")).collect();
    for record in records.iter().filter(|record| record.status == RunStatus::Failed) {
        let why = record.failure.as_ref().map(ToString::to_string).unwrap_or_default();
        let why = crate::wording::single_line(&why);
        text.push_str(&format!("failed    {} on {}: {why}\n", record.job.model.name, record.job.device));
    }
    match (sweep.state, overview.holder.is_some()) {
        (SweepState::Open, false) if overview.submitted_by.is_some() => text.push_str(&format!(
            "\nthe daemon goes on with it; without one, `farmctl sweep --resume {} --local` does\n",
            sweep.id
        )),
        (SweepState::Open, false) => {
            text.push_str(&format!("\n`farmctl sweep --resume {}` goes on with it\n", sweep.id))
        }
        (SweepState::Cancelling, false) => text.push_str(&format!("\n`farmctl cancel {}` ends it\n", sweep.id)),
        _ if counts.failed > 0 => {
            text.push_str(&format!("\n`farmctl sweep --retry-failed {}` runs again what failed\n", sweep.id));
        }
        _ => {}
    }
    text
}
