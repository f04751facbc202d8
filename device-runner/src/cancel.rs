//! Ending a run on purpose.
//!
//! Purpose: ask the supervisor to end its run, and make sure that it does. Main function: [`cancel`]. Never signals a
//! process without knowing that it is the run's supervisor.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use farmctl_protocol::{Message, RunnerFailure, RunnerFailureKind};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::follow;
use crate::runs::{self, Ending, RunFolder, RunId};

/// How long the supervisor may take to end the run before it is killed.
const ASKING_GRACE: Duration = Duration::from_secs(5);

/// How long a killed supervisor may take to be gone.
const KILLING_GRACE: Duration = Duration::from_secs(5);

/// Time between two looks.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A run could not be cancelled.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// There is no such run.
    #[error("cancel run {0}: it is not known on this device")]
    UnknownRun(RunId),
    /// The messages could not be read or written.
    #[error("cancel the run of {}: {source}", path.display())]
    Io {
        /// The message file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The supervisor lives on.
    #[error("cancel run {0}: its supervisor did not end; restart the device")]
    Stuck(RunId),
}

/// Ends the run and returns once its last message is written. A run that is over already is left as it is.
///
/// # Errors
/// Fails when there is no such run or it can't be ended.
pub fn cancel(folder: &RunFolder, run: &RunId) -> Result<(), CancelError> {
    let failed = |source| CancelError::Io { path: folder.messages(), source };
    let messages = match folder.open_messages() {
        Ok(messages) => messages,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(CancelError::UnknownRun(run.clone())),
        Err(error) => return Err(failed(error)),
    };
    for (signal, grace) in [(Signal::SIGTERM, ASKING_GRACE), (Signal::SIGKILL, KILLING_GRACE)] {
        let deadline = Instant::now() + grace;
        let mut signalled = false;
        while Instant::now() < deadline {
            match runs::end_if_abandoned(&messages, cancelled).map_err(failed)? {
                Ending::Live => {}
                Ending::Written => return Ok(()),
                Ending::Unwritable(_) => return Err(failed(io::ErrorKind::StorageFull.into())),
            }
            if !signalled && let Some(supervisor) = supervisor(&messages) {
                // The lock was just seen held, so the process lives and has its number still. That a signal can't be
                // delivered to a process that leaves at this moment is seen by the next look.
                let _ = match signal {
                    Signal::SIGKILL => killpg(supervisor, signal),
                    _ => kill(supervisor, signal),
                };
                signalled = true;
            }
            thread::sleep(POLL_INTERVAL);
        }
    }
    Err(CancelError::Stuck(run.clone()))
}

fn supervisor(messages: &File) -> Option<Pid> {
    match follow::first_message(messages)? {
        Message::Accepted { pid, .. } => i32::try_from(pid).ok().filter(|pid| *pid > 1).map(Pid::from_raw),
        _ => None,
    }
}

/// The last message of a cancelled run.
pub fn cancelled() -> RunnerFailure {
    RunnerFailure {
        failure: RunnerFailureKind::Cancelled,
        message: "the host asked to end the run".to_owned(),
        signal: None,
        exit_code: None,
        stderr_tail: Vec::new(),
    }
}
