//! The table of results for people: what its columns are, wherever it is shown.

use super::columns::Row;
use super::grid::{Grid, GridColumn};
use super::label::{Axes, have_accuracy, milliseconds, number, percent, threads};
use crate::score::trust::{Certainty, Verdict};

/// Where the table is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Medium {
    /// 80 columns have room for few figures beside times: outputs that lie apart are told below, too.
    Terminal,
    Markdown,
    Page,
}

/// A column: its heading in each medium, and what is in it.
struct ResultColumn {
    terminal: &'static str,
    markdown: &'static str,
    page: &'static str,
    is_number: bool,
    cell: fn(&Row<'_>, &Axes) -> String,
}

impl ResultColumn {
    const fn text(name: &'static str, page: &'static str, cell: fn(&Row<'_>, &Axes) -> String) -> ResultColumn {
        ResultColumn { terminal: name, markdown: name, page, is_number: false, cell }
    }

    const fn number(name: &'static str, page: &'static str, cell: fn(&Row<'_>, &Axes) -> String) -> ResultColumn {
        ResultColumn { is_number: true, ..ResultColumn::text(name, page, cell) }
    }
}

const CELL: [ResultColumn; 4] = [
    ResultColumn::text("device", "Device", |row, _| row.record.job.device.clone()),
    ResultColumn::text("model", "Model", |row, axes| axes.model(&row.record.job)),
    ResultColumn::number("threads", "Threads", |row, _| threads(row.record)),
    ResultColumn::number("p50 ms", "p50 ms", |row, _| milliseconds(row.p50_ns())),
];
const PLUS_MINUS: ResultColumn =
    ResultColumn { terminal: "±%", ..ResultColumn::number("± %", "± %", |row, _| plus_minus(row)) };
const TIMES: [ResultColumn; 2] = [
    ResultColumn::number("p90 ms", "p90 ms", |row, _| milliseconds(row.p90_ns())),
    ResultColumn::number("images/s", "images/s", |row, _| number(row.images_per_s())),
];
const OUTPUT_ERROR: ResultColumn = ResultColumn {
    terminal: "out.error",
    ..ResultColumn::number("output error", "Output error", |row, _| number(row.output_error))
};
const ACCURACY: ResultColumn = ResultColumn::number("top-1 %", "Top-1 %", |row, _| percent(row.top1()));
const STATUS: ResultColumn = ResultColumn::text("status", "Status", |row, _| status(row).to_owned());

/// Half of the median's interval of 95 %, in per cent of the median.
fn plus_minus(row: &Row<'_>) -> String {
    let percent = row.certainty.as_ref().and_then(Certainty::half_interval_percent);
    percent.map(|percent| format!("{percent:.1}")).unwrap_or_default()
}

/// How it ended; where a result is doubtful, the word for why.
fn status(row: &Row<'_>) -> &'static str {
    row.doubt().map_or(row.record.status.as_str(), Verdict::as_str)
}

/// The table of these rows, in their order. The status is the last column.
pub(super) fn results(rows: &[Row<'_>], axes: &Axes, medium: Medium) -> Grid {
    let with_accuracy = have_accuracy(rows);
    let with_interval = rows.iter().any(|row| row.certainty.as_ref().is_some_and(|it| it.interval_ns.is_some()));
    let has_room = medium != Medium::Terminal || !(with_accuracy || with_interval);
    let mut columns: Vec<&ResultColumn> = CELL.iter().collect();
    columns.extend(with_interval.then_some(&PLUS_MINUS));
    columns.extend(&TIMES);
    columns.extend(has_room.then_some(&OUTPUT_ERROR));
    columns.extend(with_accuracy.then_some(&ACCURACY));
    columns.push(&STATUS);
    let heading = |column: &&ResultColumn| {
        let name = match medium {
            Medium::Terminal => column.terminal,
            Medium::Markdown => column.markdown,
            Medium::Page => column.page,
        };
        GridColumn { name: name.to_owned(), is_number: column.is_number }
    };
    let cells = |row: &Row<'_>| columns.iter().map(|column| (column.cell)(row, axes)).collect();
    Grid { columns: columns.iter().map(heading).collect(), rows: rows.iter().map(cells).collect() }
}
