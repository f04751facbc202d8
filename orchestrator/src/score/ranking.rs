use std::cmp::Ordering;

use serde::Serialize;

use super::AccuracySource;
use super::result_matrix::{Cell, ResultMatrix, SystemUnderTest};
use super::run::{Settings, Workload};
use crate::domain::many;

/// A score's answer: who is how good, and by which runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// Name of the score.
    pub score: &'static str,
    /// Where accuracies come from; `None` for a score without them.
    pub accuracy: Option<AccuracySource>,
    /// The workloads that a system needs to be complete.
    pub workloads: Vec<Workload>,
    /// What the score itself says.
    pub result: ScoreResult,
}

/// What a score makes of a matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreResult {
    /// What is computed, from what, in which units: a few sentences.
    pub definition: Vec<String>,
    /// What the values of a row mean, in their order.
    pub figures: Vec<Figure>,
    /// What the values of a term mean, in their order.
    pub term_figures: Vec<Figure>,
    /// Those with a rank, best first; then those without.
    pub rows: Vec<RankedRow>,
    /// What a reader must know beside it.
    pub notes: Vec<String>,
}

/// A quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Figure {
    /// Name in files, with the unit last.
    pub name: &'static str,
    /// Name for people.
    pub title: &'static str,
    /// Unit; empty for shares and counts, `place` for a rank.
    pub unit: &'static str,
    /// What it is.
    pub description: &'static str,
}

/// Where a system stands.
#[derive(Debug, Clone, PartialEq)]
pub struct RankedRow {
    /// Place, from 1, the same for equals; `None` for a system that can't be compared with those that have one.
    pub rank: Option<usize>,
    /// Why it has no rank.
    pub unranked: Option<String>,
    /// Name of the device.
    pub device: String,
    /// How it measured.
    pub settings: Settings,
    /// The workload, in a ranking of single workloads.
    pub workload: Option<Workload>,
    /// The values of the ranking's figures.
    pub values: Vec<Option<f64>>,
    /// What the values were made of.
    pub terms: Vec<Term>,
}

impl RankedRow {
    /// A row for all of a system's workloads: complete when each of its terms counts.
    pub(super) fn for_set(system: &SystemUnderTest<'_>, values: Vec<Option<f64>>, terms: Vec<Term>) -> RankedRow {
        let counted = terms.iter().filter(|term| term.not_counted.is_none()).count();
        RankedRow {
            rank: None,
            unranked: (counted < terms.len()).then(|| format!("incomplete: {counted} of {} workloads", terms.len())),
            device: system.device.to_owned(),
            settings: system.settings.clone(),
            workload: None,
            values,
            terms,
        }
    }

    /// A row for one workload of a system, ranked unless there is a reason against it.
    pub(super) fn for_cell(
        system: &SystemUnderTest<'_>,
        cell: &Cell<'_>,
        values: Vec<Option<f64>>,
        unranked: Option<String>,
    ) -> RankedRow {
        RankedRow {
            rank: None,
            device: system.device.to_owned(),
            settings: system.settings.clone(),
            workload: Some(cell.workload.clone()),
            values,
            terms: vec![Term::of(cell, Vec::new(), unranked.clone())],
            unranked,
        }
    }
}

/// What one workload adds to a row, and the run that it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// The workload.
    pub workload: Workload,
    /// Identifier of the run that counts, where its table has one.
    pub run_id: Option<String>,
    /// Where that run stands: a sweep, or `file:line`; of a workload that doesn't count, where it says so.
    pub source: Option<String>,
    /// Runs of this workload on this device with these settings.
    pub runs: usize,
    /// Those of them that are `ok`.
    pub runs_ok: usize,
    /// The values of the ranking's term figures.
    pub values: Vec<Option<f64>>,
    /// Why it adds nothing.
    pub not_counted: Option<String>,
}

impl Term {
    pub(super) fn of(cell: &Cell<'_>, values: Vec<Option<f64>>, not_counted: Option<String>) -> Term {
        let told = cell.counting.or_else(|| cell.runs.first().copied());
        Term {
            workload: cell.workload.clone(),
            run_id: told.and_then(|run| run.run_id.clone()),
            source: told.map(|run| run.source.clone()),
            runs: cell.runs.len(),
            runs_ok: cell.runs_ok(),
            values,
            not_counted,
        }
    }
}

/// Which end of a figure is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Better {
    Higher,
    Lower,
}

/// Gives places by a figure to all rows that have it and no reason against a place, and sorts. Equals, and rows without
/// a place, are in the order of device, workload and settings.
pub(super) fn place(rows: &mut [RankedRow], figure: usize, better: Better) {
    for row in rows.iter_mut() {
        if row.unranked.is_none() && row.values[figure].is_none() {
            row.unranked = Some("nothing to rank by".to_owned());
        }
    }
    let by_value = |a: &RankedRow, b: &RankedRow| {
        let ordering = match (a.values[figure], b.values[figure]) {
            (Some(a), Some(b)) if better == Better::Higher => b.total_cmp(&a),
            (Some(a), Some(b)) => a.total_cmp(&b),
            _ => Ordering::Equal,
        };
        let both_ranked = a.unranked.is_none() && b.unranked.is_none();
        a.unranked.is_some().cmp(&b.unranked.is_some()).then(if both_ranked { ordering } else { Ordering::Equal })
    };
    rows.sort_by(|a, b| {
        by_value(a, b)
            .then_with(|| numeric_sort::cmp(&a.device, &b.device))
            .then_with(|| (&a.workload, &a.settings).cmp(&(&b.workload, &b.settings)))
    });
    let mut last: Option<(usize, Option<f64>)> = None;
    for (index, row) in rows.iter_mut().enumerate().take_while(|(_, row)| row.unranked.is_none()) {
        let place = last.filter(|(_, value)| *value == row.values[figure]).map_or(index + 1, |(place, _)| place);
        row.rank = Some(place);
        last = Some((place, row.values[figure]));
    }
}

/// What a reader must know of the runs, whatever is made of them.
pub(super) fn notes(matrix: &ResultMatrix<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    if !matrix.never_tried.is_empty() {
        let names: Vec<String> = matrix.never_tried.iter().map(ToString::to_string).collect();
        notes.push(format!("Skipped on every device, and in no set: {}.", names.join(", ")));
    }
    if !matrix.always_failed.is_empty() {
        let names: Vec<String> = matrix.always_failed.iter().map(ToString::to_string).collect();
        notes.push(format!("Failed wherever it was tried, and in no set: {}.", names.join(", ")));
    }
    let cells = || matrix.asked_cells().map(|(_, cell)| cell);
    let repeated = cells().filter(|cell| cell.runs_ok() > 1).count();
    if repeated > 0 {
        notes.push(format!("Measured several times: {repeated} of the cells. The run with the median time counts."));
    }
    let mixed = cells().filter(|cell| cell.counting.is_some() && cell.runs_ok() < cell.runs.len()).count();
    if mixed > 0 {
        notes.push(format!("Also with runs that are not ok: {mixed} of the cells that count."));
    }
    if matrix.same_runs > 0 {
        notes.push(format!("Read twice, and counted once: {}.", many(matrix.same_runs as u64, "run")));
    }
    notes
}
