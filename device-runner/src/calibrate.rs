//! How fast this device is right now.
//!
//! Purpose: time a small fixed piece of work, so that a device can be held against itself at another time. Main
//! function: [`calibrate`]. Never runs beside a run: it holds the device's lock.
//!
//! Each step of the computing kernel waits for the one before it, and the reading one waits for memory; so both say how
//! fast the device is, and next to nothing of how the compiler laid them out: with `opt-level` "s", as in the profile,
//! and with 3 the times are the same.

use std::hint::black_box;
use std::time::{Duration, Instant};

use farmctl_engine_kit::pin_to;
use farmctl_protocol::{CALIBRATION_VERSION, Calibration, Cpu, KernelTime};

use crate::hello;
use crate::lock::{DeviceLock, LockError};
use crate::workdir::Workdir;

/// Values that are computed with: 8 KiB, which any first-level cache holds.
const VALUES: usize = 2048;
/// Chains of steps that go on beside each other.
const CHAINS: usize = 4;
/// How often a sample goes through the values: 262,144 steps of each chain, which take a fast processor half a
/// millisecond, and an emulated one a third of a second.
const PASSES: usize = 512;
/// Memory that is read: more than a phone's caches hold.
const MEMORY_BYTES: usize = 32 << 20;
/// Of each cache line one word is read.
const LINE_BYTES: usize = 64;
const WORDS_IN_LINE: usize = LINE_BYTES / size_of::<u64>();

/// How long processors are kept at work first, so that they have raised their clocks.
const WARM_UP: Duration = Duration::from_millis(80);
/// How long each kernel's samples take together, unless the fewest take longer.
const COMPUTE_BUDGET: Duration = Duration::from_millis(120);
const MEMORY_BUDGET: Duration = Duration::from_millis(80);
/// Fewest and most samples.
const LEAST_SAMPLES: usize = 3;
const MOST_SAMPLES: usize = 201;

/// The device's speed could not be told.
#[derive(Debug, thiserror::Error)]
pub enum CalibrateError {
    /// A run is under way, or the lock can't be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// There is no memory to read.
    #[error("calibrate: {MEMORY_BYTES} bytes of memory are not to be had; end other programs on the device")]
    Memory,
}

/// Times the kernels on one of the fastest cores, under the device's lock.
///
/// # Errors
/// [`LockError::Busy`] when a run is under way.
pub fn calibrate(workdir: &Workdir) -> Result<Calibration, CalibrateError> {
    let _held = DeviceLock::acquire(workdir)?.hold_unnamed(workdir)?;
    // Where that is not allowed it runs where the kernel puts it.
    let _ = pin_to(&Cpu::fastest(&hello::cpus()));
    let values: Vec<f32> = (0..VALUES).map(|index| 0.25 + (index % 61) as f32 / 100.0).collect();
    let memory = memory().ok_or(CalibrateError::Memory)?;
    let mut compute_once = || {
        black_box(compute(black_box(&values)));
    };
    times_ns(&mut compute_once, WARM_UP, 1, usize::MAX);
    let compute = times_ns(&mut compute_once, COMPUTE_BUDGET, LEAST_SAMPLES, MOST_SAMPLES);
    let mut read_once = || {
        black_box(read(black_box(&memory)));
    };
    let memory = times_ns(&mut read_once, MEMORY_BUDGET, LEAST_SAMPLES, MOST_SAMPLES);
    let (Some(compute), Some(memory)) = (KernelTime::of(compute), KernelTime::of(memory)) else {
        unreachable!("there are {LEAST_SAMPLES} samples at least")
    };
    Ok(Calibration { kernel_version: CALIBRATION_VERSION, compute, memory })
}

/// Times of the work, done until the budget is used up: so often at least, and so often at most.
fn times_ns(work: &mut dyn FnMut(), budget: Duration, least: usize, most: usize) -> Vec<u64> {
    let begun = Instant::now();
    let mut times_ns = Vec::new();
    while times_ns.len() < least || (times_ns.len() < most && begun.elapsed() < budget) {
        let started = Instant::now();
        work();
        times_ns.push(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    times_ns
}

/// Multiplies and adds. All values lie between a quarter and one, so that sums stay below two and take no processor's
/// slow way.
#[inline(never)]
fn compute(values: &[f32]) -> [f32; CHAINS] {
    // Variables of their own, which no level of optimisation keeps in memory.
    let [mut a, mut b, mut c, mut d] = [1.0; CHAINS];
    for _ in 0..PASSES {
        for step in values.as_chunks::<CHAINS>().0 {
            a = a * 0.5 + step[0];
            b = b * 0.5 + step[1];
            c = c * 0.5 + step[2];
            d = d * 0.5 + step[3];
        }
    }
    [a, b, c, d]
}

/// Memory that is really there: each page was written.
fn memory() -> Option<Vec<u64>> {
    let words = MEMORY_BYTES / size_of::<u64>();
    let mut memory = Vec::new();
    memory.try_reserve_exact(words).ok()?;
    memory.resize(words, 1);
    Some(memory)
}

/// Reads a word of each cache line.
#[inline(never)]
fn read(memory: &[u64]) -> u64 {
    memory.as_chunks::<WORDS_IN_LINE>().0.iter().fold(0, |sum: u64, line| sum.wrapping_add(line[0]))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn the_work_is_really_done() {
        let folder = Scratch::new();
        let told = calibrate(&Workdir::open(folder.path()).unwrap()).unwrap();
        assert_eq!(told.kernel_version, CALIBRATION_VERSION);
        for kernel in [told.compute, told.memory] {
            assert!((LEAST_SAMPLES..=MOST_SAMPLES).contains(&(kernel.samples as usize)), "{told:?}");
            assert!(kernel.fastest_ns <= kernel.median_ns, "{told:?}");
        }
        // A quarter of a million steps in a row, and half a million lines: whatever takes less has left some out.
        assert!(told.compute.fastest_ns > 100_000 && told.memory.fastest_ns > 50_000, "{told:?}");
        let sums = compute(&[0.5; 8]);
        assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-6), "{sums:?}");
        assert_eq!(read(&[1; 24]), 3);
    }

    #[test]
    fn samples_end_with_their_budget_or_their_number() {
        let mut done = 0;
        let mut work = || done += 1;
        assert_eq!(times_ns(&mut work, Duration::ZERO, 3, 31).len(), 3);
        assert_eq!(times_ns(&mut work, Duration::from_secs(3600), 3, 31).len(), 31);
        assert_eq!(done, 34);
    }
}
