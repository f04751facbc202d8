use serde::{Deserialize, Serialize};

/// Version of the calibration kernel: times of two versions are never compared. Raise it with every change to what is
/// timed, or to how it is compiled.
pub const CALIBRATION_VERSION: u32 = 1;

/// How fast a device is right now, by a small fixed piece of work on one thread. It tells a device from itself at
/// another time; of two kinds of devices it says little.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calibration {
    /// The kernel's [`CALIBRATION_VERSION`].
    pub kernel_version: u32,
    /// Multiplying and adding, with all data in the first-level cache.
    pub compute: KernelTime,
    /// Reading through memory that no cache holds.
    pub memory: KernelTime,
}

impl Calibration {
    /// The time that tells how fast the device computes: the middle one.
    pub fn compute_ns(&self) -> u64 {
        self.compute.median_ns
    }

    /// The time that tells how fast it reads memory: the shortest, since other programs use memory too.
    pub fn memory_ns(&self) -> u64 {
        self.memory.fastest_ns
    }
}

/// How long a fixed piece of work took, done several times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelTime {
    /// How often it was done.
    pub samples: u32,
    /// The middle one of its times (of an even number, the lower of the two).
    pub median_ns: u64,
    /// The shortest of its times.
    pub fastest_ns: u64,
}

impl KernelTime {
    /// Of these times; `None` without any.
    pub fn of(mut times_ns: Vec<u64>) -> Option<KernelTime> {
        times_ns.sort_unstable();
        let median_ns = *times_ns.get(times_ns.len().checked_sub(1)? / 2)?;
        let samples = u32::try_from(times_ns.len()).unwrap_or(u32::MAX);
        Some(KernelTime { samples, median_ns, fastest_ns: *times_ns.first()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_by_their_middle_and_their_shortest() {
        let told = |times: &[u64]| KernelTime::of(times.to_vec()).map(|it| (it.samples, it.median_ns, it.fastest_ns));
        assert_eq!(told(&[9, 1, 5]), Some((3, 5, 1)));
        assert_eq!(told(&[9, 2, 5, 3]), Some((4, 3, 2)));
        assert_eq!(told(&[]), None);
    }
}
