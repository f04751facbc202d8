//! What was timed.

use crate::score::gmacs_per_s;

use super::cell::milliseconds;
use super::{Column, ColumnKind, Row};

/// What the runs took.
pub(super) const TIMES: &[Column] = &[
    Column {
        name: "load_ms",
        kind: ColumnKind::Number,
        unit: "ms",
        description: "Time to load and optimise the model.",
        value: |row| milliseconds(row.record.measurement.load_ns),
    },
    Column {
        name: "first_ms",
        kind: ColumnKind::Number,
        unit: "ms",
        description: "Latency of the first inference after loading.",
        value: |row| milliseconds(row.record.measurement.first_ns),
    },
    Column {
        name: "warmup_runs",
        kind: ColumnKind::Integer,
        unit: "",
        description: "Inferences of the warm-up, the first one not counted.",
        value: |row| row.record.measurement.warmup_runs.into(),
    },
    Column {
        name: "runs",
        kind: ColumnKind::Integer,
        unit: "",
        description: "Inferences of the timed loop: samples kept, or with averages_only as the program says.",
        value: |row| row.runs().into(),
    },
    Column {
        name: "mean_ms",
        kind: ColumnKind::Number,
        unit: "ms",
        description: "Mean latency of one inference (of a whole batch). This and all that is computed from samples \
            only where status is ok.",
        value: |row| row.mean_ns().map(|mean_ns| mean_ns / 1e6).into(),
    },
    Column {
        name: "sd_ms",
        kind: ColumnKind::Number,
        unit: "ms",
        description: "Sample standard deviation of the latency (n - 1); empty for a single sample.",
        value: |row| row.sd_ns().map(|sd_ns| sd_ns / 1e6).into(),
    },
    Column {
        name: "min_ms",
        kind: ColumnKind::Number,
        unit: "ms",
        description: "Smallest latency.",
        value: |row| milliseconds(row.figure(|s| s.min_ns, |told| told.min_ns)),
    },
    Column {
        name: "p50_ms",
        kind: ColumnKind::Number,
        unit: "ms",
        description: "Median latency. Percentiles are by nearest rank: always a measured sample.",
        value: |row| milliseconds(row.p50_ns()),
    },
    Column {
        name: "p90_ms",
        kind: ColumnKind::Number,
        unit: "ms",
        description: "90th percentile of the latency.",
        value: |row| milliseconds(row.p90_ns()),
    },
    Column {
        name: "p95_ms",
        kind: ColumnKind::Number,
        unit: "ms",
        description: "95th percentile of the latency.",
        value: |row| milliseconds(row.figure(|s| s.p95_ns, |told| told.p95_ns)),
    },
    Column {
        name: "p99_ms",
        kind: ColumnKind::Number,
        unit: "ms",
        description: "99th percentile of the latency; below 100 samples it is the largest.",
        value: |row| milliseconds(row.figure(|s| s.p99_ns, |told| told.p99_ns)),
    },
    Column {
        name: "max_ms",
        kind: ColumnKind::Number,
        unit: "ms",
        description: "Largest latency.",
        value: |row| milliseconds(row.figure(|s| s.max_ns, |told| told.max_ns)),
    },
    Column {
        name: "images_per_s",
        kind: ColumnKind::Number,
        unit: "1/s",
        description: "Throughput: batch x runs / wall_ms, in every scenario.",
        value: |row| row.images_per_s().into(),
    },
    Column {
        name: "macs",
        kind: ColumnKind::Integer,
        unit: "",
        description: "Multiply-adds of one image (FLOPs are twice as many).",
        value: |row| row.record.job.model.macs.into(),
    },
    Column {
        name: "gmacs_per_s",
        kind: ColumnKind::Number,
        unit: "10^9/s",
        description: "Multiply-adds a second: macs x batch / mean_ms; empty for a network that has none.",
        value: |row| gmacs(row).into(),
    },
    Column {
        name: "peak_rss_bytes",
        kind: ColumnKind::Integer,
        unit: "bytes",
        description: "Largest resident set of the measuring process.",
        value: |row| row.record.measurement.peak_rss_bytes.into(),
    },
    Column {
        name: "output_error",
        kind: ColumnKind::Number,
        unit: "",
        description: "Largest difference to the output of the first ok run of the same network and weights, in any \
            format and by any engine, with the same precision, batch and seed, relative to the largest absolute \
            value of that output; that run has 0. Above 1e-4 it is more than rounding. inf: another length, or a \
            value that is not finite where that output's is another.",
        value: |row| row.output_error.into(),
    },
];

/// What the timed loop took.
pub(super) const LOOP: &[Column] = &[
    Column {
        name: "wall_ms",
        kind: ColumnKind::Number,
        unit: "ms",
        description: "Wall time of the timed loop.",
        value: |row| milliseconds(row.record.measurement.wall_ns),
    },
    Column {
        name: "cpu_user_ms",
        kind: ColumnKind::Number,
        unit: "ms",
        description: "Processor time of the timed loop in user mode, over all threads.",
        value: |row| milliseconds(row.record.measurement.cpu_user_ns),
    },
    Column {
        name: "cpu_system_ms",
        kind: ColumnKind::Number,
        unit: "ms",
        description: "Processor time of the timed loop in the kernel.",
        value: |row| milliseconds(row.record.measurement.cpu_system_ns),
    },
];

fn gmacs(row: &Row<'_>) -> Option<f64> {
    gmacs_per_s(row.record.job.model.macs?, row.record.job.batch, row.mean_ns()?)
}
