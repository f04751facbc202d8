//! What was measured, on what device.

use crate::domain::{PairSide, Record, ThreadCount};

use super::{Column, ColumnKind};

/// What was measured, and on what.
pub(super) const CELL: &[Column] = &[
    Column {
        name: "sweep_id",
        kind: ColumnKind::Text,
        unit: "",
        description: "Identifier of this start of the sweep.",
        value: |row| row.record.sweep_id.as_str().into(),
    },
    Column {
        name: "job_id",
        kind: ColumnKind::Text,
        unit: "",
        description: "Hash of the cell's content: the same cell has the same job_id in every sweep.",
        value: |row| row.record.job.id.as_str().into(),
    },
    Column {
        name: "run_id",
        kind: ColumnKind::Text,
        unit: "",
        description: "Identifier of the attempt; empty for a cell that never started.",
        value: |row| row.record.run_id.as_ref().map(|id| id.as_str()).into(),
    },
    Column {
        name: "attempt",
        kind: ColumnKind::Integer,
        unit: "",
        description: "Number of the attempt, from 1; 0 for a cell that never started.",
        value: |row| row.record.attempt.into(),
    },
    Column {
        name: "farm",
        kind: ColumnKind::Text,
        unit: "",
        description: "Farm file that declares the device.",
        value: |row| row.record.farm.as_str().into(),
    },
    Column {
        name: "device",
        kind: ColumnKind::Text,
        unit: "",
        description: "Name of the device.",
        value: |row| row.record.job.device.as_str().into(),
    },
    Column {
        name: "tags",
        kind: ColumnKind::Text,
        unit: "",
        description: "Tags of the device, separated by semicolons.",
        value: |row| tags(row.record).into(),
    },
    Column {
        name: "transport",
        kind: ColumnKind::Text,
        unit: "",
        description: "How the device was reached: local, ssh, adb.",
        value: |row| row.record.transport.as_str().into(),
    },
    Column {
        name: "target",
        kind: ColumnKind::Text,
        unit: "",
        description: "Rust target triple of the device's runner.",
        value: |row| row.record.device.as_ref().map(|device| device.target.as_str()).into(),
    },
    Column {
        name: "soc",
        kind: ColumnKind::Text,
        unit: "",
        description: "Chip or CPU, as the device says.",
        value: |row| row.record.device.as_ref().and_then(|device| device.soc.as_deref()).into(),
    },
    Column {
        name: "os",
        kind: ColumnKind::Text,
        unit: "",
        description: "Operating system, as the device says.",
        value: |row| row.record.device.as_ref().map(|device| device.os.as_str()).into(),
    },
    Column {
        name: "model",
        kind: ColumnKind::Text,
        unit: "",
        description: "Name of the network.",
        value: |row| row.record.job.model.name.as_str().into(),
    },
    Column {
        name: "model_sha256",
        kind: ColumnKind::Text,
        unit: "",
        description: "SHA-256 of the model's file.",
        value: |row| row.record.job.model.artifact.as_ref().map(|file| file.sha256.as_str()).into(),
    },
    Column {
        name: "weights",
        kind: ColumnKind::Text,
        unit: "",
        description: "synthetic: from a fixed seed, true cost but no accuracy; trained: by the network's authors.",
        value: |row| row.record.job.model.weights.as_str().into(),
    },
    Column {
        name: "backend",
        kind: ColumnKind::Text,
        unit: "",
        description: "Inference engine.",
        value: |row| row.record.job.backend.as_str().into(),
    },
    Column {
        name: "backend_version",
        kind: ColumnKind::Text,
        unit: "",
        description: "Its version.",
        value: |row| row.record.job.backend_version.as_str().into(),
    },
    Column {
        name: "precision",
        kind: ColumnKind::Text,
        unit: "",
        description: "Arithmetic: fp32, fp16, int8.",
        value: |row| row.record.job.precision.as_str().into(),
    },
    Column {
        name: "threads",
        kind: ColumnKind::Integer,
        unit: "",
        description: "Threads the engine used; of a run that did not get so far, the number asked for, if it was one.",
        value: |row| threads(row.record).into(),
    },
    Column {
        name: "cpus",
        kind: ColumnKind::Word,
        unit: "",
        description: "Indices of the processors the measuring process could use, separated by spaces.",
        value: |row| cpus(row.record).into(),
    },
    Column {
        name: "batch",
        kind: ColumnKind::Integer,
        unit: "",
        description: "Images in one inference.",
        value: |row| row.record.job.batch.into(),
    },
    Column {
        name: "scenario",
        kind: ColumnKind::Text,
        unit: "",
        description: "Load pattern: single_stream (one query after the other), sustained (the same for minutes) or \
            offline (all at once).",
        value: |row| row.record.job.scenario.as_str().into(),
    },
];

fn tags(record: &Record) -> String {
    record.tags.iter().map(ToString::to_string).collect::<Vec<_>>().join(";")
}

fn cpus(record: &Record) -> String {
    record.measurement.cpus.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn threads(record: &Record) -> Option<u32> {
    match record.job.threads {
        ThreadCount::Count(count) => record.measurement.threads.or(Some(count)),
        _ => record.measurement.threads,
    }
}

/// Of a sweep of two sides.
pub(super) const SIDE: &[Column] = &[Column {
    name: "side",
    kind: ColumnKind::Word,
    unit: "",
    description: "Of `farmctl ab`: which of the two sides the run is of, a or b; empty in other sweeps.",
    value: |row| row.record.job.side.map(PairSide::as_str).into(),
}];
