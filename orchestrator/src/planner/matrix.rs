//! The cells of a sweep on a device.

use crate::domain::{
    CellPattern, Device, DeviceSelector, Inventory, PairSide, Precision, Scenario, Sweep, ThreadCount, WeightsKind,
};

use super::select::selects;
use super::sides;

/// A cell, without its device and repeat.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cell<'a> {
    pub(super) model: &'a str,
    pub(super) weights: WeightsKind,
    pub(super) backend: &'a str,
    pub(super) precision: Precision,
    pub(super) threads: &'a ThreadCount,
    pub(super) batch: u32,
    pub(super) scenario: Scenario,
    /// Which of two sides it is of.
    pub(super) side: Option<PairSide>,
}

/// The axes of a matrix.
#[derive(Clone, Copy)]
struct Axes<'a> {
    devices: &'a [DeviceSelector],
    models: &'a [String],
    weights: &'a [WeightsKind],
    backends: &'a [String],
    precisions: &'a [Precision],
    threads: &'a [ThreadCount],
    batches: &'a [u32],
    scenarios: &'a [Scenario],
}

impl<'a> Axes<'a> {
    fn from_sweep(sweep: &'a Sweep) -> Self {
        Axes {
            devices: &sweep.devices,
            models: &sweep.models,
            weights: &sweep.weights,
            backends: &sweep.backends,
            precisions: &sweep.precisions,
            threads: &sweep.threads,
            batches: &sweep.batches,
            scenarios: &sweep.scenarios,
        }
    }

    /// These axes, where the pattern doesn't name its own.
    fn replaced_by(self, pattern: &'a CellPattern) -> Self {
        fn or<'a, T>(own: &'a [T], sweep: &'a [T]) -> &'a [T] {
            if own.is_empty() { sweep } else { own }
        }
        Axes {
            devices: or(&pattern.devices, self.devices),
            models: or(&pattern.models, self.models),
            weights: or(&pattern.weights, self.weights),
            backends: or(&pattern.backends, self.backends),
            precisions: or(&pattern.precisions, self.precisions),
            threads: or(&pattern.threads, self.threads),
            batches: or(&pattern.batches, self.batches),
            scenarios: or(&pattern.scenarios, self.scenarios),
        }
    }

    fn size(self, inventory: &Inventory) -> u64 {
        let devices = inventory.devices.iter().filter(|device| selects(self.devices, device)).count();
        let lengths = [
            devices,
            self.models.len(),
            self.weights.len(),
            self.backends.len(),
            self.precisions.len(),
            self.threads.len(),
            self.batches.len(),
            self.scenarios.len(),
        ];
        lengths.into_iter().fold(1, |size: u64, length| size.saturating_mul(length as u64))
    }

    fn cells(self) -> impl Iterator<Item = Cell<'a>> {
        let cells = self.models.iter().flat_map(move |model| self.weights.iter().map(move |weights| (model, *weights)));
        let cells = cells.flat_map(move |cell| self.backends.iter().map(move |backend| (cell, backend)));
        let cells = cells.flat_map(move |cell| self.precisions.iter().map(move |precision| (cell, *precision)));
        let cells = cells.flat_map(move |cell| self.threads.iter().map(move |threads| (cell, threads)));
        let cells = cells.flat_map(move |cell| self.batches.iter().map(move |batch| (cell, *batch)));
        let cells = cells.flat_map(move |cell| self.scenarios.iter().map(move |scenario| (cell, *scenario)));
        cells.map(|((((((model, weights), backend), precision), threads), batch), scenario)| Cell {
            model,
            weights,
            backend,
            precision,
            threads,
            batch,
            scenario,
            side: None,
        })
    }
}

/// All cells of a device: the matrix without what is excluded, then what is included; each for both sides, where there
/// are two.
pub(super) fn cells<'a>(sweep: &'a Sweep, device: &Device) -> Vec<Cell<'a>> {
    let axes = Axes::from_sweep(sweep);
    let mut cells = Vec::new();
    if selects(axes.devices, device) {
        let excluding: Vec<&CellPattern> =
            sweep.exclude.iter().filter(|pattern| names_device(pattern, device)).collect();
        cells.extend(axes.cells().filter(|cell| !excluding.iter().any(|pattern| names_cell(pattern, cell))));
    }
    for pattern in &sweep.include {
        let axes = axes.replaced_by(pattern);
        if selects(axes.devices, device) {
            cells.extend(axes.cells());
        }
    }
    match &sweep.side_by_side {
        None => cells,
        Some(sides) => cells.into_iter().flat_map(|cell| sides::both(cell, sides)).collect(),
    }
}

fn names_device(pattern: &CellPattern, device: &Device) -> bool {
    pattern.devices.is_empty() || selects(&pattern.devices, device)
}

fn names_cell(pattern: &CellPattern, cell: &Cell<'_>) -> bool {
    fn names<T: PartialEq>(axis: &[T], value: &T) -> bool {
        axis.is_empty() || axis.contains(value)
    }
    let named = |axis: &[String], value: &str| axis.is_empty() || axis.iter().any(|name| name == value);
    named(&pattern.models, cell.model)
        && names(&pattern.weights, &cell.weights)
        && named(&pattern.backends, cell.backend)
        && names(&pattern.precisions, &cell.precision)
        && names(&pattern.threads, cell.threads)
        && names(&pattern.batches, &cell.batch)
        && names(&pattern.scenarios, &cell.scenario)
}

/// The devices that a sweep's matrix runs on.
pub fn matrix_devices<'a>(sweep: &Sweep, inventory: &'a Inventory) -> Vec<&'a Device> {
    inventory.devices.iter().filter(|device| selects(&sweep.devices, device)).collect()
}

/// Whether a pattern matches any cell of a sweep's matrix on these devices.
pub fn matches_matrix(pattern: &CellPattern, sweep: &Sweep, devices: &[&Device]) -> bool {
    devices.iter().any(|device| names_device(pattern, device))
        && Axes::from_sweep(sweep).cells().any(|cell| names_cell(pattern, &cell))
}

/// How many jobs a sweep has at most: without looking what is excluded, skipped, or there twice.
pub fn most_jobs(sweep: &Sweep, inventory: &Inventory) -> u64 {
    let axes = Axes::from_sweep(sweep);
    let matrices = std::iter::once(axes).chain(sweep.include.iter().map(|pattern| axes.replaced_by(pattern)));
    let sizes = matrices.map(|axes| axes.size(inventory));
    let sides = if sweep.side_by_side.is_some() { 2 } else { 1 };
    sizes.fold(0, u64::saturating_add).saturating_mul(u64::from(sweep.repeats)).saturating_mul(sides)
}

/// Whether a sweep has no cell on any device.
pub fn is_empty(sweep: &Sweep, inventory: &Inventory) -> bool {
    inventory.devices.iter().all(|device| cells(sweep, device).is_empty())
}
