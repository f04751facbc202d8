use serde::{Deserialize, Serialize};

use crate::{Precision, StoreStatus};

/// What a device and its runner say of themselves, once at bring-up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The runner's [`PROTOCOL_VERSION`](crate::PROTOCOL_VERSION).
    pub protocol: u32,
    /// SHA-256 of the runner's own file, as it runs.
    pub runner_sha256: String,
    /// Version of the `device-runner` crate.
    pub runner_version: String,
    /// Last git commit that changed the runner's sources, when it was known; ends in `-dirty` when they were changed
    /// after it.
    pub runner_commit: Option<String>,
    /// Start of a hash over all the runner was built from: its sources, its dependencies' versions, its profile.
    pub runner_sources: String,
    /// Rust target triple the runner was built for.
    pub target: String,
    /// Name of the operating system as a person would say it, for example `Debian GNU/Linux 12 (bookworm)`.
    pub os: String,
    /// Kernel name and release, for example `Linux 6.1.0`.
    pub kernel: String,
    /// Machine as `uname -m` gives it.
    pub machine: String,
    /// Host name of the device.
    pub hostname: String,
    /// Marketing or device-tree name of the chip or CPU, when the device tells one.
    pub soc: Option<String>,
    /// Identity of this boot (`/proc/sys/kernel/random/boot_id`), when there is one.
    pub boot_id: Option<String>,
    /// The device's time of day, in milliseconds since 1970.
    pub unix_ms: u64,
    /// All processors that are online, by index.
    pub cpus: Vec<Cpu>,
    /// Total memory.
    pub memory_total_bytes: u64,
    /// Memory that a new program could use.
    pub memory_available_bytes: u64,
    /// The inference engines compiled into this runner.
    pub backends: Vec<BackendInfo>,
    /// The load patterns this runner knows.
    pub scenarios: Vec<String>,
    /// What is in the device's content-addressed store.
    pub store: StoreStatus,
    /// Identifier of the run that holds the device's lock right now.
    pub running: Option<String>,
    /// The runs whose folders are there, the newest first; at most [`MAX_RUNS_IN_HELLO`](crate::MAX_RUNS_IN_HELLO).
    pub runs: Vec<RunInfo>,
}

/// A run whose folder is on a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Its identifier.
    pub run_id: String,
    /// The lab that ordered it; `None` when its request can't be read.
    pub lab: Option<String>,
    /// Whether a supervisor is at work on it.
    pub is_live: bool,
}

impl Hello {
    /// Indices of the fastest cores: those whose maximum frequency is the highest; all cores where frequencies are
    /// not known or equal.
    pub fn big_cpus(&self) -> Vec<u32> {
        Cpu::fastest(&self.cpus)
    }
}

/// One processor of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cpu {
    /// Index as the kernel counts.
    pub index: u32,
    /// Highest frequency by cpufreq, when the kernel tells it.
    pub max_frequency_khz: Option<u64>,
}

impl Cpu {
    /// Indices of those whose maximum frequency is the highest; all where frequencies are not known or equal.
    pub fn fastest(cpus: &[Cpu]) -> Vec<u32> {
        let highest = cpus.iter().filter_map(|cpu| cpu.max_frequency_khz).max();
        let is_fastest = |cpu: &&Cpu| highest.is_none() || cpu.max_frequency_khz == highest;
        cpus.iter().filter(is_fastest).map(|cpu| cpu.index).collect()
    }
}

/// One inference engine of a runner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendInfo {
    /// Name, for example `tract`.
    pub name: String,
    /// Version of the engine.
    pub version: String,
    /// Model file formats it loads, for example `onnx`.
    pub formats: Vec<String>,
    /// Precisions it can run.
    pub precisions: Vec<Precision>,
    /// Whether it can use more than one thread.
    pub multi_threaded: bool,
    /// The engine's name for the code that multiplies matrices of 32-bit floats on this very processor, when it tells
    /// one: the difference between assembly and a portable fallback is a matter of several times the speed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
}
