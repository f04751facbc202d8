//! The ranking of a sweep's devices, with how sure each place is.
//!
//! Main type: [`SweepRanking`], with its columns ([`RANKING_COLUMNS`]) and `ranking.csv`. A score ranks by one number a
//! device; here each number has its interval, and devices whose intervals overlap share places: «1 to 2».

use std::collections::HashMap;

use super::cells::SweepCell;
use super::columns::Row;
use super::grid::{Grid, GridColumn};
use super::label::number;
use super::ranking::Labels;
use crate::score::{self, Options, RankedRow, Ranking, ResultMatrix, ScoredRun, Term};
use crate::wording::single_line;

mod columns;
mod csv;
mod mean;
mod reader;
#[cfg(test)]
mod tests;

pub use columns::RANKING_COLUMNS;
pub(super) use csv::RankingCsv;
use mean::Ends;
pub use reader::RankingReader;

/// Scores that every sweep can be ranked by, with the figure of a term that adds up to theirs. The one that says more
/// comes first: without measured accuracy there is no VIPS.
const SCORES: [(&str, &str); 2] = [("aiotbench", "valid_images_per_s"), ("throughput", "term_images_per_s")];

/// What a reader must know of the intervals.
pub(super) const EXPLANATION: &str = "The interval of 95 % of a sum is made of those of its cells' mean times, as if \
they were independent; accuracy is taken as it is. Devices whose intervals overlap can't be told apart, and share \
their places.";

/// A ranking of a sweep.
#[derive(Debug, Clone)]
pub struct SweepRanking {
    /// What the score says.
    pub ranking: Ranking,
    /// How sure the place of each of its rows is, in their order; `None` of one without a rank.
    pub places: Vec<Option<Place>>,
}

/// How sure a place is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Interval of 95 % of the value, as low and high end; `None` where one of its times has none.
    pub interval: Option<(f64, f64)>,
    /// The best place that it may have: one behind all whose intervals are above its own.
    pub best: usize,
    /// The worst place.
    pub worst: usize,
}

impl Place {
    /// The places for people: `1`, or `1 to 3`.
    pub fn text(&self) -> String {
        if self.best == self.worst { self.best.to_string() } else { format!("{} to {}", self.best, self.worst) }
    }

    /// Half of the interval in per cent of the value.
    pub fn half_interval_percent(&self, value: f64) -> Option<f64> {
        let (low, high) = self.interval?;
        (value > 0.0).then(|| (high - low) / 2.0 / value * 100.0)
    }
}

/// A system in a ranking.
pub struct PlacedRow<'a> {
    /// The ranking.
    pub ranking: &'a Ranking,
    /// What the score says of it.
    pub row: &'a RankedRow,
    /// How sure its place is.
    pub place: Option<Place>,
}

impl SweepRanking {
    /// Its rows, those with a rank first.
    pub fn rows(&self) -> impl Iterator<Item = PlacedRow<'_>> {
        let rows = self.ranking.result.rows.iter().zip(&self.places);
        rows.map(|(row, place)| PlacedRow { ranking: &self.ranking, row, place: *place })
    }
}

/// The rankings that these rows have; none where their records contradict one another, or nothing was measured.
pub(super) fn rankings(rows: &[Row<'_>], cells: &[SweepCell<'_>]) -> Vec<SweepRanking> {
    let counting = rows.iter().filter(|row| row.counting.counts());
    let runs: Vec<ScoredRun> = counting.map(|row| ScoredRun::of(row.record)).collect();
    let ends = ends_of_runs(cells);
    rankings_of(&runs, &|run_id| ends.get(run_id).copied())
}

/// The same of runs, and of what each may be off by.
fn rankings_of(runs: &[ScoredRun], ends: &dyn Fn(&str) -> Option<Ends>) -> Vec<SweepRanking> {
    let Ok(matrix) = ResultMatrix::new(runs) else { return Vec::new() };
    let ranking = |(name, adds): (&str, &str)| {
        let ranking = score::rank(score::score(name)?, &matrix, &Options::default()).ok()?;
        let has_figures = ranking.result.rows.iter().any(|row| row.values[0] > Some(0.0));
        has_figures.then(|| SweepRanking { places: places(&ranking, adds, ends), ranking })
    };
    SCORES.into_iter().filter_map(ranking).collect()
}

/// By how much what each run's cell adds may be smaller and larger.
fn ends_of_runs<'c>(cells: &'c [SweepCell<'_>]) -> HashMap<&'c str, Ends> {
    let of_cell = |cell: &'c SweepCell<'_>| {
        let ends = mean::ends(&cell.records);
        let runs = cell.records.iter().filter_map(|record| record.run_id.as_ref());
        runs.filter_map(move |run_id| Some((run_id.as_str(), ends?)))
    };
    cells.iter().flat_map(of_cell).collect()
}

/// The places of the rows: how many intervals are wholly above, and wholly below (H. Goldstein and D. J. Spiegelhalter,
/// «League Tables and Their Limitations», Journal of the Royal Statistical Society A 159, 1996). What has no interval
/// may be anywhere.
fn places(ranking: &Ranking, adds: &str, ends: &dyn Fn(&str) -> Option<Ends>) -> Vec<Option<Place>> {
    let figure = ranking.result.term_figures.iter().position(|figure| figure.name == adds);
    let interval = |row: &RankedRow| {
        let value = row.values.first().copied().flatten()?;
        let of_term = |term: &Term| {
            let (adds, ends) = (term.values.get(figure?)?.as_ref()?, ends(term.run_id.as_deref()?)?);
            Some(((adds * ends.below).powi(2), (adds * ends.above).powi(2)))
        };
        let squares = row.terms.iter().map(of_term).collect::<Option<Vec<(f64, f64)>>>()?;
        let (below, above): (f64, f64) = squares.into_iter().fold((0.0, 0.0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
        Some(((value - below.sqrt()).max(0.0), value + above.sqrt()))
    };
    let ranked = ranking.result.rows.iter().take_while(|row| row.rank.is_some());
    let intervals: Vec<Option<(f64, f64)>> = ranked.map(interval).collect();
    let place = |index: usize| {
        let own = *intervals.get(index)?;
        let told = own.unwrap_or((0.0, f64::INFINITY));
        let others = || intervals.iter().filter_map(|other| *other);
        let above = others().filter(|other| other.0 > told.1).count();
        let below = others().filter(|other| other.1 < told.0).count();
        Some(Place { interval: own, best: above + 1, worst: intervals.len() - below })
    };
    (0..ranking.result.rows.len()).map(place).collect()
}

/// The table for people, of the first rows.
pub(super) fn table(ranking: &SweepRanking, most: usize) -> Grid {
    let labels = Labels::of(&ranking.ranking);
    let figure = ranking.ranking.result.figures[0];
    let mut columns = vec![GridColumn::text("place"), GridColumn::text("device")];
    columns.extend([format!("{}, {}", figure.title, figure.unit), "± %".to_owned()].map(GridColumn::number));
    let row = |placed: PlacedRow<'_>| {
        let (settings, value) = (labels.settings(placed.row), placed.row.values[0]);
        let separator = if settings.is_empty() { "" } else { " · " };
        let half = placed.place.zip(value).and_then(|(place, value)| place.half_interval_percent(value));
        vec![
            placed.place.map_or_else(|| placed.row.unranked.clone().unwrap_or_default(), |place| place.text()),
            single_line(&format!("{}{separator}{settings}", placed.row.device)),
            number(value),
            half.map(|half| format!("{half:.1}")).unwrap_or_default(),
        ]
    };
    Grid { columns, rows: ranking.rows().take(most).map(row).collect() }
}
