use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::report::grid::{Grid, GridColumn};
use crate::report::label::{Axes, alarms, have_accuracy, milliseconds, number, percent};
use crate::report::markdown::escaped;
use crate::report::places;
use crate::report::{Report, ReportError, ReportInput};
use crate::wording::{in_zone, many};

use super::{SweepCell, refused, sorted};

/// `summary.md`: what fits a comment on a pull request, however large the sweep.
pub(in crate::report) struct SummaryMarkdown;

/// Cells in the table, devices in the ranking, reasons, and names of a reason: GitHub takes comments of 65,536
/// characters.
const MOST_CELLS: usize = 100;
const MOST_SYSTEMS: usize = 20;
const MOST_REASONS: usize = 8;
const MOST_NAMED: usize = 6;
/// Longest text of a failure; results.csv has all of it.
const LONGEST_CHARACTERS: usize = 300;

impl Report for SummaryMarkdown {
    fn file_name(&self) -> &'static str {
        "summary.md"
    }

    fn description(&self) -> &'static str {
        "one row per cell in Markdown, short enough for a pull request"
    }

    fn render(&self, input: &ReportInput<'_>) -> Result<Vec<u8>, ReportError> {
        let text = text(input).map_err(refused(self.file_name()))?;
        Ok(in_zone(&text, &input.zone).into_owned().into_bytes())
    }
}

fn text(input: &ReportInput<'_>) -> Result<String, std::fmt::Error> {
    let (mut text, sweep) = (String::new(), input.sweep);
    writeln!(text, "### Sweep {}: {}\n", escaped(&sweep.name), input.tally(input.rows()).counts())?;
    for alarm in alarms(input).iter().take(MOST_REASONS) {
        writeln!(text, "**{}**\n", escaped(&cut(alarm)))?;
    }
    if let Some(whole) = input.whole {
        writeln!(text, "{}\n", escaped(&whole.note(input.records.len())))?;
    }
    let cells = doubtful_first(input.cells());
    let all_cells = input.whole.map_or(cells.len(), |whole| whole.cells);
    let axes = Axes::of_cells(input.records.iter().map(|record| &record.job));
    let shown = &cells[..cells.len().min(MOST_CELLS)];
    text.push_str(&table(shown, &axes, have_accuracy(input.rows())).markdown());
    if all_cells > shown.len() {
        let more = many((all_cells - shown.len()) as u64, "more cell");
        writeln!(text, "\n{more} in summary.csv; those that are not ok come first here.")?;
    }
    if let Some(ranking) = input.rankings().first() {
        writeln!(text, "\n<details><summary>Ranking</summary>\n")?;
        text.push_str(&places::table(ranking, MOST_SYSTEMS).markdown());
        writeln!(text, "\n{}\n\n</details>", escaped(places::EXPLANATION))?;
    }
    failures(input, &axes, &mut text)?;
    let (id, started, version) = (escaped(sweep.id.as_str()), sweep.started_at, escaped(&sweep.farmctl_version));
    writeln!(text, "\n{id} · started {started:.0} · farmctl {version}. ± is half of the interval of 95 %.")?;
    Ok(text)
}

/// The cells as they are read, those that are doubtful or have no result first where there is no room for all.
fn doubtful_first<'c, 'a>(cells: &'c [SweepCell<'a>]) -> Vec<&'c SweepCell<'a>> {
    let mut cells = sorted(cells);
    if cells.len() > MOST_CELLS {
        cells.sort_by_key(|cell| cell.word() == "ok");
    }
    cells
}

fn table(cells: &[&SweepCell<'_>], axes: &Axes, with_accuracy: bool) -> Grid {
    let mut columns = vec![GridColumn::text("device"), GridColumn::text("cell")];
    columns.extend(["p50 ms", "± %", "n", "spread %"].map(GridColumn::number));
    columns.extend(with_accuracy.then(|| GridColumn::number("top-1 %")));
    columns.push(GridColumn::text("verdict"));
    let row = |cell: &&SweepCell<'_>| {
        let (job, median) = (&cell.records[0].job, cell.median);
        let tenths = |value: Option<f64>| value.map(|value| format!("{value:.1}")).unwrap_or_default();
        let mut row = vec![
            job.device.clone(),
            axes.of_device(job),
            milliseconds(median.map(|median| median.p50_ns as u64)),
            tenths(median.and_then(|median| median.half_interval_percent())),
            cell.runs_ok().to_string(),
            number(median.and_then(|median| median.spread_percent)),
        ];
        row.extend(with_accuracy.then(|| percent(cell.top1)));
        row.push(cell.word().to_owned());
        row.iter().map(|text| cut(text)).collect()
    };
    Grid { columns, rows: cells.iter().map(row).collect() }
}

fn failures(input: &ReportInput<'_>, axes: &Axes, text: &mut String) -> std::fmt::Result {
    let groups = input.failure_groups();
    for group in groups.iter().take(MOST_REASONS) {
        // The repeats of a cell have one name here.
        let mut named: Vec<String> = group.records.iter().map(|record| axes.cell(&record.job)).collect();
        let mut known = BTreeSet::new();
        named.retain(|name| known.insert(name.clone()));
        let more = named.len().saturating_sub(MOST_NAMED);
        named.truncate(MOST_NAMED);
        let mut named: Vec<String> = named.iter().map(|name| escaped(&cut(name))).collect();
        let is_part = group.count > group.records.len();
        named.extend(match more {
            0 if is_part => Some("and others".to_owned()),
            0 => None,
            _ if is_part => Some("and many more".to_owned()),
            more => Some(format!("and {more} more")),
        });
        let (status, kind, message) = (group.status.as_str(), group.kind, escaped(&cut(&group.message)));
        writeln!(text, "\n- **{status}: {kind}** — {message}: {}", named.join(", "))?;
    }
    let all = input.whole.map_or(groups.len(), |whole| whole.reasons().max(groups.len()));
    let more = all.saturating_sub(MOST_REASONS);
    if more > 0 {
        writeln!(text, "\n{} in results.csv.", many(more as u64, "more reason"))?;
    }
    Ok(())
}

/// The text, or its beginning.
fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
