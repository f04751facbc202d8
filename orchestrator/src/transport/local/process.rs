//! Commands of this host.
//!
//! Main function: [`run`]. A command never outlives the call: its process group is killed when the call ends early.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::time::timeout;

use crate::transport::{Command, ErrorKind, Exit, OutputSink, TransportError};

const CHUNK_BYTES: usize = 64 << 10;

/// Kills the group unless it is disarmed.
struct GroupGuard(Option<Pid>);

impl Drop for GroupGuard {
    fn drop(&mut self) {
        if let Some(group) = self.0.take() {
            // It may be gone already: then there is nothing to do.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

/// Runs a command, feeding and draining its pipes at the same time.
pub(super) async fn run(
    home: &Path,
    command: &Command,
    stdin: &mut (dyn AsyncRead + Send + Unpin),
    output: &mut dyn OutputSink,
) -> Result<Exit, TransportError> {
    let Some((program, arguments)) = command.argv.split_first() else {
        return Err(TransportError::new(ErrorKind::Protocol, "a command without a program"));
    };
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .current_dir(home)
        .env("HOME", home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| could_not_start(program, &error))?;
    let mut guard = GroupGuard(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw));
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(child_in), Some(child_out), Some(child_err)) = pipes else {
        return Err(TransportError::new(ErrorKind::Protocol, format!("{program} was started without pipes")));
    };
    let ended = async {
        drain(child_out, child_err, output).await?;
        child.wait().await.map_err(|error| could_not_start(program, &error))
    };
    let work = async {
        tokio::select! {
            // Feeding completes only with an error: the command's own end decides.
            result = feed(child_in, stdin, program) => Err(result),
            result = ended => result,
        }
    };
    let status = timeout(command.deadline, work).await.map_err(|_| timed_out(program, command.deadline))??;
    guard.0 = None;
    match (status.code(), status.signal()) {
        (Some(code), _) => Ok(Exit::Code(code)),
        (None, signal) => Ok(Exit::Signal(signal.unwrap_or(0))),
    }
}

/// Feeds the command until the input ends, then waits for ever; a command that reads no further is no error.
async fn feed(child_in: ChildStdin, stdin: &mut (dyn AsyncRead + Send + Unpin), program: &str) -> TransportError {
    let mut child_in = child_in;
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match stdin.read(&mut buffer).await {
            Ok(0) => break,
            Ok(length) => {
                if child_in.write_all(&buffer[..length]).await.is_err() {
                    break;
                }
            }
            Err(error) => {
                return TransportError::new(ErrorKind::File, format!("read the input for {program}: {error}"));
            }
        }
    }
    drop(child_in);
    std::future::pending().await
}

async fn drain(
    mut child_out: ChildStdout,
    mut child_err: ChildStderr,
    output: &mut dyn OutputSink,
) -> Result<(), TransportError> {
    let (mut out, mut err) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
    let (mut out_open, mut err_open) = (true, true);
    while out_open || err_open {
        tokio::select! {
            read = child_out.read(&mut out), if out_open => match read {
                Ok(length) if length > 0 => output.stdout(&out[..length]).await?,
                _ => out_open = false,
            },
            read = child_err.read(&mut err), if err_open => match read {
                Ok(length) if length > 0 => output.stderr(&err[..length]).await?,
                _ => err_open = false,
            },
        }
    }
    Ok(())
}

fn could_not_start(program: &str, error: &std::io::Error) -> TransportError {
    let kind = match error.kind() {
        // An argument with a NUL.
        std::io::ErrorKind::InvalidInput => ErrorKind::Protocol,
        _ => ErrorKind::CommandNotFound,
    };
    TransportError::new(kind, format!("run {program} on this host: {error}"))
}

fn timed_out(program: &str, deadline: Duration) -> TransportError {
    TransportError::new(
        ErrorKind::Timeout,
        format!("run {program} on this host: it was ended after {} s", deadline.as_secs_f64()),
    )
}
