//! How farmctl ends.

use crate::lab::ErrorKind;

/// All passed.
pub const OK: u8 = 0;
/// A fault of farmctl or of this host.
pub const INTERNAL: u8 = 1;
/// The command line was not understood.
pub const USAGE: u8 = 2;
/// A configuration or inventory is invalid.
pub const INVALID: u8 = 3;
/// There was nothing to run.
pub const NOTHING: u8 = 4;
/// No device could be used.
pub const NO_DEVICE: u8 = 5;
/// Some runs failed.
pub const SOME_FAILED: u8 = 6;
/// A gate of a comparison failed.
pub const GATE_FAILED: u8 = 7;
/// A person interrupted it.
pub const INTERRUPTED: u8 = 130;

/// An exit code with its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitCode {
    /// The code.
    pub number: u8,
    /// What it says.
    pub meaning: &'static str,
}

/// Every exit code.
pub const ALL: &[ExitCode] = &[
    ExitCode { number: OK, meaning: "all passed" },
    ExitCode { number: INTERNAL, meaning: "internal error" },
    ExitCode { number: USAGE, meaning: "usage" },
    ExitCode { number: INVALID, meaning: "a file is invalid" },
    ExitCode { number: NOTHING, meaning: "nothing to run" },
    ExitCode { number: NO_DEVICE, meaning: "no device usable" },
    ExitCode { number: SOME_FAILED, meaning: "some runs failed" },
    ExitCode { number: GATE_FAILED, meaning: "a gate failed" },
    ExitCode { number: INTERRUPTED, meaning: "interrupted" },
];

/// The exit code of an error.
pub fn code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Internal | ErrorKind::Unavailable => INTERNAL,
        ErrorKind::Usage => USAGE,
        ErrorKind::Invalid => INVALID,
        ErrorKind::Nothing => NOTHING,
        ErrorKind::NoDevice => NO_DEVICE,
    }
}

/// The exit code of a verb that asked so many devices, some of which failed.
pub(super) fn of_devices(failed: usize, asked: usize) -> u8 {
    match failed {
        _ if asked == 0 => NOTHING,
        0 => OK,
        all if all == asked => NO_DEVICE,
        _ => SOME_FAILED,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_help_text_names_every_exit_code() {
        let codes: Vec<String> = super::ALL.iter().map(|code| format!("{} {}", code.number, code.meaning)).collect();
        let help = crate::cli::Cli::command().get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.starts_with(&format!("Exit codes: {}.", codes.join(", "))), "{help}");
    }
}
