//! How it ended.

use crate::domain::{Failure, Record, RunStatus};

use super::{Column, ColumnKind};

/// How it ended.
pub(super) const OUTCOME: &[Column] = &[
    Column {
        name: "status",
        kind: ColumnKind::Text,
        unit: "",
        description: "ok: measured; failed: tried without a result; skipped: never tried, for a reason known before; \
                      cancelled: ended by a person.",
        value: |row| row.record.status.as_str().into(),
    },
    Column {
        name: "failure_kind",
        kind: ColumnKind::Text,
        unit: "",
        description: "Kind of the failure, or of the reason to skip.",
        value: |row| row.record.failure.as_ref().map(|failure| failure.kind.as_str()).into(),
    },
    Column {
        name: "failure",
        kind: ColumnKind::Text,
        unit: "",
        description: "What happened, on one line.",
        value: |row| row.record.failure.as_ref().map(|failure| failure.message.as_str()).into(),
    },
];

/// What helps after a failure.
pub(super) const HELP: &[Column] = &[
    Column {
        name: "remedy",
        kind: ColumnKind::Text,
        unit: "",
        description: "What a person can do about the failure.",
        value: |row| {
            let job = &row.record.job;
            let remedy = |failure: &Failure| failure.remedy(&job.device, Some(&job.model.name));
            row.record.failure.as_ref().filter(|_| is_failed(row.record)).map(remedy).into()
        },
    },
    Column {
        name: "stderr_tail",
        kind: ColumnKind::Text,
        unit: "",
        description: "Last lines that the measuring program wrote to its standard error, separated by « | ».",
        value: |row| row.record.failure.as_ref().map(|failure| failure.stderr_tail.join(" | ")).into(),
    },
];

/// What was otherwise than asked for.
pub(super) const REMARKS: &[Column] = &[Column {
    name: "remarks",
    kind: ColumnKind::Text,
    unit: "",
    description: "What was otherwise than asked for though the time was measured, separated by semicolons: why there \
                  is no accuracy, outputs that were left out.",
    value: |row| remarks_of(row.record).into(),
}];

/// What its plan and its run have to say of a row.
pub fn remarks_of(record: &Record) -> String {
    record.job.remarks.iter().chain(&record.measurement.remarks).map(String::as_str).collect::<Vec<_>>().join("; ")
}

fn is_failed(record: &Record) -> bool {
    let is_left_out = record.failure.as_ref().is_some_and(|failure| failure.kind.leaves_job_out());
    matches!(record.status, RunStatus::Failed | RunStatus::Cancelled) || is_left_out
}
