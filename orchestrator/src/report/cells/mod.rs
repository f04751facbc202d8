//! The cells of a sweep: what the runs of each come to.
//!
//! Main type: [`SweepCell`], with its columns ([`SUMMARY_COLUMNS`]) and the files that have a row a cell:
//! `summary.csv`, `summary.md`, `junit.xml`. The run is the unit: a cell's median is that of its runs' medians.

use std::collections::HashMap;

use super::ReportError;
use super::columns::Row;
use crate::compare::{median, median_interval_95};
use crate::domain::{JobId, Record, RunStatus, SweepRow};
use crate::planner;
use crate::score::trust::{Certainty, Verdict};

mod columns;
mod csv;
mod junit;
mod markdown;
#[cfg(test)]
mod tests;

pub use columns::SUMMARY_COLUMNS;
pub(super) use csv::SummaryCsv;
pub use csv::SummaryRows;
pub use junit::JunitCases;
pub(super) use junit::JunitXml;
pub(super) use markdown::SummaryMarkdown;

/// A cell of the matrix: all of its repeats, each by the measurement that counts.
#[derive(Debug, Clone)]
pub struct SweepCell<'a> {
    /// The sweep.
    pub sweep: &'a SweepRow,
    /// What makes it: the same for its cells in every sweep.
    pub id: JobId,
    /// The records of its repeats, at least one.
    pub records: Vec<&'a Record>,
    /// `ok` where any run is; else `failed` where any is, then `cancelled`, then `skipped`.
    pub status: RunStatus,
    /// Its median latency; `None` without one.
    pub median: Option<CellMedian>,
    /// Median of its runs' 90th percentiles, in nanoseconds.
    pub p90_ns: Option<f64>,
    /// Median of its runs' throughputs.
    pub images_per_s: Option<f64>,
    /// Median of the shares of images whose class was the first answer.
    pub top1: Option<f64>,
    /// The worst verdict of its runs.
    pub verdict: Option<Verdict>,
    /// Runs with another verdict than `ok`.
    pub doubtful: usize,
    /// Why the run with that verdict has it.
    pub reason: String,
}

/// The median latency of a cell, over its runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CellMedian {
    /// Median of the runs' medians, in nanoseconds.
    pub p50_ns: f64,
    /// Its interval of 95 %; `None` where there are too few runs, or too few samples.
    pub interval: Option<Interval>,
    /// Standard deviation from run to run, in per cent of their mean; `None` of one run.
    pub spread_percent: Option<f64>,
}

/// An interval of 95 %.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Low end, in nanoseconds.
    pub low_ns: f64,
    /// High end, in nanoseconds.
    pub high_ns: f64,
    /// What it is made of.
    pub basis: Basis,
}

/// What an interval is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The samples of the one run that there is: what another run would say is not in it.
    Samples,
    /// The medians of two to five runs, by Student: it is of their mean.
    FewRuns,
    /// The medians of six runs or more, by their ranks.
    Runs,
}

impl Basis {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Basis::Samples => "samples",
            Basis::FewRuns => "few_runs",
            Basis::Runs => "runs",
        }
    }
}

impl CellMedian {
    /// Half of the interval in per cent of the median: what stands behind ±.
    pub fn half_interval_percent(&self) -> Option<f64> {
        let interval = self.interval?;
        (self.p50_ns > 0.0).then(|| (interval.high_ns - interval.low_ns) / 2.0 / self.p50_ns * 100.0)
    }

    fn of(rows: &[&Row<'_>]) -> Option<CellMedian> {
        let timed: Vec<(&Row<'_>, f64)> = rows.iter().filter_map(|row| Some((*row, row.p50_ns()? as f64))).collect();
        let mut times: Vec<f64> = timed.iter().map(|(_, p50_ns)| *p50_ns).collect();
        times.sort_by(f64::total_cmp);
        let count = times.len() as f64;
        let mean = times.iter().sum::<f64>() / count;
        let squares: f64 = times.iter().map(|time| (time - mean).powi(2)).sum();
        let interval = match timed.as_slice() {
            [] => return None,
            [(row, _)] => row.certainty.as_ref().and_then(|it| it.interval_ns).map(Interval::by(Basis::Samples)),
            [(row, _), ..] => match median_interval_95(&times) {
                Some(ends) => Some(Interval::by(Basis::Runs)(ends)),
                None => row.repeats.and_then(|repeats| repeats.interval_ns()).map(Interval::by(Basis::FewRuns)),
            },
        };
        let has_spread = times.len() > 1 && mean > 0.0;
        Some(CellMedian {
            p50_ns: median(&times)?,
            interval,
            spread_percent: has_spread.then(|| (squares / (count - 1.0)).sqrt() / mean * 100.0),
        })
    }
}

impl Interval {
    fn by(basis: Basis) -> impl Fn((f64, f64)) -> Interval {
        move |(low_ns, high_ns)| Interval { low_ns, high_ns, basis }
    }
}

impl<'a> SweepCell<'a> {
    /// The runs that ended well.
    pub fn runs_ok(&self) -> usize {
        self.count(RunStatus::Ok)
    }

    /// The runs that ended so.
    pub fn count(&self, status: RunStatus) -> usize {
        self.records.iter().filter(|record| record.status == status).count()
    }

    /// What a person reads first: how it ended, or the doubt of its numbers.
    pub fn word(&self) -> &'static str {
        match self.verdict {
            Some(verdict) if verdict != Verdict::Ok => verdict.as_str(),
            _ => self.status.as_str(),
        }
    }

    /// The cell of rows that count and are all of one; `None` of no rows.
    pub fn of_rows(rows: &[Row<'a>]) -> Option<SweepCell<'a>> {
        let id = planner::cell_id(&rows.first()?.record.job);
        SweepCell::of(id, &rows.iter().collect::<Vec<_>>())
    }

    fn of(id: JobId, rows: &[&Row<'a>]) -> Option<SweepCell<'a>> {
        let first = rows.first()?;
        let has = |status| rows.iter().any(|row| row.record.status == status);
        let statuses = [RunStatus::Ok, RunStatus::Failed, RunStatus::Cancelled, RunStatus::Skipped];
        let verdict = |row: &Row<'_>| row.certainty.as_ref().map(Certainty::verdict);
        let rank = |verdict: Verdict| Verdict::DOUBTS.iter().position(|doubt| *doubt == verdict).map_or(0, |it| it + 1);
        let worst = rows.iter().filter(|row| row.certainty.is_some()).max_by_key(|row| verdict(row).map(rank));
        Some(SweepCell {
            sweep: first.sweep,
            id,
            records: rows.iter().map(|row| row.record).collect(),
            status: statuses.into_iter().find(|status| has(*status)).unwrap_or(RunStatus::Skipped),
            median: CellMedian::of(rows),
            p90_ns: median_of(rows, |row| row.p90_ns().map(|p90_ns| p90_ns as f64)),
            images_per_s: median_of(rows, |row| row.images_per_s()),
            top1: median_of(rows, |row| row.top1()),
            verdict: worst.and_then(|row| verdict(row)),
            doubtful: rows.iter().filter(|row| row.doubt().is_some()).count(),
            reason: worst.and_then(|row| row.certainty.as_ref()).map(Certainty::reason).unwrap_or_default(),
        })
    }
}

/// The median of what these rows have.
fn median_of(rows: &[&Row<'_>], value: impl Fn(&Row<'_>) -> Option<f64>) -> Option<f64> {
    let mut known: Vec<f64> = rows.iter().filter_map(|row| value(row)).collect();
    known.sort_by(f64::total_cmp);
    median(&known)
}

/// The cells of these rows, in their order.
pub(super) fn cells<'a>(rows: &[Row<'a>]) -> Vec<SweepCell<'a>> {
    let mut order: Vec<(JobId, Vec<&Row<'a>>)> = Vec::new();
    let mut places: HashMap<JobId, usize> = HashMap::new();
    for row in rows.iter().filter(|row| row.counting.counts()) {
        let id = planner::cell_id(&row.record.job);
        let place = *places.entry(id.clone()).or_insert(order.len());
        match order.get_mut(place) {
            Some((_, members)) => members.push(row),
            None => order.push((id, vec![row])),
        }
    }
    order.into_iter().filter_map(|(id, members)| SweepCell::of(id, &members)).collect()
}

/// The cells in the order for reading: by device (`board-2` before `board-10`), then by model, then as planned.
pub(super) fn sorted<'c, 'a>(cells: &'c [SweepCell<'a>]) -> Vec<&'c SweepCell<'a>> {
    let mut cells: Vec<&SweepCell<'a>> = cells.iter().collect();
    cells.sort_by(|a, b| {
        let (a, b) = (&a.records[0].job, &b.records[0].job);
        numeric_sort::cmp(&a.device, &b.device).then_with(|| a.model.name.cmp(&b.model.name))
    });
    cells
}

/// Turns an encoder's refusal into a report's.
fn refused<E: Into<Box<dyn std::error::Error + Send + Sync>>>(file_name: &'static str) -> impl Fn(E) -> ReportError {
    move |error| ReportError::new(file_name, error)
}
