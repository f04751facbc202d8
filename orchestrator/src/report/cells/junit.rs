use crate::domain::{Failure, Record, RunStatus};
use crate::report::label::{Axes, milliseconds};
use crate::report::xml::attribute;
use crate::report::{Report, ReportError, ReportInput};

use super::{SweepCell, sorted};

mod cases;

pub use cases::JunitCases;

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
        let totals = |cells: &[&SweepCell<'_>]| Totals::of(cells.iter().map(|cell| Told::of(cell)));
        let mut text = head(&input.sweep.name, &totals(&cells));
        for suite in suites {
            let device = suite.first().map(|cell| attribute(&cell.records[0].job.device)).unwrap_or_default();
            text.push_str(&suite_head(&device, &totals(suite)));
            suite.iter().for_each(|cell| text.push_str(&case(cell, &axes)));
            text.push_str(SUITE_END);
        }
        text.push_str(END);
        Ok(text.into_bytes())
    }

    fn is_of_all(&self) -> bool {
        true
    }
}

/// Ends a suite, and the file.
const SUITE_END: &str = "  </testsuite>\n";
const END: &str = "</testsuites>\n";

fn head(sweep: &str, totals: &Totals) -> String {
    let name = attribute(&format!("farmctl sweep {sweep}"));
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"{name}\" {}>\n", totals.attributes())
}

/// The device's name as an attribute.
fn suite_head(device: &str, totals: &Totals) -> String {
    format!("  <testsuite name=\"{device}\" {}>\n", totals.attributes())
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

/// What is counted of a case.
#[derive(Debug, Clone, Copy)]
struct Told {
    is_failed: bool,
    is_skipped: bool,
    seconds: f64,
}

impl Told {
    fn of(cell: &SweepCell<'_>) -> Told {
        let outcome = Outcome::of(cell);
        let (is_failed, is_skipped) = (matches!(outcome, Outcome::Failed(_)), matches!(outcome, Outcome::Skipped(_)));
        Told { is_failed, is_skipped, seconds: seconds(cell) }
    }
}

/// What is counted of cases.
#[derive(Debug, Default)]
struct Totals {
    tests: usize,
    failures: usize,
    skipped: usize,
    seconds: f64,
}

impl Totals {
    fn of(cases: impl Iterator<Item = Told>) -> Totals {
        cases.fold(Totals::default(), |sum, case| Totals {
            tests: sum.tests + 1,
            failures: sum.failures + usize::from(case.is_failed),
            skipped: sum.skipped + usize::from(case.is_skipped),
            seconds: sum.seconds + case.seconds,
        })
    }

    fn attributes(&self) -> String {
        let Totals { tests, failures, skipped, seconds } = self;
        format!("tests=\"{tests}\" failures=\"{failures}\" skipped=\"{skipped}\" time=\"{seconds:.3}\"")
    }
}

/// How long its runs took, by the host's clock.
fn seconds(cell: &SweepCell<'_>) -> f64 {
    let of_run = |record: &&Record| Some(record.finished_at.duration_since(record.started_at?).as_secs_f64().max(0.0));
    cell.records.iter().filter_map(of_run).fold(0.0, |sum, own| sum + own)
}

/// The case of a cell.
fn case(cell: &SweepCell<'_>, axes: &Axes) -> String {
    let job = &cell.records[0].job;
    let (device, name, time) = (attribute(&job.device), attribute(&axes.of_device(job)), seconds(cell));
    let mut text = format!("    <testcase classname=\"{device}\" name=\"{name}\" time=\"{time:.3}\">\n");
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
    text
}

/// What was measured, for whoever opens the case.
fn figures(cell: &SweepCell<'_>) -> Option<String> {
    let median = cell.median?;
    let sure = median.half_interval_percent().map(|percent| format!(" ± {percent:.1} %")).unwrap_or_default();
    let reason = if cell.reason.is_empty() { String::new() } else { format!(": {}", cell.reason) };
    let p50 = milliseconds(Some(median.p50_ns as u64));
    Some(format!("p50 {p50} ms{sure}, n={}, {}{reason}", cell.runs_ok(), cell.word()))
}
