use askama::Template;

use super::cells;
use super::columns::Row;
use super::grid::{Grid, GridColumn};
use super::label::{Axes, FailureGroup, alarms, counting, sorted};
use super::results::{Medium, results};
use super::tally::Tally;
use super::{Report, ReportError, ReportInput};
use crate::domain::{Record, Verdict};
use crate::score::trust::Certainty;
use crate::wording::{in_zone, short_number, single_line};

use links::Links;

mod axis;
mod balance;
mod boxes;
mod data;
mod lanes;
mod links;
mod ranking;
mod shares;
mod time_line;

/// The page's only script. Where it is served, the content security policy names it by its hash.
pub const PAGE_SCRIPT: &str = include_str!("page.js");

/// Rows that are in the page's text; the script has the rest.
const MOST_ROWS: usize = 200;
/// Cells that a reason names.
const MOST_NAMED: usize = 50;

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

/// A number in a chart, where powers of ten beside plain numbers are hard to read: three figures, however small.
fn plain_number(number: f64) -> String {
    match number.abs() {
        size if (1e-9..0.01).contains(&size) => {
            let digits = (2.0 - size.log10().floor()) as usize;
            format!("{number:.digits$}")
        }
        _ => short_number(number),
    }
}

/// Nanoseconds as such a number of milliseconds.
fn plain_milliseconds(nanoseconds: u64) -> String {
    plain_number(nanoseconds as f64 / 1e6)
}

/// What the page says. Texts are on one line each; the template escapes them.
#[derive(Template)]
#[template(path = "report/index.html")]
struct Page {
    style: &'static str,
    script: &'static str,
    name: String,
    counts: String,
    alarms: Vec<String>,
    notes: Vec<String>,
    shares: Vec<shares::Share>,
    ranking: Option<ranking::Chart>,
    boxes: boxes::Boxes,
    balance: Option<balance::Chart>,
    lanes: Option<lanes::Lanes>,
    /// The runs over their time, and how many more there are.
    time_lines: Vec<time_line::TimeLine>,
    more_time_lines: usize,
    columns: Vec<GridColumn>,
    /// The column whose figures lead to the run.
    linked: usize,
    rows: Vec<ResultRow>,
    more_rows: usize,
    /// What the script has of each run.
    data: String,
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
        let cell_axes = Axes::of_cells(input.records.iter().map(|record| &record.job));
        let rows = sorted(input.rows());
        let links = Links::of(&rows);
        let counted = counting(&rows);
        let tally = input.tally(&rows);
        let cells = cells::sorted(input.cells());
        let (time_lines, more_time_lines) = time_line::time_lines(&counted, &axes, &links);
        let Grid { columns, rows: texts } = results(&rows, &axes, Medium::Page);
        let mut shown: Vec<ResultRow> =
            rows.iter().map(class).zip(&texts).map(|(class, cells)| ResultRow::of(class, cells)).collect();
        let data = data::packed(&rows, &columns, &shown);
        shown.truncate(MOST_ROWS);
        Page {
            style: include_str!("style.css"),
            script: PAGE_SCRIPT,
            name: single_line(&sweep.name),
            counts: tally.counts(),
            alarms: alarms(input),
            notes: input.notes(&tally, &axes).iter().map(|note| single_line(note)).collect(),
            shares: shares::shares(&tally),
            ranking: input.rankings().first().map(ranking::Chart::of),
            boxes: boxes::boxes(&cells, &cell_axes, &links),
            balance: balance::chart(&cells, &cell_axes, &links),
            // What each device did when is not known of a part alone.
            lanes: if input.whole.is_none() { lanes::lanes(input) } else { None },
            time_lines,
            more_time_lines,
            linked: columns.iter().position(|column| column.is_number && column.name.starts_with("p50")).unwrap_or(0),
            columns,
            more_rows: tally.rows - shown.len(),
            rows: shown,
            data,
            doubts: doubts(&counted, &tally, &axes, &links),
            failures: input.failure_groups().iter().map(|group| FailureText::of(group, &axes, &links)).collect(),
            devices: devices(input.records),
            sweep_id: single_line(sweep.id.as_str()),
            started: format!("{:.0}", sweep.started_at),
            finished: sweep.finished_at.map(|finished_at| format!("{finished_at:.0}")),
            farmctl_version: single_line(&sweep.farmctl_version),
        }
    }
}

/// A text that leads to a row of the table.
struct Linked {
    text: String,
    row: usize,
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
        _ if !row.counting.counts() => "passed",
        Some(_) => "doubtful",
        None => row.record.status.as_str(),
    }
}

/// Results that are doubtful for the same reason.
struct DoubtText {
    verdict: &'static str,
    /// Each with why; the first of them.
    cells: Vec<Linked>,
    count: usize,
}

/// What of these rows is doubtful, the worst verdict first.
fn doubts(rows: &[Row<'_>], tally: &Tally, axes: &Axes, links: &Links) -> Vec<DoubtText> {
    let cell = |row: &Row<'_>| {
        let reason = row.certainty.as_ref().map(Certainty::reason).unwrap_or_default();
        let text = single_line(&format!("{}: {reason}", axes.cell(&row.record.job)));
        Linked { text, row: links.of_record(row.record) }
    };
    let of = |doubt: &Verdict| {
        let rows = rows.iter().filter(|row| row.doubt() == Some(*doubt));
        let count = tally.doubted(*doubt);
        DoubtText { verdict: doubt.as_str(), cells: rows.take(MOST_NAMED).map(cell).collect(), count }
    };
    Verdict::DOUBTS.iter().rev().map(of).filter(|doubt| !doubt.cells.is_empty()).collect()
}

/// Cells that have no result for the same reason.
struct FailureText {
    status: &'static str,
    kind: &'static str,
    message: String,
    /// The first of them.
    cells: Vec<Linked>,
    count: usize,
    remedy: Option<String>,
}

impl FailureText {
    fn of(group: &FailureGroup<'_>, axes: &Axes, links: &Links) -> FailureText {
        let cell =
            |record: &&Record| Linked { text: single_line(&axes.cell(&record.job)), row: links.of_record(record) };
        FailureText {
            status: group.status.as_str(),
            kind: group.kind,
            message: single_line(&group.message),
            cells: group.records.iter().take(MOST_NAMED).map(cell).collect(),
            count: group.count,
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

#[cfg(test)]
mod tests;
