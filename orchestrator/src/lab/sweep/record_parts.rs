//! The records of a sweep part by part: it may have a million.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::agent::OutputFiles;
use crate::domain::{Job, Record, SweepId, SweepRow};
use crate::lab::{Lab, LabError};
use crate::report::{ContextReader, Row, RowContext};
use crate::store::Store;

use super::conclude::unfinished;

/// Records that are in memory at once.
pub(super) const AT_ONCE: usize = 200;

/// The records of a sweep, with one that is `cancelled` for each job that has none: those of [`Lab::records`].
pub(in crate::lab) struct RecordParts {
    store: Arc<dyn Store>,
    outputs: OutputFiles,
    sweep: SweepRow,
    /// The numbers of the records.
    numbers: Vec<i64>,
    /// Jobs without one.
    open: Vec<Job>,
    /// When these are said to have ended.
    moment: Timestamp,
}

/// Some records that follow each other, and what their networks answered.
pub(in crate::lab) struct RecordPart {
    /// Where the first of them is in the sweep, from 0.
    first: usize,
    records: Vec<Record>,
    outputs: HashMap<String, Vec<f32>>,
}

impl Lab {
    /// The records of a sweep, to be read part by part.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(in crate::lab) fn record_parts(&self, sweep: &SweepRow) -> Result<RecordParts, LabError> {
        let store = self.store()?;
        let (numbers, open) = (store.record_numbers(&sweep.id)?, store.open_jobs(&sweep.id, None)?);
        let moment = sweep.finished_at.unwrap_or_else(|| self.now());
        let outputs = self.output_files();
        Ok(RecordParts { store, outputs, sweep: sweep.clone(), numbers, open, moment })
    }

    /// What the rows of a sweep have to know of each other. Its records are read once for that, and none is kept.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(in crate::lab) fn row_context(&self, parts: &RecordParts) -> Result<RowContext, LabError> {
        let mut reader = ContextReader::new(self.trust_rules(&parts.sweep.id)?);
        for first in parts.beginnings(0) {
            for record in parts.records(first)? {
                reader.take(&record, |sha256| parts.outputs.is_finite(sha256));
            }
        }
        Ok(reader.finish())
    }
}

impl RecordParts {
    /// How many records there are.
    pub(in crate::lab) fn len(&self) -> usize {
        self.numbers.len() + self.open.len()
    }

    /// The sweep that they are of.
    pub(in crate::lab) fn sweep(&self) -> &SweepId {
        &self.sweep.id
    }

    /// Whether they are one part.
    pub(in crate::lab) fn is_one(&self) -> bool {
        self.len() <= AT_ONCE
    }

    /// Where parts begin, from this record on.
    pub(in crate::lab) fn beginnings(&self, from: usize) -> impl Iterator<Item = usize> {
        (from..self.len()).step_by(AT_ONCE)
    }

    /// The part that begins there, with the outputs of its records and those that they are held against.
    pub(in crate::lab) fn part(&self, first: usize, context: &RowContext) -> Result<RecordPart, LabError> {
        let records = self.records(first)?;
        let mut outputs = self.outputs.load(&records);
        if !outputs.is_empty() {
            self.outputs.load_into(&mut outputs, context.reference_hashes());
        }
        Ok(RecordPart { first, records, outputs })
    }

    /// The same without what networks answered.
    pub(in crate::lab) fn part_without_outputs(&self, first: usize) -> Result<RecordPart, LabError> {
        Ok(RecordPart { first, records: self.records(first)?, outputs: HashMap::new() })
    }

    /// The records of these numbers, from 0 in the order of the plan, in the order in which they are asked for.
    pub(super) fn records_at(&self, numbers: &[usize]) -> Result<Vec<Record>, LabError> {
        let of_store: Vec<i64> = numbers.iter().filter_map(|number| self.numbers.get(*number)).copied().collect();
        let mut stored = self.store.records_by_number(&self.sweep.id, &of_store)?.into_iter();
        let open = |number: usize| {
            let job = self.open.get(number - self.numbers.len());
            job.map(|job| unfinished(&self.sweep, job, self.moment))
        };
        let record = |number: &usize| if *number < self.numbers.len() { stored.next() } else { open(*number) };
        Ok(numbers.iter().filter_map(record).collect())
    }

    fn records(&self, first: usize) -> Result<Vec<Record>, LabError> {
        let end = first.saturating_add(AT_ONCE);
        let of_store = self.numbers.get(first.min(self.numbers.len())..end.min(self.numbers.len()));
        let mut records = self.store.records_by_number(&self.sweep.id, of_store.unwrap_or_default())?;
        let (open_first, open_end) = (first.max(self.numbers.len()), end.min(self.len()));
        let open = open_first.saturating_sub(self.numbers.len())..open_end.saturating_sub(self.numbers.len());
        let open = self.open.get(open).unwrap_or_default();
        records.extend(open.iter().map(|job| unfinished(&self.sweep, job, self.moment)));
        Ok(records)
    }
}

impl RecordPart {
    /// The records.
    pub(in crate::lab) fn records(&self) -> &[Record] {
        &self.records
    }

    /// Their rows.
    pub(in crate::lab) fn rows<'a>(&'a self, sweep: &'a SweepRow, context: &RowContext) -> Vec<Row<'a>> {
        context.rows(sweep, &self.records, self.first, &self.outputs)
    }
}
