//! Records in, bytes out: one file per format.
//!
//! Main types: the trait [`Report`] with its registry [`REPORTS`], and [`ReportInput`]. What each column means stands
//! in one place, [`columns`]. Never does I/O, never reads a clock, and never leaves out a record: a failed or skipped
//! cell is a row as well.

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
mod tensors;
mod text;
mod xml;

pub use brief::{BRIEF_COLUMNS, brief_cells};
pub use cells::{Basis, CellMedian, Interval, SUMMARY_COLUMNS, SweepCell};
pub use columns::{COLUMNS, Cell, Column, ColumnOf, Row, columns_text};
pub use comparison::{
    comparison_csv, comparison_html, comparison_json, comparison_junit, comparison_markdown, comparison_text,
};
pub use context::{ContextReader, RowContext};
pub use csv::results_csv;
pub use grid::Grid;
pub use html::PAGE_SCRIPT;
pub use json::RowCells;
pub use label::{FailureGroup, failure_groups};
pub use model_text::{model_file_text, model_text};
pub use notice::{event_notice, sweep_notice};
pub use parquet::RowsParquet;
pub use places::{Place, PlacedRow, RANKING_COLUMNS, SweepRanking};
pub use plan_text::plan_text;
pub use ranking::{ranking_csv, ranking_json, ranking_markdown, ranking_text};
pub use table::result_table;
pub use tensors::inputs_text;

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
        ReportInput { sweep, records, outputs, rules, zone, spans: &[], computed: Computed::default() }
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
        self.computed.rankings.get_or_init(|| places::rankings(self.rows(), self.cells()))
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

    /// Writes the same. One with a row a record does so piece by piece, so that it is nowhere in memory as a whole.
    ///
    /// # Errors
    /// When the encoder of the format refuses, or `out` does.
    fn write(&self, input: &ReportInput<'_>, out: &mut (dyn Write + Send)) -> Result<(), ReportError> {
        let bytes = self.render(input)?;
        out.write_all(&bytes).map_err(|error| ReportError::new(self.file_name(), error))
    }
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
