//! The CPU of a virtual phone.

use std::fs;

use crate::LabError;
use crate::process::find_program;

const HANDLERS: &str = "/proc/sys/fs/binfmt_misc";
const QEMU: &str = "qemu-aarch64-static";
const QEMU_PACKAGE: &str = "qemu-user-static";
/// Without vector extensions that qemu is slow with.
const QEMU_CPU: &str = "cortex-a53";
/// First bytes of a 64-bit little-endian ELF program (or shared object) for AArch64, and which bits of them count.
const MAGIC: &str = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00";
const MASK: &str = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff";

/// Which CPU a phone has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum PhoneArch {
    /// The host's.
    #[default]
    Host,
    /// A Cortex-A53, emulated by qemu (unless the host is of this architecture). Needs Linux 6.7, or a host that starts
    /// aarch64 programs by itself.
    Aarch64,
}

/// What a phone needs to run programs of its CPU.
#[derive(Debug, Default)]
pub(super) struct Emulation {
    /// For the daemon's environment.
    pub(super) cpu: &'static str,
    /// What to tell binfmt_misc, in a user namespace of the phone's own; empty where the host knows already.
    pub(super) handler: String,
}

impl PhoneArch {
    pub(super) fn emulation(self) -> Result<Emulation, LabError> {
        if self == PhoneArch::Host || cfg!(target_arch = "aarch64") {
            return Ok(Emulation::default());
        }
        if host_has_handler() {
            return Ok(Emulation { cpu: QEMU_CPU, handler: String::new() });
        }
        let qemu = find_program(QEMU, QEMU_PACKAGE)?;
        // P keeps the name that a program was called by (busybox needs it), F opens qemu now: the phone doesn't have
        // it.
        let handler = format!(":testlab-aarch64:M::{MAGIC}:{MASK}:{}:PF", qemu.display());
        Ok(Emulation { cpu: QEMU_CPU, handler })
    }
}

/// Whether the host starts aarch64 programs also where there is no qemu (flag F).
fn host_has_handler() -> bool {
    let Ok(entries) = fs::read_dir(HANDLERS) else { return false };
    let texts = entries.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
    texts.into_iter().any(|text| is_usable(&text))
}

fn is_usable(handler: &str) -> bool {
    let has_flag = handler.lines().any(|line| line.strip_prefix("flags:").is_some_and(|flags| flags.contains('F')));
    let is_for_arm = handler.lines().any(|line| line.starts_with("interpreter") && line.contains("aarch64"));
    handler.starts_with("enabled") && has_flag && is_for_arm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_handler_that_works_inside_a_phone_counts() {
        let good = "enabled\ninterpreter /usr/bin/qemu-aarch64\nflags: POCF\noffset 0\n";
        assert!(is_usable(good));
        assert!(!is_usable(&good.replace("enabled", "disabled")));
        assert!(!is_usable(&good.replace("POCF", "OC")));
        assert!(!is_usable(&good.replace("aarch64", "arm")));
    }
}
