//! What ended the loops, and what minutes of load did.

use crate::domain::Scenario;
use crate::score::Sustained;

use super::{Column, ColumnKind, Row};

/// How long was enough, and what sustained load left.
pub(super) const LENGTH: &[Column] = &[
    Column {
        name: "steady",
        kind: ColumnKind::Word,
        unit: "",
        description: "Whether the latency had settled when the warm-up ended, by steady_percent of the sweep: yes, no \
            (at the longest warm-up it had not) or unknown (fewer than 20 inferences). Empty where the sweep does not \
            ask.",
        value: |row| row.record.measurement.steady.map(|steady| steady.as_str()).into(),
    },
    Column {
        name: "ended_by",
        kind: ColumnKind::Word,
        unit: "",
        description: "What ended the timed loop: minima, interval (the median is known to ± interval_percent of the \
            sweep), max_runs or max_seconds. Empty of programs that are not farmctl's.",
        value: |row| row.record.measurement.ended_by.map(|ended_by| ended_by.as_str()).into(),
    },
    Column {
        name: "sustained_first_per_s",
        kind: ColumnKind::Number,
        unit: "1/s",
        description: "Throughput of the first tenth of sustained load, in images.",
        value: |row| sustained(row).map(|it| it.first_per_s).into(),
    },
    Column {
        name: "sustained_last_per_s",
        kind: ColumnKind::Number,
        unit: "1/s",
        description: "The same of its last tenth.",
        value: |row| sustained(row).map(|it| it.last_per_s).into(),
    },
    Column {
        name: "sustained_kept_percent",
        kind: ColumnKind::Number,
        unit: "%",
        description: "What share of the first is left in the last.",
        value: |row| sustained(row).map(|it| it.kept_percent()).into(),
    },
    Column {
        name: "throttled_after_s",
        kind: ColumnKind::Number,
        unit: "s",
        description: "When the device first showed that it took speed from the run, since the watch began: with the \
            timed loop, or in the warm-up where the run has all cores. Empty where it did not, or does not tell.",
        value: |row| throttled_after_s(row).into(),
    },
];

fn sustained(row: &Row<'_>) -> Option<Sustained> {
    let (job, measurement) = (&row.record.job, &row.record.measurement);
    // Those of other programs are without what lies between them.
    let is_so = job.scenario == Scenario::Sustained && row.statistics.is_some() && measurement.reported.is_none();
    is_so.then(|| Sustained::of(&measurement.samples_ns, job.batch))?
}

fn throttled_after_s(row: &Row<'_>) -> Option<f64> {
    let after_ms = row.record.measurement.conditions.as_ref()?.throttled_after_ms?;
    Some(after_ms as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Record, sample};
    use crate::report::COLUMNS;
    use crate::report::columns::Cell;
    use crate::score::Statistics;

    fn cell(record: &Record, name: &str) -> Cell {
        let statistics = Statistics::of(&record.measurement.samples_ns);
        let sweep = sample::sweep();
        let row = Row { statistics, ..Row::bare(&sweep, record) };
        let column = COLUMNS.iter().find(|column| column.name == name).expect(name);
        (column.value)(&row)
    }

    #[test]
    fn a_row_says_what_ended_its_loops() {
        let mut record = sample::record("board-1", "tiny");
        assert_eq!(cell(&record, "steady"), Cell::Text("yes".to_owned()));
        assert_eq!(cell(&record, "ended_by"), Cell::Text("minima".to_owned()));
        (record.measurement.steady, record.measurement.ended_by) = (None, None);
        assert_eq!((cell(&record, "steady"), cell(&record, "ended_by")), (Cell::Empty, Cell::Empty));
        assert_eq!(cell(&record, "throttled_after_s"), Cell::Empty);
        record.measurement.conditions = Some(Box::new(sample::conditions()));
        assert_eq!(cell(&record, "throttled_after_s"), Cell::Number(4.2));
    }

    #[test]
    fn only_sustained_load_has_what_is_kept() {
        let mut record = sample::record("board-1", "tiny");
        record.measurement.samples_ns = vec![10_000_000; 400];
        record.measurement.samples_ns.extend(vec![20_000_000; 300]);
        assert_eq!(cell(&record, "sustained_kept_percent"), Cell::Empty);
        record.job.scenario = Scenario::Sustained;
        assert_eq!(cell(&record, "sustained_first_per_s"), Cell::Number(100.0));
        assert_eq!(cell(&record, "sustained_last_per_s"), Cell::Number(50.0));
        assert_eq!(cell(&record, "sustained_kept_percent"), Cell::Number(50.0));
    }
}
