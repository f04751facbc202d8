use serde_json::{Map, Value, json};

use crate::score::{Figure, RankedRow, Ranking, Term};

/// Raised when a reader of the last version would misread the text.
const FORMAT: u32 = 1;

/// A ranking for programs. Values are by the names of the figures; null: not known.
pub fn ranking_json(ranking: &Ranking) -> Value {
    json!({
        "format": FORMAT,
        "score": ranking.score,
        "definition": ranking.result.definition,
        "accuracy": ranking.accuracy,
        "workloads": ranking.workloads,
        "figures": ranking.result.figures,
        "term_figures": ranking.result.term_figures,
        "ranking": ranking.result.rows.iter().map(|row| row_json(ranking, row)).collect::<Vec<_>>(),
        "notes": ranking.result.notes,
    })
}

fn row_json(ranking: &Ranking, row: &RankedRow) -> Value {
    json!({
        "rank": row.rank,
        "unranked": row.unranked,
        "device": row.device,
        "settings": row.settings,
        "workload": row.workload,
        "values": named(&ranking.result.figures, &row.values),
        "terms": row.terms.iter().map(|term| term_json(ranking, term)).collect::<Vec<_>>(),
    })
}

fn term_json(ranking: &Ranking, term: &Term) -> Value {
    json!({
        "workload": term.workload,
        "run_id": term.run_id,
        "source": term.source,
        "runs_ok": term.runs_ok,
        "runs": term.runs,
        "values": named(&ranking.result.term_figures, &term.values),
        "not_counted": term.not_counted,
    })
}

fn named(figures: &[Figure], values: &[Option<f64>]) -> Map<String, Value> {
    figures.iter().zip(values).map(|(figure, value)| (figure.name.to_owned(), json!(value))).collect()
}
