use crate::report::columns::Row;
use crate::report::label::number;
use crate::report::ranking::{Labels, workloads};
use crate::score::{self, Options, RankedRow, Ranking, ResultMatrix, ScoredRun};
use crate::wording::single_line;

/// Scores that the page can show, the one that says more first: without measured accuracy there is no VIPS.
const SHOWN: [&str; 2] = ["aiotbench", "throughput"];

/// Who is how good: a bar a system.
pub(super) struct Chart {
    pub(super) definition: String,
    pub(super) workloads: String,
    pub(super) unit: &'static str,
    pub(super) bars: Vec<Bar>,
}

/// A system under test.
pub(super) struct Bar {
    /// `whole`, or `part` of one that has no rank.
    pub(super) class: &'static str,
    pub(super) place: String,
    pub(super) name: String,
    pub(super) width_percent: f64,
    /// Why it has no rank.
    pub(super) unranked: String,
    pub(super) figure: String,
}

/// The ranking of these rows, if they have one.
pub(super) fn chart(rows: &[Row<'_>]) -> Option<Chart> {
    let runs: Vec<ScoredRun> = rows.iter().map(|row| ScoredRun::of(row.record)).collect();
    // Records that contradict one another have no ranking, and that is no reason to have no page.
    let matrix = ResultMatrix::new(&runs).ok()?;
    let ranking = |name| score::rank(score::score(name)?, &matrix, &Options::default()).ok();
    let ranking = SHOWN.into_iter().find_map(ranking)?;
    let has_figures = ranking.result.rows.iter().any(|row| row.values[0] > Some(0.0));
    has_figures.then(|| Chart::of(&ranking))
}

impl Chart {
    fn of(ranking: &Ranking) -> Chart {
        let labels = Labels::of(ranking);
        let largest = ranking.result.rows.iter().filter_map(|row| row.values[0]).fold(0.0, f64::max);
        let definition = ranking.result.definition.iter().take(2).map(String::as_str).collect::<Vec<_>>().join(" ");
        Chart {
            definition: single_line(&definition),
            workloads: single_line(&workloads(ranking, &labels)),
            unit: ranking.result.figures[0].unit,
            bars: ranking.result.rows.iter().map(|row| Bar::of(row, &labels, largest)).collect(),
        }
    }
}

impl Bar {
    fn of(row: &RankedRow, labels: &Labels, largest: f64) -> Bar {
        let settings = labels.settings(row);
        let separator = if settings.is_empty() { "" } else { " · " };
        Bar {
            class: if row.rank.is_some() { "whole" } else { "part" },
            place: row.rank.map_or_else(|| "–".to_owned(), |rank| format!("{rank}.")),
            name: single_line(&format!("{}{separator}{settings}", row.device)),
            width_percent: row.values[0].unwrap_or(0.0) / largest * 100.0,
            unranked: row.unranked.as_deref().map(single_line).unwrap_or_default(),
            figure: number(row.values[0]),
        }
    }
}
