//! What the exit codes of a runner's commands mean. The runner's words are for people: nothing is decided by them.

use std::time::Duration;

use farmctl_protocol::exit;

use crate::domain::{Failure, FailureKind};
use crate::transport::{Command, Exit, Transport, run_collect};

use super::bring_up::Session;
use super::{SHORT_OUTPUT_BYTES, lines, transport_failure};

/// What kind of failure it is that a runner's command ended so.
pub(super) fn kind_of_exit(ended: Exit) -> FailureKind {
    match ended {
        Exit::Code(exit::CORRUPT | exit::INCOMPLETE) => FailureKind::ArtifactCorrupt,
        Exit::Code(exit::DISK_FULL) => FailureKind::DiskFull,
        Exit::Code(exit::DENIED | exit::FAILED) => FailureKind::WorkdirUnusable,
        Exit::Code(exit::NO_MEMORY) => FailureKind::OutOfMemory,
        Exit::Code(exit::BUSY) => FailureKind::Busy,
        Exit::Code(exit::UNKNOWN_RUN) => FailureKind::Lost,
        Exit::Code(exit::FENCED) => FailureKind::Fenced,
        Exit::Code(exit::PROTOCOL) => FailureKind::RunnerProtocol,
        // The runner is of this very farmctl: what it does not understand should not have been asked.
        Exit::Code(exit::USAGE) => FailureKind::Internal,
        ended if is_from_outside(ended) => FailureKind::Killed,
        // A shell's codes, and signals.
        Exit::Code(_) | Exit::Signal(_) => FailureKind::RunnerUnusable,
    }
}

/// Whether something ended the program that it did not do itself: a shutdown, the end of a login, a lack of memory. A
/// shell tells of a signal by a code.
pub(super) fn is_from_outside(ended: Exit) -> bool {
    /// SIGHUP, SIGINT, SIGKILL and SIGTERM.
    const SIGNALS: [i32; 4] = [1, 2, 9, 15];
    match ended {
        Exit::Signal(signal) => SIGNALS.contains(&signal),
        Exit::Code(code) => SIGNALS.contains(&code.wrapping_sub(128)),
    }
}

/// A command of a device's runner.
pub(super) struct RunnerCommand<'a> {
    pub(super) device: &'a str,
    pub(super) transport: &'a dyn Transport,
    pub(super) argv: Vec<String>,
    pub(super) deadline: Duration,
    /// What it does, in words.
    pub(super) action: &'a str,
}

impl RunnerCommand<'_> {
    /// Runs it; gives what it printed.
    pub(super) async fn run(self) -> Result<Vec<u8>, Failure> {
        let RunnerCommand { device, transport, argv, deadline, action } = self;
        let finished = run_collect(transport, &Command { argv, deadline }, b"", SHORT_OUTPUT_BYTES)
            .await
            .map_err(|error| transport_failure(device, action, &error))?;
        if finished.exit.success() {
            return Ok(finished.stdout);
        }
        let said = lines::excerpt(String::from_utf8_lossy(&finished.stderr).trim().as_bytes());
        Err(Failure::new(
            kind_of_exit(finished.exit),
            format!("failed to {action} on {device}: the runner ended with {}: {said}", finished.exit),
        ))
    }
}

impl Session {
    /// Runs a short command of the device's runner; gives what it printed.
    pub(super) async fn ask(&self, action: &str, words: &[&str]) -> Result<Vec<u8>, Failure> {
        let (argv, deadline) = (self.runner_argv(words), self.timeouts.bring_up());
        RunnerCommand { device: &self.device.name, transport: self.transport(), argv, deadline, action }.run().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_decides_and_no_word() {
        let cases = [
            (exit::CORRUPT, FailureKind::ArtifactCorrupt),
            (exit::INCOMPLETE, FailureKind::ArtifactCorrupt),
            (exit::DISK_FULL, FailureKind::DiskFull),
            (exit::DENIED, FailureKind::WorkdirUnusable),
            (exit::FENCED, FailureKind::Fenced),
            (exit::NO_MEMORY, FailureKind::OutOfMemory),
            (exit::USAGE, FailureKind::Internal),
            (127, FailureKind::RunnerUnusable),
        ];
        for (code, kind) in cases {
            assert_eq!(kind_of_exit(Exit::Code(code)), kind);
        }
        for ended in [Exit::Signal(11), Exit::Signal(4), Exit::Code(128 + 11), Exit::Code(i32::MIN)] {
            assert_eq!(kind_of_exit(ended), FailureKind::RunnerUnusable, "{ended}");
        }
        for ended in [Exit::Signal(9), Exit::Signal(15), Exit::Code(128 + 9)] {
            assert_eq!(kind_of_exit(ended), FailureKind::Killed, "{ended}");
        }
    }
}
