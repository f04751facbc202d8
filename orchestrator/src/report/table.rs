use super::ReportInput;
use super::label::{Axes, FailureGroup, alarms, counting, sorted};
use super::results::{Medium, results};
use crate::domain::RunStatus;
use crate::score::trust::Verdict;
use crate::wording::single_line;

/// How many cells a reason names; the rest is counted.
const CELLS_NAMED: usize = 6;

/// The table at the end of a sweep, for a terminal `width` columns wide: what was measured, then what was not and why.
pub fn result_table(input: &ReportInput<'_>, width: u16, colour: bool) -> String {
    let axes = Axes::of(input.records.iter().map(|record| &record.job));
    let rows = input.rows();
    let tally = input.tally(rows);
    let notes = input.notes(&tally, &axes);
    let mut text = String::new();
    for alarm in alarms(input) {
        let mut lines = String::new();
        push_wrapped(&mut lines, &alarm, "", usize::from(width));
        lines.lines().for_each(|line| text.push_str(&format!("{}\n", coloured(RunStatus::Failed, line, colour))));
        text.push('\n');
    }
    for line in results(&counting(&sorted(rows)), &axes, Medium::Terminal).text(Some(width)).lines() {
        text.push_str(&coloured_status(line, colour));
        text.push('\n');
    }
    text.push_str(&format!("\n{}\n", tally.counts()));
    for group in input.failure_groups() {
        text.push_str(&reason(&group, &axes, usize::from(width), colour));
    }
    for note in notes {
        text.push('\n');
        push_wrapped(&mut text, &single_line(&note), "", usize::from(width));
    }
    text
}

/// The status stands last in its line; the word says it all, the colour only helps the eye.
fn coloured_status(line: &str, colour: bool) -> String {
    let statuses = [RunStatus::Ok, RunStatus::Failed, RunStatus::Skipped, RunStatus::Cancelled];
    let statuses = statuses.map(|status| (style(status), status.as_str())).into_iter();
    let doubts = Verdict::DOUBTS.map(|verdict| (console::Style::new().yellow(), verdict.as_str()));
    let found = statuses.chain(doubts).find_map(|(style, word)| Some((style, word, line.strip_suffix(word)?)));
    match found {
        Some((style, word, start)) if start.ends_with(' ') => {
            format!("{start}{}", style.force_styling(colour).apply_to(word))
        }
        _ => line.to_owned(),
    }
}

fn coloured(status: RunStatus, text: &str, colour: bool) -> String {
    style(status).force_styling(colour).apply_to(text).to_string()
}

fn style(status: RunStatus) -> console::Style {
    match status {
        RunStatus::Ok => console::Style::new().green(),
        RunStatus::Failed => console::Style::new().red().bold(),
        RunStatus::Skipped | RunStatus::Cancelled => console::Style::new().yellow(),
    }
}

fn reason(group: &FailureGroup<'_>, axes: &Axes, width: usize, colour: bool) -> String {
    let mut text = String::from("\n");
    let heading = format!("{} ({}, {}x)", group.status.as_str(), group.kind, group.count);
    text.push_str(&coloured(group.status, &heading, colour));
    text.push('\n');
    push_wrapped(&mut text, &single_line(&group.message), "  ", width);
    let named = group.records.iter().take(CELLS_NAMED);
    let mut cells: Vec<_> = named.map(|record| single_line(&axes.cell(&record.job))).collect();
    if group.count > cells.len() {
        cells.push(format!("and {} more", group.count - cells.len()));
    }
    push_wrapped(&mut text, &format!("on {}", cells.join(", ")), "  ", width);
    if let Some(remedy) = &group.remedy {
        push_wrapped(&mut text, &single_line(&format!("remedy: {remedy}")), "  ", width);
    }
    text
}

/// Appends the text in lines of at most `width` columns, broken between words; a longer word stays whole.
pub(super) fn push_wrapped(text: &mut String, words: &str, indent: &str, width: usize) {
    let mut line = String::new();
    for word in words.split_whitespace() {
        let columns = indent.len() + console::measure_text_width(&line) + 1 + console::measure_text_width(word);
        if !line.is_empty() && columns > width {
            text.push_str(&format!("{indent}{line}\n"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        text.push_str(&format!("{indent}{line}\n"));
    }
}
