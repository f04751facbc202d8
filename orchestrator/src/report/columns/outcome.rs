//! How it ended.

use crate::domain::{Failure, Record, RunStatus, many};

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
                  is no accuracy, outputs that were left out, threads that shared a processor.",
    value: |row| remarks_of(row.record).into(),
}];

/// What its plan, its run and the processors that it had have to say of a row.
pub fn remarks_of(record: &Record) -> String {
    let told = record.job.remarks.iter().chain(&record.measurement.remarks).cloned();
    told.chain(crowded(record)).collect::<Vec<_>>().join("; ")
}

/// That threads shared processors: a container, or the group of processors that the runner is in, allowed fewer than
/// the device has. `threads: all` and a number are as many threads all the same.
fn crowded(record: &Record) -> Option<String> {
    let measurement = &record.measurement;
    let (threads, allowed) = (measurement.threads?, measurement.cpus.len());
    let is_crowded = allowed > 0 && usize::try_from(threads).is_ok_and(|threads| threads > allowed);
    is_crowded.then(|| {
        let processors = many(allowed as u64, "processor");
        format!("{threads} threads shared {processors}: the device allows its measuring process no more")
    })
}

fn is_failed(record: &Record) -> bool {
    let is_left_out = record.failure.as_ref().is_some_and(|failure| failure.kind.leaves_job_out());
    matches!(record.status, RunStatus::Failed | RunStatus::Cancelled) || is_left_out
}
