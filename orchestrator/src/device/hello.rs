//! A runner on a device that was reached introduces itself, and is held to be the one that was pushed.

use std::time::Duration;

use farmctl_protocol::{Hello, MAX_LINE_BYTES, PROTOCOL_VERSION};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::domain::{Device, Failure, FailureKind, Timeouts};
use crate::transport::{Command, ErrorKind, Transport, run_collect};

use super::bounds::cut;
use super::part::PartNames;
use super::probe::DeviceProbe;
use super::refusal::kind_of_exit;
use super::runner_push::{RunnerFile, RunnerPush};
use super::trial::{NotStarted, why_not_started};
use super::{lines, transport_failure};

/// When a device said what it is.
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    /// When its answer came.
    pub at: Instant,
    /// How far its clock was ahead of this host's (behind: negative), where that is more than the answer's way
    /// explains.
    pub clock_off_ms: Option<i64>,
}

/// A device that was reached, before its runner speaks.
pub(super) struct Place<'a> {
    pub(super) device: &'a Device,
    pub(super) transport: &'a dyn Transport,
    pub(super) probe: &'a DeviceProbe,
    pub(super) timeouts: &'a Timeouts,
    pub(super) parts: &'a PartNames,
}

impl Place<'_> {
    /// Lets the runner speak, after pushing it when it isn't there.
    pub(super) async fn answer(
        &self,
        runner: &RunnerFile,
        pushing: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<(Hello, Heard), Failure> {
        let Place { device, transport, probe, timeouts, parts } = *self;
        let sha256 = &runner.artifact.sha256;
        let push = RunnerPush { device, transport, probe, runner, timeouts, parts };
        if probe.size_of(&format!("bin/{sha256}")) != Some(runner.artifact.size_bytes) {
            push.push(pushing).await?;
        }
        match say_hello(device, transport, &probe.workdir, sha256, timeouts).await {
            // Its file rotted there, or came broken to a device that can't verify it.
            Err(failure) if failure.kind == FailureKind::ArtifactCorrupt => {
                tracing::warn!(device = %device.name, %failure, "pushing the runner anew");
                push.replace(pushing).await?;
                say_hello(device, transport, &probe.workdir, sha256, timeouts).await
            }
            answered => answered,
        }
    }
}

/// The command line of a runner in that workdir with these words.
pub(super) fn runner_argv(workdir: &str, sha256: &str, words: &[&str]) -> Vec<String> {
    let mut argv = vec![format!("{workdir}/bin/{sha256}")];
    argv.extend(words.iter().map(|&word| word.to_owned()));
    argv.extend(["--workdir".to_owned(), workdir.to_owned()]);
    argv
}

/// What the runner says of the device and of itself, and when.
pub(super) async fn say_hello(
    device: &Device,
    transport: &dyn Transport,
    workdir: &str,
    sha256: &str,
    timeouts: &Timeouts,
) -> Result<(Hello, Heard), Failure> {
    let name = &device.name;
    let command = Command { argv: runner_argv(workdir, sha256, &["hello"]), deadline: timeouts.bring_up() };
    let (asked_at, asked) = (Timestamp::now(), std::time::Instant::now());
    let tried_out = |failure| tried_out(failure, transport, workdir, timeouts.bring_up());
    let finished = match run_collect(transport, &command, b"", MAX_LINE_BYTES).await {
        Ok(finished) => finished,
        Err(error) => {
            let failure = transport_failure(name, "start the runner", &error);
            let may_be_place = error.kind == ErrorKind::CommandNotFound;
            return Err(if may_be_place { tried_out(failure).await } else { failure });
        }
    };
    if !finished.exit.success() {
        let said = lines::excerpt(String::from_utf8_lossy(&finished.stderr).trim().as_bytes());
        let failure = Failure::new(
            kind_of_exit(finished.exit),
            format!("the runner on {name} ended with {}: {said}", finished.exit),
        );
        // A runner's own code is its word; a shell's, or a signal, says nothing of why.
        let may_be_place = failure.kind == FailureKind::RunnerUnusable;
        return Err(if may_be_place { tried_out(failure).await } else { failure });
    }
    let hello: Hello = serde_json::from_slice(&finished.stdout).map_err(|error| {
        Failure::new(
            FailureKind::RunnerProtocol,
            format!("the runner on {name} introduced itself with {} ({error})", lines::excerpt(&finished.stdout)),
        )
    })?;
    let hello = cut(check_hello(name, sha256, hello)?);
    let clock_off_ms = clock_off_ms(hello.unix_ms, asked_at, asked.elapsed());
    Ok((hello, Heard { at: Instant::now(), clock_off_ms }))
}

/// How far a device's clock is ahead of this host's, when it is off for sure: it was read at some moment of the time
/// that the answer took.
fn clock_off_ms(unix_ms: u64, asked_at: Timestamp, took: Duration) -> Option<i64> {
    /// Clocks that nobody set to the second are no news.
    const ALLOWED_MS: u64 = 5_000;
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let middle_ms = asked_at.as_millisecond().saturating_add_unsigned(took_ms / 2);
    let off_ms = i64::try_from(unix_ms).unwrap_or(i64::MAX).saturating_sub(middle_ms);
    Some(off_ms).filter(|off_ms| off_ms.unsigned_abs() > took_ms.saturating_add(ALLOWED_MS))
}

/// The failure of a runner that did not start, with what the device has against it, if it has anything.
pub(super) async fn tried_out(
    failure: Failure,
    transport: &dyn Transport,
    workdir: &str,
    deadline: Duration,
) -> Failure {
    match why_not_started(transport, workdir, deadline).await {
        Some(NotStarted { kind, what }) => Failure::new(kind, format!("{}; {what}", failure.message)),
        None => failure,
    }
}

/// Refuses a runner that is not the one that was pushed.
fn check_hello(name: &str, sha256: &str, hello: Hello) -> Result<Hello, Failure> {
    if hello.protocol != PROTOCOL_VERSION {
        return Err(Failure::new(
            FailureKind::RunnerProtocol,
            format!(
                "the runner on {name} speaks protocol {}, this farmctl {PROTOCOL_VERSION}: build it from the same \
                 source",
                hello.protocol
            ),
        ));
    }
    if hello.runner_sha256 != sha256 {
        return Err(Failure::new(
            FailureKind::ArtifactCorrupt,
            format!("the runner on {name} has sha256 {} by its own account, {sha256} was pushed", hello.runner_sha256),
        ));
    }
    Ok(hello)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_off_when_the_answers_way_does_not_explain_it() {
        let asked_at = Timestamp::from_millisecond(1_000_000).expect("a time");
        let off = |unix_ms, took_seconds| clock_off_ms(unix_ms, asked_at, Duration::from_secs(took_seconds));
        assert_eq!(off(1_000_000, 0), None);
        assert_eq!((off(1_005_000, 0), off(1_005_001, 0)), (None, Some(5_001)));
        assert_eq!(off(989_000, 0), Some(-11_000));
        assert_eq!(off(991_000, 10), None, "it may have been read on the way");
        assert_eq!(off(0, 2), Some(-1_001_000), "a phone that has just booted without a clock");
        assert_eq!(off(u64::MAX, 0), Some(i64::MAX - 1_000_000));
    }
}
