//! Why a runner does not start that lies where it should: what the device lets any program do there.
//!
//! Main function: [`why_not_started`]. Shells have one code for all that is refused, and words of their own for it; so
//! it is tried out. Only asked once something has gone wrong.

use std::time::Duration;

use crate::domain::FailureKind;
use crate::transport::{Command, Transport, run_collect, script::PROLOGUE};

use super::SHORT_OUTPUT_BYTES;

/// Says whether a program of two lines runs in the workdir (`$1`), and how much memory the login may have.
const TRIAL_SCRIPT: &str = r#"
trial=$1/bin/.farmctl-$$
if printf '#!%s\nexit 0\n' "$(command -v sh)" > "$trial" && chmod 755 "$trial"; then
  if "$trial"; then echo 'programs run'; else echo 'programs refused'; fi
fi
rm -f "$trial"
printf 'memory %s\n' "$(ulimit -v)"
exit 0
"#;

/// What became of the trial.
#[derive(Debug, Default, PartialEq, Eq)]
struct Trial {
    /// Whether any program may run there, where that could be tried.
    runs_programs: Option<bool>,
    /// Address space that a process of this login may have, when that is limited.
    memory_kib: Option<u64>,
}

impl Trial {
    fn parse(text: &str) -> Trial {
        let mut trial = Trial::default();
        for line in text.lines() {
            match line.trim_end().split_once(' ') {
                Some(("programs", word)) => trial.runs_programs = Some(word == "run"),
                // `unlimited` is no number.
                Some(("memory", word)) => trial.memory_kib = word.parse().ok(),
                _ => {}
            }
        }
        trial
    }

    fn reason(&self) -> Option<NotStarted> {
        if self.runs_programs == Some(false) {
            let what = "no program runs from there".to_owned();
            return Some(NotStarted { kind: FailureKind::RunnerNotExecutable, what });
        }
        let memory_kib = self.memory_kib?;
        let what = format!("a process of this login may have {memory_kib} KiB of memory (`ulimit -v` on the device)");
        Some(NotStarted { kind: FailureKind::OutOfMemory, what })
    }
}

/// Why a runner does not start.
pub(super) struct NotStarted {
    pub(super) kind: FailureKind,
    /// In words, to be put behind what the device said.
    pub(super) what: String,
}

/// Finds out why no program runs in a workdir; `None` when nothing there stands against it.
pub(super) async fn why_not_started(
    transport: &dyn Transport,
    workdir: &str,
    deadline: Duration,
) -> Option<NotStarted> {
    let script = format!("{PROLOGUE}{TRIAL_SCRIPT}");
    let argv = ["sh", "-c", &script, "sh", workdir].map(str::to_owned).to_vec();
    let finished = run_collect(transport, &Command { argv, deadline }, b"", SHORT_OUTPUT_BYTES).await;
    match finished {
        Ok(finished) => Trial::parse(&String::from_utf8_lossy(&finished.stdout)).reason(),
        Err(error) => {
            tracing::debug!(%error, "why the runner does not start could not be tried out");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn trial(workdir: &std::path::Path, before: &str) -> Trial {
        let script = format!("{before}\n{PROLOGUE}{TRIAL_SCRIPT}");
        let argv = ["-c", &script, "sh", workdir.to_str().unwrap()];
        let output = std::process::Command::new("sh").args(argv).output().unwrap();
        Trial::parse(&String::from_utf8_lossy(&output.stdout))
    }

    #[test]
    fn a_device_where_all_is_well_gives_no_reason() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        assert_eq!(trial(folder.path(), ""), Trial { runs_programs: Some(true), memory_kib: None });
        assert_eq!(std::fs::read_dir(folder.path().join("bin")).unwrap().count(), 0);
        assert!(trial(folder.path(), "").reason().is_none());
    }

    #[test]
    fn a_small_limit_and_a_place_without_programs_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("bin")).unwrap();
        let small = trial(folder.path(), "ulimit -v 60000").reason().unwrap();
        assert_eq!(small.kind, FailureKind::OutOfMemory);
        assert!(small.what.contains("60000 KiB"), "{}", small.what);
        let refused = Trial::parse("Welcome!\nprograms refused\nmemory unlimited\n").reason().unwrap();
        assert_eq!(refused.kind, FailureKind::RunnerNotExecutable);
        assert!(Trial::parse("").reason().is_none(), "what could not be tried says nothing");
    }
}
