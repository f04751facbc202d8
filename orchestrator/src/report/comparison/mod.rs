//! A comparison in each form that it is shown in: for a terminal, as CSV, JSON, Markdown, a page, and as JUnit's XML
//! for CI.

use std::collections::{HashMap, HashSet};

use crate::compare::{CellKey, Change, ComparedCell, Comparison, Difference, GateOutcome, Method, Side, Verdict};
use crate::wording::{many, single_line};

mod csv;
mod html;
mod json;
mod junit;
mod markdown;
mod text;

pub use csv::comparison_csv;
pub use html::comparison_html;
pub use json::comparison_json;
pub use junit::comparison_junit;
pub use markdown::comparison_markdown;
pub use text::comparison_text;

#[cfg(test)]
mod tests;

/// What stands for a figure that is not known.
const UNKNOWN: &str = "?";

/// What tells the cells of a comparison apart, and what they share.
struct Labels {
    /// Which words differ.
    differs: [bool; 8],
    /// What all have, in words; empty where that is nothing.
    shared: String,
}

impl Labels {
    fn of(comparison: &Comparison) -> Labels {
        let mut words = comparison.cells.iter().map(|cell| cell.key.words());
        let first = words.next().unwrap_or_default();
        let mut differs = [false; 8];
        for words in words {
            differs
                .iter_mut()
                .zip(words.iter().zip(&first))
                .for_each(|(differs, (word, first))| *differs |= word != first);
        }
        // A cell without its network has no name.
        differs[0] |= !first[0].is_empty();
        let shared = first.into_iter().zip(differs).filter(|(word, differs)| !differs && !word.is_empty());
        Labels { differs, shared: shared.map(|(word, _)| word).collect::<Vec<_>>().join(", ") }
    }

    /// A cell among those of its device.
    fn cell(&self, cell: &ComparedCell) -> String {
        let words =
            cell.key.words().into_iter().zip(self.differs).filter(|(word, differs)| *differs && !word.is_empty());
        let mut words: Vec<String> = words.map(|(word, _)| word).collect();
        words.extend(values(&cell.across));
        single_line(&words.join(" "))
    }
}

/// The two values that are compared within one sweep.
fn values(across: &Option<(String, String)>) -> Option<String> {
    across.as_ref().map(|(a, b)| format!("{a} → {b}"))
}

/// A time for people, with four figures that count and the unit that fits: `1.718 ms`.
fn time(time_s: f64) -> String {
    let (number, unit) = match time_s {
        s if s < 1e-6 => (s * 1e9, "ns"),
        s if s < 1e-3 => (s * 1e6, "µs"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    // What lies between two is rounded up, whatever its last bit is.
    let number = number * (1.0 + 1e-12);
    let digits = match number {
        n if n < 9.9995 => 3,
        n if n < 99.995 => 2,
        n if n < 999.95 => 1,
        _ => 0,
    };
    format!("{number:.digits$} {unit}")
}

/// The median of a side with what it is known to: `1.718 ms ± 1 %`, `± ?` where the runs are too few to tell.
fn median(side: &Side) -> String {
    let plus_minus = side.plus_minus_percent().map_or(UNKNOWN.to_owned(), |percent| format!("{percent:.0} %"));
    side.median_s().map_or_else(|| "-".to_owned(), |median_s| format!("{} ± {plus_minus}", time(median_s)))
}

/// A change for people, with its sign: `−17.2 %`.
fn signed_percent(percent: f64) -> String {
    let size = format!("{:.1}", percent.abs());
    let sign = match percent {
        _ if size == "0.0" => "",
        percent if percent < 0.0 => "−",
        _ => "+",
    };
    format!("{sign}{size} %")
}

/// The interval of a change: `[−18.0, −16.4] %`.
fn interval(change: &Change) -> Option<String> {
    let (low, high) = change.interval_percent?;
    let end = |percent: f64| signed_percent(percent).trim_end_matches(" %").to_owned();
    Some(format!("[{}, {}] %", end(low), end(high)))
}

/// What stands behind a change: `(p=0.000, n=10)`, `n=9+10` of unequal sides.
fn evidence(cell: &ComparedCell, change: &Change) -> String {
    let (a, b) = (cell.a.times_s.len(), cell.b.times_s.len());
    let runs = if a == b { a.to_string() } else { format!("{a}+{b}") };
    let unit = if change.method == Method::Pairs { "pairs" } else { "n" };
    // Where it was looked several times, the raw one is of no look by itself.
    let p = if cell.has_looks { cell.p_adjusted } else { change.p };
    p.map_or_else(|| format!("({unit}={runs})"), |p| format!("(p={p:.3}, {unit}={runs})"))
}

/// The change as benchstat's readers know it: `~` for the same, `?` before one that is unclear.
fn change(cell: &ComparedCell) -> String {
    let Some(change) = cell.change.filter(|_| cell.verdict != Verdict::NotComparable) else { return String::new() };
    let size = match cell.verdict {
        Verdict::Same => "~".to_owned(),
        Verdict::Unclear => format!("{UNKNOWN} {}", signed_percent(change.percent)),
        _ => signed_percent(change.percent),
    };
    format!("{size} {}", evidence(cell, &change))
}

/// How many cells there are of each answer, those that are none left out.
fn summary(comparison: &Comparison) -> String {
    let count = |verdict: &Verdict| comparison.cells.iter().filter(|cell| cell.verdict == *verdict).count();
    let counts = Verdict::ALL.iter().map(|verdict| (count(verdict), verdict.as_str()));
    let said: Vec<String> =
        counts.filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    format!("{}: {}", many(comparison.cells.len() as u64, "cell"), said.join(", "))
}

/// Something that differs, on one line.
fn difference(difference: &Difference, anyway: bool) -> String {
    const NAMED: usize = 4;
    let Difference { is_in_the_way, what, a, b, devices, cells } = difference;
    let mut names: Vec<&str> =
        devices.iter().take(NAMED).map(|device| device.as_str()).filter(|it| !it.is_empty()).collect();
    let more = devices.len().saturating_sub(NAMED);
    let rest = format!("and {more} more");
    names.extend((more > 0).then_some(rest.as_str()));
    let mut places = vec![many(*cells as u64, "cell")];
    places.extend((!names.is_empty()).then(|| format!("on {}", names.join(", "))));
    let effect = match (is_in_the_way, anyway) {
        (true, false) => "; moves time, so not compared: --anyway compares",
        (true, true) => "; moves time, and compared all the same",
        (false, _) => "",
    };
    single_line(&format!("{what}: {a} → {b} ({}{effect})", places.join(" ")))
}

/// What a gate says, in a line. What judged nothing has not passed.
fn gate_line(outcome: &GateOutcome) -> String {
    let gate = &outcome.gate;
    let untold = match outcome.untold.len() {
        0 => String::new(),
        count => format!(", {count} can't be told"),
    };
    match (outcome.failures.len(), &outcome.nothing) {
        (0, Some(nothing)) => format!("nothing to judge: {gate}: {nothing}"),
        (0, None) if outcome.judged == 0 => format!("judged nothing: {gate}{untold}"),
        (0, None) => format!("passed: {gate}{untold}"),
        (count, _) => format!("FAILED: {gate}, by {count}{untold}"),
    }
}

/// What fails a gate, a line each, then what it can't tell and the table does not say.
fn gate_details(comparison: &Comparison, outcome: &GateOutcome) -> Vec<String> {
    let mut lines: Vec<String> = outcome.failures.iter().map(|(place, why)| format!("{place}: {why}")).collect();
    if outcome.nothing.is_some() || outcome.untold.is_empty() {
        return lines;
    }
    let failing: HashSet<&str> = outcome.failures.iter().map(|(place, _)| place.as_str()).collect();
    let cells = comparison.cells.iter().filter_map(|cell| Some((cell.name(), cell.remark()?)));
    let in_table: HashMap<String, String> = cells.collect();
    let is_said = |place: &String, why: &String| {
        failing.contains(place.as_str()) || in_table.get(place).is_some_and(|said| said.contains(why.as_str()))
    };
    let untold = outcome.untold.iter().filter(|(place, why)| !is_said(place, why));
    lines.extend(untold.map(|(place, why)| format!("{place}: can't be told: {why}")));
    lines
}

/// The parts of a cell's key with their columns.
fn key_columns(key: &CellKey) -> [(&'static str, String); 9] {
    [
        ("device", key.device.clone()),
        ("model", key.model.clone()),
        ("backend", key.backend.clone()),
        ("delegate", key.delegate.clone()),
        ("precision", key.precision.clone()),
        ("weights", key.weights.clone()),
        ("threads", key.threads.clone()),
        ("batch", if key.batch == 0 { String::new() } else { key.batch.to_string() }),
        ("scenario", key.scenario.clone()),
    ]
}
