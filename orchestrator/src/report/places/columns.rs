use crate::report::columns::{Cell, ColumnKind, ColumnOf};

use super::PlacedRow;

/// A column of `ranking.csv`.
pub type RankingColumn = ColumnOf<fn(&PlacedRow<'_>) -> Cell>;

/// The columns of `ranking.csv`, in the order of the file. New ones are added at the end only.
pub const RANKING_COLUMNS: &[RankingColumn] = &[
    text("score", "Name of the score, as farmctl score has it.", |placed| placed.ranking.score.into()),
    count(
        "rank",
        "Place by the value alone, from 1, the same for equals; empty of one that can't be compared.",
        |it| it.row.rank.map(|rank| rank as u64).into(),
    ),
    count(
        "best_place",
        "Best place that the interval allows: one behind all whose intervals are wholly above.",
        |placed| placed.place.map(|place| place.best as u64).into(),
    ),
    count("worst_place", "Worst place that the interval allows.", |placed| {
        placed.place.map(|place| place.worst as u64).into()
    }),
    text("unranked", "Why it has no place.", |placed| placed.row.unranked.as_deref().into()),
    text("device", "Name of the device.", |placed| placed.row.device.as_str().into()),
    text("weights", "Kind of weights.", |placed| placed.row.settings.weights.as_str().into()),
    ColumnOf {
        kind: ColumnKind::Word,
        ..text("threads", "Threads asked for.", |placed| placed.row.settings.threads.as_str().into())
    },
    count("batch", "Images in one inference.", |placed| placed.row.settings.batch.into()),
    text("scenario", "Load pattern.", |placed| placed.row.settings.scenario.as_str().into()),
    text("figure", "What the value is.", |placed| placed.ranking.result.figures[0].name.into()),
    number("value", "The value that ranks, in images a second; more is better.", |placed| placed.row.values[0].into()),
    number(
        "value_low",
        "Low end of its interval of 95 %, made of those of its mean times; empty where one of them has none.",
        |placed| interval(placed).map(|(low, _)| low).into(),
    ),
    number("value_high", "High end of it.", |placed| interval(placed).map(|(_, high)| high).into()),
    count("workloads", "Workloads that it needs to be complete.", |placed| {
        (placed.ranking.workloads.len() as u64).into()
    }),
    count("workloads_counted", "Those that it has.", |placed| {
        (placed.row.terms.iter().filter(|term| term.not_counted.is_none()).count() as u64).into()
    }),
    text("run_ids", "The runs that it is made of, separated by spaces.", |placed| {
        let ids = placed.row.terms.iter().filter(|term| term.not_counted.is_none());
        ids.filter_map(|term| term.run_id.as_deref()).collect::<Vec<_>>().join(" ").into()
    }),
];

const fn text(name: &'static str, description: &'static str, value: fn(&PlacedRow<'_>) -> Cell) -> RankingColumn {
    ColumnOf { name, kind: ColumnKind::Text, unit: "", description, value }
}

const fn count(name: &'static str, description: &'static str, value: fn(&PlacedRow<'_>) -> Cell) -> RankingColumn {
    ColumnOf { name, kind: ColumnKind::Integer, unit: "", description, value }
}

const fn number(name: &'static str, description: &'static str, value: fn(&PlacedRow<'_>) -> Cell) -> RankingColumn {
    ColumnOf { name, kind: ColumnKind::Number, unit: "1/s", description, value }
}

fn interval(placed: &PlacedRow<'_>) -> Option<(f64, f64)> {
    placed.place?.interval
}
