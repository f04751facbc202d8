//! Runs of sweeps as a comparison takes them.

use std::collections::HashMap;

use crate::compare::{CONDITIONS, CompareError, Comparison, DeviceName, Options, RunFacts, Runs, compare};
use crate::domain::{PairSide, Record, SideBySide, SweepRow};
use crate::report::{COLUMNS, Cell, Column, ReportInput, Row, RowContext};
use crate::score::ScoredRun;

use super::{Lab, LabError};

/// Begins the name of a baseline where a sweep may be named, too.
pub const BASELINE: &str = "baseline:";

impl Lab {
    /// The runs of the sweep that a person means: by its identifier, the beginning of one, `latest`, `baseline:NAME`,
    /// or the name of a sweep, which means its newest.
    ///
    /// # Errors
    /// When there is none.
    pub fn compared_runs(&self, wanted: &str, device: DeviceName) -> Result<Runs, LabError> {
        let sweep = self.compared_sweep(wanted)?;
        let name = match wanted.strip_prefix(BASELINE) {
            Some(name) => format!("baseline {name}, sweep {}", sweep.id),
            None => format!("sweep {}", sweep.id),
        };
        self.all_runs_of(&sweep, name, device)
    }

    /// The sweep that a person means: by its identifier, the beginning of one, `latest`, `baseline:NAME`, or the name
    /// of a sweep, which means its newest.
    ///
    /// # Errors
    /// When there is none.
    pub fn compared_sweep(&self, wanted: &str) -> Result<SweepRow, LabError> {
        match wanted.strip_prefix(BASELINE) {
            Some(name) => self.find_sweep(self.baseline(name)?.sweep.as_str()),
            None => self.sweep_meant(wanted),
        }
    }

    /// Two sweeps against each other.
    ///
    /// # Errors
    /// When they have nothing to compare, or the store can't be read.
    pub fn compare_sweeps(&self, a: &SweepRow, b: &SweepRow, options: &Options) -> Result<Comparison, LabError> {
        let runs = |sweep: &SweepRow| self.all_runs_of(sweep, format!("sweep {}", sweep.id), options.device);
        let compared = compare(&runs(a)?, &runs(b)?, options);
        compared.map_err(|error| match error {
            CompareError::SameRuns { .. } => LabError::usage(format!("failed to {error}")),
            error => LabError::nothing(format!("failed to {error}")),
        })
    }

    /// The runs of a sweep. Its records are read part by part: of each run little is kept.
    fn all_runs_of(&self, sweep: &SweepRow, name: String, device: DeviceName) -> Result<Runs, LabError> {
        let parts = self.record_parts(sweep)?;
        let definition = self.store()?.definition(&sweep.id)?.map(|definition| definition.sweep);
        let sides = definition.as_ref().and_then(|sweep| sweep.side_by_side.as_ref());
        let has_one_cell = sides.is_some_and(SideBySide::is_of_one_cell);
        let trust = definition.map(|sweep| sweep.trust).unwrap_or_default();
        // What was measured once counts: only of others has one to know more than a record says itself.
        let context = match trust.max_reruns > 0 {
            true => self.row_context(&parts)?,
            false => RowContext::of_none(trust.rules),
        };
        let is_meant = |row: &&Row<'_>| !has_one_cell || row.record.job.side != Some(PairSide::B);
        let columns = Columns::find();
        let mut runs = Runs::new(name, device);
        runs.reserve(parts.len());
        for first in parts.beginnings(0) {
            let part = parts.part_without_outputs(first)?;
            part.rows(sweep, &context).iter().filter(is_meant).for_each(|row| runs.push(columns.facts(row)));
        }
        Ok(runs)
    }

    /// The runs of records that are meant.
    pub(super) fn runs_of(
        &self,
        sweep: &SweepRow,
        records: &[Record],
        name: String,
        device: DeviceName,
        is_meant: &dyn Fn(&Record) -> bool,
    ) -> Result<Runs, LabError> {
        let outputs = HashMap::new();
        let input = ReportInput::new(sweep, records, &outputs).judged_by(self.trust_rules(&sweep.id)?);
        let columns = Columns::find();
        let mut runs = Runs::new(name, device);
        let meant = input.rows().iter().filter(|row| is_meant(row.record));
        meant.for_each(|row| runs.push(columns.facts(row)));
        Ok(runs)
    }
}

/// The columns of results.csv that a comparison reads: one table says what each holds, for sweeps of the store and for
/// files.
struct Columns {
    conditions: Vec<Option<&'static Column>>,
    counts: Option<&'static Column>,
    temp_start_c: Option<&'static Column>,
}

impl Columns {
    fn find() -> Columns {
        let column = |name: &str| COLUMNS.iter().find(|column| column.name == name);
        Columns {
            conditions: CONDITIONS.iter().map(|condition| column(condition.column)).collect(),
            counts: column("counts"),
            temp_start_c: column("temp_start_c"),
        }
    }

    fn facts(&self, row: &Row<'_>) -> RunFacts {
        let value = |column: Option<&Column>| column.map_or(Cell::Empty, |column| (column.value)(row));
        let temp_start_c = match value(self.temp_start_c) {
            Cell::Number(number) => Some(number),
            _ => None,
        };
        RunFacts {
            scored: ScoredRun::of(row.record),
            median_s: row.p50_ns().map(|p50_ns| p50_ns as f64 / 1e9),
            started_at: row.record.started_at,
            counts: value(self.counts) != Cell::Text("no".to_owned()),
            temp_start_c,
            conditions: self.conditions.iter().map(|column| text(value(*column))).collect(),
        }
    }
}

fn text(cell: Cell) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Text(text) => text,
        Cell::Integer(number) => number.to_string(),
        Cell::Number(number) => number.to_string(),
        Cell::Time(time) => time.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_condition_is_a_column() {
        let columns = Columns::find();
        let without = CONDITIONS.iter().zip(&columns.conditions).filter(|(_, column)| column.is_none());
        assert_eq!(without.map(|(condition, _)| condition.column).collect::<Vec<_>>(), Vec::<&str>::new());
        assert!(columns.temp_start_c.is_some());
    }
}
