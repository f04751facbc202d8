//! The history of a cell in words and in rows.

use crate::compare::history::{CellHistory, ChangeKind, FactChange, HistoryChange, HistoryPoint};
use crate::domain::{Regression, RegressionEnd};
use crate::wording::{field_line, many, short_number, single_line, sparkline};

use super::Grid;

/// Bars of a sparkline.
const BARS: usize = 60;
/// Sweeps of a cell that its table for people has: the newest.
const SHOWN: usize = 20;
/// Digits of a hash that are shown to people.
const HASH_DIGITS: usize = 12;
/// Characters of what changed that are shown to people.
const FACT_CHARS: usize = 60;

/// Columns of a history: a row a sweep of a cell.
pub const HISTORY_COLUMNS: [&str; 21] = [
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

/// The rows of a cell, with [`HISTORY_COLUMNS`]: the oldest sweep first.
pub fn history_rows(history: &CellHistory) -> impl Iterator<Item = Vec<String>> {
    history.points.iter().enumerate().map(|it| row(history, it))
}

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

/// A cell for people: what it is, its line, its changes, and with `with_table` its newest sweeps.
pub fn history_text(history: &CellHistory, with_table: bool) -> String {
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
        text.push_str(&Grid::of_texts(&["sweep", "p50_ms", "runs", "series", "change"], rows).text(None));
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
