/// The Rust target whose static runner fits a machine, by what `uname -s` and `uname -m` say. No libc is needed on the
/// device, so glibc's targets serve every Linux.
///
/// `None` for a machine no runner is built for.
pub fn target_of_machine(system: &str, machine: &str) -> Option<&'static str> {
    if system != "Linux" {
        return None;
    }
    match machine {
        "x86_64" | "amd64" => Some("x86_64-unknown-linux-gnu"),
        "aarch64" | "arm64" => Some("aarch64-unknown-linux-gnu"),
        // A 64-bit kernel below a 32-bit system calls itself armv8l.
        "armv7l" | "armv8l" => Some("armv7-unknown-linux-gnueabihf"),
        "riscv64" => Some("riscv64gc-unknown-linux-gnu"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::target_of_machine;

    #[test]
    fn machines_have_targets() {
        assert_eq!(target_of_machine("Linux", "aarch64"), Some("aarch64-unknown-linux-gnu"));
        assert_eq!(target_of_machine("Linux", "mips"), None);
        assert_eq!(target_of_machine("Darwin", "arm64"), None);
    }
}
