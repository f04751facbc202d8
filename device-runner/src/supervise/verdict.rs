//! Judging how a measuring process ended.
//!
//! Purpose: from exit status, last words and the kernel's counters to one failure, or to none. Main function:
//! [`judge`]. Never guesses without saying so.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use farmctl_protocol::{RunnerFailure, RunnerFailureKind, exit};
use nix::sys::signal::Signal;

use super::protocol_state::RunProtocolState;

/// Characters of a last line that are told.
const LAST_LINE_CHARACTERS: usize = 300;

/// Whether the run is good, after its process ended by itself.
pub(super) fn judge(
    protocol: RunProtocolState,
    status: ExitStatus,
    stderr_tail: Vec<String>,
    kills_before: Option<u64>,
) -> Result<(), RunnerFailure> {
    let (signal, exit_code) = (status.signal(), status.code());
    let killed = signal.map(|signal| killed(signal, &stderr_tail, kills_before, oom_kills()));
    let last = last_words(&stderr_tail);
    let failed = |failure, message| Err(RunnerFailure { failure, message, signal, exit_code, stderr_tail });
    if let Some((kind, message)) = killed {
        return failed(kind, message);
    }
    let (is_complete, lacks_images) = (protocol.is_complete(), protocol.measured);
    match (protocol.failure, exit_code) {
        (Some(failure), _) => failed(failure.failure, failure.message),
        (None, Some(0)) if is_complete => Ok(()),
        (None, Some(0)) if lacks_images => failed(
            RunnerFailureKind::BackendUnsupported,
            "the measuring process ended without having classified all images; an engine program that does not know of \
             images has to be built anew"
                .to_owned(),
        ),
        (None, Some(0)) => {
            failed(RunnerFailureKind::Internal, "the measuring process ended without results".to_owned())
        }
        (None, Some(exit::NO_MEMORY)) => {
            failed(RunnerFailureKind::OutOfMemory, format!("the measuring process could not allocate memory{last}"))
        }
        (None, code) => {
            let code = code.map_or("no exit code".to_owned(), |code| format!("exit code {code}"));
            let text = format!("the measuring process ended with {code} and gave no reason{last}");
            failed(RunnerFailureKind::Crashed, text)
        }
    }
}

/// Processes that the kernel killed for want of memory since boot, where it counts them (Linux 4.13).
pub(super) fn oom_kills() -> Option<u64> {
    let counters = fs::read_to_string("/proc/vmstat").ok()?;
    counters.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

/// What a signal means, by the kernel's count of out-of-memory kills before and after.
fn killed(signal: i32, stderr_tail: &[String], before: Option<u64>, after: Option<u64>) -> (RunnerFailureKind, String) {
    let name = Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |name| name.to_string());
    if signal != Signal::SIGKILL as i32 {
        let last = last_words(stderr_tail);
        return (RunnerFailureKind::Crashed, format!("the measuring process was ended by {name}{last}"));
    }
    match (before, after) {
        (Some(before), Some(after)) if after > before => (
            RunnerFailureKind::OutOfMemory,
            "the measuring process was killed while the kernel's count of out-of-memory kills rose".to_owned(),
        ),
        (Some(_), Some(_)) => (
            RunnerFailureKind::Crashed,
            "the measuring process was killed (SIGKILL) by something else than farmctl or the kernel's out-of-memory \
             killer: a person, or a daemon of the system"
                .to_owned(),
        ),
        _ => (
            RunnerFailureKind::OutOfMemory,
            "the measuring process was killed (SIGKILL), not by farmctl; most likely by the kernel for want of memory, \
             but this kernel doesn't count such kills"
                .to_owned(),
        ),
    }
}

/// The last line that the process itself said, to be put behind what became of it.
fn last_words(stderr_tail: &[String]) -> String {
    // Rust's panics end with advice for programmers.
    let said = stderr_tail.iter().rev().find(|line| !line.starts_with("note: "));
    let line = said.map(|line| line.chars().take(LAST_LINE_CHARACTERS).collect::<String>());
    line.map_or_else(String::new, |line| format!("; its last line: {line}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn judge_status(raw: i32, protocol: RunProtocolState, stderr: &str) -> Result<(), RunnerFailure> {
        judge(protocol, ExitStatus::from_raw(raw), vec![stderr.to_owned()], oom_kills())
    }

    #[test]
    fn only_an_end_with_results_is_good() {
        assert_eq!(judge_status(0, RunProtocolState::all(), ""), Ok(()));
        assert_eq!(judge_status(0, RunProtocolState::default(), "").unwrap_err().failure, RunnerFailureKind::Internal);
        let failure = judge_status(0, RunProtocolState::all_but_images(), "").unwrap_err();
        assert_eq!(failure.failure, RunnerFailureKind::BackendUnsupported);
        let failure = judge_status(3 << 8, RunProtocolState::all(), "oh").unwrap_err();
        assert_eq!((failure.failure, failure.exit_code), (RunnerFailureKind::Crashed, Some(3)));
        assert_eq!(failure.stderr_tail, ["oh"]);
        assert!(failure.message.ends_with("its last line: oh"), "{failure:?}");
    }

    #[test]
    fn a_failed_allocation_is_want_of_memory() {
        let (words, no_memory) = ("memory allocation of 8 bytes failed", exit::NO_MEMORY << 8);
        let failure = judge_status(no_memory, RunProtocolState::default(), words).unwrap_err();
        assert_eq!((failure.failure, failure.exit_code), (RunnerFailureKind::OutOfMemory, Some(exit::NO_MEMORY)));
        assert!(failure.message.ends_with(words), "{failure:?}");
        // Words alone say nothing.
        let failure = judge_status(6, RunProtocolState::default(), words).unwrap_err();
        assert_eq!((failure.failure, failure.signal), (RunnerFailureKind::Crashed, Some(6)));
    }

    #[test]
    fn the_kernels_count_decides_about_a_kill() {
        assert_eq!(killed(9, &[], Some(3), Some(4)).0, RunnerFailureKind::OutOfMemory);
        assert_eq!(killed(9, &[], Some(3), Some(3)).0, RunnerFailureKind::Crashed);
        let (kind, message) = killed(9, &[], None, None);
        assert_eq!(kind, RunnerFailureKind::OutOfMemory);
        assert!(message.contains("most likely"), "{message}");
    }
}
