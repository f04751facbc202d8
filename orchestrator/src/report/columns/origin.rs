//! When, and by which programs.

use crate::domain::{DELEGATE, NamedArtifact, Record};

use super::{Column, ColumnKind};

/// When it was measured, and by which program.
pub(super) const HOST: &[Column] = &[
    Column {
        name: "started_at",
        kind: ColumnKind::Time,
        unit: "UTC",
        description: "When the run was started, by the host's clock (RFC 3339).",
        value: |row| row.record.started_at.into(),
    },
    Column {
        name: "finished_at",
        kind: ColumnKind::Time,
        unit: "UTC",
        description: "When its record was made, by the host's clock (RFC 3339).",
        value: |row| row.record.finished_at.into(),
    },
    Column {
        name: "farmctl_version",
        kind: ColumnKind::Text,
        unit: "",
        description: "Version and commit of the host program.",
        value: |row| row.record.farmctl_version.as_str().into(),
    },
    Column {
        name: "runner_sha256",
        kind: ColumnKind::Text,
        unit: "",
        description: "SHA-256 of the runner that measured.",
        value: |row| row.record.runner_sha256.as_deref().into(),
    },
    Column {
        name: "sweep",
        kind: ColumnKind::Text,
        unit: "",
        description: "Name of the sweep.",
        value: |row| row.sweep.name.as_str().into(),
    },
    Column {
        name: "repeat",
        kind: ColumnKind::Integer,
        unit: "",
        description: "Which of the sweep's repeats of the cell, from 1.",
        value: |row| row.record.job.repeat.into(),
    },
    Column {
        name: "seed",
        kind: ColumnKind::Bits,
        unit: "",
        description: "Seed of the pseudo-random input.",
        value: |row| row.record.job.seed.into(),
    },
    Column {
        name: "threads_requested",
        kind: ColumnKind::Word,
        unit: "",
        description: "Threads the sweep asked for: a number, a kind of core (little, mid, big, prime), all, or a list \
                      of cores (cores 4 5).",
        value: |row| row.record.job.threads.to_string().into(),
    },
];

/// What the run cost, and the engine that measured.
pub(super) const ENGINE: &[Column] = &[
    Column {
        name: "price_per_hour",
        kind: ColumnKind::Number,
        unit: "",
        description: "What an hour of the device cost, in the lab's currency, as its farm file said.",
        value: |row| row.record.price_per_hour.into(),
    },
    Column {
        name: "engine",
        kind: ColumnKind::Text,
        unit: "",
        description: "What an engine program said of itself: version, build, what it computes with.",
        value: |row| row.record.measurement.engine.as_deref().into(),
    },
    Column {
        name: "engine_files",
        kind: ColumnKind::Text,
        unit: "",
        description: "Engine program and libraries with their SHA-256, separated by spaces; empty where the runner \
            itself is the engine.",
        value: |row| engine_files(row.record).into(),
    },
    Column {
        name: "averages_only",
        kind: ColumnKind::Word,
        unit: "",
        description: "yes: a benchmark program printed these figures; there are no samples they could be computed \
            from again.",
        value: |row| row.averages().map(|_| "yes").into(),
    },
];

/// What the engine handed the work to.
pub(super) const DELEGATE_USED: &[Column] = &[Column {
    name: "delegate",
    kind: ColumnKind::Word,
    unit: "",
    description: "What the engine handed the work to (gpu, nnapi, npu); empty for the processor.",
    value: |row| row.record.job.options.get(DELEGATE).map(String::as_str).into(),
}];

fn engine_files(record: &Record) -> String {
    let named = |file: &NamedArtifact| format!("{}={}", file.name, file.artifact.sha256);
    record.engine_files.iter().map(named).collect::<Vec<_>>().join(" ")
}
