use crate::domain::{Failure, Record, RunStatus};
use crate::report::label::{Axes, milliseconds};
use crate::report::xml::attribute;
use crate::report::{Report, ReportError, ReportInput};

use super::{SweepCell, sorted};

/// `junit.xml`: what CI shows of a sweep. A suite a device, a case a cell.
pub(in crate::report) struct JunitXml;

impl Report for JunitXml {
    fn file_name(&self) -> &'static str {
        "junit.xml"
    }

    fn description(&self) -> &'static str {
        "a test case per cell, for CI: failed runs are failures, skipped cells are skipped"
    }

    fn render(&self, input: &ReportInput<'_>) -> Result<Vec<u8>, ReportError> {
        let cells = sorted(input.cells());
        let axes = Axes::of_cells(input.records.iter().map(|record| &record.job));
        let suites = cells.chunk_by(|a, b| a.records[0].job.device == b.records[0].job.device);
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let name = attribute(&format!("farmctl sweep {}", input.sweep.name));
        text.push_str(&format!("<testsuites name=\"{name}\" {}>\n", totals(&cells)));
        suites.for_each(|suite| push_suite(&mut text, suite, &axes));
        text.push_str("</testsuites>\n");
        Ok(text.into_bytes())
    }
}

/// What the case of a cell is.
enum Outcome {
    Passed,
    /// A run of it failed, with what it said.
    Failed(String),
    /// Never tried, or ended by a person.
    Skipped(String),
}

impl Outcome {
    fn of(cell: &SweepCell<'_>) -> Outcome {
        let failed = cell.count(RunStatus::Failed);
        let first = |status| cell.records.iter().find(|record| record.status == status).map(|record| said(record));
        match (first(RunStatus::Failed), cell.status) {
            (Some(why), _) => Outcome::Failed(match cell.records.len() {
                1 => why,
                all => format!("{failed} of {all} runs failed: {why}"),
            }),
            (None, RunStatus::Ok) => Outcome::Passed,
            (None, status) => Outcome::Skipped(first(status).unwrap_or_default()),
        }
    }
}

fn said(record: &Record) -> String {
    record.failure.as_ref().map_or_else(|| record.status.as_str().to_owned(), Failure::to_string)
}

/// The attributes that count cases.
fn totals(cells: &[&SweepCell<'_>]) -> String {
    let outcomes: Vec<Outcome> = cells.iter().map(|cell| Outcome::of(cell)).collect();
    let failures = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Failed(_))).count();
    let skipped = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Skipped(_))).count();
    let seconds = cells.iter().map(|cell| seconds(cell)).fold(0.0, |sum, own| sum + own);
    format!("tests=\"{}\" failures=\"{failures}\" skipped=\"{skipped}\" time=\"{seconds:.3}\"", cells.len())
}

/// How long its runs took, by the host's clock.
fn seconds(cell: &SweepCell<'_>) -> f64 {
    let of_run = |record: &&Record| Some(record.finished_at.duration_since(record.started_at?).as_secs_f64().max(0.0));
    cell.records.iter().filter_map(of_run).fold(0.0, |sum, own| sum + own)
}

fn push_suite(text: &mut String, cells: &[&SweepCell<'_>], axes: &Axes) {
    let device = cells.first().map(|cell| attribute(&cell.records[0].job.device)).unwrap_or_default();
    text.push_str(&format!("  <testsuite name=\"{device}\" {}>\n", totals(cells)));
    for cell in cells {
        let (name, time) = (attribute(&axes.of_device(&cell.records[0].job)), seconds(cell));
        text.push_str(&format!("    <testcase classname=\"{device}\" name=\"{name}\" time=\"{time:.3}\">\n"));
        let outcome = match Outcome::of(cell) {
            Outcome::Passed => String::new(),
            Outcome::Failed(why) => format!("      <failure message=\"{}\"/>\n", attribute(&why)),
            Outcome::Skipped(why) => format!("      <skipped message=\"{}\"/>\n", attribute(&why)),
        };
        text.push_str(&outcome);
        if let Some(figures) = figures(cell) {
            text.push_str(&format!("      <system-out>{}</system-out>\n", attribute(&figures)));
        }
        text.push_str("    </testcase>\n");
    }
    text.push_str("  </testsuite>\n");
}

/// What was measured, for whoever opens the case.
fn figures(cell: &SweepCell<'_>) -> Option<String> {
    let median = cell.median?;
    let sure = median.half_interval_percent().map(|percent| format!(" ± {percent:.1} %")).unwrap_or_default();
    let reason = if cell.reason.is_empty() { String::new() } else { format!(": {}", cell.reason) };
    let p50 = milliseconds(Some(median.p50_ns as u64));
    Some(format!("p50 {p50} ms{sure}, n={}, {}{reason}", cell.runs_ok(), cell.word()))
}
