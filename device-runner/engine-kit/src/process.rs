//! What the kernel knows of this process.
//!
//! Purpose: processor time, peak memory, and the processors that may be used. Main type: [`CpuTime`]. Never measures
//! wall time.

use std::fs;
use std::io;

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use nix::unistd::Pid;

/// Processor time of all threads of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuTime {
    /// In user mode.
    pub user_ns: u64,
    /// In the kernel.
    pub system_ns: u64,
}

impl CpuTime {
    /// What was used since the process started.
    ///
    /// # Errors
    /// Fails when the kernel doesn't tell.
    pub fn now() -> io::Result<CpuTime> {
        let usage = getrusage(UsageWho::RUSAGE_SELF)?;
        Ok(CpuTime { user_ns: nanoseconds(usage.user_time()), system_ns: nanoseconds(usage.system_time()) })
    }

    /// What was used since `earlier`.
    pub fn since(self, earlier: CpuTime) -> CpuTime {
        CpuTime {
            user_ns: self.user_ns.saturating_sub(earlier.user_ns),
            system_ns: self.system_ns.saturating_sub(earlier.system_ns),
        }
    }
}

/// What programs have used that this process started and waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChildUsage {
    /// Their processor time.
    pub cpu: CpuTime,
    /// Largest resident set of any of them.
    pub peak_rss_bytes: u64,
}

/// What the programs that this process waited for have used.
///
/// # Errors
/// Fails when the kernel doesn't tell.
// The fields' width depends on the target.
#[allow(clippy::unnecessary_cast)]
pub fn usage_of_children() -> io::Result<ChildUsage> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let cpu = CpuTime { user_ns: nanoseconds(usage.user_time()), system_ns: nanoseconds(usage.system_time()) };
    Ok(ChildUsage { cpu, peak_rss_bytes: (usage.max_rss() as u64).saturating_mul(1024) })
}

// The fields' width depends on the target.
#[allow(clippy::unnecessary_cast)]
fn nanoseconds(time: TimeVal) -> u64 {
    (time.tv_sec() as u64).saturating_mul(1_000_000_000).saturating_add((time.tv_usec() as u64).saturating_mul(1000))
}

/// Largest resident set so far.
///
/// # Errors
/// Fails where `/proc` doesn't tell it.
pub fn peak_rss_bytes() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    kilobytes
        .and_then(|text| text.trim().strip_suffix("kB"))
        .and_then(|text| text.trim().parse::<u64>().ok())
        .map(|kilobytes| kilobytes.saturating_mul(1024))
        .ok_or_else(|| io::Error::other("/proc/self/status has no VmHWM"))
}

/// Processors that this thread may run on.
///
/// # Errors
/// Fails when the kernel doesn't tell.
pub fn affinity() -> io::Result<Vec<u32>> {
    let set = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false)).map(|cpu| cpu as u32).collect())
}

/// Pins this thread, and all that it starts, to `cpus`.
///
/// # Errors
/// Fails when a processor is not there or not allowed.
pub fn pin_to(cpus: &[u32]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu as usize)?;
    }
    sched_setaffinity(Pid::from_raw(0), &set).map_err(|errno| match errno {
        // The kernel's word where not one of them is to be had.
        Errno::EINVAL => io::Error::other("none of them is online and allowed"),
        other => other.into(),
    })?;
    // The kernel drops processors that are offline in silence.
    let got = affinity()?;
    if let Some(missing) = cpus.iter().find(|cpu| !got.contains(cpu)) {
        return Err(io::Error::other(format!("processor {missing} is offline or not allowed")));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_time_and_memory() {
        let before = CpuTime::now().unwrap();
        assert!(peak_rss_bytes().unwrap() > 100_000);
        let spent = CpuTime::now().unwrap().since(before);
        assert!(spent.user_ns + spent.system_ns < 60_000_000_000);
    }

    #[test]
    fn pinning_is_seen_and_refused_where_there_is_no_processor() {
        // In a thread of its own: the pin stays with the thread.
        let pinned = std::thread::spawn(|| {
            let first = affinity().unwrap()[0];
            pin_to(&[first]).unwrap();
            (first, affinity().unwrap(), pin_to(&[1000]).unwrap_err().to_string(), pin_to(&[1_000_000]).is_err())
        });
        let (first, now, beyond, is_far_beyond_refused) = pinned.join().unwrap();
        assert_eq!(now, [first]);
        assert_eq!(beyond, "none of them is online and allowed");
        assert!(is_far_beyond_refused);
    }
}
