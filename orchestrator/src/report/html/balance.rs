use crate::report::cells::SweepCell;
use crate::report::label::{Axes, percent};
use crate::wording::{short_number, single_line};

use super::axis::{Axis, Tick};
use super::links::Links;

/// Most networks on devices that are shown.
const MOST_SHOWN: usize = 200;
/// Up to so many have their names beside them.
const MOST_NAMED: usize = 24;
/// The largest circle, in units of the chart.
const LARGEST: f64 = 22.0;
/// Size of the chart's inside in its own units.
pub(super) const WIDTH: f64 = 600.0;
pub(super) const HEIGHT: f64 = 300.0;

/// Accuracy against speed, with the network's size (S. Bianco et al., «Benchmark Analysis of Representative Deep Neural
/// Network Architectures», IEEE Access 2018, figures 1 and 3).
pub(super) struct Chart {
    pub(super) points: Vec<Point>,
    /// Places on the way right, in units of the chart.
    pub(super) speeds: Vec<Tick>,
    /// Places from the top.
    pub(super) accuracies: Vec<Tick>,
    pub(super) more: usize,
    pub(super) is_named: bool,
}

/// A network on a device.
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) radius: f64,
    pub(super) title: String,
    pub(super) name: String,
    pub(super) row: usize,
}

/// What a point is made of.
struct Measured<'c, 'a> {
    cell: &'c SweepCell<'a>,
    images_per_s: f64,
    top1: f64,
    macs: Option<u64>,
}

/// The chart of these cells; `None` where accuracy was measured of none.
pub(super) fn chart(cells: &[&SweepCell<'_>], axes: &Axes, links: &Links) -> Option<Chart> {
    let measured = |cell: &&SweepCell<'_>| cell.images_per_s.zip(cell.top1).filter(|(speed, _)| *speed > 0.0);
    let all: Vec<Measured<'_, '_>> = cells
        .iter()
        .filter_map(|cell| {
            let (images_per_s, top1) = measured(cell)?;
            Some(Measured { cell, images_per_s, top1, macs: cell.records[0].job.model.macs })
        })
        .collect();
    let shown = &all[..all.len().min(MOST_SHOWN)];
    let speeds = || shown.iter().map(|it| it.images_per_s);
    let accuracies = || shown.iter().map(|it| it.top1 * 100.0);
    let axis = Axis::new(speeds().reduce(f64::min)?, speeds().reduce(f64::max)?);
    let low = (accuracies().reduce(f64::min)? / 10.0 - 0.2).floor().max(0.0) * 10.0;
    let high = (accuracies().reduce(f64::max)? / 10.0 + 0.2).ceil().min(10.0) * 10.0;
    let y = |percent: f64| HEIGHT - (percent - low) / (high - low).max(10.0) * HEIGHT;
    let largest = shown.iter().filter_map(|it| it.macs).max().unwrap_or(1) as f64;
    let point = |it: &Measured<'_, '_>| Point {
        x: axis.percent(it.images_per_s) / 100.0 * WIDTH,
        y: y(it.top1 * 100.0),
        radius: it.macs.map_or(3.0, |macs| ((macs as f64 / largest).sqrt() * LARGEST).max(3.0)),
        title: title(it, axes),
        name: single_line(&it.cell.records[0].job.model.name),
        row: links.of_cell(it.cell),
    };
    let step = if high - low > 50.0 { 20.0 } else { 10.0 };
    let marks = (0..=10).map(|index| low + step * f64::from(index)).take_while(|mark| *mark <= high);
    let mut points: Vec<Point> = shown.iter().map(point).collect();
    // The small ones lie on the large ones.
    points.sort_by(|a, b| b.radius.total_cmp(&a.radius));
    Some(Chart {
        points,
        speeds: axis.marked().into_iter().map(|tick| Tick { percent: tick.percent / 100.0 * WIDTH, ..tick }).collect(),
        accuracies: marks.map(|mark| Tick { percent: y(mark), text: format!("{mark:.0}") }).collect(),
        more: all.len() - shown.len(),
        is_named: shown.len() <= MOST_NAMED,
    })
}

fn title(it: &Measured<'_, '_>, axes: &Axes) -> String {
    let size = it.macs.map(|macs| format!(", {} GMAC", short_number(macs as f64 / 1e9))).unwrap_or_default();
    let (cell, speed) = (axes.cell(&it.cell.records[0].job), short_number(it.images_per_s));
    single_line(&format!("{cell}: {} %, {speed} images/s{size}", percent(Some(it.top1))))
}
