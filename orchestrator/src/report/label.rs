use std::collections::{BTreeMap, BTreeSet};

use super::ReportInput;
use super::columns::{Row, remarks, remarks_of};
use crate::domain::{Failure, Job, JobId, Record, RunStatus, ThreadCount, WeightsKind};
use crate::planner;
use crate::score::trust::{Counting, Repeats, Verdict};
use crate::score::{Disagreement, OUTPUT_TOLERANCE, disagreements};
use crate::wording::{short_number, single_line};

/// How many remarks a report shows; the rest is counted.
const REMARKS_SHOWN: usize = 8;

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

impl Axes {
    /// The axes that differ among these jobs.
    pub(super) fn of<'a>(jobs: impl Iterator<Item = &'a Job> + Clone) -> Axes {
        let differs = |word: fn(&Job) -> String| {
            let mut values = jobs.clone().map(word);
            values.next().is_some_and(|first| values.any(|value| value != first))
        };
        let words = AXES.into_iter().filter(|axis| differs(axis.word)).collect();
        Axes { words, threads: differs(|job| job.threads.to_string()) }
    }

    /// The axes that differ among cells, each by one of its jobs: of which repeat, or which measurement of it, plays no
    /// part.
    pub(super) fn of_cells<'a>(jobs: impl Iterator<Item = &'a Job> + Clone) -> Axes {
        let Axes { mut words, threads } = Axes::of(jobs);
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
    /// Of which cells.
    pub records: Vec<&'a Record>,
}

/// What did not end well, grouped by reason, whatever device it happened to: failed, then cancelled, then skipped.
pub fn failure_groups(records: &[Record]) -> Vec<FailureGroup<'_>> {
    /// By what failures are grouped, in the order in which they are shown.
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    struct Reason<'a> {
        order: u8,
        kind: &'a str,
        message: String,
    }
    let mut groups: BTreeMap<Reason<'_>, FailureGroup<'_>> = BTreeMap::new();
    for record in records {
        let order = match record.status {
            RunStatus::Ok => continue,
            RunStatus::Failed => 0,
            RunStatus::Cancelled => 1,
            RunStatus::Skipped => 2,
        };
        let failure = record.failure.as_ref();
        let kind = failure.map_or("no reason kept", |failure| failure.kind.as_str());
        let (device, model) = (&record.job.device, &record.job.model.name);
        let message = failure.map_or_else(String::new, |failure| failure.message.clone());
        let of_any = failure.map_or_else(String::new, |failure| failure.message_of_any_device(device));
        // A skipped cell's reason says what to do; the kind's remedy is for what was tried, or was to be.
        let is_tried = |failure: &&Failure| record.status == RunStatus::Failed || failure.kind.leaves_job_out();
        let remedy = failure.filter(is_tried).map(|failure| failure.remedy(device, Some(model)));
        let group = groups.entry(Reason { order, kind, message: of_any.clone() }).or_insert_with(|| FailureGroup {
            status: record.status,
            kind,
            message,
            remedy: remedy.clone(),
            records: Vec::new(),
        });
        if group.records.first().is_some_and(|first| first.job.device != *device) {
            group.message = of_any;
        }
        if group.remedy != remedy {
            group.remedy = failure.map(|failure| failure.kind.remedy().to_owned());
        }
        group.records.push(record);
    }
    groups.into_values().collect()
}

/// `3 ok, 1 failed, 2 skipped`: all that occur, `ok` always; of what was measured again only what counts.
pub(super) fn counts(rows: &[Row<'_>]) -> String {
    let of = |status| rows.iter().filter(|row| row.counting.counts() && row.record.status == status).count();
    [RunStatus::Ok, RunStatus::Failed, RunStatus::Skipped, RunStatus::Cancelled]
        .into_iter()
        .map(|status| (status, of(status)))
        .filter(|(status, count)| *count > 0 || *status == RunStatus::Ok)
        .map(|(status, count)| format!("{count} {}", status.as_str()))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Whether accuracy was measured in any of these rows.
pub(super) fn have_accuracy(rows: &[Row<'_>]) -> bool {
    rows.iter().any(|row| row.top1().is_some())
}

/// A share as a number of per cent.
pub(super) fn percent(share: Option<f64>) -> String {
    share.map(|share| format!("{:.1}", share * 100.0)).unwrap_or_default()
}

/// What accuracy was measured on, and what was not as one would expect.
fn notes_on_accuracy(rows: &[Row<'_>]) -> Vec<String> {
    let mut notes = Vec::new();
    let shown = rows.iter().filter_map(|row| row.record.job.dataset.as_ref());
    for (dataset, prepared) in shown.filter_map(|dataset| Some((dataset, dataset.prepared.as_ref()?))) {
        let mut note = format!("accuracy is of {} images of the dataset {}", prepared.count, dataset.name);
        note.push_str(", counted in the runs that the times are of; intervals are in results.csv");
        let remarks = remarks(prepared);
        if !remarks.is_empty() {
            note.push_str(&format!(". Of the dataset: {remarks}"));
        }
        note.push('.');
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    let unanswered = rows.iter().filter(|row| {
        let job = &row.record.job;
        let is_ok = row.record.status == RunStatus::Ok && remarks_of(row.record).is_empty();
        job.dataset.is_none() && job.model.weights == WeightsKind::Trained && is_ok
    });
    let unanswered = unanswered.count();
    if unanswered > 0 && !notes.is_empty() {
        notes.push(format!(
            "{unanswered} of the runs with trained weights have no accuracy: their benchmark programs don't tell what \
             a network answers."
        ));
    }
    notes
}

/// What the rows themselves have to say, those that say the same together.
fn notes_of_rows(rows: &[Row<'_>]) -> Vec<String> {
    let mut counts: Vec<(String, usize)> = Vec::new();
    for remarks in rows.iter().map(|row| remarks_of(row.record)).filter(|remarks| !remarks.is_empty()) {
        match counts.iter_mut().find(|(other, _)| *other == remarks) {
            Some((_, count)) => *count += 1,
            None => counts.push((remarks, 1)),
        }
    }
    let more = counts.len().saturating_sub(REMARKS_SHOWN);
    let shown = counts.iter().take(REMARKS_SHOWN).map(|(remarks, count)| {
        let runs = if *count == 1 { "row" } else { "rows" };
        format!("{count} {runs}: {remarks}.")
    });
    let rest = (more > 0).then(|| format!("{more} more remarks are in results.csv."));
    shown.chain(rest).collect()
}

/// What makes the numbers themselves doubtful, network by network: said before anything else.
pub(super) fn alarms(input: &ReportInput<'_>) -> Vec<String> {
    let sentence = |disagreement: &Disagreement<'_>| format!("{}.", single_line(&disagreement.to_string()));
    disagreements(input.records, input.outputs).iter().map(sentence).collect()
}

/// How many results are doubtful, and why.
fn note_on_doubts(rows: &[Row<'_>]) -> Option<String> {
    let is_it = |row: &&Row<'_>, doubt| row.counting.counts() && row.doubt() == Some(doubt);
    let count = |doubt: Verdict| rows.iter().filter(|row| is_it(row, doubt)).count();
    let counts = Verdict::DOUBTS.map(|doubt| (doubt.as_str(), count(doubt)));
    let all: usize = counts.iter().map(|(_, count)| count).sum();
    let named = counts.iter().filter(|(_, count)| *count > 0).map(|(word, count)| format!("{count} {word}"));
    let named = named.collect::<Vec<_>>().join(", ");
    let results = if all == 1 { "result is" } else { "results are" };
    (all > 0).then(|| format!("{all} {results} doubtful: {named}. The column verdict_reason of results.csv says why."))
}

/// How many results were measured again, and what became of that.
fn note_on_reruns(rows: &[Row<'_>]) -> Option<String> {
    let is_again = |row: &&Row<'_>| row.record.job.rerun.as_ref().is_some_and(|rerun| rerun.number == 1);
    let cells = rows.iter().filter(is_again).count();
    let mended = rows.iter().filter(|row| row.counting == Counting::FirstOk).count();
    let results = if cells == 1 { "result was" } else { "results were" };
    (cells > 0).then(|| {
        format!(
            "{cells} doubtful {results} measured again, and {mended} of them came out ok. The first that is ok counts, \
             else the last; results.csv has all, and says which counts."
        )
    })
}

/// Cells whose runs differ more than their samples say.
fn note_on_repeats(rows: &[Row<'_>], axes: &Axes) -> Option<String> {
    let mut known: BTreeSet<JobId> = BTreeSet::new();
    let differing = rows.iter().filter_map(|row| Some((row, row.repeats.as_ref().filter(|repeats| repeats.differ())?)));
    let cells: Vec<(&Row<'_>, &Repeats)> =
        differing.filter(|(row, _)| known.insert(planner::cell_id(&row.record.job))).collect();
    let between = |repeats: &Repeats| repeats.between_percent.unwrap_or_default();
    let (row, worst) = cells.iter().max_by(|(_, a), (_, b)| between(a).total_cmp(&between(b)))?;
    let cell = axes.cell(&row.record.job);
    let (runs, within) = (worst.runs, worst.within_percent.unwrap_or_default());
    let of_cells = if cells.len() == 1 { "1 cell differs".to_owned() } else { format!("{} cells differ", cells.len()) };
    Some(format!(
        "{of_cells} more from run to run than within runs, most {cell}: {:.1} % between {runs} runs, {within:.1} % \
         within. What one run says there is not what the next one will.",
        between(worst)
    ))
}

/// What a reader of these rows must know beside them.
pub(super) fn notes(rows: &[Row<'_>], axes: &Axes) -> Vec<String> {
    let mut notes = Vec::from_iter(note_on_doubts(rows));
    notes.extend(note_on_reruns(rows));
    notes.extend(note_on_repeats(rows, axes));
    if rows.iter().any(|row| row.record.job.model.weights == WeightsKind::Synthetic) {
        notes.push(
            "synthetic weights: no accuracy. They cost what trained weights cost, but what the network answers means \
             nothing."
                .to_owned(),
        );
    }
    notes.extend(notes_on_accuracy(rows));
    notes.extend(notes_of_rows(rows));
    let averages = rows.iter().filter(|row| row.averages().is_some()).count();
    if averages > 0 {
        notes.push(format!(
            "{averages} of the runs are by benchmark programs that tell averages only: their figures are as printed, \
             and there are no samples."
        ));
    }
    let strange = rows.iter().filter(|row| row.output_error.is_some_and(|error| error > OUTPUT_TOLERANCE)).count();
    if strange > 0 {
        notes.push(format!(
            "{strange} of the outputs lie further than {OUTPUT_TOLERANCE:e} from those of the first device: what was \
             measured there may be another computation."
        ));
    }
    notes
}
