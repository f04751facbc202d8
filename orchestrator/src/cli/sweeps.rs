//! The sweeps of the lab: which there are, how far they are, and what became of each job.

use clap::Subcommand;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::report::print_rows_of;
use crate::domain::{Record, SweepState};
use crate::lab::{LabError, SweepCounts, SweepOverview, Unpinned};
use crate::report::{FailureGroup, failure_groups};
use crate::terminal::print::{print_json, print_lines, say};
use crate::terminal::table::{Table, field_line};

#[derive(Debug, Subcommand)]
pub(super) enum SweepsVerb {
    /// List the sweeps, the newest first
    List {
        /// So many of the newest
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
        last: u32,
        /// All of them
        #[arg(long, conflicts_with = "last")]
        all: bool,
    },
    /// Show one sweep: how far it is, who carries it out, and what failed
    Show {
        /// A sweep's identifier, the beginning of one, its name (the newest of it), or `latest`
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
        SweepsVerb::List { last, all } => list(context, if *all { u32::MAX } else { *last }),
        SweepsVerb::Show { sweep } => show(context, sweep),
        SweepsVerb::Pin { sweeps } => {
            for sweep in sweeps {
                say(&format!("sweep {} stays", context.lab.pin_sweep(sweep)?));
            }
            Ok(exit::OK)
        }
        SweepsVerb::Unpin { sweeps } => {
            for sweep in sweeps {
                say(&unpinned_text(&context.lab.unpin_sweep(sweep)?));
            }
            Ok(exit::OK)
        }
    }
}

/// What became of a pin; a baseline keeps its sweep without one.
fn unpinned_text(Unpinned { sweep, was_pinned, baselines }: &Unpinned) -> String {
    let pin = if *was_pinned { "is pinned no more" } else { "was not pinned by a person" };
    match baselines.as_slice() {
        [] => format!("sweep {sweep} {}", if *was_pinned { pin } else { "was not pinned" }),
        [name, ..] => format!(
            "sweep {sweep} {pin}, and stays: the baseline {} keeps it, which `farmctl baseline unset {name}` takes \
             away",
            baselines.join(", ")
        ),
    }
}

fn list(context: &Context, most: u32) -> Result<u8, LabError> {
    // One more tells whether there are more.
    let mut sweeps = context.lab.sweep_overviews(most.saturating_add(1))?;
    let has_more = sweeps.len() > most as usize;
    sweeps.truncate(most as usize);
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
    if has_more {
        say(&format!("these are the newest {most}; `--all` lists all, `--last N` so many"));
    }
    Ok(if sweeps.is_empty() { exit::NOTHING } else { exit::OK })
}

fn show(context: &Context, wanted: &str) -> Result<u8, LabError> {
    let Context { lab, format, .. } = context;
    let sweep = lab.sweep_meant(wanted)?;
    let overview = || lab.sweep_overview(sweep.clone());
    let for_people = || -> Result<(), LabError> {
        let overview = overview()?;
        let records = lab.records_so_far(&overview.sweep)?;
        print_lines(&text(&overview, &records))
    };
    let rows = || print_rows_of(context, &lab.results(sweep.clone())?);
    format.choose(for_people, || print_json(&overview()?), rows, rows)?;
    Ok(exit::OK)
}

/// Cells without a result for one reason: how many and why, then which.
fn group_lines(group: &FailureGroup<'_>) -> String {
    const NAMED: usize = 6;
    let FailureGroup { status, kind, message, records, .. } = group;
    let why = if message.is_empty() { (*kind).to_owned() } else { format!("{kind}: {message}") };
    let mut names: Vec<String> =
        records.iter().map(|record| format!("{} on {}", record.job.model.name, record.job.device)).collect();
    names.dedup();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    names.extend((more > 0).then(|| format!("and {more} more")));
    let heading = format!("{} × {why}", records.len());
    field_line(status.as_str(), 9, &heading) + &field_line("", 9, &format!("  {}", names.join(", ")))
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
    lines.extend(overview.ordered_by.clone().map(|by| ("ordered", format!("by {by}"))));
    lines.extend(overview.schedule.clone().map(|name| ("schedule", name)));
    lines.extend(overview.retry_of.clone().map(|id| ("retry of", id)));
    lines.extend(overview.pinned_by.clone().map(|by| ("pinned", format!("by {by}"))));
    lines.extend(overview.submitted_by.clone().map(|by| ("daemon's", format!("handed over by {by}"))));
    let holder = |holder: &String| match overview.is_held_by_daemon {
        true => format!("the daemon ({holder})"),
        false => holder.clone(),
    };
    lines.extend(overview.holder.as_ref().map(|it| ("by", holder(it))));
    let done = counts.jobs - counts.open;
    lines.push(("jobs", format!("{done} of {} have their record", counts.jobs)));
    let SweepCounts { ok, failed, skipped, cancelled, .. } = counts;
    lines.push(("records", format!("{ok} ok, {failed} failed, {skipped} skipped, {cancelled} cancelled")));
    let mut text: String = lines.iter().map(|(what, value)| field_line(what, 9, value)).collect();
    failure_groups(records).iter().for_each(|group| text.push_str(&group_lines(group)));
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
