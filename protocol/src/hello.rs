use serde::{Deserialize, Serialize};

use crate::{CoreKind, Precision, StoreStatus};

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
    /// All processors that are there, online or not; none where the device does not tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub present: Vec<Cpu>,
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
    /// Indices of the cores of a kind, of those that are there: a phone that rests has some of them offline. Where
    /// kinds are not told, there are none but big ones: the fastest that are online.
    pub fn cpus_of(&self, kind: CoreKind) -> Vec<u32> {
        let is_told = !self.present.is_empty() && self.present.iter().all(|cpu| cpu.kind.is_some());
        if is_told {
            return self.present.iter().filter(|cpu| cpu.kind == Some(kind)).map(|cpu| cpu.index).collect();
        }
        if kind == CoreKind::Big { Cpu::fastest(&self.cpus) } else { Vec::new() }
    }

    /// Indices of all cores that are there, online or not; those that are online where the rest is not told.
    pub fn present_cpus(&self) -> Vec<u32> {
        let all = if self.present.is_empty() { &self.cpus } else { &self.present };
        all.iter().map(|cpu| cpu.index).collect()
    }
}

/// One processor of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cpu {
    /// Index as the kernel counts.
    pub index: u32,
    /// Highest frequency by cpufreq, when the kernel tells it.
    pub max_frequency_khz: Option<u64>,
    /// What kind of core it is on this device, by capacity and highest frequency, when the kernel tells these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<CoreKind>,
}

impl Cpu {
    /// Indices of those whose kind is the fastest, or where kinds are not known whose maximum frequency is the
    /// highest; all where that is not known or equal.
    pub fn fastest(cpus: &[Cpu]) -> Vec<u32> {
        let highest = cpus.iter().filter_map(|cpu| cpu.max_frequency_khz).max();
        let fastest_kind = cpus.iter().map(|cpu| cpu.kind).collect::<Option<Vec<CoreKind>>>();
        let fastest_kind = fastest_kind.and_then(|kinds| kinds.into_iter().max());
        let is_fastest = |cpu: &&Cpu| match fastest_kind {
            Some(kind) => cpu.kind == Some(kind),
            None => highest.is_none() || cpu.max_frequency_khz == highest,
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(index: u32, kind: Option<CoreKind>, max_frequency_khz: Option<u64>) -> Cpu {
        Cpu { index, max_frequency_khz, kind }
    }

    #[test]
    fn the_fastest_are_told_by_kind_and_else_by_frequency() {
        let kinds = [CoreKind::Little, CoreKind::Big, CoreKind::Big];
        let of_kinds: Vec<Cpu> = (0..).zip(kinds).map(|(index, kind)| cpu(index, Some(kind), Some(9))).collect();
        assert_eq!(Cpu::fastest(&of_kinds), [1, 2]);
        assert_eq!(Cpu::fastest(&[cpu(0, Some(CoreKind::Big), Some(1)), cpu(1, None, Some(2))]), [1]);
        assert_eq!(Cpu::fastest(&[cpu(0, None, None), cpu(1, None, None)]), [0, 1]);
    }

    /// A device that tells next to nothing.
    fn silent() -> Hello {
        let told = serde_json::json!({
            "protocol": 1, "runner_sha256": "", "runner_version": "", "runner_sources": "", "target": "", "os": "",
            "kernel": "", "machine": "", "hostname": "", "unix_ms": 0, "cpus": [], "memory_total_bytes": 0,
            "memory_available_bytes": 0, "backends": [], "scenarios": [], "runs": [],
            "store": { "files": [], "partial": [], "program_bytes": 0, "free_bytes": 0 }
        });
        serde_json::from_value(told).expect("reads")
    }

    #[test]
    fn cores_of_a_kind_are_those_that_are_there() {
        let mut hello = silent();
        let kinds = [CoreKind::Little, CoreKind::Little, CoreKind::Mid, CoreKind::Big, CoreKind::Big, CoreKind::Prime];
        hello.present = (0..).zip(kinds).map(|(index, kind)| cpu(index, Some(kind), Some(9))).collect();
        hello.cpus = vec![cpu(0, Some(CoreKind::Little), None), cpu(1, Some(CoreKind::Little), None)];
        let of = |hello: &Hello| {
            [CoreKind::Little, CoreKind::Mid, CoreKind::Big, CoreKind::Prime].map(|kind| hello.cpus_of(kind))
        };
        assert_eq!(of(&hello), [vec![0, 1], vec![2], vec![3, 4], vec![5]]);
        assert_eq!(hello.present_cpus(), [0, 1, 2, 3, 4, 5]);
        hello.present[2].kind = None;
        hello.cpus = vec![cpu(0, None, Some(5)), cpu(4, None, Some(7))];
        assert_eq!(of(&hello), [vec![], vec![], vec![4], vec![]], "without kinds only the fastest are known");
        hello.present.clear();
        assert_eq!(hello.present_cpus(), [0, 4]);
    }

    #[test]
    fn a_runner_that_tells_no_kinds_is_understood() {
        let told: Cpu = serde_json::from_str(r#"{"index": 3, "max_frequency_khz": null}"#).expect("reads");
        assert_eq!(told, cpu(3, None, None));
    }
}
