use unicode_width::UnicodeWidthStr as _;

use super::{
    Labels, change, difference, gate_details, gate_line, interval, median, signed_percent, summary, time, values,
};
use crate::compare::{ComparedCell, Comparison, GateOutcome, Verdict};
use crate::report::table::push_wrapped;
use crate::wording::single_line;

/// Between two columns.
const GAP: &str = "  ";
/// Where a verdict stands in a column of its own.
const WIDE: usize = 100;

/// A comparison for a terminal `width` columns wide: what differs, then a line a cell, then what the gates say.
pub fn comparison_text(comparison: &Comparison, gates: &[GateOutcome], width: u16) -> String {
    let width = usize::from(width);
    let labels = Labels::of(comparison);
    let mut text = String::new();
    let heading = [format!("A: {}", comparison.a), format!("B: {}", comparison.b)];
    heading.iter().for_each(|line| push_wrapped(&mut text, &single_line(line), "", width));
    if !labels.shared.is_empty() {
        push_wrapped(&mut text, &single_line(&format!("All: {}.", labels.shared)), "", width);
    }
    if !comparison.differences.is_empty() {
        text.push_str("\ndiffers\n");
        let anyway = comparison.options.anyway;
        comparison.differences.iter().for_each(|it| push_wrapped(&mut text, &difference(it, anyway), "  ", width));
    }
    push_cells(&mut text, comparison, &labels, width);
    text.push_str(&format!("\n{}\n", summary(comparison)));
    for note in &comparison.notes {
        push_wrapped(&mut text, &single_line(note), "", width);
    }
    for outcome in gates {
        push_wrapped(&mut text, &format!("gate {}", gate_line(outcome)), "", width);
        for detail in gate_details(comparison, outcome) {
            push_wrapped(&mut text, &single_line(&detail), "  ", width);
        }
    }
    text
}

/// A line of a table: a label, figures, and what is to be said behind them.
struct Line {
    device: String,
    label: String,
    figures: Vec<String>,
    why: Option<String>,
}

fn push_cells(text: &mut String, comparison: &Comparison, labels: &Labels, width: usize) {
    let is_wide = width >= WIDE;
    let lines: Vec<Line> = lines(comparison, labels, is_wide);
    let columns = lines.iter().map(|line| line.figures.len()).max().unwrap_or(0);
    let widest = |column: usize| lines.iter().filter_map(|line| Some(line.figures.get(column)?.width())).max();
    let widths: Vec<usize> = (0..columns).map(|column| widest(column).unwrap_or(0)).collect();
    let of_figures = widths.iter().sum::<usize>() + GAP.len() * columns.saturating_sub(1);
    let of_labels = lines.iter().map(|line| line.label.width()).max().unwrap_or(0);
    let is_beside = 2 * GAP.len() + of_labels + of_figures <= width;
    let mut device = "";
    for line in &lines {
        if line.device != device {
            device = &line.device;
            text.push_str(&format!("\n{}\n", single_line(device)));
        }
        let figures = line.figures.iter().zip(&widths);
        let figures = figures.map(|(figure, width)| format!("{figure}{}", " ".repeat(width - figure.width())));
        let figures = figures.collect::<Vec<_>>().join(GAP);
        let figures = figures.trim_end();
        if is_beside {
            let space = " ".repeat(of_labels - line.label.width());
            text.push_str(format!("{GAP}{}{space}{GAP}{figures}", line.label).trim_end());
            text.push('\n');
        } else {
            push_wrapped(text, &line.label, GAP, width);
            text.push_str(format!("{GAP}{GAP}{figures}").trim_end());
            text.push('\n');
        }
        if let Some(why) = &line.why {
            push_wrapped(text, &single_line(why), "      ", width);
        }
    }
}

fn lines(comparison: &Comparison, labels: &Labels, is_wide: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut cells = comparison.cells.iter().peekable();
    while let Some(cell) = cells.next() {
        lines.push(line(cell, labels, is_wide));
        if cells.peek().is_none_or(|next| next.device() != cell.device()) {
            let of_device = comparison.geomeans.iter().filter(|it| it.device == cell.device() && it.cells > 1);
            lines.extend(of_device.map(|it| Line {
                device: cell.device().to_owned(),
                label: std::iter::once("geomean".to_owned()).chain(values(&it.across)).collect::<Vec<_>>().join(" "),
                figures: vec![time(it.a_s), time(it.b_s), signed_percent(it.percent)],
                why: None,
            }));
        }
    }
    lines
}

fn line(cell: &ComparedCell, labels: &Labels, is_wide: bool) -> Line {
    let mut figures = vec![median(&cell.a), median(&cell.b)];
    let is_compared = cell.verdict != Verdict::NotComparable;
    if is_compared {
        figures.push(change(cell));
        figures.push(cell.change.as_ref().and_then(interval).unwrap_or_default());
        figures.extend(is_wide.then(|| cell.verdict.as_str().to_owned()));
    }
    let why = cell.remark().map(|why| match is_compared {
        true if is_wide => why,
        _ => format!("{}: {why}", cell.verdict.as_str()),
    });
    Line { device: cell.device().to_owned(), label: labels.cell(cell), figures, why }
}
