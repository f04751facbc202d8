use std::collections::BTreeMap;

use super::ReportInput;
use super::columns::Row;
use crate::domain::{Failure, Job, Record, RunStatus, ThreadCount};
use crate::score::{Disagreement, disagreements};
use crate::wording::{short_number, single_line};

/// The rows in the order for reading: by device (`board-2` before `board-10`), then by model, then as planned.
pub(super) fn sorted<'a>(rows: &[Row<'a>]) -> Vec<Row<'a>> {
    let mut rows = rows.to_vec();
    rows.sort_by(|a, b| {
        let (a, b) = (&a.record.job, &b.record.job);
        numeric_sort::cmp(&a.device, &b.device).then_with(|| a.model.name.cmp(&b.model.name))
    });
    rows
}

/// The rows that count.
pub(super) fn counting<'a>(rows: &[Row<'a>]) -> Vec<Row<'a>> {
    rows.iter().filter(|row| row.counting.counts()).cloned().collect()
}

/// What a reader has to be told of a job besides device and model: those axes that differ within the table.
pub(super) struct Axes {
    /// Axes that differ, but for threads: these have a column of their own in tables.
    words: Vec<Axis>,
    /// Whether threads differ.
    threads: bool,
}

/// What jobs may differ in.
#[derive(Clone, Copy)]
struct Axis {
    word: fn(&Job) -> String,
    /// Whether jobs that differ in it are of different cells.
    is_of_cell: bool,
}

impl Axis {
    const fn of_cell(word: fn(&Job) -> String) -> Axis {
        Axis { word, is_of_cell: true }
    }

    const fn of_run(word: fn(&Job) -> String) -> Axis {
        Axis { word, is_of_cell: false }
    }
}

const AXES: [Axis; 8] = [
    Axis::of_cell(|job| job.model.weights.to_string()),
    Axis::of_cell(|job| job.backend.clone()),
    Axis::of_cell(|job| job.precision.to_string()),
    Axis::of_cell(|job| format!("batch {}", job.batch)),
    Axis::of_cell(|job| job.scenario.to_string()),
    Axis::of_cell(|job| job.side.map(|side| format!("side {}", side.as_str())).unwrap_or_default()),
    Axis::of_run(|job| format!("#{}", job.repeat)),
    Axis::of_run(|job| job.rerun.as_ref().map(|rerun| format!("again {}", rerun.number)).unwrap_or_default()),
];

/// Finds the axes that differ among jobs, of which it is shown one after the other.
#[derive(Debug, Default)]
pub(super) struct AxesReader {
    /// What the first job has, and of each axis whether another was seen with something else.
    first: Option<Job>,
    differs: [bool; AXES.len()],
    threads: bool,
}

impl AxesReader {
    /// Takes in a job.
    pub(super) fn take(&mut self, job: &Job) {
        let first = self.first.get_or_insert_with(|| job.clone());
        for (differs, axis) in self.differs.iter_mut().zip(AXES) {
            *differs = *differs || (axis.word)(first) != (axis.word)(job);
        }
        self.threads = self.threads || first.threads != job.threads;
    }

    /// The axes that differ.
    pub(super) fn finish(&self) -> Axes {
        let differing = AXES.into_iter().zip(self.differs).filter(|(_, differs)| *differs);
        Axes { words: differing.map(|(axis, _)| axis).collect(), threads: self.threads }
    }
}

impl Axes {
    /// The axes that differ among these jobs.
    pub(super) fn of<'a>(jobs: impl Iterator<Item = &'a Job>) -> Axes {
        let mut reader = AxesReader::default();
        jobs.for_each(|job| reader.take(job));
        reader.finish()
    }

    /// The axes that differ among cells, each by one of its jobs: of which repeat, or which measurement of it, plays no
    /// part.
    pub(super) fn of_cells<'a>(jobs: impl Iterator<Item = &'a Job>) -> Axes {
        Axes::of(jobs).without_runs()
    }

    /// Those by which cells differ.
    pub(super) fn without_runs(self) -> Axes {
        let Axes { mut words, threads } = self;
        words.retain(|word| word.is_of_cell);
        Axes { words, threads }
    }

    /// The model's name with what differs, for a table that has a column of threads.
    pub(super) fn model(&self, job: &Job) -> String {
        std::iter::once(job.model.name.clone()).chain(self.words(job)).collect::<Vec<_>>().join(" ")
    }

    /// The device's name with what differs, for a chart of one model.
    pub(super) fn device(&self, job: &Job) -> String {
        let words = self.threads_word(job).into_iter().chain(self.words(job));
        std::iter::once(job.device.clone()).chain(words).collect::<Vec<_>>().join(" · ")
    }

    /// The model's name with all that differs, for a list of one device.
    pub(super) fn of_device(&self, job: &Job) -> String {
        std::iter::once(self.model(job)).chain(self.threads_word(job)).collect::<Vec<_>>().join(" ")
    }

    /// The whole cell, for a line of its own.
    pub(super) fn cell(&self, job: &Job) -> String {
        format!("{}: {}", job.device, self.of_device(job))
    }

    fn words(&self, job: &Job) -> impl Iterator<Item = String> {
        self.words.iter().map(|axis| (axis.word)(job)).filter(|word| !word.is_empty())
    }

    fn threads_word(&self, job: &Job) -> Option<String> {
        self.threads.then(|| format!("threads {}", job.threads))
    }
}

/// The threads used, or asked for: of a word for a number of them both, so that no two rows read the same.
pub(super) fn threads(record: &Record) -> String {
    match (&record.job.threads, record.measurement.threads) {
        (ThreadCount::Count(_), Some(used)) => used.to_string(),
        (asked, Some(used)) => format!("{asked} ({used})"),
        (asked, None) => asked.to_string(),
    }
}

/// Nanoseconds as milliseconds, for people.
pub(super) fn milliseconds(nanoseconds: Option<u64>) -> String {
    nanoseconds.map_or_else(String::new, |nanoseconds| short_number(nanoseconds as f64 / 1e6))
}

/// A number for people; empty when it was not measured.
pub(super) fn number(number: Option<f64>) -> String {
    number.map_or_else(String::new, short_number)
}

/// Records that are not `ok` for the same reason.
pub struct FailureGroup<'a> {
    /// How they ended.
    pub status: RunStatus,
    /// The word for what kind of failure it was.
    pub kind: &'static str,
    /// Of several devices, without their names.
    pub message: String,
    /// What a person can do about it.
    pub remedy: Option<String>,
    /// Of which cells; of a sweep that is told by a part of its records, of those in it.
    pub records: Vec<&'a Record>,
    /// How many records there are in all.
    pub count: usize,
}

/// By what failures are grouped, in the order in which they are shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Reason {
    order: u8,
    kind: &'static str,
    message: String,
}

impl Reason {
    /// That of a record without a result.
    pub(super) fn of(record: &Record) -> Option<Reason> {
        let order = match record.status {
            RunStatus::Ok => return None,
            RunStatus::Failed => 0,
            RunStatus::Cancelled => 1,
            RunStatus::Skipped => 2,
        };
        let failure = record.failure.as_ref();
        let kind = failure.map_or("no reason kept", |failure| failure.kind.as_str());
        let of_any = failure.map(|failure| failure.message_of_any_device(&record.job.device));
        Some(Reason { order, kind, message: of_any.unwrap_or_default() })
    }
}

/// What did not end well, grouped by reason, whatever device it happened to: failed, then cancelled, then skipped.
pub fn failure_groups(records: &[Record]) -> Vec<FailureGroup<'_>> {
    let mut groups: BTreeMap<Reason, FailureGroup<'_>> = BTreeMap::new();
    for record in records {
        let Some(reason) = Reason::of(record) else { continue };
        let failure = record.failure.as_ref();
        let (device, model) = (&record.job.device, &record.job.model.name);
        let message = failure.map_or_else(String::new, |failure| failure.message.clone());
        let (kind, of_any) = (reason.kind, reason.message.clone());
        // A skipped cell's reason says what to do; the kind's remedy is for what was tried, or was to be.
        let is_tried = |failure: &&Failure| record.status == RunStatus::Failed || failure.kind.leaves_job_out();
        let remedy = failure.filter(is_tried).map(|failure| failure.remedy(device, Some(model)));
        let group = groups.entry(reason).or_insert_with(|| FailureGroup {
            status: record.status,
            kind,
            message,
            remedy: remedy.clone(),
            records: Vec::new(),
            count: 0,
        });
        if group.records.first().is_some_and(|first| first.job.device != *device) {
            group.message = of_any;
        }
        if group.remedy != remedy {
            group.remedy = failure.map(|failure| failure.kind.remedy().to_owned());
        }
        group.records.push(record);
        group.count += 1;
    }
    groups.into_values().collect()
}

/// Whether accuracy was measured in any of these rows.
pub(super) fn have_accuracy(rows: &[Row<'_>]) -> bool {
    rows.iter().any(|row| row.top1().is_some())
}

/// A share as a number of per cent.
pub(super) fn percent(share: Option<f64>) -> String {
    share.map(|share| format!("{:.1}", share * 100.0)).unwrap_or_default()
}

/// What makes the numbers themselves doubtful, network by network: said before anything else.
pub(super) fn alarms(input: &ReportInput<'_>) -> Vec<String> {
    let sentence = |disagreement: &Disagreement<'_>| format!("{}.", single_line(&disagreement.to_string()));
    disagreements(input.records, input.outputs).iter().map(sentence).collect()
}
