use std::fmt::Write;

use super::label::{
    Axes, alarms, counts, failure_groups, have_accuracy, milliseconds, notes, number, percent, sorted, threads,
};
use super::{Report, ReportError, ReportInput};
use crate::wording::single_line;

/// `results.md`: the table for an issue or a page.
pub(super) struct ResultsMarkdown;

/// Columns, and whether they hold numbers.
const HEADER: [(&str, bool); 7] = [
    ("device", false),
    ("model", false),
    ("threads", true),
    ("p50 ms", true),
    ("p90 ms", true),
    ("images/s", true),
    ("output error", true),
];

impl Report for ResultsMarkdown {
    fn file_name(&self) -> &'static str {
        "results.md"
    }

    fn description(&self) -> &'static str {
        "the table in Markdown"
    }

    fn render(&self, input: &ReportInput<'_>) -> Result<Vec<u8>, ReportError> {
        let mut text = String::new();
        self.write(input, &mut text).map_err(|error| ReportError::new(self.file_name(), error))?;
        Ok(text.into_bytes())
    }
}

impl ResultsMarkdown {
    fn write(&self, input: &ReportInput<'_>, text: &mut String) -> std::fmt::Result {
        let axes = Axes::of(input.records.iter().map(|record| &record.job));
        writeln!(text, "# Sweep {}\n", escaped(&input.sweep.name))?;
        writeln!(
            text,
            "{} · started {:.0} · farmctl {} · {}\n",
            escaped(input.sweep.id.as_str()),
            input.sweep.started_at,
            escaped(&input.sweep.farmctl_version),
            counts(input.records)
        )?;
        for alarm in alarms(input) {
            writeln!(text, "**{}**\n", escaped(&alarm))?;
        }
        for note in notes(&input.rows()) {
            writeln!(text, "{}\n", escaped(&note))?;
        }
        let with_accuracy = have_accuracy(&input.rows());
        let accuracy = if with_accuracy { &[("top-1 %", true)][..] } else { &[] };
        let header = [&HEADER[..], accuracy, &[("status", false)]].concat();
        let rows = sorted(input.rows()).into_iter().map(|row| {
            let mut cells = vec![
                row.record.job.device.clone(),
                axes.model(&row.record.job),
                threads(row.record),
                milliseconds(row.p50_ns()),
                milliseconds(row.p90_ns()),
                number(row.images_per_s()),
                number(row.output_error),
            ];
            cells.extend(with_accuracy.then(|| percent(row.top1())));
            cells.push(row.record.status.as_str().to_owned());
            cells
        });
        text.push_str(&table(&header, rows));
        for group in failure_groups(input.records) {
            writeln!(text, "\n**{}: {}** — {}\n", group.status.as_str(), group.kind, escaped(group.message))?;
            for record in group.records {
                writeln!(text, "- {}", escaped(&axes.cell(&record.job)))?;
            }
            if let Some(remedy) = group.remedy {
                writeln!(text, "\nRemedy: {}", escaped(remedy))?;
            }
        }
        Ok(())
    }
}

/// A table of texts in Markdown.
pub fn markdown_table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    table(&header.iter().map(|name| (*name, false)).collect::<Vec<_>>(), rows)
}

/// A table in Markdown. A column is its name, and whether it holds numbers.
pub(super) fn table(header: &[(&str, bool)], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: &mut dyn Iterator<Item = String>| format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "));
    let mut text = line(&mut header.iter().map(|(name, _)| escaped(name)));
    let rules = header.iter().map(|(_, is_number)| if *is_number { "--:" } else { "---" });
    text.push_str(&format!("|{}|\n", rules.collect::<Vec<_>>().join("|")));
    for row in rows {
        text.push_str(&line(&mut row.iter().map(|cell| escaped(cell))));
    }
    text
}

/// The text as Markdown shows it, whatever it is made of: on one line, and no character of it is markup.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in single_line(text).chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' => escaped.extend(['\\', c]),
            _ => escaped.push(c),
        }
    }
    escaped
}
