//! The sweeps of the lab: which there are, how far they are, and what became of each job.

use std::collections::BTreeMap;

use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;

use crate::domain::{Record, RunStatus, Submission, SweepId, SweepRow, SweepState};
use crate::lease::live_holder;
use crate::status;
use crate::store::{Store, SweepCounts};

use super::lab::person;
use super::stored::find_sweep;
use super::{CliError, Context, Format, exit, print_data, print_json, print_rows, say, text_table};

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

/// A sweep as a person asks for it.
#[derive(Debug, Serialize)]
struct Listed {
    #[serde(flatten)]
    sweep: SweepRow,
    /// What a person would call its state: an open one is running, stopped, or waiting for the daemon.
    standing: &'static str,
    /// Who carries it out now.
    holder: Option<String>,
    /// Who keeps it, whatever the rules of retention say.
    pinned_by: Option<String>,
    /// Who gave it to the daemon.
    handed_over_by: Option<String>,
    config: Option<String>,
    retry_of: Option<String>,
    #[serde(flatten)]
    counts: SweepCounts,
}

pub(super) fn run(context: &Context, verb: &SweepsVerb) -> Result<u8, CliError> {
    let store = context.lab.store()?;
    match verb {
        SweepsVerb::List => list(context, store.as_ref()),
        SweepsVerb::Show { sweep } => show(context, store.as_ref(), &find_sweep(store.as_ref(), sweep)?),
        SweepsVerb::Pin { sweeps } => {
            for sweep in sweeps {
                let sweep = find_sweep(store.as_ref(), sweep)?;
                store.pin_sweep(&sweep.id, &person(), Timestamp::now())?;
                say(&format!("sweep {} stays", sweep.id));
            }
            Ok(exit::OK)
        }
        SweepsVerb::Unpin { sweeps } => {
            for sweep in sweeps {
                let sweep = find_sweep(store.as_ref(), sweep)?;
                let was_pinned = store.unpin_sweep(&sweep.id)?;
                let text = if was_pinned { "is pinned no more" } else { "was not pinned" };
                say(&format!("sweep {} {text}", sweep.id));
            }
            Ok(exit::OK)
        }
    }
}

fn listed(store: &dyn Store, sweep: SweepRow, handed: Option<&Submission>) -> Result<Listed, CliError> {
    let holder = live_holder(store, &sweep.id)?;
    let definition = store.definition(&sweep.id)?;
    Ok(Listed {
        standing: status::sweep_status(sweep.state, holder.is_some(), handed.is_some()),
        holder: holder.map(|holder| holder.holder),
        pinned_by: store.pinned_sweeps()?.into_iter().find(|(id, _)| *id == sweep.id).map(|(_, by)| by),
        handed_over_by: handed.map(|handed| handed.by.clone()),
        config: definition.as_ref().map(|definition| definition.config.clone()),
        retry_of: definition.and_then(|definition| definition.retry_of).map(|id| id.0),
        counts: store.counts(&sweep.id)?,
        sweep,
    })
}

/// The sweeps that are the daemon's and not over.
pub(super) fn handed_over(store: &dyn Store) -> Result<BTreeMap<SweepId, Submission>, CliError> {
    Ok(store.submitted_to_daemon()?.into_iter().map(|handed| (handed.sweep_id, handed.submission)).collect())
}

fn list(context: &Context, store: &dyn Store) -> Result<u8, CliError> {
    let handed = handed_over(store)?;
    let sweeps = store.sweeps()?.into_iter().map(|sweep| {
        let handed = handed.get(&sweep.id);
        listed(store, sweep, handed)
    });
    let sweeps: Vec<Listed> = sweeps.collect::<Result<_, _>>()?;
    let header = ["sweep", "state", "jobs", "open", "ok", "failed", "skipped", "cancelled", "started", "config"];
    let rows = sweeps.iter().map(|listed| {
        let counts = &listed.counts;
        let mut row = vec![listed.sweep.id.to_string(), listed.standing.to_owned()];
        let numbers = [counts.jobs, counts.open, counts.ok, counts.failed, counts.skipped, counts.cancelled];
        row.extend(numbers.map(|number| number.to_string()));
        row.push(format!("{:.0}", listed.sweep.started_at));
        row.push(listed.config.clone().unwrap_or_default());
        row
    });
    match context.format {
        Format::Human if sweeps.is_empty() => say("this lab has no sweep yet"),
        Format::Human => print_data(text_table(&header, rows).as_bytes())?,
        Format::Json => print_json(&sweeps)?,
        Format::Csv | Format::Markdown => print_rows(context.format, &header, rows)?,
    }
    Ok(if sweeps.is_empty() { exit::NOTHING } else { exit::OK })
}

fn show(context: &Context, store: &dyn Store, sweep: &SweepRow) -> Result<u8, CliError> {
    let listed = listed(store, sweep.clone(), handed_over(store)?.get(&sweep.id))?;
    let records = store.records(&sweep.id)?;
    match context.format {
        Format::Human => print_data(text(&listed, &records).as_bytes())?,
        Format::Json => print_json(&listed)?,
        Format::Csv | Format::Markdown => super::report::print_sweep(context, store, sweep)?,
    }
    Ok(exit::OK)
}

fn text(listed: &Listed, records: &[Record]) -> String {
    let Listed { sweep, counts, .. } = listed;
    let mut lines = vec![
        ("sweep", sweep.id.to_string()),
        ("state", listed.standing.to_owned()),
        ("file", listed.config.clone().unwrap_or_else(|| "-".to_owned())),
        ("started", format!("{:.0} by farmctl {}", sweep.started_at, sweep.farmctl_version)),
    ];
    lines.extend(sweep.finished_at.map(|at| ("finished", format!("{at:.0}"))));
    lines.extend(listed.retry_of.clone().map(|id| ("retry of", id)));
    lines.extend(listed.pinned_by.clone().map(|by| ("pinned", format!("by {by}"))));
    lines.extend(listed.handed_over_by.clone().map(|by| ("daemon's", format!("handed over by {by}"))));
    lines.extend(listed.holder.clone().map(|holder| ("by", holder)));
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
    match (sweep.state, listed.holder.is_some()) {
        (SweepState::Open, false) if listed.handed_over_by.is_some() => text.push_str(&format!(
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
