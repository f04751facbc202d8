use std::fmt::Write;

use super::label::{Axes, alarms, counting, sorted};
use super::results::{Medium, results};
use super::{Report, ReportError, ReportInput};
use crate::wording::{in_zone, single_line};

/// `results.md`: the table for an issue or a page.
pub(super) struct ResultsMarkdown;

impl Report for ResultsMarkdown {
    fn file_name(&self) -> &'static str {
        "results.md"
    }

    fn description(&self) -> &'static str {
        "the table in Markdown"
    }

    fn render(&self, input: &ReportInput<'_>) -> Result<Vec<u8>, ReportError> {
        let mut text = String::new();
        Self::put(input, &mut text).map_err(|error| ReportError::new(self.file_name(), error))?;
        Ok(in_zone(&text, &input.zone).into_owned().into_bytes())
    }
}

impl ResultsMarkdown {
    fn put(input: &ReportInput<'_>, text: &mut String) -> std::fmt::Result {
        let axes = Axes::of(input.records.iter().map(|record| &record.job));
        let tally = input.tally(input.rows());
        writeln!(text, "# Sweep {}\n", escaped(&input.sweep.name))?;
        writeln!(
            text,
            "{} · started {:.0} · farmctl {} · {}\n",
            escaped(input.sweep.id.as_str()),
            input.sweep.started_at,
            escaped(&input.sweep.farmctl_version),
            tally.counts()
        )?;
        for alarm in alarms(input) {
            writeln!(text, "**{}**\n", escaped(&alarm))?;
        }
        for note in input.notes(&tally, &axes) {
            writeln!(text, "{}\n", escaped(&note))?;
        }
        text.push_str(&results(&counting(&sorted(input.rows())), &axes, Medium::Markdown).markdown());
        for group in input.failure_groups() {
            writeln!(text, "\n**{}: {}** — {}\n", group.status.as_str(), group.kind, escaped(&group.message))?;
            for record in &group.records {
                writeln!(text, "- {}", escaped(&axes.cell(&record.job)))?;
            }
            if group.count > group.records.len() {
                writeln!(text, "- and {} more", group.count - group.records.len())?;
            }
            if let Some(remedy) = group.remedy {
                writeln!(text, "\nRemedy: {}", escaped(&remedy))?;
            }
        }
        Ok(())
    }
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
