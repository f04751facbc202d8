/// What a device says of its processor and of the programs it runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Machine<'a> {
    /// `uname -s`.
    pub system: &'a str,
    /// `uname -m`: the kernel's word, which may be wider than what its programs are.
    pub kernel: &'a str,
    /// Android's `ro.product.cpu.abilist`, the best first; empty elsewhere.
    pub abis: &'a str,
    /// Class and byte order of its own programs, as an ELF header has them: `21` is 64 bits, least byte first.
    pub elf: &'a str,
}

/// The Rust target whose static runner fits a machine. No libc is needed on the device, so glibc's targets serve every
/// Linux. What the system's own programs are decides before the kernel: a 64-bit kernel below a 32-bit system may not
/// run anything else.
///
/// # Errors
/// Names what the machine is, when no runner is built for it.
pub fn target_of_machine(machine: Machine<'_>) -> Result<&'static str, String> {
    let Machine { system, kernel, abis, elf } = machine;
    let unknown = |what: &str| Err(format!("a {system} {kernel}{what}"));
    if system != "Linux" {
        return unknown("");
    }
    if elf.ends_with('2') {
        return unknown(" whose bytes are the other way round (big-endian)");
    }
    if let Some(best) = abis.split(',').map(str::trim).find(|abi| !abi.is_empty()) {
        return match best {
            "arm64-v8a" => Ok(ARM_64),
            "armeabi-v7a" => Ok(ARM_32),
            "x86_64" => Ok(X86_64),
            "riscv64" => Ok(RISCV_64),
            _ => unknown(&format!(" of the Android ABI {best}")),
        };
    }
    let narrow = elf.starts_with('1');
    match kernel {
        "x86_64" | "amd64" if !narrow => Ok(X86_64),
        "aarch64" | "arm64" if !narrow => Ok(ARM_64),
        // A 64-bit kernel below a 32-bit system may call itself armv8l, or by its own name.
        "armv7l" | "armv8l" | "aarch64" | "arm64" => Ok(ARM_32),
        "riscv64" if !narrow => Ok(RISCV_64),
        _ if narrow => unknown(" with 32-bit programs"),
        _ => unknown(""),
    }
}

const X86_64: &str = "x86_64-unknown-linux-gnu";
const ARM_64: &str = "aarch64-unknown-linux-gnu";
const ARM_32: &str = "armv7-unknown-linux-gnueabihf";
const RISCV_64: &str = "riscv64gc-unknown-linux-gnu";

#[cfg(test)]
mod tests {
    use super::*;

    fn target(kernel: &str, abis: &str, elf: &str) -> Result<&'static str, String> {
        target_of_machine(Machine { system: "Linux", kernel, abis, elf })
    }

    #[test]
    fn boards_are_told_by_kernel_and_programs() {
        assert_eq!(target("x86_64", "", "21"), Ok(X86_64));
        assert_eq!(target("aarch64", "", "21"), Ok(ARM_64));
        assert_eq!(target("aarch64", "", ""), Ok(ARM_64), "a device without dd");
        assert_eq!(target("aarch64", "", "11"), Ok(ARM_32), "a 32-bit system on a 64-bit kernel");
        assert_eq!(target("armv7l", "", "11"), Ok(ARM_32));
        assert_eq!(target("riscv64", "", "21"), Ok(RISCV_64));
    }

    #[test]
    fn phones_are_told_by_their_best_abi() {
        assert_eq!(target("aarch64", "arm64-v8a,armeabi-v7a,armeabi", "21"), Ok(ARM_64));
        assert_eq!(target("aarch64", "armeabi-v7a,armeabi", "11"), Ok(ARM_32));
        assert_eq!(target("armv8l", "armeabi-v7a", ""), Ok(ARM_32));
        assert_eq!(target("x86_64", "x86_64,arm64-v8a", "21"), Ok(X86_64));
        assert!(target("i686", "x86,armeabi-v7a", "11").is_err_and(|text| text.contains("ABI x86")));
    }

    #[test]
    fn what_no_runner_fits_is_named() {
        assert_eq!(target("mips", "", ""), Err("a Linux mips".to_owned()));
        assert!(target("aarch64", "", "22").is_err_and(|text| text.contains("big-endian")));
        assert!(target("x86_64", "", "11").is_err_and(|text| text.contains("32-bit programs")));
        assert!(target("armv6l", "", "11").is_err());
        assert!(target_of_machine(Machine { system: "Darwin", kernel: "arm64", ..Machine::default() }).is_err());
    }
}
