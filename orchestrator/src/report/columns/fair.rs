//! What a run was given before it began: its place in the order, time to cool down, and a device as fast as usual.

use crate::domain::Pace;

use super::cell::milliseconds;
use super::{Column, ColumnKind, Row};

/// What is given so that heat favours no cell.
pub(super) const FAIR: &[Column] = &[
    Column {
        name: "position",
        kind: ColumnKind::Integer,
        unit: "",
        description: "Place of the run in the order in which its device did those of the sweep, from 1: a run that is \
            tried again may come later. Empty where it was never to run, or moved here from another device.",
        value: |row| row.record.job.position.into(),
    },
    Column {
        name: "cooldown_s",
        kind: ColumnKind::Number,
        unit: "s",
        description: "How long the device was given to cool down before the run; empty where the sweep has no \
            `cooldown`, or another process had begun the run.",
        value: |row| row.record.cooldown.map(|it| it.waited_ns as f64 / 1e9).into(),
    },
    Column {
        name: "cooldown_reached",
        kind: ColumnKind::Word,
        unit: "",
        description: "Whether it was as cool then as it was to be: yes, no (the longest wait was over, or it cooled \
            no further), or unknown (it tells no temperature, or nobody knows yet how cool it is at rest).",
        value: |row| row.record.cooldown.map(|it| it.reached.as_str()).into(),
    },
    Column {
        name: "cooldown_goal_c",
        kind: ColumnKind::Number,
        unit: "°C",
        description: "How cool it was to be: `start_temp_c`, or 1.5 °C above what the device is at rest.",
        value: |row| row.record.cooldown.and_then(|it| it.goal_c).into(),
    },
    Column {
        name: "kernel_ms",
        kind: ColumnKind::Number,
        unit: "ms",
        description: "Median time of the calibration kernel before the device's runs of the sweep: how fast it was. \
            Empty where it could not be timed.",
        value: |row| milliseconds(pace(row).map(|pace| pace.calibration.compute_ns())),
    },
    Column {
        name: "kernel_slower_percent",
        kind: ColumnKind::Number,
        unit: "%",
        description: "How much longer that was than the median of earlier sweeps and checks of the device; negative \
            when it was faster. Empty where fewer than three are known.",
        value: |row| pace(row).and_then(Pace::slower_percent).into(),
    },
];

fn pace<'a>(row: &Row<'a>) -> Option<&'a Pace> {
    row.record.condition.as_ref()?.pace.as_ref()
}

#[cfg(test)]
mod tests {
    use crate::domain::{Calibration, Condition, CooledDown, KernelTime, Reached, Record, sample};
    use crate::report::columns::Cell;

    use super::*;

    fn cells(record: &Record) -> Vec<Cell> {
        let sweep = sample::sweep();
        let row = Row::bare(&sweep, record);
        FAIR.iter().map(|column| (column.value)(&row)).collect()
    }

    #[test]
    fn a_row_says_what_its_run_was_given() {
        let mut record = sample::record("board-1", "tiny");
        assert_eq!(cells(&record), [const { Cell::Empty }; 6], "of an older version");
        record.job.position = Some(7);
        let (waited_ns, reached) = (12_500_000_000, Reached::No);
        record.cooldown = Some(CooledDown { waited_ns, reached, goal_c: Some(43.5) });
        let time = |median_ns| KernelTime { samples: 9, median_ns, fastest_ns: 1 };
        let calibration = Calibration { kernel_version: 1, compute: time(3_600_000), memory: time(1) };
        let pace = Some(Pace { target: "t".into(), calibration, usual_compute_ns: Some(3_000_000) });
        record.condition = Some(Condition { asked_at: sample::at(9), free_bytes: 7, check: None, pace });
        let expected = [7u32.into(), 12.5.into(), "no".into(), 43.5.into(), 3.6.into(), 20.0.into()];
        assert_eq!(cells(&record), expected);
        let text = serde_json::to_string(&record).expect("serialises");
        assert_eq!(serde_json::from_str::<Record>(&text).expect("reads"), record);
    }
}
