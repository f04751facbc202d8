use askama::Template;

use super::columns::Row;
use super::grid::GridColumn;
use super::label::{Axes, FailureGroup, alarms, counting, counts, failure_groups, notes, sorted};
use super::results::{Medium, results};
use super::{Report, ReportError, ReportInput};
use crate::domain::{Record, Verdict};
use crate::score::trust::Certainty;
use crate::wording::{in_zone, single_line};

mod axis;
mod latency;
mod ranking;
mod time_line;

/// `index.html`: one page that needs nothing beside it.
pub(super) struct IndexHtml;

impl Report for IndexHtml {
    fn file_name(&self) -> &'static str {
        "index.html"
    }

    fn description(&self) -> &'static str {
        "the results as one page"
    }

    fn render(&self, input: &ReportInput<'_>) -> Result<Vec<u8>, ReportError> {
        let page = Page::of(input).render();
        let page = page.map(|page| in_zone(&page, &input.zone).into_owned() + "\n");
        page.map(String::into_bytes).map_err(|error| ReportError::new(self.file_name(), error))
    }
}

/// What the page says. Texts are on one line each; the template escapes them.
#[derive(Template)]
#[template(path = "report/index.html")]
struct Page {
    style: &'static str,
    name: String,
    counts: String,
    alarms: Vec<String>,
    notes: Vec<String>,
    ranking: Option<ranking::Chart>,
    latency: Vec<latency::Chart>,
    /// The runs over their time, and how many more there are.
    time_lines: Vec<time_line::TimeLine>,
    more_time_lines: usize,
    /// Height of a distribution in its own units.
    height: f64,
    columns: Vec<GridColumn>,
    rows: Vec<ResultRow>,
    doubts: Vec<DoubtText>,
    failures: Vec<FailureText>,
    devices: Vec<DeviceText>,
    sweep_id: String,
    started: String,
    finished: Option<String>,
    farmctl_version: String,
}

impl Page {
    fn of(input: &ReportInput<'_>) -> Page {
        let sweep = input.sweep;
        let axes = Axes::of(input.records.iter().map(|record| &record.job));
        let rows = sorted(input.rows());
        let results = results(&rows, &axes, Medium::Page);
        let counted = counting(&rows);
        let (time_lines, more_time_lines) = time_line::time_lines(&counted, &axes);
        Page {
            style: include_str!("style.css"),
            name: single_line(&sweep.name),
            counts: counts(&rows),
            alarms: alarms(input),
            notes: notes(&rows, &axes).iter().map(|note| single_line(note)).collect(),
            ranking: ranking::chart(&counted),
            latency: latency::charts(&counted, &axes),
            time_lines,
            more_time_lines,
            height: latency::HEIGHT,
            rows: rows.iter().map(class).zip(&results.rows).map(|(class, cells)| ResultRow::of(class, cells)).collect(),
            columns: results.columns,
            doubts: doubts(&counted, &axes),
            failures: failure_groups(input.records).iter().map(|group| FailureText::of(group, &axes)).collect(),
            devices: devices(input.records),
            sweep_id: single_line(sweep.id.as_str()),
            started: format!("{:.0}", sweep.started_at),
            finished: sweep.finished_at.map(|finished_at| format!("{finished_at:.0}")),
            farmctl_version: single_line(&sweep.farmctl_version),
        }
    }
}

/// A row of the table of results.
struct ResultRow {
    /// The status, `doubtful`, or `passed` where another measurement counts.
    class: &'static str,
    cells: Vec<String>,
}

impl ResultRow {
    fn of(class: &'static str, cells: &[String]) -> ResultRow {
        ResultRow { class, cells: cells.iter().map(|cell| single_line(cell)).collect() }
    }
}

fn class(row: &Row<'_>) -> &'static str {
    match row.doubt() {
        _ if !row.standing.counts() => "passed",
        Some(_) => "doubtful",
        None => row.record.status.as_str(),
    }
}

/// Results that are doubtful for the same reason.
struct DoubtText {
    verdict: &'static str,
    /// Each with why.
    cells: Vec<String>,
}

/// What of these rows is doubtful, the worst verdict first.
fn doubts(rows: &[Row<'_>], axes: &Axes) -> Vec<DoubtText> {
    let cell = |row: &Row<'_>| {
        let reason = row.certainty.as_ref().map(Certainty::reason).unwrap_or_default();
        single_line(&format!("{}: {reason}", axes.cell(&row.record.job)))
    };
    let of = |doubt: &Verdict| DoubtText {
        verdict: doubt.as_str(),
        cells: rows.iter().filter(|row| row.doubt() == Some(*doubt)).map(cell).collect(),
    };
    Verdict::DOUBTS.iter().rev().map(of).filter(|doubt| !doubt.cells.is_empty()).collect()
}

/// Cells that have no result for the same reason.
struct FailureText {
    status: &'static str,
    kind: &'static str,
    message: String,
    cells: Vec<String>,
    remedy: Option<String>,
}

impl FailureText {
    fn of(group: &FailureGroup<'_>, axes: &Axes) -> FailureText {
        FailureText {
            status: group.status.as_str(),
            kind: group.kind,
            message: single_line(&group.message),
            cells: group.records.iter().map(|record| single_line(&axes.cell(&record.job))).collect(),
            remedy: group.remedy.as_deref().map(single_line),
        }
    }
}

/// What a device said of itself.
struct DeviceText {
    name: String,
    facts: String,
}

fn devices(records: &[Record]) -> Vec<DeviceText> {
    let devices: std::collections::BTreeMap<_, _> =
        records.iter().filter_map(|record| Some((&record.job.device, (record, record.device.as_ref()?)))).collect();
    let text = |(name, (record, facts)): (&String, (&Record, &crate::domain::DeviceFacts))| {
        let soc = facts.soc.as_deref().unwrap_or("chip not told");
        let (cpus, os, kernel) = (facts.cpus, &facts.os, &facts.kernel);
        let facts = format!("{soc}, {cpus} processors, {os}, {kernel}, by {}", record.transport);
        DeviceText { name: single_line(name), facts: single_line(&facts) }
    };
    devices.into_iter().map(text).collect()
}
