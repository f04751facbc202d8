//! How sure the numbers are.

use super::{Column, ColumnKind, Row};
use crate::score::trust::Certainty;

/// How sure the median is, what the samples were like, and whether to believe them.
pub(super) const TRUST: &[Column] = &[
    Column {
        name: "p50_low_ms",
        kind: ColumnKind::Number,
        unit: "ms",
        description: "Low end of the median's interval of 95 %, made for samples that depend on each other; empty \
            where they are too few, or depend too much.",
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

fn of<'a>(row: &'a Row<'_>) -> Option<&'a Certainty> {
    row.certainty.as_ref()
}

fn interval(row: &Row<'_>) -> Option<(f64, f64)> {
    of(row)?.interval_ns
}
