//! A [`Ranking`] as text for people, Markdown, CSV and JSON: whichever score it is, each form is written once.

use crate::score::{AccuracySource, Figure, RankedRow, Ranking, Settings, Workload};

use super::grid::{Grid, GridColumn};
use super::label::number;
use crate::wording::many;

mod csv;
mod json;
mod markdown;
#[cfg(test)]
mod tests;
mod text;

pub use csv::ranking_csv;
pub use json::ranking_json;
pub use markdown::ranking_markdown;
pub use text::ranking_text;

/// What a reader is told before the table.
fn preamble(ranking: &Ranking, labels: &Labels) -> Vec<String> {
    let mut lines = ranking.result.definition.clone();
    lines.extend(ranking.accuracy.map(|source| match source {
        AccuracySource::Measured => "Accuracy: measured, in the runs that the times are from.".to_owned(),
        AccuracySource::Published => {
            "Accuracy: AS PUBLISHED for each network; it was not measured in these runs.".to_owned()
        }
    }));
    lines.push(workloads(ranking, labels));
    lines.extend(Some(format!("All: {}.", labels.common)).filter(|_| !labels.common.is_empty()));
    lines
}

/// What is ranked over: «2 workloads: resnet50, mobilenet_v2.»
pub(super) fn workloads(ranking: &Ranking, labels: &Labels) -> String {
    let names: Vec<String> = ranking.workloads.iter().map(|workload| labels.workload(workload)).collect();
    format!("{}: {}.", many(names.len() as u64, "workload"), names.join(", "))
}

/// The word for where accuracies come from.
fn accuracy_word(ranking: &Ranking) -> &'static str {
    match ranking.accuracy {
        Some(AccuracySource::Measured) => "measured",
        Some(AccuracySource::Published) => "published",
        None => "",
    }
}

/// How systems and workloads are told apart: what is the same for all is said once.
pub(super) struct Labels {
    common: String,
    settings: Vec<fn(&Settings) -> String>,
    workload: Vec<fn(&Workload) -> String>,
}

impl Labels {
    pub(super) fn of(ranking: &Ranking) -> Labels {
        let workload_words: [fn(&Workload) -> String; 3] = [
            |workload| workload.backend.clone(),
            |workload| workload.delegate.clone(),
            |workload| workload.precision.clone(),
        ];
        let settings_words: [fn(&Settings) -> String; 4] = [
            |settings| labelled(&settings.weights, "", " weights"),
            |settings| labelled(&settings.threads, "threads ", ""),
            |settings| format!("batch {}", settings.batch),
            |settings| settings.scenario.clone(),
        ];
        let settings: Vec<&Settings> = ranking.result.rows.iter().map(|row| &row.settings).collect();
        let workloads: Vec<&Workload> = ranking.workloads.iter().collect();
        let (mut common, workload) = common_and_differing(&workloads, &workload_words);
        let (more, settings) = common_and_differing(&settings, &settings_words);
        common.extend(more);
        Labels { common: common.join(", "), settings, workload }
    }

    pub(super) fn settings(&self, row: &RankedRow) -> String {
        let words = self.settings.iter().map(|word| word(&row.settings)).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join(", ")
    }

    pub(super) fn workload(&self, workload: &Workload) -> String {
        let words = self.workload.iter().map(|word| word(workload)).filter(|word| !word.is_empty());
        std::iter::once(workload.model.clone()).chain(words).collect::<Vec<_>>().join(" ")
    }
}

type Words<T> = Vec<fn(&T) -> String>;

/// The words that are the same for all, where there is one, and how to get those that differ.
fn common_and_differing<T>(all: &[&T], words: &[fn(&T) -> String]) -> (Vec<String>, Words<T>) {
    let (mut common, mut differing) = (Vec::new(), Vec::new());
    for word in words {
        let mut said = all.iter().map(|one| word(one));
        match said.next() {
            Some(first) if said.all(|other| other == first) => {
                common.extend(Some(first).filter(|word| !word.is_empty()))
            }
            _ => differing.push(*word),
        }
    }
    (common, differing)
}

fn labelled(word: &str, before: &str, after: &str) -> String {
    if word.is_empty() { String::new() } else { format!("{before}{word}{after}") }
}

/// The table for people.
fn table(ranking: &Ranking, labels: &Labels) -> Grid {
    let has_workload = ranking.result.rows.iter().any(|row| row.workload.is_some());
    let has_settings = !labels.settings.is_empty();
    // What was measured is what a reader expects; what was not is marked in each row.
    let is_published = ranking.accuracy == Some(AccuracySource::Published);
    let mut header = vec![GridColumn::number("rank"), GridColumn::text("device")];
    header.extend(has_settings.then(|| GridColumn::text("settings")));
    header.extend(has_workload.then(|| GridColumn::text("workload")));
    header.extend(ranking.result.figures.iter().map(|figure| GridColumn::number(head(figure))));
    header.extend(is_published.then(|| GridColumn::text("accuracy")));
    let rows = ranking.result.rows.iter().map(|row| {
        let mut cells = vec![row.rank.map_or_else(|| "-".to_owned(), |rank| rank.to_string()), row.device.clone()];
        cells.extend(has_settings.then(|| labels.settings(row)));
        cells.extend(
            has_workload.then(|| row.workload.as_ref().map(|workload| labels.workload(workload)).unwrap_or_default()),
        );
        cells.extend(ranking.result.figures.iter().zip(&row.values).map(|(figure, value)| value_text(figure, *value)));
        cells.extend(is_published.then(|| accuracy_word(ranking).to_owned()));
        cells
    });
    Grid { columns: header, rows: rows.collect() }
}

/// The table of terms for people.
fn terms_table(ranking: &Ranking, labels: &Labels) -> Grid {
    let has_settings = !labels.settings.is_empty();
    let mut header = vec![GridColumn::text("device")];
    header.extend(has_settings.then(|| GridColumn::text("settings")));
    header.push(GridColumn::text("workload"));
    header.extend(ranking.result.term_figures.iter().map(|figure| GridColumn::number(head(figure))));
    header.extend([GridColumn::number("runs ok"), GridColumn::text("run")]);
    let mut rows = Vec::new();
    for row in &ranking.result.rows {
        for term in &row.terms {
            let mut cells = vec![row.device.clone()];
            cells.extend(has_settings.then(|| labels.settings(row)));
            cells.push(labels.workload(&term.workload));
            let values = ranking.result.term_figures.iter().zip(&term.values);
            cells.extend(values.map(|(figure, value)| value_text(figure, *value)));
            cells.push(format!("{} of {}", term.runs_ok, term.runs));
            cells.push(term.run_id.clone().or(term.source.clone()).unwrap_or_default());
            rows.push(cells);
        }
    }
    Grid { columns: header, rows }
}

fn value_text(figure: &Figure, value: Option<f64>) -> String {
    match value {
        Some(place) if figure.unit == "place" => place.to_string(),
        value => number(value),
    }
}

fn head(figure: &Figure) -> String {
    match figure.unit {
        "" | "place" => figure.title.to_owned(),
        unit => format!("{}, {unit}", figure.title),
    }
}

/// Why rows have no rank, and what doesn't count in them: one line each.
fn reasons(ranking: &Ranking, labels: &Labels) -> Vec<String> {
    let mut lines = Vec::new();
    for row in ranking.result.rows.iter().filter(|row| row.unranked.is_some()) {
        let settings = labels.settings(row);
        let who = if settings.is_empty() { row.device.clone() } else { format!("{} ({settings})", row.device) };
        let why = row.unranked.as_deref().unwrap_or_default();
        match &row.workload {
            Some(workload) => lines.push(format!("{who}, {}: {why}", labels.workload(workload))),
            None => lines.push(format!("{who}, {why}; without {}", missing(row, labels))),
        }
    }
    lines
}

/// What doesn't count in a row and why, each reason once.
fn missing(row: &RankedRow, labels: &Labels) -> String {
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for term in &row.terms {
        let Some(reason) = term.not_counted.as_deref() else { continue };
        let workload = labels.workload(&term.workload);
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, workloads)) => workloads.push(workload),
            None => reasons.push((reason, vec![workload])),
        }
    }
    reasons.iter().map(|(reason, names)| format!("{}: {reason}", names.join(", "))).collect::<Vec<_>>().join("; ")
}
