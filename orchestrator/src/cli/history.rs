use clap::{Args, Subcommand};
use jiff::SignedDuration;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::words::past;
use crate::lab::{HistoryQuery, LabError, MOST_RUNS};
use crate::report::{HISTORY_COLUMNS, history_rows, history_text};
use crate::terminal::print::say;
use crate::terminal::table::Table;
use crate::wording::short_number;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct HistoryArguments {
    /// The network's name
    #[arg(required = true)]
    model: Option<String>,
    /// Of this device alone
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// Of this engine alone
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
    /// In this arithmetic alone: fp32, fp16, int8
    #[arg(long, value_name = "WORD")]
    precision: Option<String>,
    /// With these threads alone: a number, a kind of core, `all`, or `cores 4 5`
    #[arg(long, value_name = "N")]
    threads: Option<String>,
    /// With this size of batch alone
    #[arg(long, value_name = "N")]
    batch: Option<String>,
    /// Of this load pattern alone: single_stream, offline, sustained
    #[arg(long, value_name = "WORD")]
    scenario: Option<String>,
    /// Of these weights alone: synthetic, trained
    #[arg(long, value_name = "WORD")]
    weights: Option<String>,
    /// Nothing longer ago than this: `30d`, `12h`
    #[arg(long, value_name = "TIME", value_parser = past)]
    since: Option<SignedDuration>,
    #[command(subcommand)]
    verb: Option<HistoryVerb>,
}

#[derive(Debug, Subcommand)]
enum HistoryVerb {
    /// What sweeps of schedules found slower, and what became of it
    Alarms {
        /// With what is gone or acknowledged
        #[arg(long)]
        all: bool,
    },
    /// Say that what got slower is as it should be: the new level, of which nobody is told again
    Ack {
        /// Names of changes, or their beginnings, as `farmctl history alarms` lists them
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

pub(super) fn run(context: &Context, arguments: &HistoryArguments) -> Result<u8, LabError> {
    let HistoryArguments { model, device, backend, precision, threads, batch, scenario, weights, since, verb } =
        arguments;
    match verb {
        Some(HistoryVerb::Alarms { all }) => return alarms(context, *all),
        Some(HistoryVerb::Ack { names }) => return acknowledge(context, names),
        None => {}
    }
    let history = context.lab.history(&HistoryQuery {
        model: model.clone().unwrap_or_default(),
        device: device.clone(),
        backend: backend.clone(),
        precision: precision.clone(),
        threads: threads.clone(),
        batch: batch.clone(),
        scenario: scenario.clone(),
        weights: weights.clone(),
        since: *since,
    })?;
    let with_table = history.cells.len() == 1;
    let texts: Vec<String> = history.cells.iter().map(|cell| history_text(cell, with_table)).collect();
    let rows = history.cells.iter().flat_map(history_rows);
    Table::new(&HISTORY_COLUMNS, rows).text(texts.join("\n")).json(&history.cells).print(context.format)?;
    if !with_table && context.format.is_for_people() {
        say("`--device`, `--backend`, `--threads` and others leave one, and show its sweeps");
    }
    if let Some(oldest) = history.cut_at {
        say(&format!("only the newest {MOST_RUNS} runs are in this: it begins at {oldest:.0}"));
    }
    if let [first, others @ ..] = history.dated_ahead.as_slice() {
        let (is, and_more) = match others.len() {
            0 => ("is", String::new()),
            more => ("are", format!(" and {more} more")),
        };
        say(&format!(
            "{first}{and_more} {is} dated later than now, by a clock that was ahead: what stands last here may be older"
        ));
    }
    Ok(exit::OK)
}

/// Lists what got slower.
fn alarms(context: &Context, all: bool) -> Result<u8, LabError> {
    let regressions = context.lab.regressions(all)?;
    let rows = regressions.iter().map(|it| {
        vec![
            it.id.to_string(),
            it.state.to_string(),
            it.against.to_string(),
            it.cell.clone(),
            format!("{:+.1}", it.percent),
            it.since.to_string(),
            it.seen_in.to_string(),
        ]
    });
    let remark = match all {
        true => "nothing was found slower yet",
        false => "nothing is slower: `--all` lists what was",
    };
    let columns = ["name", "state", "against", "cell", "percent", "since", "seen_in"];
    Table::new(&columns, rows).json(&regressions).when_empty(remark).print(context.format)?;
    Ok(exit::OK)
}

/// Makes what got slower the new level.
fn acknowledge(context: &Context, names: &[String]) -> Result<u8, LabError> {
    for name in names {
        let it = context.lab.acknowledge_regression(name)?;
        say(&format!("{} is acknowledged: {} takes {} ms", it.id, it.cell, short_number(it.after_ns / 1e6)));
    }
    Ok(exit::OK)
}
