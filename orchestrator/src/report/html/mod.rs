use std::fmt::{self, Write};

use super::columns::Row;
use super::label::{
    Axes, FailureGroup, counts, failure_groups, have_accuracy, milliseconds, notes, number, percent, sorted, threads,
};
use super::{Report, ReportError, ReportInput};
use crate::domain::Record;
use crate::wording::single_line;

mod axis;
mod latency;
mod ranking;

/// `index.html`: one page that needs nothing beside it.
pub(super) struct IndexHtml;

const STYLE: &str = include_str!("style.css");

impl Report for IndexHtml {
    fn file_name(&self) -> &'static str {
        "index.html"
    }

    fn description(&self) -> &'static str {
        "the results as one page"
    }

    fn render(&self, input: &ReportInput<'_>) -> Result<Vec<u8>, ReportError> {
        let mut page = String::new();
        write_page(input, &mut page)
            .map_err(|error| ReportError { file_name: self.file_name(), cause: error.to_string() })?;
        Ok(page.into_bytes())
    }
}

fn write_page(input: &ReportInput<'_>, page: &mut String) -> fmt::Result {
    let sweep = input.sweep;
    let axes = Axes::of(input.records.iter().map(|record| &record.job));
    let rows = sorted(input.rows());
    writeln!(page, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")?;
    writeln!(page, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")?;
    writeln!(page, "<meta name=\"color-scheme\" content=\"light dark\">")?;
    writeln!(page, "<title>{} · farmctl</title>\n<style>\n{STYLE}</style>\n</head>\n<body>", escaped(&sweep.name))?;
    writeln!(page, "<h1>{}</h1>", escaped(&sweep.name))?;
    writeln!(page, "<p>{}</p>", counts(input.records))?;
    for note in notes(&rows) {
        writeln!(page, "<p class=\"note\">{note}</p>")?;
    }
    ranking::write_chart(input.records, page)?;
    latency::write_charts(&rows, &axes, page)?;
    writeln!(page, "<h2>Results</h2>")?;
    write_table(&rows, &axes, page)?;
    let failure_groups = failure_groups(input.records);
    if !failure_groups.is_empty() {
        writeln!(page, "<h2>Without a result</h2>")?;
    }
    failure_groups.iter().try_for_each(|group| write_trouble(group, &axes, page))?;
    write_devices(input.records, page)?;
    writeln!(page, "<footer><dl>\n<dt>Sweep</dt><dd><code>{}</code></dd>", escaped(sweep.id.as_str()))?;
    writeln!(page, "<dt>Started</dt><dd>{:.0}</dd>", sweep.started_at)?;
    if let Some(finished_at) = sweep.finished_at {
        writeln!(page, "<dt>Finished</dt><dd>{finished_at:.0}</dd>")?;
    }
    writeln!(page, "<dt>farmctl</dt><dd>{}</dd>", escaped(&sweep.farmctl_version))?;
    writeln!(
        page,
        "</dl>\n<p>Latencies are milliseconds an inference, percentiles by nearest rank; images/s in the table of results is \
         over the wall time of the timed loop. Output error: largest difference to the first device's output, relative to \
         that output's largest value. All columns are in results.csv.</p></footer>\n</body>\n</html>"
    )
}

fn write_table(rows: &[Row<'_>], axes: &Axes, page: &mut String) -> fmt::Result {
    let with_accuracy = have_accuracy(rows);
    writeln!(
        page,
        "<div class=\"wide\"><table>\n<thead><tr><th>Device</th><th>Model</th><th class=\"n\">Threads</th>"
    )?;
    writeln!(page, "<th class=\"n\">p50 ms</th><th class=\"n\">p90 ms</th>")?;
    writeln!(
        page,
        "<th class=\"n\">images/s</th><th class=\"n\">Output error</th>{}<th>Status</th></tr></thead>\n<tbody>",
        if with_accuracy { "<th class=\"n\">Top-1 %</th>" } else { "" }
    )?;
    for row in rows {
        let job = &row.record.job;
        let status = row.record.status.as_str();
        writeln!(
            page,
            "<tr class=\"{status}\"><th scope=\"row\">{}</th><td>{}</td>",
            escaped(&job.device),
            escaped(&axes.model(job))
        )?;
        write!(page, "<td class=\"n\">{}</td>", escaped(&threads(row.record)))?;
        write!(page, "<td class=\"n\">{}</td>", milliseconds(row.p50_ns()))?;
        write!(page, "<td class=\"n\">{}</td>", milliseconds(row.p90_ns()))?;
        write!(
            page,
            "<td class=\"n\">{}</td><td class=\"n\">{}</td>",
            number(row.images_per_s()),
            number(row.output_error)
        )?;
        if with_accuracy {
            write!(page, "<td class=\"n\">{}</td>", percent(row.top1()))?;
        }
        writeln!(page, "<td>{status}</td></tr>")?;
    }
    writeln!(page, "</tbody></table></div>")
}

fn write_trouble(group: &FailureGroup<'_>, axes: &Axes, page: &mut String) -> fmt::Result {
    let (status, count) = (group.status.as_str(), group.records.len());
    writeln!(page, "<section class=\"{status}\"><h3>{status}: {} ({count})</h3>", escaped(group.kind))?;
    writeln!(page, "<p>{}</p><ul>", escaped(group.message))?;
    for record in &group.records {
        writeln!(page, "<li>{}</li>", escaped(&axes.cell(&record.job)))?;
    }
    writeln!(page, "</ul>")?;
    if let Some(remedy) = group.remedy {
        writeln!(page, "<p>Remedy: {}</p>", escaped(remedy))?;
    }
    writeln!(page, "</section>")
}

fn write_devices(records: &[Record], page: &mut String) -> fmt::Result {
    let devices: std::collections::BTreeMap<_, _> =
        records.iter().filter_map(|record| Some((&record.job.device, (record, record.device.as_ref()?)))).collect();
    if devices.is_empty() {
        return Ok(());
    }
    writeln!(page, "<h2>Devices</h2>\n<ul>")?;
    for (name, (record, facts)) in devices {
        let soc = facts.soc.as_deref().unwrap_or("chip not told");
        let text = format!("{soc}, {} processors, {}, {}, by {}", facts.cpus, facts.os, facts.kernel, record.transport);
        writeln!(page, "<li><strong>{}</strong>: {}</li>", escaped(name), escaped(&text))?;
    }
    writeln!(page, "</ul>")
}

/// The text for element content and quoted attributes.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for c in single_line(text).chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}
