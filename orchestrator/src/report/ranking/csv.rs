use crate::score::{RankedRow, Ranking, Term};

use super::accuracy_word;
use crate::report::ReportError;
use crate::report::text::csv_text;
use crate::wording::single_line;

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
    let failed = |error: csv::Error| ReportError::new("ranking", error);
    let mut writer = csv::Writer::from_writer(Vec::new());
    let figures = ranking.result.figures.iter().chain(&ranking.result.term_figures).map(|figure| figure.name);
    let header: Vec<&str> = BEFORE.into_iter().chain(figures).chain(BEHIND).collect();
    writer.write_record(header).map_err(failed)?;
    for row in &ranking.result.rows {
        for term in &row.terms {
            writer.write_record(cells(ranking, row, term)).map_err(failed)?;
        }
    }
    writer.into_inner().map_err(|error| failed(error.into_error().into()))
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
