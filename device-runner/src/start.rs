//! Starting a run.
//!
//! Purpose: take the device's lock, make the run's folder, and start the supervisor, detached. Main function:
//! [`start`]. Never starts the same run twice: a host that lost the answer may ask again.

use std::env;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use farmctl_protocol::{Message, RunRequest, RunnerFailure, RunnerFailureKind};

use crate::args::RUNS_KEPT;
use crate::fence::{self, FenceError};
use crate::lock::{DeviceLock, LockError};
use crate::runs::{self, MessageLog, OpenRun, RunFolder, RunFolderError, RunId};
use crate::workdir::Workdir;

/// A run could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The lock could not be taken.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The order came under a lease that is lost, or what is known of leases can't be read or written.
    #[error(transparent)]
    Fence(#[from] FenceError),
    /// The run's folder could not be made.
    #[error(transparent)]
    Folder(#[from] RunFolderError),
    /// The message file could not be written.
    #[error("hand over the messages of the run: {0}")]
    Messages(#[source] io::Error),
}

/// Starts the run, unless it was started before.
///
/// # Errors
/// Nothing was started, except when the message of a supervisor that could not be started can't be written.
pub fn start(workdir: &Workdir, run: &RunId, request: &RunRequest) -> Result<RunFolder, StartError> {
    let folder = RunFolder::new(workdir, run);
    if folder.exists() {
        return Ok(folder);
    }
    let lock = match DeviceLock::acquire(workdir) {
        Ok(lock) => lock,
        // The same request may have come twice at once.
        Err(LockError::Busy(_)) if folder.exists() => return Ok(folder),
        Err(error) => return Err(error.into()),
    };
    if folder.exists() {
        return Ok(folder);
    }
    fence::raise(workdir, &request.fence)?;
    runs::prune(workdir, RUNS_KEPT, true)?;
    let lock = lock.assign(workdir, run)?;
    let OpenRun { messages, log } = folder.create(request)?;
    // The supervisor's standard streams carry the locked files over: there is no moment in which nobody holds them.
    let handed_over = messages.try_clone().map_err(StartError::Messages)?;
    let spawned = env::current_exe().and_then(|program| {
        Command::new(program)
            .arg0("device-runner")
            .args(["supervise", "--run", run.as_str(), "--workdir"])
            .arg(workdir.root())
            .stdin(Stdio::from(lock))
            .stdout(Stdio::from(handed_over))
            .stderr(Stdio::from(log))
            .spawn()
    });
    if let Err(error) = spawned {
        let failure = RunnerFailure {
            failure: RunnerFailureKind::Internal,
            message: format!("failed to start the run's supervisor: {error}"),
            signal: None,
            exit_code: None,
            stderr_tail: Vec::new(),
        };
        MessageLog::new(&messages)
            .and_then(|mut log| log.append(&Message::Failed(failure)))
            .map_err(StartError::Messages)?;
    }
    Ok(folder)
}
