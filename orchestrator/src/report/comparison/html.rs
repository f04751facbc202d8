use askama::Template;

use super::markdown::grid;
use super::{Labels, difference, gate_details, gate_line, summary};
use crate::compare::{Comparison, GateOutcome, Verdict};
use crate::report::ReportError;
use crate::report::grid::{Grid, GridColumn};
use crate::wording::single_line;

/// A comparison as a page that needs nothing beside it, with the columns of the table.
///
/// # Errors
/// When the page can't be made, which no comparison makes so.
pub fn comparison_html(comparison: &Comparison, gates: &[GateOutcome]) -> Result<Vec<u8>, ReportError> {
    let page = Page::of(comparison, gates).render();
    page.map(|page| (page + "\n").into_bytes()).map_err(|error| ReportError::new("comparison.html", error))
}

/// What the page says. Texts are on one line each; the template escapes them.
#[derive(Template)]
#[template(path = "report/comparison.html")]
struct Page {
    style: &'static str,
    a: String,
    b: String,
    summary: String,
    gates: Vec<GateText>,
    differences: Vec<String>,
    /// What all cells have.
    shared: String,
    columns: Vec<GridColumn>,
    rows: Vec<CellRow>,
    notes: Vec<String>,
    threshold: f64,
    /// In per cent.
    alpha: f64,
}

struct GateText {
    class: &'static str,
    line: String,
    details: Vec<String>,
}

struct CellRow {
    class: &'static str,
    cells: Vec<String>,
}

impl Page {
    fn of(comparison: &Comparison, gates: &[GateOutcome]) -> Page {
        let labels = Labels::of(comparison);
        let Grid { columns, rows } = grid(comparison, &labels);
        let classes = comparison.cells.iter().map(|cell| class(cell.verdict)).chain(std::iter::repeat("geomean"));
        let row = |(class, cells): (&'static str, Vec<String>)| {
            let cells = cells.iter().map(|cell| single_line(cell)).collect();
            CellRow { class, cells }
        };
        Page {
            style: include_str!("../html/style.css"),
            a: single_line(&comparison.a),
            b: single_line(&comparison.b),
            summary: summary(comparison),
            gates: gates.iter().map(|outcome| GateText::of(comparison, outcome)).collect(),
            differences: comparison
                .differences
                .iter()
                .map(|it| single_line(&difference(it, comparison.options.anyway)))
                .collect(),
            shared: single_line(&labels.shared),
            columns,
            rows: classes.zip(rows).map(row).collect(),
            notes: comparison.notes.iter().map(|note| single_line(note)).collect(),
            threshold: comparison.options.threshold_percent,
            alpha: comparison.options.alpha * 100.0,
        }
    }
}

impl GateText {
    fn of(comparison: &Comparison, outcome: &GateOutcome) -> GateText {
        GateText {
            class: if outcome.is_passed() { "gate" } else { "failed" },
            line: single_line(&gate_line(outcome)),
            details: gate_details(comparison, outcome).iter().map(|detail| single_line(detail)).collect(),
        }
    }
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Slower => "slower",
        Verdict::Faster => "faster",
        Verdict::Same => "same",
        Verdict::Unclear => "unclear",
        Verdict::NotComparable => "passed",
    }
}
