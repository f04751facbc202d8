//! What the device says of itself.
//!
//! Purpose: collect what the kernel and the file system tell without privileges. Main function: [`hello`]. Never fails
//! for a fact that is not there: it is left out, or empty.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use farmctl_engine_kit::SCENARIOS;
use farmctl_protocol::{Cpu, Hello, PROTOCOL_VERSION, StoreStatus};
use nix::sys::utsname::{UtsName, uname};

use crate::BACKENDS;
use crate::conditions::{self, Root};
use crate::lock;
use crate::runs::{self, RunId};
use crate::workdir::Workdir;

/// Describes device, runner and `store`; `runner_sha256` is the hash of this program's own file.
pub fn hello(workdir: &Workdir, store: StoreStatus, runner_sha256: String) -> Hello {
    let uname = uname().ok();
    let word = |get: fn(&UtsName) -> &std::ffi::OsStr| {
        uname.as_ref().map(|names| get(names).to_string_lossy().into_owned()).unwrap_or_default()
    };
    let system = word(UtsName::sysname);
    let memory = read("/proc/meminfo").unwrap_or_default();
    Hello {
        protocol: PROTOCOL_VERSION,
        runner_sha256,
        runner_version: env!("CARGO_PKG_VERSION").to_owned(),
        runner_commit: option_env!("RUNNER_COMMIT").map(str::to_owned),
        runner_sources: env!("RUNNER_SOURCES").to_owned(),
        target: env!("RUNNER_TARGET").to_owned(),
        os: os_name().unwrap_or_else(|| system.clone()),
        kernel: format!("{system} {}", word(UtsName::release)),
        machine: word(UtsName::machine),
        hostname: word(UtsName::nodename),
        soc: soc(),
        boot_id: boot_id(),
        unix_ms: unix_ms(),
        cpus: cpus(),
        present: conditions::present_cpus(&Root::device()),
        memory_total_bytes: meminfo_bytes(&memory, "MemTotal").unwrap_or(0),
        memory_available_bytes: meminfo_bytes(&memory, "MemAvailable").unwrap_or(0),
        backends: BACKENDS.iter().map(|backend| backend.info()).collect(),
        scenarios: SCENARIOS.iter().map(|pattern| pattern.scenario().to_string()).collect(),
        store,
        running: lock::holder(workdir).as_ref().map(RunId::to_string),
        runs: runs::list(workdir),
    }
}

/// The time of day, in milliseconds since 1970; 0 for a clock that is before that.
pub fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Identity of this boot.
pub fn boot_id() -> Option<String> {
    read("/proc/sys/kernel/random/boot_id")
}

/// A file's text without what surrounds it; device-tree texts end with a NUL.
fn read(path: impl AsRef<Path>) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_matches(|character: char| character.is_whitespace() || character == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}

fn os_name() -> Option<String> {
    let release = read("/etc/os-release").or_else(|| read("/usr/lib/os-release"))?;
    let value = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(value.trim_matches(['"', '\'']).to_owned())
}

fn soc() -> Option<String> {
    read("/proc/device-tree/model").or_else(|| cpu_name(&read("/proc/cpuinfo")?))
}

/// The chip's or processor's name in the text of `/proc/cpuinfo`.
fn cpu_name(cpuinfo: &str) -> Option<String> {
    let value = |wanted: &str| {
        let mut pairs = cpuinfo.lines().filter_map(|line| line.split_once(':'));
        pairs.find(|(key, _)| key.trim() == wanted).map(|(_, value)| value.trim().to_owned())
    };
    value("Hardware").or_else(|| value("model name")).filter(|name| !name.is_empty())
}

/// The processors that are online; as many as this process may use where the kernel lists none.
pub fn cpus() -> Vec<Cpu> {
    let online = conditions::online_cpus(&Root::device());
    if !online.is_empty() {
        return online;
    }
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    (0..count as u32).map(|index| Cpu { index, max_frequency_khz: None, kind: None }).collect()
}

fn meminfo_bytes(meminfo: &str, key: &str) -> Option<u64> {
    let line = meminfo.lines().find(|line| line.split(':').next() == Some(key))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chip_is_named_before_the_processor() {
        let board = "processor\t: 0\nmodel name\t: ARMv7 Processor rev 3 (v7l)\n\nHardware\t: BCM2711\n";
        assert_eq!(cpu_name(board).as_deref(), Some("BCM2711"));
        assert_eq!(cpu_name("model name\t: Xeon\n").as_deref(), Some("Xeon"));
        assert_eq!(cpu_name("processor : 0\n"), None);
    }

    #[test]
    fn memory_is_in_bytes() {
        let text = "MemTotal:       16384 kB\nMemAvailable:    8192 kB\n";
        assert_eq!(meminfo_bytes(text, "MemAvailable"), Some(8 << 20));
        assert_eq!(meminfo_bytes(text, "SwapFree"), None);
    }
}
