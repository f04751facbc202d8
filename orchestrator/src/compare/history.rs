//! The history of each cell over sweeps, with the changes in it and what else changed there.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::change_points::{ChangePoint, ChangeRules, change_points};
use crate::domain::{Facts, HistoryCell, PastRun, Regression, SweepId};
use crate::score::trust::{Measured, countings};

/// Most points on each side that are compared where the environment changed.
const SIDE: usize = 10;
/// A number of the circumstances that differs by less is the same, in °C.
const SAME_C: f64 = 3.0;
/// The circumstance that is a temperature.
const TEMPERATURE: &str = "temp_start_c";

/// A cell over sweeps.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CellHistory {
    /// What is measured.
    #[serde(flatten)]
    pub cell: HistoryCell,
    /// A point a sweep, oldest first.
    pub points: Vec<HistoryPoint>,
    /// Changes of level and of environment, oldest first.
    pub changes: Vec<HistoryChange>,
}

/// A cell in one sweep.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HistoryPoint {
    /// The sweep.
    pub sweep_id: SweepId,
    /// When its first run of the cell had its record.
    pub at: Timestamp,
    /// Median of its runs' medians: of two in the middle their mean.
    pub p50_ns: f64,
    /// Its runs.
    pub runs: usize,
    /// Its series, from 1: points of one environment are one.
    pub series: usize,
}

/// What kind of change it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// A regression.
    Slower,
    /// An improvement.
    Faster,
    /// Another environment: another series, whatever the times are. No alarm.
    Environment,
}

impl ChangeKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            ChangeKind::Slower => "slower",
            ChangeKind::Faster => "faster",
            ChangeKind::Environment => "environment",
        }
    }
}

/// A place where a cell's history changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HistoryChange {
    /// The first point behind it.
    pub point: usize,
    /// The sweep of that point.
    pub sweep_id: SweepId,
    /// When that was.
    pub at: Timestamp,
    /// What it is.
    pub kind: ChangeKind,
    /// Level before: the median of its points.
    pub before_ns: f64,
    /// Level behind.
    pub after_ns: f64,
    /// How much slower it is behind (faster: negative), in per cent of before.
    pub percent: f64,
    /// How sure that is; none where the environment changed, which is tested for nothing.
    #[serde(flatten)]
    pub certainty: Option<ChangeCertainty>,
    /// What else is other there.
    pub changed: Vec<FactChange>,
    /// The alarm that the daemon raised of it, with what became of that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarm: Option<Regression>,
}

/// How sure a change is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ChangeCertainty {
    /// Low end of its interval of 95 %, in per cent.
    pub low_percent: f64,
    /// High end of it.
    pub high_percent: f64,
    /// How likely chance makes such a difference between two stretches of one level.
    pub p_value: f64,
}

/// Something that is other before a change and behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FactChange {
    /// What.
    pub fact: String,
    /// What it was; none where that is not known.
    pub before: Option<String>,
    /// What it became.
    pub after: Option<String>,
}

/// A point with what it was like then.
struct Point {
    shown: HistoryPoint,
    environment: Arc<Facts>,
    circumstances: Arc<Facts>,
}

/// The histories of all cells that these runs are of, in the order of the cells. What another measurement stands for is
/// in none.
pub fn cell_histories(runs: &[PastRun], rules: &ChangeRules) -> Vec<CellHistory> {
    let mut cells: BTreeMap<&HistoryCell, Vec<&PastRun>> = BTreeMap::new();
    for run in counting(runs) {
        cells.entry(run.cell.as_ref()).or_default().push(run);
    }
    cells.into_iter().map(|(cell, runs)| cell_history(cell, &runs, rules)).collect()
}

/// The runs that count, by the rule that reports have.
fn counting(runs: &[PastRun]) -> Vec<&PastRun> {
    let measured = |(index, run): (usize, &PastRun)| {
        let verdict = run.judged.as_ref().map(|judged| judged.verdict);
        match &run.measured {
            Some(job) => Measured::new(&(&run.sweep_id, &job.first), job.rerun, true, verdict),
            None => Measured::new(&index, 0, true, verdict),
        }
    };
    let measured: Vec<Measured> = runs.iter().enumerate().map(measured).collect();
    runs.iter().zip(countings(&measured)).filter(|(_, counting)| counting.counts()).map(|(run, _)| run).collect()
}

fn cell_history(cell: &HistoryCell, runs: &[&PastRun], rules: &ChangeRules) -> CellHistory {
    let points = points(runs);
    let mut changes: Vec<HistoryChange> = environment_changes(&points);
    let series_count = points.iter().map(|point| point.shown.series).max().unwrap_or(0);
    for series in 1..=series_count {
        let members: Vec<usize> = (0..points.len()).filter(|at| points[*at].shown.series == series).collect();
        let levels: Vec<f64> = members.iter().map(|at| points[*at].shown.p50_ns).collect();
        let found = change_points(&levels, rules);
        let bounds: Vec<usize> = found.iter().map(|change| change.index).chain([members.len()]).collect();
        for (at, change) in found.iter().enumerate() {
            let start = at.checked_sub(1).map_or(0, |at| bounds[at]);
            let (before, after) = (&members[start..change.index], &members[change.index..bounds[at + 1]]);
            changes.push(level_change(&points, before, after, change));
        }
    }
    changes.sort_by_key(|change| change.point);
    CellHistory { cell: cell.clone(), points: points.into_iter().map(|point| point.shown).collect(), changes }
}

/// The runs of a sweep in one environment.
struct Group<'a> {
    /// The number of the environment, from 0.
    series: usize,
    /// In the order of time; at least one.
    runs: Vec<&'a PastRun>,
}

/// A point for each sweep and environment, in the order of time.
fn points(runs: &[&PastRun]) -> Vec<Point> {
    let mut sorted = runs.to_vec();
    sorted.sort_by_key(|run| run.at);
    // Thousands of runs are of a few environments, which are mostly the same in memory, too.
    let mut known: Vec<&Arc<Facts>> = Vec::new();
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut places: HashMap<(&SweepId, usize), usize> = HashMap::new();
    for run in sorted {
        let series = known.iter().position(|facts| **facts == run.environment).unwrap_or_else(|| {
            known.push(&run.environment);
            known.len() - 1
        });
        let place = *places.entry((&run.sweep_id, series)).or_insert_with(|| {
            groups.push(Group { series, runs: Vec::new() });
            groups.len() - 1
        });
        groups[place].runs.push(run);
    }
    groups.iter().filter_map(Group::point).collect()
}

impl Group<'_> {
    fn point(&self) -> Option<Point> {
        let first = self.runs.first()?;
        let shown = HistoryPoint {
            sweep_id: first.sweep_id.clone(),
            at: first.at,
            p50_ns: median(self.runs.iter().map(|run| run.median_ns as f64).collect()),
            runs: self.runs.len(),
            series: self.series + 1,
        };
        let (environment, circumstances) = (Arc::clone(&first.environment), Arc::clone(&first.circumstances));
        Some(Point { shown, environment, circumstances })
    }
}

/// The median; 0 without numbers.
fn median(mut numbers: Vec<f64>) -> f64 {
    farmctl_statistics::median(&mut numbers).unwrap_or_default()
}

fn level(points: &[Point], members: &[usize]) -> f64 {
    median(members.iter().map(|at| points[*at].shown.p50_ns).collect())
}

fn level_change(points: &[Point], before: &[usize], after: &[usize], found: &ChangePoint) -> HistoryChange {
    let (first, last) = (after.first().copied().unwrap_or(0), before.last().copied().unwrap_or(0));
    let mut changed = differences(&points[last].circumstances, &points[first].circumstances);
    changed.retain(|change| change.fact != TEMPERATURE);
    changed.extend(warmer(points, before, after));
    let ChangePoint { percent, low_percent, high_percent, p_value, .. } = *found;
    HistoryChange {
        point: first,
        sweep_id: points[first].shown.sweep_id.clone(),
        at: points[first].shown.at,
        kind: if percent > 0.0 { ChangeKind::Slower } else { ChangeKind::Faster },
        before_ns: level(points, before),
        after_ns: level(points, after),
        percent,
        certainty: Some(ChangeCertainty { low_percent, high_percent, p_value }),
        changed,
        alarm: None,
    }
}

/// Where a point is of another environment than the one before it.
fn environment_changes(points: &[Point]) -> Vec<HistoryChange> {
    let series = |at: usize| points[at].shown.series;
    let borders = (1..points.len()).filter(|at| series(at - 1) != series(*at));
    let change = |at: usize| {
        let is_same = |other: &usize, own: usize| series(*other) == series(own);
        let mut before: Vec<usize> = (0..at).rev().take_while(|other| is_same(other, at - 1)).take(SIDE).collect();
        before.reverse();
        let after: Vec<usize> = (at..points.len()).take_while(|other| is_same(other, at)).take(SIDE).collect();
        let (before_ns, after_ns) = (level(points, &before), level(points, &after));
        HistoryChange {
            point: at,
            sweep_id: points[at].shown.sweep_id.clone(),
            at: points[at].shown.at,
            kind: ChangeKind::Environment,
            before_ns,
            after_ns,
            percent: (after_ns / before_ns - 1.0) * 100.0,
            certainty: None,
            changed: differences(&points[at - 1].environment, &points[at].environment),
            alarm: None,
        }
    };
    borders.map(change).collect()
}

/// The facts that differ, by their names.
fn differences(before: &Facts, after: &Facts) -> Vec<FactChange> {
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    let differs = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    let change = |name: &String| FactChange {
        fact: name.clone(),
        before: before.get(name).cloned(),
        after: after.get(name).cloned(),
    };
    differs.map(change).collect()
}

/// Whether runs began warmer or cooler behind a change than before it.
fn warmer(points: &[Point], before: &[usize], after: &[usize]) -> Option<FactChange> {
    let middle_c = |members: &[usize]| {
        let of = |at: &usize| points[*at].circumstances.get(TEMPERATURE)?.parse::<f64>().ok();
        let known: Vec<f64> = members.iter().filter_map(of).collect();
        (!known.is_empty()).then(|| median(known))
    };
    let (before, after) = (middle_c(before)?, middle_c(after)?);
    let text = |celsius: f64| Some(format!("{celsius:.1}"));
    let differs = (before - after).abs() >= SAME_C;
    differs.then(|| FactChange { fact: TEMPERATURE.to_owned(), before: text(before), after: text(after) })
}

#[cfg(test)]
mod tests;
