use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{Record, RunStatus};
use crate::report::cells::SweepCell;
use crate::report::label::Axes;
use crate::wording::{latency_text, many, single_line};

use super::axis::{Axis, Tick};
use super::links::Links;
use super::plain_milliseconds;

/// Most boxes of a page: with more, each device has one for a network, of its fastest cell.
const MOST_BOXES: usize = 250;
/// How far a whisker reaches, in lengths of the box (J. W. Tukey, Exploratory Data Analysis, 1977).
const WHISKER: f64 = 1.5;

/// The box plots of a sweep.
pub(super) struct Boxes {
    pub(super) charts: Vec<Chart>,
    /// What of the cells is shown, where it is not all.
    pub(super) left_out: Option<String>,
}

/// The latencies of a network's cells, all on one scale.
pub(super) struct Chart {
    pub(super) network: String,
    pub(super) rows: Vec<BoxPlot>,
    pub(super) ticks: Vec<Tick>,
}

/// The latencies of a cell: quartiles and whiskers of all samples of its runs.
pub(super) struct BoxPlot {
    pub(super) who: String,
    /// Its run's row in the table.
    pub(super) row: usize,
    pub(super) title: String,
    pub(super) outline: String,
    pub(super) middle: String,
    pub(super) p50: String,
    /// The interquartile range.
    pub(super) range: String,
}

/// Quartiles and whiskers, in nanoseconds.
struct Quartiles {
    count: usize,
    outside: usize,
    low: u64,
    first: u64,
    middle: u64,
    third: u64,
    high: u64,
}

impl Quartiles {
    /// By nearest rank, like all percentiles; a whisker ends at the farthest sample that is no farther than one and a
    /// half boxes.
    fn of(mut samples: Vec<u64>) -> Option<Quartiles> {
        samples.sort_unstable();
        let count = samples.len();
        let at = |share: f64| samples.get(((share * count as f64).ceil() as usize).max(1) - 1).copied();
        let (first, middle, third) = (at(0.25)?, at(0.5)?, at(0.75)?);
        let reach = (third - first) as f64 * WHISKER;
        let is_inside = |sample: &&u64| {
            let sample = **sample as f64;
            sample >= first as f64 - reach && sample <= third as f64 + reach
        };
        let inside = samples.iter().filter(is_inside);
        let (low, high) = (inside.clone().next().copied()?, inside.clone().next_back().copied()?);
        Some(Quartiles { count, outside: count - inside.count(), low, first, middle, third, high })
    }

    fn title(&self) -> String {
        let ms = plain_milliseconds;
        let [low, first, middle, third, high] = [self.low, self.first, self.middle, self.third, self.high].map(ms);
        let samples = many(self.count as u64, "sample");
        let outside = self.outside;
        format!(
            "{samples}: median {middle}, half from {first} to {third}, whiskers {low} to {high} ms, {outside} outside"
        )
    }
}

/// A cell with its quartiles.
struct Measured<'c, 'a> {
    cell: &'c SweepCell<'a>,
    quartiles: Quartiles,
}

/// The charts of these cells, one a network.
pub(super) fn boxes(cells: &[&SweepCell<'_>], axes: &Axes, links: &Links) -> Boxes {
    let with_samples = cells.iter().copied().filter(|cell| cell.records.iter().any(|record| has_samples(record)));
    let (all, mut shown): (usize, Vec<&SweepCell<'_>>) = (with_samples.clone().count(), with_samples.collect());
    if all > MOST_BOXES {
        shown = fastest(&shown);
        shown.truncate(MOST_BOXES);
    }
    let left_out = (shown.len() < all).then(|| {
        format!(
            "{} of {all} cells are shown: of each device its fastest cell of a network, as many as there is room for. \
             summary.csv has all.",
            shown.len()
        )
    });
    let mut networks: BTreeMap<&str, Vec<Measured<'_, '_>>> = BTreeMap::new();
    for cell in shown {
        let records = cell.records.iter().filter(|record| has_samples(record));
        let samples = records.flat_map(|record| record.measurement.samples_ns.iter().copied()).collect();
        let measured = Quartiles::of(samples).map(|quartiles| Measured { cell, quartiles });
        networks.entry(cell.records[0].job.model.name.as_str()).or_default().extend(measured);
    }
    networks.retain(|_, cells| !cells.is_empty());
    let charts = networks.into_iter().map(|(network, cells)| Chart::of(network, &cells, axes, links)).collect();
    Boxes { charts, left_out }
}

fn has_samples(record: &Record) -> bool {
    record.status == RunStatus::Ok && !record.measurement.samples_ns.is_empty()
}

/// Of each device the fastest cell of each network, in the order of the cells.
fn fastest<'c, 'a>(cells: &[&'c SweepCell<'a>]) -> Vec<&'c SweepCell<'a>> {
    let key = |cell: &SweepCell<'_>| (cell.records[0].job.device.clone(), cell.records[0].job.model.name.clone());
    let p50_ns = |cell: &SweepCell<'_>| cell.median.map_or(f64::INFINITY, |median| median.p50_ns);
    let mut best: BTreeMap<(String, String), &'c SweepCell<'a>> = BTreeMap::new();
    for cell in cells {
        let known = best.entry(key(cell)).or_insert(cell);
        if p50_ns(cell) < p50_ns(known) {
            *known = cell;
        }
    }
    let chosen: BTreeSet<&str> = best.values().map(|cell| cell.id.as_str()).collect();
    cells.iter().copied().filter(|cell| chosen.contains(cell.id.as_str())).collect()
}

impl Chart {
    fn of(network: &str, cells: &[Measured<'_, '_>], axes: &Axes, links: &Links) -> Chart {
        let low = cells.iter().map(|it| it.quartiles.low).min().unwrap_or(1);
        let high = cells.iter().map(|it| it.quartiles.high).max().unwrap_or(1);
        let axis = Axis::new(low as f64 / 1e6, high as f64 / 1e6);
        Chart {
            network: single_line(network),
            rows: cells.iter().map(|it| BoxPlot::of(it, &axis, axes, links)).collect(),
            ticks: axis.marked(),
        }
    }
}

impl BoxPlot {
    fn of(measured: &Measured<'_, '_>, axis: &Axis, axes: &Axes, links: &Links) -> BoxPlot {
        let Measured { cell, quartiles } = measured;
        let Quartiles { low, first, middle, third, high, .. } = *quartiles;
        let place = |nanoseconds: u64| axis.percent(nanoseconds as f64 / 1e6);
        let [low, left, centre, right, high] = [low, first, middle, third, high].map(place);
        BoxPlot {
            who: single_line(&axes.device(&cell.records[0].job)),
            row: links.of_cell(cell),
            title: quartiles.title(),
            outline: format!(
                "M{low:.1} 6V14M{high:.1} 6V14M{low:.1} 10H{left:.1}M{right:.1} 10H{high:.1}M{left:.1} 3H{right:.1}V17\
                 H{left:.1}Z"
            ),
            middle: format!("M{centre:.1} 3V17"),
            p50: latency(middle),
            range: latency(third - first),
        }
    }
}

/// In milliseconds as its caption says; what that has no figures for says its own unit.
fn latency(nanoseconds: u64) -> String {
    match nanoseconds {
        1..10_000 => latency_text(nanoseconds),
        _ => plain_milliseconds(nanoseconds),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_milliseconds_have_no_figures_for_has_its_own_unit() {
        assert_eq!([691, 9_999, 10_000, 33_500_000, 0].map(latency), ["0.691 µs", "10.00 µs", "0.0100", "33.5", "0"]);
    }

    #[test]
    fn quartiles_are_samples_and_whiskers_leave_outliers_out() {
        let mut samples: Vec<u64> = (1..=100).collect();
        samples.push(1_000);
        let it = Quartiles::of(samples).unwrap();
        assert_eq!((it.first, it.middle, it.third), (26, 51, 76));
        assert_eq!((it.low, it.high, it.outside, it.count), (1, 100, 1, 101));
        assert!(Quartiles::of(vec![]).is_none());
        let one = Quartiles::of(vec![7]).unwrap();
        assert_eq!((one.low, one.first, one.middle, one.third, one.high), (7, 7, 7, 7, 7));
    }
}
