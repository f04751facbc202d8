use std::collections::BTreeMap;
use std::fmt::{self, Write};

use crate::score::Statistics;

use super::super::columns::Row;
use super::super::label::{Axes, milliseconds};
use super::axis::Axis;
use super::escaped;

/// Steps of a distribution's outline.
const BINS: usize = 60;
/// Height of a distribution in its own units.
const HEIGHT: f64 = 20.0;

/// How the latencies of each cell are distributed: a chart a network, all its cells on one scale.
pub(super) fn write_charts(rows: &[Row<'_>], axes: &Axes, page: &mut String) -> fmt::Result {
    let mut networks: BTreeMap<&str, Vec<(&Row<'_>, Statistics)>> = BTreeMap::new();
    for row in rows {
        let cells = networks.entry(row.record.job.model.name.as_str()).or_default();
        cells.extend(row.statistics.map(|statistics| (row, statistics)));
    }
    networks.retain(|_, cells| !cells.is_empty());
    if networks.is_empty() {
        return Ok(());
    }
    writeln!(page, "<h2>Latency</h2>")?;
    writeln!(
        page,
        "<p class=\"key\">How often each latency was measured. <b class=\"p50\">│</b> is p50, <b class=\"p90\">│</b> p90; \
         numbers are milliseconds an inference.</p>"
    )?;
    networks.into_iter().try_for_each(|(network, cells)| write_chart(network, &cells, axes, page))
}

fn write_chart(network: &str, cells: &[(&Row<'_>, Statistics)], axes: &Axes, page: &mut String) -> fmt::Result {
    let low = cells.iter().map(|(_, statistics)| statistics.min_ns).min().unwrap_or(1);
    let high = cells.iter().map(|(_, statistics)| statistics.max_ns).max().unwrap_or(1);
    let axis = Axis::new(low as f64 / 1e6, high as f64 / 1e6);
    writeln!(page, "<section class=\"chart\"><h3>{}</h3>", escaped(network))?;
    writeln!(
        page,
        "<div class=\"row head\"><span></span><span></span><span class=\"n\">p50</span><span class=\"n\">p90</span></div>"
    )?;
    for (row, statistics) in cells {
        let (p50, p90) = (milliseconds(Some(statistics.p50_ns)), milliseconds(Some(statistics.p90_ns)));
        writeln!(page, "<div class=\"row\"><span class=\"who\">{}</span>", escaped(&axes.device(&row.record.job)))?;
        write_distribution(&row.record.measurement.samples_ns, statistics, &axis, page)?;
        writeln!(page, "<span class=\"n\">{p50}</span><span class=\"n\">{p90}</span></div>")?;
    }
    write!(page, "<div class=\"row\"><span></span><div class=\"axis\">")?;
    for tick in axis.ticks() {
        write!(page, "<span style=\"left:{:.2}%\">{}</span>", axis.percent(tick), tick_text(tick))?;
    }
    writeln!(page, "</div><span></span><span></span></div></section>")
}

/// The outline of a histogram, as high as the chart at its own highest step, with lines at p50 and p90.
fn write_distribution(samples_ns: &[u64], statistics: &Statistics, axis: &Axis, page: &mut String) -> fmt::Result {
    let at = |nanoseconds: u64| axis.percent(nanoseconds as f64 / 1e6);
    let mut counts = [0usize; BINS];
    for &sample in samples_ns {
        let bin = (at(sample) / 100.0 * BINS as f64) as usize;
        counts[bin.min(BINS - 1)] += 1;
    }
    let highest = counts.iter().copied().max().unwrap_or(1).max(1) as f64;
    writeln!(
        page,
        "<svg viewBox=\"0 0 100 {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\"><title>{} samples from {} to {} ms: \
         p50 {}, p90 {}, p99 {}</title>",
        statistics.count,
        milliseconds(Some(statistics.min_ns)),
        milliseconds(Some(statistics.max_ns)),
        milliseconds(Some(statistics.p50_ns)),
        milliseconds(Some(statistics.p90_ns)),
        milliseconds(Some(statistics.p99_ns)),
    )?;
    write!(page, "<path class=\"hist\" d=\"M0 {HEIGHT}")?;
    let mut height = 0.0;
    for (bin, &count) in counts.iter().enumerate() {
        let next = count as f64 / highest * (HEIGHT - 1.0);
        if next != height {
            write!(page, "H{:.2}V{:.2}", bin as f64 / BINS as f64 * 100.0, HEIGHT - next)?;
            height = next;
        }
    }
    writeln!(page, "H100V{HEIGHT}Z\"/>")?;
    for (class, nanoseconds) in [("p90", statistics.p90_ns), ("p50", statistics.p50_ns)] {
        write!(page, "<path class=\"{class}\" d=\"M{:.2} 0V{HEIGHT}\"/>", at(nanoseconds))?;
    }
    writeln!(page, "</svg>")
}

/// A round number without the zeros that say nothing.
fn tick_text(tick: f64) -> String {
    format!("{tick:.6}").trim_end_matches('0').trim_end_matches('.').to_owned()
}
