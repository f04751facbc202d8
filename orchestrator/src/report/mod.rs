//! Records in, bytes out: one file per format.
//!
//! Main types: the trait [`Report`] with its registry [`REPORTS`], and [`ReportInput`]. A report with rows for each
//! record is a [`RowFile`], too: it is written while records are read. What each column means stands
//! in one place, [`columns`]. Never does I/O, never reads a clock, and never leaves out a record: a failed or skipped
//! cell is a row as well.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::sync::OnceLock;

use jiff::tz::TimeZone;

use crate::domain::{Record, SweepRow, TrustRules};
use crate::score::is_finite;
use crate::score::trust::Certainty;

mod brief;
mod cells;
pub mod columns;
mod comparison;
mod conditions;
mod context;
mod csv;
pub mod filter;
mod grid;
mod history_text;
mod html;
mod json;
mod label;
mod markdown;
mod model_text;
mod notice;
mod parquet;
mod places;
mod plan_text;
mod ranking;
mod results;
mod samples;
pub mod spans;
mod table;
mod tally;
mod tensors;
mod text;
mod whole;
mod xml;

pub use brief::{BRIEF_COLUMNS, brief_cells};
pub use cells::{Basis, CellMedian, Interval, JunitCases, SUMMARY_COLUMNS, SummaryRows, SweepCell};
pub use columns::{COLUMNS, Cell, Column, ColumnOf, Row, columns_text};
pub use comparison::{
    comparison_csv, comparison_html, comparison_json, comparison_junit, comparison_markdown, comparison_text,
};
pub use context::{ContextReader, RowContext};
pub use csv::results_csv;
pub use grid::Grid;
pub use history_text::{HISTORY_COLUMNS, history_rows, history_text};
pub use html::PAGE_SCRIPT;
pub use json::RowCells;
pub use label::{FailureGroup, failure_groups};
pub use model_text::{model_file_text, model_text};
pub use notice::{SweepNotice, event_notice};
pub use parquet::RowsParquet;
pub use places::{Place, PlacedRow, RANKING_COLUMNS, RankingReader, SweepRanking};
pub use plan_text::plan_text;
pub use ranking::{ranking_csv, ranking_json, ranking_markdown, ranking_text};
pub use table::result_table;
pub use tensors::inputs_text;
pub use whole::{ReadRows, Whole, WholeReader};

use label::Axes;
use tally::Tally;

/// What a report is made from. What is computed from the records is so once, however many reports are made of it.
#[derive(Debug, Clone)]
pub struct ReportInput<'a> {
    /// The sweep.
    pub sweep: &'a SweepRow,
    /// Its records, in the order of the plan.
    pub records: &'a [Record],
    /// Values of the outputs that the records refer to, by their hash, as far as they are there.
    pub outputs: &'a HashMap<String, Vec<f32>>,
    /// What its rows are judged by.
    rules: TrustRules,
    /// By whose clocks people are told times; files for programs have UTC.
    pub zone: TimeZone,
    /// What its devices did when, as far as events tell it.
    pub(crate) spans: &'a [spans::DeviceSpan],
    /// What all records come to, where these are a part of them.
    pub(crate) whole: Option<&'a Whole>,
    computed: Computed<'a>,
}

/// What is computed from the records, each part when it is first asked for.
#[derive(Debug, Clone, Default)]
struct Computed<'a> {
    rows: OnceLock<Vec<Row<'a>>>,
    cells: OnceLock<Vec<SweepCell<'a>>>,
    rankings: OnceLock<Vec<SweepRanking>>,
}

impl<'a> ReportInput<'a> {
    /// A sweep's records, and the outputs that they refer to; judged by the usual rules.
    pub fn new(sweep: &'a SweepRow, records: &'a [Record], outputs: &'a HashMap<String, Vec<f32>>) -> ReportInput<'a> {
        let (rules, zone) = (TrustRules::default(), TimeZone::UTC);
        ReportInput { sweep, records, outputs, rules, zone, spans: &[], whole: None, computed: Computed::default() }
    }

    /// The same, judged by the sweep's own rules.
    pub fn judged_by(self, rules: TrustRules) -> ReportInput<'a> {
        ReportInput { rules, computed: Computed::default(), ..self }
    }

    /// The same, with what its devices did when.
    #[must_use]
    pub fn with_spans(self, spans: &'a [spans::DeviceSpan]) -> ReportInput<'a> {
        ReportInput { spans, ..self }
    }

    /// The same, its records a part of all: what is counted and ranked is of all.
    #[must_use]
    pub fn part_of(self, whole: &'a Whole) -> ReportInput<'a> {
        ReportInput { whole: Some(whole), ..self }
    }

    /// The same, told by the clocks of this zone.
    #[must_use]
    pub fn in_zone(self, zone: TimeZone) -> ReportInput<'a> {
        ReportInput { zone, ..self }
    }

    /// The records with what is computed from them.
    pub fn rows(&self) -> &[Row<'a>] {
        self.computed.rows.get_or_init(|| self.compute_rows())
    }

    /// The cells, each with what its runs that count come to, in the order of the plan.
    pub fn cells(&self) -> &[SweepCell<'a>] {
        self.computed.cells.get_or_init(|| cells::cells(self.rows()))
    }

    /// The rankings of the devices, the one that says more first; none where nothing was measured.
    pub fn rankings(&self) -> &[SweepRanking] {
        if let Some(whole) = self.whole {
            return whole.rankings.as_deref().unwrap_or_default();
        }
        self.computed.rankings.get_or_init(|| places::rankings(self.rows(), self.cells()))
    }

    /// What is counted of these rows; of all, where they are a part.
    fn tally(&self, rows: &[Row<'_>]) -> Cow<'_, Tally> {
        self.whole.map_or_else(|| Cow::Owned(Tally::of(rows)), |whole| Cow::Borrowed(&whole.tally))
    }

    /// What a reader must know beside the rows.
    fn notes(&self, tally: &Tally, axes: &Axes) -> Vec<String> {
        let of_part = self.whole.map(|whole| whole.note(self.records.len()));
        of_part.into_iter().chain(tally.notes(axes)).collect()
    }

    /// What has no result, by its reason.
    fn failure_groups(&self) -> Vec<FailureGroup<'a>> {
        let mut groups = failure_groups(self.records);
        for group in groups.iter_mut().filter(|_| self.whole.is_some()) {
            let first = group.records.first().copied();
            group.count = first.and_then(|first| self.whole?.of_reason(first)).unwrap_or(group.count);
        }
        groups
    }

    fn compute_rows(&self) -> Vec<Row<'a>> {
        let certainties: Vec<Option<Certainty>> =
            self.records.iter().map(|record| Certainty::of_record(record, &self.rules)).collect();
        let mut reader = ContextReader::new(self.rules);
        for (record, certainty) in self.records.iter().zip(&certainties) {
            reader.take_judged(record, certainty.as_ref(), |sha256| is_finite(self.outputs, sha256));
        }
        let context = reader.finish();
        let numbered = self.records.iter().zip(certainties).enumerate();
        let row =
            |(index, (record, certainty))| context.row(Row::bare(self.sweep, record), index, certainty, self.outputs);
        numbered.map(row).collect()
    }
}

/// A report that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("write {file_name}: {cause}")]
pub struct ReportError {
    /// The file it was for.
    pub file_name: &'static str,
    /// What the encoder said.
    #[source]
    pub cause: Box<dyn std::error::Error + Send + Sync>,
}

impl ReportError {
    fn new(file_name: &'static str, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ReportError {
        ReportError { file_name, cause: cause.into() }
    }
}

/// One file of a sweep's report.
pub trait Report: Sync {
    /// Name of the file in the sweep's folder.
    fn file_name(&self) -> &'static str;

    /// What it is, in a few words.
    fn description(&self) -> &'static str;

    /// The whole file.
    ///
    /// # Errors
    /// When the encoder of the format refuses.
    fn render(&self, input: &ReportInput<'_>) -> Result<Vec<u8>, ReportError>;

    /// Whether it has something of each record or cell. Of a sweep that is told by a part of its records it is made
    /// while all of them are read.
    fn is_of_all(&self) -> bool {
        false
    }

    /// Begins the file where it has rows for each record, and is written row by row; `None` of any other.
    fn begin<'w>(&self, _sweep: &'w SweepRow, _out: &'w mut (dyn Write + Send + 'w)) -> Option<Begun<'w>> {
        None
    }

    /// Writes the same as [`Report::render`]. One with rows for each record is nowhere in memory as a whole.
    ///
    /// # Errors
    /// When the encoder of the format refuses, or `out` does.
    fn write(&self, input: &ReportInput<'_>, out: &mut (dyn Write + Send)) -> Result<(), ReportError> {
        if let Some(begun) = self.begin(input.sweep, &mut *out) {
            let mut file = begun?;
            input.rows().iter().try_for_each(|row| file.push(row))?;
            return file.end();
        }
        let bytes = self.render(input)?;
        out.write_all(&bytes).map_err(|error| ReportError::new(self.file_name(), error))
    }
}

/// A file that is being written row by row, or why it could not be begun.
pub type Begun<'w> = Result<Box<dyn RowFile + 'w>, ReportError>;

/// A file with rows for each record of a sweep, being written: what it has written so far is not in memory.
pub trait RowFile {
    /// Adds what it has of the next record, in the order of the plan.
    ///
    /// # Errors
    /// When the encoder of the format refuses, or what it writes to does.
    fn push(&mut self, row: &Row<'_>) -> Result<(), ReportError>;

    /// Ends the file. Without this it is not whole.
    ///
    /// # Errors
    /// As for [`RowFile::push`].
    fn end(self: Box<Self>) -> Result<(), ReportError>;
}

/// What a report writes, as a whole.
fn collected(report: &dyn Report, input: &ReportInput<'_>) -> Result<Vec<u8>, ReportError> {
    let mut bytes = Vec::new();
    report.write(input, &mut bytes)?;
    Ok(bytes)
}

/// Every report that a sweep gets.
pub const REPORTS: &[&dyn Report] = &[
    &csv::ResultsCsv,
    &samples::SamplesCsv,
    &parquet::ResultsParquet,
    &parquet::SamplesParquet,
    &conditions::ConditionsCsv,
    &json::ResultsJson,
    &markdown::ResultsMarkdown,
    &cells::SummaryCsv,
    &cells::SummaryMarkdown,
    &places::RankingCsv,
    &cells::JunitXml,
    &html::IndexHtml,
];

#[cfg(test)]
mod tests;
