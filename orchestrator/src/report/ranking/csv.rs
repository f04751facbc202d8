use crate::score::{RankedRow, Ranking, Term};

use super::accuracy_word;
use crate::report::{Grid, ReportError};
use crate::wording::{csv_text, single_line};

/// Columns before the figures.
const BEFORE: [&str; 14] = [
    "score",
    "accuracy",
    "rank",
    "unranked",
    "device",
    "weights",
    "threads",
    "batch",
    "scenario",
    "model",
    "backend",
    "delegate",
    "precision",
    "not_counted",
];
/// Columns behind the figures.
const BEHIND: [&str; 4] = ["runs_ok", "runs", "run_id", "source"];

/// A ranking as CSV: a row a term, with the values of the row that it belongs to.
///
/// # Errors
/// When the encoder refuses.
pub fn ranking_csv(ranking: &Ranking) -> Result<Vec<u8>, ReportError> {
    let figures = ranking.result.figures.iter().chain(&ranking.result.term_figures).map(|figure| figure.name);
    let names: Vec<&str> = BEFORE.into_iter().chain(figures).chain(BEHIND).collect();
    let terms = ranking.result.rows.iter().flat_map(|row| row.terms.iter().map(move |term| (row, term)));
    let table = Grid::of_texts(&names, terms.map(|(row, term)| cells(ranking, row, term)));
    table.csv().map_err(|error| ReportError::new("ranking", error))
}

fn cells(ranking: &Ranking, row: &RankedRow, term: &Term) -> Vec<String> {
    let text = |text: &Option<String>| csv_text(text.as_deref().unwrap_or_default());
    let number = |value: &Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    let (settings, workload) = (&row.settings, &term.workload);
    let mut cells = vec![
        ranking.score.to_owned(),
        accuracy_word(ranking).to_owned(),
        row.rank.map(|rank| rank.to_string()).unwrap_or_default(),
        text(&row.unranked),
    ];
    let threads = single_line(&settings.threads);
    cells.extend([csv_text(&row.device), csv_text(&settings.weights), threads, settings.batch.to_string()]);
    let behind = [&settings.scenario, &workload.model, &workload.backend, &workload.delegate, &workload.precision];
    cells.extend(behind.map(|text| csv_text(text)));
    cells.push(text(&term.not_counted));
    cells.extend(row.values.iter().chain(&term.values).map(number));
    cells.extend([term.runs_ok.to_string(), term.runs.to_string(), text(&term.run_id), text(&term.source)]);
    cells
}
