//! How long a plan will take, before anything of it has run.

use std::time::Duration;

use crate::domain::{Cooldown, Device, Inventory, Job, Plan};

/// What a run needs beside its loops: starting, loading the model, the first inference, and bringing the samples back.
const OVERHEAD_SECONDS: f64 = 2.0;
/// Multiply-adds a second assumed of a device that was never measured: that of one core of a middling board.
const ASSUMED_MACS_PER_SECOND: f64 = 10e9;

/// Inferences that a warm-up has at least whose end hangs on what it measures: twenty say something, and one look at
/// them is not enough.
const FEWEST_LOOKED_AT: f64 = 25.0;
/// The same of a timed loop.
const FEWEST_TO_END: f64 = farmctl_statistics::MIN_SAMPLES_TO_END as f64;

/// How long a plan will take.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanEstimate {
    /// All of it: the devices in parallel, but for those that share what only one, or only some, may have.
    pub seconds: f64,
    /// The same, if each run waits for its device to cool down as long as it may.
    pub longest_seconds: f64,
    /// Each device with jobs, in the order of the plan.
    pub devices: Vec<DeviceEstimate>,
}

/// How long the jobs of a device will take, one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceEstimate {
    /// Name of the device.
    pub device: String,
    /// Its jobs.
    pub jobs: usize,
    /// Their time, without waits for it to cool down that may be left out.
    pub seconds: f64,
}

/// Estimates a plan by the limits of its jobs, whatever these took before. Of the devices it is taken what they share:
/// a machine is one device's at a time, and of a farm with `max_parallel` no more are worked on at once. How long a
/// device cools down is not known beforehand: the shortest and the longest are told.
pub fn estimate(plan: &Plan, inventory: &Inventory, cooldown: Option<&Cooldown>) -> PlanEstimate {
    let (shortest, longest) = cooldown.map_or((0.0, 0.0), Cooldown::bounds_seconds);
    let devices = of_devices(plan, shortest);
    let longest_seconds = together(&of_devices(plan, longest), inventory);
    PlanEstimate { seconds: together(&devices, inventory), longest_seconds, devices }
}

/// What each device has to do, with so many seconds before each job.
fn of_devices(plan: &Plan, cooldown_seconds: f64) -> Vec<DeviceEstimate> {
    let mut devices: Vec<DeviceEstimate> = Vec::new();
    for job in &plan.jobs {
        let index = devices.iter().position(|estimate| estimate.device == job.device).unwrap_or_else(|| {
            devices.push(DeviceEstimate { device: job.device.clone(), jobs: 0, seconds: 0.0 });
            devices.len() - 1
        });
        devices[index].jobs += 1;
        devices[index].seconds += cooldown_seconds + job_seconds(job, None);
    }
    devices
}

/// When the last device is done: each begins, in the order of the plan, once what it shares with others is free, and
/// keeps it until its jobs are done.
fn together(estimates: &[DeviceEstimate], inventory: &Inventory) -> f64 {
    let mut waiting: Vec<&DeviceEstimate> = estimates.iter().collect();
    let mut working: Vec<(&Device, f64)> = Vec::new();
    let (mut now, mut last) = (0.0_f64, 0.0_f64);
    while !waiting.is_empty() {
        waiting.retain(|estimate| {
            let ends_at = now + estimate.seconds;
            let device = inventory.devices.iter().find(|device| device.name == estimate.device);
            if device.is_some_and(|device| has_to_wait(device, &working)) {
                return true;
            }
            working.extend(device.map(|device| (device, ends_at)));
            last = last.max(ends_at);
            false
        });
        // Who waits does so for one that works.
        let next = working.iter().map(|(_, ends_at)| *ends_at).fold(f64::INFINITY, f64::min);
        now = now.max(if next.is_finite() { next } else { last });
        working.retain(|(_, ends_at)| *ends_at > now);
    }
    last
}

/// Whether what a device shares is taken by those that are worked on.
fn has_to_wait(device: &Device, working: &[(&Device, f64)]) -> bool {
    let of_farm = working.iter().filter(|(other, _)| other.farm == device.farm).count();
    let is_full = device.max_parallel.is_some_and(|most| of_farm >= usize::try_from(most.max(1)).unwrap_or(usize::MAX));
    is_full || working.iter().any(|(other, _)| device.takes_turns_with(other))
}

/// Estimates a job: as long as it took before, if that is known, or else from its limits and the size of its network.
pub fn job_seconds(job: &Job, past: Option<Duration>) -> f64 {
    past.map_or_else(|| wanted_seconds(job).min(job.run_seconds), |took| took.as_secs_f64())
}

/// Estimates what a job that never ran would take, were there no limit to a run's time.
pub fn wanted_seconds(job: &Job) -> f64 {
    let macs = job.model.macs.unwrap_or(0) as f64 * f64::from(job.batch);
    let one = macs / ASSUMED_MACS_PER_SECOND;
    let limits = &job.limits;
    let warmup_runs = f64::from(limits.warmup_min_runs) * one;
    let settling = limits.steady_percent.map_or(0.0, |_| FEWEST_LOOKED_AT * one);
    let warmup = limits.warmup_min_seconds.max(warmup_runs).max(settling);
    let warmup = warmup.min(limits.warmup_max_seconds.max(warmup_runs));
    let looked_at = limits.interval_percent.map_or(0.0, |_| FEWEST_TO_END.min(f64::from(limits.max_runs)) * one);
    let measure = limits.min_seconds.max(f64::from(limits.min_runs) * one).max(looked_at).min(limits.max_seconds);
    let images = job.dataset.as_ref().map_or(0, |dataset| dataset.images);
    let evaluate = f64::from(images) * job.model.macs.unwrap_or(0) as f64 / ASSUMED_MACS_PER_SECOND;
    OVERHEAD_SECONDS + warmup + measure + evaluate
}
