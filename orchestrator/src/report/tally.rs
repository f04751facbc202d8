//! What is counted over all rows of a sweep, of which none is kept; and what a reader is told by it.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::columns::{Row, remarks, remarks_of};
use super::label::Axes;
use crate::domain::{Job, RunStatus, WeightsKind};
use crate::planner;
use crate::score::OUTPUT_TOLERANCE;
use crate::score::trust::{Counting, Repeats, Verdict};
use crate::wording::many;

/// How many remarks a report shows; the rest is counted.
const REMARKS_SHOWN: usize = 8;
/// Most remarks that are told apart.
const MOST_REMARKS: usize = 10_000;

/// What is counted over rows, one after the other.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// All rows.
    pub(super) rows: usize,
    /// Of the rows that count: how each ended, in the order of [`RunStatus::ALL`].
    statuses: [usize; RunStatus::ALL.len()],
    /// Of those: what of each doubt there is, in the order of [`Verdict::DOUBTS`].
    doubts: [usize; Verdict::DOUBTS.len()],
    /// Results that were measured again, and how many of them came out well.
    again: usize,
    mended: usize,
    /// Cells whose runs differ more than their samples say, by the hashes of their identifiers, and the worst of them.
    differing: HashSet<u64>,
    worst: Option<Differing>,
    /// Rows with synthetic weights, with trained ones of which nothing is known, by programs that tell averages only,
    /// and with outputs that lie apart.
    synthetic: usize,
    unanswered: usize,
    averages: usize,
    strange: usize,
    /// What is told of datasets, each once.
    of_datasets: Vec<String>,
    remarks: Remarks,
}

/// A cell whose runs differ more than their samples say.
#[derive(Debug, Clone)]
struct Differing {
    job: Job,
    repeats: Repeats,
}

/// What rows have to say, those that say the same together, in the order in which it came.
#[derive(Debug, Clone, Default)]
struct Remarks {
    counts: Vec<(String, usize)>,
    places: HashMap<String, usize>,
    /// Rows whose remark is told apart no more.
    others: usize,
}

impl Remarks {
    fn take(&mut self, remark: String) {
        if let Some((_, count)) = self.places.get(&remark).and_then(|place| self.counts.get_mut(*place)) {
            *count += 1;
        } else if self.counts.len() < MOST_REMARKS {
            self.places.insert(remark.clone(), self.counts.len());
            self.counts.push((remark, 1));
        } else {
            self.others += 1;
        }
    }

    fn notes(&self) -> impl Iterator<Item = String> {
        let more = self.counts.len().saturating_sub(REMARKS_SHOWN) + self.others;
        let shown = self.counts.iter().take(REMARKS_SHOWN).map(|(remarks, count)| {
            let runs = if *count == 1 { "row" } else { "rows" };
            format!("{count} {runs}: {remarks}.")
        });
        let rest = (more > 0).then(|| format!("{more} more remarks are in results.csv."));
        shown.chain(rest)
    }
}

impl Tally {
    /// Of these rows.
    pub(super) fn of(rows: &[Row<'_>]) -> Tally {
        let mut tally = Tally::default();
        rows.iter().for_each(|row| tally.take(row));
        tally
    }

    /// Takes in a row.
    pub(super) fn take(&mut self, row: &Row<'_>) {
        let (record, job) = (row.record, &row.record.job);
        self.rows += 1;
        if row.counting.counts() {
            let status = RunStatus::ALL.iter().position(|status| *status == record.status);
            status.and_then(|place| self.statuses.get_mut(place)).into_iter().for_each(|count| *count += 1);
            let doubt = row.doubt().and_then(|doubt| Verdict::DOUBTS.iter().position(|it| *it == doubt));
            doubt.and_then(|place| self.doubts.get_mut(place)).into_iter().for_each(|count| *count += 1);
        }
        self.again += usize::from(job.rerun.as_ref().is_some_and(|rerun| rerun.number == 1));
        self.mended += usize::from(row.counting == Counting::FirstOk);
        self.averages += usize::from(row.averages().is_some());
        self.strange += usize::from(row.output_error.is_some_and(|error| error > OUTPUT_TOLERANCE));
        self.synthetic += usize::from(job.model.weights == WeightsKind::Synthetic);
        self.take_repeats(row);
        self.take_dataset(row);
        let remarks = remarks_of(record);
        let is_unanswered = job.dataset.is_none() && job.model.weights == WeightsKind::Trained;
        self.unanswered += usize::from(is_unanswered && record.status == RunStatus::Ok && remarks.is_empty());
        if !remarks.is_empty() {
            self.remarks.take(remarks);
        }
    }

    fn take_repeats(&mut self, row: &Row<'_>) {
        let Some(repeats) = row.repeats.filter(Repeats::differ) else { return };
        let mut hasher = DefaultHasher::new();
        planner::cell_id(&row.record.job).hash(&mut hasher);
        if !self.differing.insert(hasher.finish()) {
            return;
        }
        let between = |repeats: &Repeats| repeats.between_percent.unwrap_or_default();
        let is_worst = self.worst.as_ref().is_none_or(|worst| between(&repeats) >= between(&worst.repeats));
        if is_worst {
            self.worst = Some(Differing { job: row.record.job.clone(), repeats });
        }
    }

    fn take_dataset(&mut self, row: &Row<'_>) {
        let Some(dataset) = row.record.job.dataset.as_ref() else { return };
        let Some(prepared) = dataset.prepared.as_ref() else { return };
        let mut note =
            format!("accuracy is of {} of the dataset {}", many(u64::from(prepared.count), "image"), dataset.name);
        note.push_str(", counted in the runs that the times are of; intervals are in results.csv");
        let remarks = remarks(prepared);
        if !remarks.is_empty() {
            note.push_str(&format!(". Of the dataset: {remarks}"));
        }
        note.push('.');
        if !self.of_datasets.contains(&note) {
            self.of_datasets.push(note);
        }
    }

    /// The rows that count.
    pub(super) fn counting(&self) -> usize {
        self.statuses.iter().sum()
    }

    /// The rows that count and ended so.
    pub(super) fn count(&self, status: RunStatus) -> usize {
        RunStatus::ALL.iter().zip(self.statuses).find(|(one, _)| **one == status).map_or(0, |(_, count)| count)
    }

    /// The rows that count with this doubt.
    pub(super) fn doubted(&self, doubt: Verdict) -> usize {
        Verdict::DOUBTS.iter().zip(self.doubts).find(|(one, _)| **one == doubt).map_or(0, |(_, count)| count)
    }

    /// `3 ok, 1 failed, 2 skipped`: all that occur, `ok` always; of what was measured again only what counts.
    pub(super) fn counts(&self) -> String {
        let told = RunStatus::ALL.into_iter().zip(self.statuses);
        let told = told.filter(|(status, count)| *count > 0 || *status == RunStatus::Ok);
        told.map(|(status, count)| format!("{count} {}", status.as_str())).collect::<Vec<_>>().join(", ")
    }

    /// What a reader must know beside the rows.
    pub(super) fn notes(&self, axes: &Axes) -> Vec<String> {
        let mut notes = Vec::from_iter(self.note_on_doubts());
        notes.extend(self.note_on_reruns());
        notes.extend(self.note_on_repeats(axes));
        if self.synthetic > 0 {
            notes.push(
                "synthetic weights: no accuracy. They cost what trained weights cost, but what the network answers \
                 means nothing."
                    .to_owned(),
            );
        }
        notes.extend(self.notes_on_accuracy());
        notes.extend(self.remarks.notes());
        if self.averages > 0 {
            notes.push(format!(
                "{} of the runs are by benchmark programs that tell averages only: their figures are as printed, and \
                 there are no samples.",
                self.averages
            ));
        }
        if self.strange > 0 {
            notes.push(format!(
                "{} of the outputs lie further than {OUTPUT_TOLERANCE:e} from those of the first device: what was \
                 measured there may be another computation.",
                self.strange
            ));
        }
        notes
    }

    /// How many results are doubtful, and why.
    fn note_on_doubts(&self) -> Option<String> {
        let all: usize = self.doubts.iter().sum();
        let named = Verdict::DOUBTS.iter().zip(self.doubts).filter(|(_, count)| *count > 0);
        let named = named.map(|(doubt, count)| format!("{count} {}", doubt.as_str())).collect::<Vec<_>>().join(", ");
        let results = if all == 1 { "result is" } else { "results are" };
        (all > 0)
            .then(|| format!("{all} {results} doubtful: {named}. The column verdict_reason of results.csv says why."))
    }

    /// How many results were measured again, and what became of that.
    fn note_on_reruns(&self) -> Option<String> {
        let (cells, mended) = (self.again, self.mended);
        let results = if cells == 1 { "result was" } else { "results were" };
        (cells > 0).then(|| {
            format!(
                "{cells} doubtful {results} measured again, and {mended} of them came out ok. The first that is ok \
                 counts, else the last; results.csv has all, and says which counts."
            )
        })
    }

    /// Cells whose runs differ more than their samples say.
    fn note_on_repeats(&self, axes: &Axes) -> Option<String> {
        let Differing { job, repeats } = self.worst.as_ref()?;
        let (cell, runs) = (axes.cell(job), repeats.runs);
        let (between, within) = (repeats.between_percent, repeats.within_percent.unwrap_or_default());
        let count = self.differing.len();
        let of_cells = if count == 1 { "1 cell differs".to_owned() } else { format!("{count} cells differ") };
        Some(format!(
            "{of_cells} more from run to run than within runs, most {cell}: {:.1} % between {runs} runs, {within:.1} % \
             within. What one run says there is not what the next one will.",
            between.unwrap_or_default()
        ))
    }

    /// What accuracy was measured on, and what was not as one would expect.
    fn notes_on_accuracy(&self) -> Vec<String> {
        let mut notes = self.of_datasets.clone();
        if self.unanswered > 0 && !notes.is_empty() {
            notes.push(format!(
                "{} of the runs with trained weights have no accuracy: their benchmark programs don't tell what a \
                 network answers.",
                self.unanswered
            ));
        }
        notes
    }
}
