use super::{
    Labels, change, difference, gate_details, gate_line, interval, median, signed_percent, summary, time, values,
};
use crate::compare::{Comparison, GateOutcome};
use crate::report::grid::{Grid, GridColumn};
use crate::report::markdown::escaped;

/// A comparison for a pull request: what the gates say, what differs, then a table.
pub fn comparison_markdown(comparison: &Comparison, gates: &[GateOutcome]) -> String {
    let labels = Labels::of(comparison);
    let mut text = format!("### {} → {}\n\n{}\n", escaped(&comparison.a), escaped(&comparison.b), summary(comparison));
    for outcome in gates {
        text.push_str(&format!("\n**Gate {}**\n", escaped(&gate_line(outcome))));
        let details = gate_details(comparison, outcome);
        if !details.is_empty() {
            text.push('\n');
        }
        for detail in details {
            text.push_str(&format!("- {}\n", escaped(&detail)));
        }
    }
    if !comparison.differences.is_empty() {
        text.push_str("\nDiffers:\n\n");
        for it in &comparison.differences {
            text.push_str(&format!("- {}\n", escaped(&difference(it, comparison.options.anyway))));
        }
    }
    if !labels.shared.is_empty() {
        text.push_str(&format!("\nAll: {}.\n", escaped(&labels.shared)));
    }
    text.push('\n');
    text.push_str(&grid(comparison, &labels).markdown());
    for note in &comparison.notes {
        text.push_str(&format!("\n{}\n", escaped(note)));
    }
    text
}

/// The table: a row a cell, then the geometric means.
pub(super) fn grid(comparison: &Comparison, labels: &Labels) -> Grid {
    let texts = |names: &[&str]| names.iter().map(|name| GridColumn::text(*name)).collect::<Vec<_>>();
    let numbers = ["A", "B", "change", "95 %"].map(GridColumn::number);
    let columns = [texts(&["device", "cell"]), numbers.to_vec(), texts(&["verdict"])].concat();
    let of_cell = |cell: &crate::compare::ComparedCell| {
        let why = cell.remark().map_or_else(String::new, |why| format!(": {why}"));
        let verdict = format!("{}{why}", cell.verdict.as_str());
        let interval = cell.change.as_ref().filter(|_| cell.is_compared()).and_then(interval).unwrap_or_default();
        let label = labels.cell(cell);
        vec![cell.device().to_owned(), label, median(&cell.a), median(&cell.b), change(cell), interval, verdict]
    };
    let mut rows: Vec<Vec<String>> = comparison.cells.iter().map(of_cell).collect();
    for it in comparison.geomeans.iter().filter(|it| it.cells > 1) {
        let label = std::iter::once("geomean".to_owned()).chain(values(&it.across)).collect::<Vec<_>>().join(" ");
        let figures = [it.device.clone(), label, time(it.a_s), time(it.b_s), signed_percent(it.percent)];
        rows.push(figures.into_iter().chain([String::new(), String::new()]).collect());
    }
    Grid { columns, rows }
}
