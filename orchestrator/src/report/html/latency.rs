use std::collections::BTreeMap;

use crate::report::columns::Row;
use crate::report::label::{Axes, milliseconds};
use crate::score::Statistics;
use crate::wording::single_line;

use super::axis::Axis;

/// Steps of a distribution's outline.
const BINS: usize = 60;
/// Height of a distribution in its own units.
pub(super) const HEIGHT: f64 = 20.0;

/// How the latencies of a network's cells are distributed, all on one scale.
pub(super) struct Chart {
    pub(super) network: String,
    pub(super) rows: Vec<Distribution>,
    pub(super) ticks: Vec<Tick>,
}

/// The latencies of a cell.
pub(super) struct Distribution {
    pub(super) who: String,
    pub(super) title: String,
    /// A histogram as an SVG path.
    pub(super) outline: String,
    pub(super) p50_percent: f64,
    pub(super) p90_percent: f64,
    pub(super) p50: String,
    pub(super) p90: String,
}

/// A mark of the scale.
pub(super) struct Tick {
    pub(super) percent: f64,
    pub(super) text: String,
}

/// A chart a network, of those that were measured.
pub(super) fn charts(rows: &[Row<'_>], axes: &Axes) -> Vec<Chart> {
    let mut networks: BTreeMap<&str, Vec<(&Row<'_>, Statistics)>> = BTreeMap::new();
    for row in rows {
        let cells = networks.entry(row.record.job.model.name.as_str()).or_default();
        cells.extend(row.statistics.map(|statistics| (row, statistics)));
    }
    networks.retain(|_, cells| !cells.is_empty());
    networks.into_iter().map(|(network, cells)| chart(network, &cells, axes)).collect()
}

fn chart(network: &str, cells: &[(&Row<'_>, Statistics)], axes: &Axes) -> Chart {
    let low = cells.iter().map(|(_, statistics)| statistics.min_ns).min().unwrap_or(1);
    let high = cells.iter().map(|(_, statistics)| statistics.max_ns).max().unwrap_or(1);
    let axis = Axis::new(low as f64 / 1e6, high as f64 / 1e6);
    let tick = |tick| Tick { percent: axis.percent(tick), text: tick_text(tick) };
    Chart {
        network: single_line(network),
        rows: cells.iter().map(|(row, statistics)| Distribution::of(row, statistics, &axis, axes)).collect(),
        ticks: axis.ticks().into_iter().map(tick).collect(),
    }
}

impl Distribution {
    fn of(row: &Row<'_>, statistics: &Statistics, axis: &Axis, axes: &Axes) -> Distribution {
        let at = |nanoseconds: u64| axis.percent(nanoseconds as f64 / 1e6);
        let ms = |nanoseconds: u64| milliseconds(Some(nanoseconds));
        let Statistics { count, min_ns, max_ns, p50_ns, p90_ns, p99_ns, .. } = *statistics;
        let title = format!(
            "{count} samples from {} to {} ms: p50 {}, p90 {}, p99 {}",
            ms(min_ns),
            ms(max_ns),
            ms(p50_ns),
            ms(p90_ns),
            ms(p99_ns)
        );
        Distribution {
            who: single_line(&axes.device(&row.record.job)),
            title,
            outline: outline(row.record.measurement.samples_ns.iter().map(|sample| at(*sample))),
            p50_percent: at(p50_ns),
            p90_percent: at(p90_ns),
            p50: ms(p50_ns),
            p90: ms(p90_ns),
        }
    }
}

/// The outline of a histogram of places from 0 to 100, as high as the chart at its own highest step.
fn outline(places: impl Iterator<Item = f64>) -> String {
    let mut counts = [0usize; BINS];
    for place in places {
        let bin = (place / 100.0 * BINS as f64) as usize;
        counts[bin.min(BINS - 1)] += 1;
    }
    let highest = counts.iter().copied().max().unwrap_or(1).max(1) as f64;
    let mut path = format!("M0 {HEIGHT}");
    let mut height = 0.0;
    for (bin, &count) in counts.iter().enumerate() {
        let next = count as f64 / highest * (HEIGHT - 1.0);
        if next != height {
            path.push_str(&format!("H{:.2}V{:.2}", bin as f64 / BINS as f64 * 100.0, HEIGHT - next));
            height = next;
        }
    }
    path + &format!("H100V{HEIGHT}Z")
}

/// A round number without the zeros that say nothing.
fn tick_text(tick: f64) -> String {
    format!("{tick:.6}").trim_end_matches('0').trim_end_matches('.').to_owned()
}
