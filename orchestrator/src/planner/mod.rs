//! A sweep, an inventory and a catalogue to the plan of what will be run, and what won't and why.
//!
//! Main functions: [`plan`] and [`estimate()`]. Pure: the same input gives the same plan, byte for byte. Never does
//! I/O, and knows no transport.

mod changes;
mod dataset;
mod estimate;
mod id;
mod inputs;
mod kernels;
mod matrix;
mod operators;
mod order;
mod select;
mod sharing;
mod sides;
mod skip;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::domain::{
    Catalog, CatalogModel, Device, FilePart, InputRange, Inventory, Job, JobId, JobModel, Limits, NamedArtifact, Plan,
    Rerun, Scenario, Skipped, Sweep, TensorSignature, Verdict, WeightsFile,
};

pub use changes::changed_facts;
pub use estimate::{DeviceEstimate, PlanEstimate, estimate, job_seconds, wanted_seconds};
use inputs::batch_doubt;
pub use inputs::{inputs, least_batch};
pub use matrix::{is_empty, matches_matrix, matrix_devices, most_jobs};
pub use order::renumber;
pub use select::{DeviceMatcher, has_tag, selects_any};
pub use sharing::{remarks_on_machines, remarks_on_machines_of};
pub use sides::{JobPair, OTHER_SIDE, leave_halves_out, pairs_again};
pub use skip::replaced_file;

use matrix::{Cell, cells};

/// Range of the pseudo-random input of a model that says none.
const USUAL_RANGE: InputRange = InputRange { low: 0.0, high: 1.0 };

/// The plan of a sweep: devices in the order of the inventory; on each, all cells once in the order of the sweep's axes
/// (models, weights, backends, precisions, threads, batches, scenarios) and then those of `include`, before any is
/// repeated. A cell is there once, however often it is declared. In what order they are run is each job's `position`:
/// repeat after repeat, so that what drifts on a device shows between repeats instead of between cells, and within a
/// repeat as the sweep's `order` says; of two sides in pairs.
pub fn plan(sweep: &Sweep, inventory: &Inventory, catalog: &Catalog) -> Plan {
    let mut plan = Plan { sweep: sweep.name.clone(), jobs: Vec::new(), skipped: Vec::new() };
    let mut seen: BTreeSet<JobId> = BTreeSet::new();
    for device in &inventory.devices {
        let cells = cells(sweep, device);
        for repeat in 1..=sweep.repeats {
            for cell in &cells {
                let job = job(sweep, device, catalog, cell, repeat);
                if !seen.insert(job.id.clone()) {
                    continue;
                }
                match skip::reason(&job, device, inventory, catalog) {
                    Some((kind, reason)) => plan.skipped.push(Skipped { job, kind, reason }),
                    None => plan.jobs.push(job),
                }
            }
        }
    }
    match &sweep.side_by_side {
        None => order::number(&mut plan.jobs, sweep.order),
        Some(sides) => {
            leave_halves_out(&mut plan, sides);
            order::number_in_pairs(&mut plan.jobs, sides);
        }
    }
    plan
}

/// The same job on another device: a job of its own, which comes behind those that are planned there.
pub fn on_device(job: &Job, device: &Device) -> Job {
    let allowed = device.limits.max_run_seconds.unwrap_or(f64::INFINITY);
    let run_seconds = job.run_seconds.min(allowed);
    let mut moved = Job { device: device.name.clone(), run_seconds, position: None, ..job.clone() };
    moved.id = id::of(&moved);
    moved
}

/// The same job once more on its device, since what it measured is doubtful: a job of its own.
pub fn measured_again(job: &Job, verdict: Verdict) -> Job {
    let (of, number) = match &job.rerun {
        Some(before) => (before.of.clone(), before.number + 1),
        None => (job.id.clone(), 1),
    };
    let mut again = Job { rerun: Some(Rerun { of, number, verdict }), position: None, ..job.clone() };
    again.id = id::of(&again);
    again
}

/// What is the same of all jobs of a cell, whichever repeat they are, and however often they are measured again.
pub fn cell_id(job: &Job) -> JobId {
    id::of(&Job { repeat: 0, rerun: None, ..job.clone() })
}

fn job(sweep: &Sweep, device: &Device, catalog: &Catalog, cell: &Cell<'_>, repeat: u32) -> Job {
    let model = catalog.model(cell.model);
    let backend = catalog.backend(cell.backend);
    let file = model.and_then(|model| model.file(cell.weights, backend, cell.precision));
    let allowed = device.limits.max_run_seconds.unwrap_or(f64::INFINITY);
    // Where they can't be fixed, the cell is skipped with the reason.
    let inputs = model.zip(file).and_then(|(model, file)| inputs(model, file, cell.batch).ok()).unwrap_or_default();
    let mut job = Job {
        id: JobId(String::new()),
        device: device.name.clone(),
        model: JobModel {
            name: cell.model.to_owned(),
            weights: cell.weights,
            format: file.map(|file| file.format.clone()).unwrap_or_default(),
            artifact: file.and_then(|file| file.artifact.clone()),
            parts: file.map(parts).unwrap_or_default(),
            layout: file.map(|file| file.layout).unwrap_or_default(),
            // What the inputs say is not said twice.
            input_shape: model.and_then(|model| model.input_shape.clone()).filter(|_| inputs.is_empty()),
            inputs,
            outputs: file.map(outputs).unwrap_or_default(),
            macs: model.zip(file).and_then(|(model, file)| macs(model, file)),
            input_range: model.and_then(|model| model.input_range).unwrap_or(USUAL_RANGE),
        },
        backend: cell.backend.to_owned(),
        backend_version: backend.map(|backend| backend.version.clone()).unwrap_or_default(),
        options: backend.and_then(|backend| Some(backend.program.as_ref()?.options.clone())).unwrap_or_default(),
        precision: cell.precision,
        threads: cell.threads.clone(),
        batch: cell.batch,
        scenario: cell.scenario,
        repeat,
        position: None,
        limits: limits(sweep, cell.scenario),
        rerun: None,
        side: cell.side,
        seed: sweep.seed,
        dataset: None,
        remarks: Vec::new(),
        run_seconds: sweep.timeouts.run_seconds.min(allowed),
    };
    match dataset::of(&job, sweep, catalog) {
        Ok(dataset) => {
            job.remarks.extend(dataset.iter().flat_map(|dataset| dataset::doubts(dataset, catalog)));
            job.dataset = dataset;
        }
        Err(reason) => job.remarks.push(format!("accuracy is not measured: {reason}")),
    }
    if let Some((model, file)) = model.zip(file) {
        job.remarks.extend(batch_doubt(model, file, cell.batch));
        job.remarks.extend(macs_remark(model, file));
        job.remarks.extend(mixed_remark(file));
        job.remarks.extend(file.signature.iter().flatten().filter_map(|signature| signature.doubt.clone()));
    }
    job.id = id::of(&job);
    job
}

/// Most inferences that a runner keeps the times of.
const MOST_SAMPLES: u32 = 1_000_000;

/// The limits of a cell. Sustained load is as long as the sweep says. Its device is not to be warm, so it warms up for
/// the fewest inferences alone.
fn limits(sweep: &Sweep, scenario: Scenario) -> Limits {
    if scenario != Scenario::Sustained {
        return sweep.limits;
    }
    Limits {
        warmup_min_runs: sweep.limits.warmup_min_runs,
        warmup_min_seconds: 0.0,
        warmup_max_seconds: 0.0,
        min_runs: 1,
        max_runs: MOST_SAMPLES,
        min_seconds: sweep.sustained_seconds,
        max_seconds: sweep.sustained_seconds,
        steady_percent: None,
        interval_percent: None,
    }
}

/// What the file says of its outputs.
fn outputs(file: &WeightsFile) -> Vec<TensorSignature> {
    file.signature.as_ref().and_then(|read| read.as_ref().ok()).map(|it| it.outputs.clone()).unwrap_or_default()
}

/// Multiply-adds of one image: as the file's graph has them, else as the catalogue says. Another training of a network
/// may have another graph than the entry was written for, so the file goes first.
fn macs(model: &CatalogModel, file: &WeightsFile) -> Option<u64> {
    file.macs.as_ref().and_then(|counted| counted.as_ref().ok()).copied().or(model.macs)
}

/// Up to here a count in models.yaml is the file's, rounded as those who publish one do: as a fraction of it.
const ROUNDED: f64 = 0.1;

/// Says why multiply-adds are not counted, or that those of the catalogue are another network's.
fn macs_remark(model: &CatalogModel, file: &WeightsFile) -> Option<String> {
    match (file.macs.as_ref()?, model.macs) {
        (Err(why), None) => Some(format!("macs {why}")),
        (Err(why), Some(_)) => Some(format!("macs {why}; those of models.yaml stand")),
        (Ok(counted), Some(said)) if (said as f64 - *counted as f64).abs() > ROUNDED * *counted as f64 => {
            Some(format!("models.yaml says {said} macs, and the file has {counted} an image, which stand"))
        }
        (Ok(_), _) => None,
    }
}

/// Says that a file computes in more than one way: its row has the one of most of its weights.
fn mixed_remark(file: &WeightsFile) -> Option<String> {
    let arithmetic = &file.signature.as_ref()?.as_ref().ok()?.arithmetic;
    (!arithmetic.partly.is_empty()).then(|| format!("the network computes in {}", arithmetic.words))
}

/// The further files of a model; one whose content isn't known is left out, and the cell then skipped.
fn parts(file: &WeightsFile) -> Vec<NamedArtifact> {
    let known = |part: &FilePart| Some(NamedArtifact { name: part.name.clone(), artifact: part.artifact.clone()? });
    file.parts.iter().filter_map(known).collect()
}
