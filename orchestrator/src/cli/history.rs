use clap::{Args, Subcommand};
use jiff::SignedDuration;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::print::say;
use crate::cli::table::{Table, field_line, text_table};
use crate::cli::words::past;
use crate::compare::history::{CellHistory, ChangeKind, FactChange, HistoryChange, HistoryPoint};
use crate::domain::{Regression, RegressionEnd};
use crate::lab::{HistoryQuery, LabError, MOST_RUNS};
use crate::wording::{many, short_number, single_line, sparkline};

/// Bars of a sparkline.
const BARS: usize = 60;
/// Sweeps of a cell that its table for people has: the newest.
const SHOWN: usize = 20;
/// Digits of a hash that are shown to people.
const HASH_DIGITS: usize = 12;
/// Characters of what changed that are shown to people.
const FACT_CHARS: usize = 60;

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
    let texts: Vec<String> = history.cells.iter().map(|cell| cell_text(cell, with_table)).collect();
    let rows = history.cells.iter().flat_map(|cell| cell.points.iter().enumerate().map(|it| row(cell, it)));
    Table::new(&COLUMNS, rows).text(texts.join("\n")).json(&history.cells).print(context.format)?;
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

const COLUMNS: [&str; 21] = [
    "device",
    "backend",
    "options",
    "precision",
    "threads",
    "batch",
    "scenario",
    "weights",
    "format",
    "sweep_id",
    "at",
    "p50_ms",
    "runs",
    "series",
    "change",
    "change_percent",
    "low_percent",
    "high_percent",
    "p_value",
    "changed",
    "alarm",
];

/// A sweep of a cell, for programs: what changed there stands in its row. Where the environment and the level did, it
/// is the environment: another series begins there.
fn row(history: &CellHistory, (at, point): (usize, &HistoryPoint)) -> Vec<String> {
    let cell = &history.cell;
    let change = history.changes.iter().find(|change| change.point == at);
    let certainty = change.and_then(|change| change.certainty);
    let number = |number: Option<f64>| number.map(|number| format!("{number:.4}")).unwrap_or_default();
    let options = cell.options.iter().map(|(name, value)| format!("{name}={value}"));
    let changed = change.map(|it| it.changed.iter().map(|fact| fact_text(fact, false)).collect::<Vec<_>>());
    vec![
        cell.device.clone(),
        cell.backend.clone(),
        options.collect::<Vec<_>>().join(";"),
        cell.precision.to_string(),
        cell.threads.to_string(),
        cell.batch.to_string(),
        cell.scenario.to_string(),
        cell.weights.to_string(),
        cell.format.clone(),
        point.sweep_id.to_string(),
        format!("{:.3}", point.at),
        (point.p50_ns / 1e6).to_string(),
        point.runs.to_string(),
        point.series.to_string(),
        change.map(|change| change.kind.as_str().to_owned()).unwrap_or_default(),
        number(change.map(|change| change.percent)),
        number(certainty.map(|it| it.low_percent)),
        number(certainty.map(|it| it.high_percent)),
        certainty.map(|it| format!("{:.3e}", it.p_value)).unwrap_or_default(),
        changed.unwrap_or_default().join("; "),
        change.and_then(|change| change.alarm.as_ref()).map(alarm_text).unwrap_or_default(),
    ]
}

/// A cell for people: what it is, its line, its changes, and its newest sweeps.
fn cell_text(history: &CellHistory, with_table: bool) -> String {
    let levels: Vec<f64> = history.points.iter().map(|point| point.p50_ns / 1e6).collect();
    let low = levels.iter().copied().fold(f64::INFINITY, f64::min);
    let high = levels.iter().copied().fold(0.0, f64::max);
    let now = levels.last().copied().unwrap_or_default();
    let mut text = format!("{}\n{}\n", single_line(&history.cell.to_string()), sparkline(&levels, BARS));
    let sweeps = many(levels.len() as u64, "sweep");
    let [low, high, now] = [low, high, now].map(short_number);
    text.push_str(&format!("{sweeps}, {low} to {high} ms, now {now} ms\n"));
    if history.changes.is_empty() {
        text.push_str("no change is found\n");
    }
    history.changes.iter().for_each(|change| text.push_str(&change_text(change)));
    if with_table {
        let skipped = history.points.len().saturating_sub(SHOWN);
        let rows = history.points.iter().enumerate().skip(skipped).map(|(at, point)| {
            let change = history.changes.iter().find(|change| change.point == at);
            vec![
                point.sweep_id.to_string(),
                short_number(point.p50_ns / 1e6),
                point.runs.to_string(),
                point.series.to_string(),
                change.map(|change| change.kind.as_str().to_owned()).unwrap_or_default(),
            ]
        });
        text.push('\n');
        text.push_str(&text_table(&["sweep", "p50_ms", "runs", "series", "change"], rows));
        if skipped > 0 {
            text.push_str(&format!("and {} before it: `--format csv` has all\n", many(skipped as u64, "sweep")));
        }
    }
    text
}

fn change_text(change: &HistoryChange) -> String {
    let HistoryChange { kind, percent, before_ns, after_ns, .. } = change;
    let (before, after) = (short_number(before_ns / 1e6), short_number(after_ns / 1e6));
    let size = match &change.certainty {
        Some(it) => {
            let p = if it.p_value < 0.0001 { "p < 0.0001".to_owned() } else { format!("p = {:.4}", it.p_value) };
            format!("{percent:+.1} % ({:+.1} to {:+.1} %, {p})", it.low_percent, it.high_percent)
        }
        None => format!("another series begins, {percent:+.1} %"),
    };
    let what = if *kind == ChangeKind::Environment { "environment" } else { kind.as_str() };
    let mut text = field_line(what, 11, &format!("since {}: {size}, {before} to {after} ms", change.sweep_id));
    let facts = change.changed.iter().map(|fact| fact_text(fact, true)).collect::<Vec<_>>();
    let facts = if facts.is_empty() { "nothing that is known".to_owned() } else { facts.join("; ") };
    text.push_str(&field_line("  changed", 11, &facts));
    if let Some(alarm) = &change.alarm {
        text.push_str(&field_line("  alarm", 11, &alarm_text(alarm)));
    }
    text
}

/// What became of the alarm that a change raised.
fn alarm_text(alarm: &Regression) -> String {
    let by = |end: &RegressionEnd| match &end.by {
        Some(by) => format!("{} by {by} at {:.0}", alarm.state, end.at),
        None => format!("{} since {:.0}: {}", alarm.state, end.at, end.why),
    };
    format!("{} {}", alarm.id, alarm.end.as_ref().map_or_else(|| alarm.state.to_string(), by))
}

/// `os A -> B`; for people without the rest of what is long.
fn fact_text(change: &FactChange, is_short: bool) -> String {
    let text = |value: &Option<String>| {
        let value = value.as_deref().unwrap_or("unknown");
        let is_hash = value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
        let most = if is_hash { HASH_DIGITS } else { FACT_CHARS };
        match is_short && value.chars().count() > most {
            true => value.chars().take(most).collect::<String>() + "…",
            false => value.to_owned(),
        }
    };
    format!("{} {} -> {}", change.fact, text(&change.before), text(&change.after))
}
