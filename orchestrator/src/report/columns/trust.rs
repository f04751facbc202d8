//! How sure the numbers are.

use super::{Column, ColumnKind, Row};
use crate::score::trust::{Certainty, Repeats};

/// How sure the median is, what the samples were like, and whether to believe them.
pub(super) const TRUST: &[Column] = &[
    Column {
        name: "p50_low_ms",
        kind: ColumnKind::Number,
        unit: "ms",
        description: "Low end of the median's interval of 95 %, made for samples that depend on each other; empty \
            where they are too few, or depend too much. It may be too narrow where what disturbs the \
            device lasts longer than a tenth of the run: such a run can't show it.",
        value: |row| interval(row).map(|(low, _)| low / 1e6).into(),
    },
    Column {
        name: "p50_high_ms",
        kind: ColumnKind::Number,
        unit: "ms",
        description: "High end of it.",
        value: |row| interval(row).map(|(_, high)| high / 1e6).into(),
    },
    Column {
        name: "effective_samples",
        kind: ColumnKind::Number,
        unit: "",
        description: "How many independent samples would make the median as sure: runs, or fewer where neighbours are \
            alike.",
        value: |row| of(row).map(|certainty| certainty.dependence.effective_samples).into(),
    },
    Column {
        name: "drift_percent_per_minute",
        kind: ColumnKind::Number,
        unit: "%/min",
        description: "How much slower the inferences became in a minute of the loop, in per cent of the median (Theil \
            and Sen); of a shorter loop it is what a minute would make. Chance has its part in it: verdict says \
            whether it counts.",
        value: |row| of(row).and_then(|certainty| certainty.level.drift).map(|drift| drift.percent_per_minute).into(),
    },
    Column {
        name: "outliers",
        kind: ColumnKind::Integer,
        unit: "",
        description: "Samples far from the median (modified z-score above 3.5). They stay in all figures.",
        value: |row| of(row).map(|certainty| certainty.spread.outliers as u64).into(),
    },
    Column {
        name: "verdict",
        kind: ColumnKind::Word,
        unit: "",
        description: "Whether to believe the numbers: ok, noisy, unsteady, throttled, disturbed, slow_start or \
            too_few; of several the last of these. Only where status is ok and there are samples.",
        value: |row| of(row).map(|certainty| certainty.verdict().as_str()).into(),
    },
    Column {
        name: "verdict_reason",
        kind: ColumnKind::Text,
        unit: "",
        description: "All that speaks against them, with the limits, separated by semicolons; the worst first.",
        value: |row| of(row).map(Certainty::reason).into(),
    },
];

/// Whether the row counts, where its cell was measured again, and what its repeats say.
pub(super) const COUNTING: &[Column] = &[
    Column {
        name: "rerun",
        kind: ColumnKind::Integer,
        unit: "",
        description: "0, or of what was measured again, since it was doubtful, the how manieth time that is.",
        value: |row| u64::from(row.record.job.rerun.as_ref().map_or(0, |rerun| rerun.number)).into(),
    },
    Column {
        name: "rerun_of",
        kind: ColumnKind::Text,
        unit: "",
        description: "job_id of what was measured first; empty where rerun is 0.",
        value: |row| row.record.job.rerun.as_ref().map(|rerun| rerun.of.as_str()).into(),
    },
    Column {
        name: "rerun_for",
        kind: ColumnKind::Word,
        unit: "",
        description: "Verdict of the measurement before, for which it was measured again.",
        value: |row| row.record.job.rerun.as_ref().map(|rerun| rerun.verdict.as_str()).into(),
    },
    Column {
        name: "counts",
        kind: ColumnKind::Word,
        unit: "",
        description: "no: another measurement of the same counts. Of several the first counts whose verdict is ok, \
            else the last that has a result; scores and summaries take rows with yes only.",
        value: |row| (if row.counting.counts() { "yes" } else { "no" }).into(),
    },
    Column {
        name: "counts_reason",
        kind: ColumnKind::Text,
        unit: "",
        description: "Why, where there are several.",
        value: |row| Some(row.counting.reason()).filter(|reason| !reason.is_empty()).into(),
    },
    Column {
        name: "cell_runs",
        kind: ColumnKind::Integer,
        unit: "",
        description: "How many runs of the same cell (its repeats) the two below are of; empty of one.",
        value: |row| repeats(row).map(|repeats| repeats.runs as u64).into(),
    },
    Column {
        name: "spread_within_percent",
        kind: ColumnKind::Number,
        unit: "%",
        description: "Standard deviation that the median of one of these runs has by its own samples, in per cent; \
            empty where more than a quarter of them have no interval.",
        value: |row| repeats(row).and_then(|repeats| repeats.within_percent).into(),
    },
    Column {
        name: "spread_between_percent",
        kind: ColumnKind::Number,
        unit: "%",
        description: "Standard deviation between these runs that their samples don't explain. Where it is larger, more \
            samples of one run say nothing: more runs do.",
        value: |row| repeats(row).and_then(|repeats| repeats.between_percent).into(),
    },
];

fn repeats<'a>(row: &'a Row<'_>) -> Option<&'a Repeats> {
    row.repeats.as_ref()
}

fn of<'a>(row: &'a Row<'_>) -> Option<&'a Certainty> {
    row.certainty.as_ref()
}

fn interval(row: &Row<'_>) -> Option<(f64, f64)> {
    of(row)?.interval_ns
}
