//! What a new sweep says of each cell: what got slower, what still is, and what is gone.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::history::{CellHistory, ChangeKind, HistoryChange};
use super::{ComparedCell, Comparison, Verdict};
use crate::domain::{Against, HistoryCell, PastRun, Regression, RegressionEnd, RegressionState, SweepId};

/// A change that is longer ago than so many sweeps when it is first seen is nobody's news.
const NEWS: usize = 30;
/// Changes of one series are at least so many sweeps apart: nearer ones are the same, whose place was found anew.
const APART: usize = super::change_points::MIN_SIDE;

/// What a sweep is looked through with.
#[derive(Debug, Clone, Copy)]
pub struct Watch<'a> {
    /// The sweep.
    pub sweep: &'a SweepId,
    /// When it is looked through.
    pub at: Timestamp,
    /// The schedule that it is of.
    pub schedule: &'a str,
    /// What it is compared with.
    pub against: &'a Against,
    /// Smaller changes are none, in per cent.
    pub threshold_percent: f64,
    /// What was found before, whatever became of it.
    pub known: &'a [Regression],
}

/// What came of that.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Watched {
    /// Cells that were compared.
    pub cells: usize,
    /// What is new.
    pub found: Vec<Regression>,
    /// What was known and is still there.
    pub still: Vec<Regression>,
    /// What is gone.
    pub gone: Vec<Regression>,
}

impl Watched {
    /// Both together.
    pub fn extend(&mut self, other: Watched) {
        self.cells += other.cells;
        self.found.extend(other.found);
        self.still.extend(other.still);
        self.gone.extend(other.gone);
    }
}

impl<'a> Watch<'a> {
    fn known_of(&self, cell: &str) -> impl Iterator<Item = &'a Regression> {
        let against = self.against;
        self.known.iter().filter(move |known| known.against == *against && known.cell == cell)
    }

    fn still(&self, known: &Regression) -> Regression {
        Regression { seen_in: self.sweep.clone(), ..known.clone() }
    }

    fn gone(&self, known: &Regression, why: String) -> Regression {
        known.clone().ended(RegressionState::Gone, RegressionEnd { at: self.at, by: None, why })
    }

    /// By how much a level may lie above another one that it is taken for.
    fn limit(&self, share: f64) -> f64 {
        1.0 + self.threshold_percent * share / 100.0
    }
}

/// A cell of a network in words, its device first.
pub fn cell_name(model: &str, cell: &HistoryCell) -> String {
    let HistoryCell { device, weights, format, backend, options, precision, threads, batch, scenario } = cell;
    let mut name =
        format!("{device}: {model} {backend} {precision} {weights} threads {threads} batch {batch} {scenario}");
    options.iter().for_each(|(option, value)| name.push_str(&format!(" {option} {value}")));
    name.push_str(&format!(" {format}"));
    name
}

/// The runs of a history as they were when this sweep was over: those of sweeps that measured before it, and its own. A
/// sweep that is looked through late is not judged by what came after it.
pub fn until_sweep(mut runs: Vec<PastRun>, sweep: &SweepId) -> Vec<PastRun> {
    let mut began_at: BTreeMap<SweepId, Timestamp> = BTreeMap::new();
    for run in &runs {
        let began_at = began_at.entry(run.sweep_id.clone()).or_insert(run.at);
        *began_at = run.at.min(*began_at);
    }
    if let Some(last) = began_at.get(sweep) {
        runs.retain(|run| began_at.get(&run.sweep_id).is_some_and(|at| at <= last));
    }
    runs
}

/// What a sweep says of a cell by the cell's history, in which it is the newest. Another environment is another series:
/// what was found in one is gone with it, and what is slower in the new one is no change.
pub fn in_history(model: &str, history: &CellHistory, watch: &Watch<'_>) -> Watched {
    let mut watched = Watched::default();
    let name = cell_name(model, &history.cell);
    let Some(newest) = history.points.iter().rfind(|point| point.sweep_id == *watch.sweep) else { return watched };
    watched.cells = 1;
    let series = newest.series;
    let members: Vec<&SweepId> =
        history.points.iter().filter(|point| point.series == series).map(|point| &point.sweep_id).collect();
    let place = |sweep: &SweepId| members.iter().position(|member| *member == sweep);
    let is_level = |change: &&HistoryChange| {
        change.kind != ChangeKind::Environment && history.points.get(change.point).is_some_and(|it| it.series == series)
    };
    let levels: Vec<&HistoryChange> = history.changes.iter().filter(is_level).collect();
    let now_ns = levels.last().map_or_else(|| series_level(history, series), |change| change.after_ns);
    for known in watch.known_of(&name).filter(|known| known.state == RegressionState::Open) {
        let is_elsewhere =
            place(&known.since).is_none() && history.points.iter().any(|point| point.sweep_id == known.since);
        // Half of the threshold, so that a level about the threshold does not come and go.
        if is_elsewhere {
            let why = "another environment began another series of measurements";
            watched.gone.push(watch.gone(known, why.to_owned()));
        } else if now_ns < known.before_ns * watch.limit(0.5) {
            let [before, now] = [known.before_ns, now_ns].map(|level_ns| level_ns / 1e6);
            watched.gone.push(watch.gone(known, format!("it takes {now:.3} ms now, and took {before:.3} ms before")));
        } else {
            watched.still.push(watch.still(known));
        }
    }
    for change in levels.iter().filter(|change| change.kind == ChangeKind::Slower) {
        let Some(at) = place(&change.sweep_id) else { continue };
        let is_known =
            watch.known_of(&name).filter_map(|known| place(&known.since)).any(|known_at| known_at.abs_diff(at) < APART);
        let is_there = now_ns >= change.before_ns * watch.limit(1.0);
        let is_news = at + NEWS >= members.len();
        if change.percent >= watch.threshold_percent && is_there && is_news && !is_known {
            let reference = at.checked_sub(1).map_or(&change.sweep_id, |before| members[before]);
            watched.found.extend(found_in_history(&name, history, change, reference, watch));
        }
    }
    watched
}

/// The level of a series without a change.
fn series_level(history: &CellHistory, series: usize) -> f64 {
    let of_series = history.points.iter().filter(|point| point.series == series);
    let mut levels: Vec<f64> = of_series.map(|point| point.p50_ns).collect();
    levels.sort_by(f64::total_cmp);
    super::side::median(&levels).unwrap_or_default()
}

fn found_in_history(
    cell: &str,
    history: &CellHistory,
    change: &HistoryChange,
    reference: &SweepId,
    watch: &Watch<'_>,
) -> Option<Regression> {
    let certainty = change.certainty?;
    let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".to_owned());
    let changed: Vec<String> = change
        .changed
        .iter()
        .map(|fact| format!("{} {} -> {}", fact.fact, word(&fact.before), word(&fact.after)))
        .collect();
    Some(Regression {
        id: Regression::name(watch.against, cell, &change.sweep_id, watch.sweep),
        schedule: watch.schedule.to_owned(),
        against: watch.against.clone(),
        device: history.cell.device.clone(),
        cell: cell.to_owned(),
        since: change.sweep_id.clone(),
        reference: reference.clone(),
        before_ns: change.before_ns,
        after_ns: change.after_ns,
        percent: change.percent,
        low_percent: certainty.low_percent,
        high_percent: certainty.high_percent,
        p_value: certainty.p_value,
        changed: changed.join("; "),
        found_in: watch.sweep.clone(),
        found_at: watch.at,
        seen_in: watch.sweep.clone(),
        state: RegressionState::Open,
        end: None,
    })
}

/// What else differs in a cell, in words.
fn differences(cell: &ComparedCell) -> String {
    let words = cell.differences.iter().map(|it| format!("{} {} -> {}", it.what, it.a, it.b));
    words.collect::<Vec<_>>().join("; ")
}

/// What a sweep says of its cells when it is compared with a baseline's, whose sweep is `reference`. What can't be told
/// changes nothing: what was found stays.
pub fn in_comparison(comparison: &Comparison, reference: &SweepId, watch: &Watch<'_>) -> Watched {
    let mut watched = Watched::default();
    for cell in comparison.cells.iter().filter(|cell| cell.is_compared()) {
        let Some(change) = cell.change else { continue };
        watched.cells += 1;
        let name = cell.key.to_string();
        let open = watch.known_of(&name).find(|known| known.state == RegressionState::Open);
        let ns = |median_s: Option<f64>| median_s.unwrap_or_default() * 1e9;
        match (cell.verdict, open) {
            (Verdict::Slower, Some(known)) => watched.still.push(watch.still(known)),
            (Verdict::Slower, None) => {
                let (low_percent, high_percent) = change.interval_percent.unwrap_or((change.percent, change.percent));
                watched.found.push(Regression {
                    id: Regression::name(watch.against, &name, watch.sweep, watch.sweep),
                    schedule: watch.schedule.to_owned(),
                    against: watch.against.clone(),
                    device: cell.key.device.clone(),
                    cell: name,
                    since: watch.sweep.clone(),
                    reference: reference.clone(),
                    before_ns: ns(cell.a.median_s()),
                    after_ns: ns(cell.b.median_s()),
                    percent: change.percent,
                    low_percent,
                    high_percent,
                    p_value: cell.p_adjusted.or(change.p).unwrap_or(1.0),
                    changed: differences(cell),
                    found_in: watch.sweep.clone(),
                    found_at: watch.at,
                    seen_in: watch.sweep.clone(),
                    state: RegressionState::Open,
                    end: None,
                });
            }
            (Verdict::Same | Verdict::Faster, Some(known)) => {
                let [a_ms, b_ms] = [&cell.a, &cell.b].map(|side| ns(side.median_s()) / 1e6);
                let why = format!("it is {} now: {b_ms:.3} ms, to {a_ms:.3} ms", cell.verdict.as_str());
                watched.gone.push(watch.gone(known, why));
            }
            (Verdict::Same | Verdict::Faster, None) | (Verdict::Unclear | Verdict::NotComparable, _) => {}
        }
    }
    watched
}

/// Says at each change of a cell's history what became of the alarm that it raised; of several, the first of `known`.
pub fn with_alarms(model: &str, history: &mut CellHistory, known: &[Regression]) {
    let name = cell_name(model, &history.cell);
    let of_cell = known.iter().filter(|known| known.against == Against::History && known.cell == name);
    for alarm in of_cell {
        let Some(at) = history.points.iter().position(|point| point.sweep_id == alarm.since) else { continue };
        let slower = history.changes.iter_mut().filter(|change| change.kind == ChangeKind::Slower);
        let nearest = slower.min_by_key(|change| change.point.abs_diff(at));
        if let Some(change) = nearest.filter(|change| change.point.abs_diff(at) < APART && change.alarm.is_none()) {
            change.alarm = Some(alarm.clone());
        }
    }
}

#[cfg(test)]
mod tests;
