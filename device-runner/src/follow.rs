//! Following a run's messages.
//!
//! Purpose: copy a message file to the host as it grows, and always come to an end. Main function: [`follow`]. Never
//! disturbs the run: it looks at the file a few times a second.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use farmctl_protocol::{MAX_LINE_BYTES, Message, RunnerFailure, RunnerFailureKind};

use crate::hello;
use crate::runs::{self, Ending, RunFolder, RunId};

/// Time between two looks at the file.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Bytes copied at a time.
const COPY_BYTES: usize = 64 << 10;

/// A run could not be followed to its end.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// There is no such run.
    #[error("follow run {0}: it is not known on this device")]
    UnknownRun(RunId),
    /// The offset lies behind the end of the messages.
    #[error("follow run {run}: offset {offset} lies behind its {length} bytes of messages")]
    BadOffset {
        /// The run.
        run: RunId,
        /// What was asked for.
        offset: u64,
        /// What is there.
        length: u64,
    },
    /// The messages could not be read.
    #[error("read {}: {source}", path.display())]
    Read {
        /// The message file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The host doesn't listen any more.
    #[error("print the messages: {0}")]
    Print(io::Error),
}

/// Prints the messages of `run` from byte `offset` on until the last one.
///
/// # Errors
/// Fails when there is no such run, its file can't be read, or the output is closed.
pub fn follow(folder: &RunFolder, run: &RunId, offset: u64, out: &mut dyn Write) -> Result<(), FollowError> {
    let unreadable = |source| FollowError::Read { path: folder.messages(), source };
    let messages = match folder.open_messages() {
        Ok(messages) => messages,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(FollowError::UnknownRun(run.clone())),
        Err(error) => return Err(unreadable(error)),
    };
    let length = messages.metadata().map_err(unreadable)?.len();
    if offset > length {
        return Err(FollowError::BadOffset { run: run.clone(), offset, length });
    }
    let mut position = offset;
    let mut looked_at = None;
    loop {
        // Looked at before copying: what is copied after the end was seen is everything.
        let length = messages.metadata().map_err(unreadable)?.len();
        let grown = looked_at != Some(length);
        looked_at = Some(length);
        let ended = grown && runs::has_ended(&messages).map_err(unreadable)?;
        copy_whole_lines(&messages, &mut position, out).map_err(|error| match error {
            CopyError::Read(source) => unreadable(source),
            CopyError::Print(source) => FollowError::Print(source),
        })?;
        if ended {
            return Ok(());
        }
        if !grown {
            match runs::end_if_abandoned(&messages, || abandoned(&messages)).map_err(unreadable)? {
                Ending::Live => thread::sleep(POLL_INTERVAL),
                Ending::Written => looked_at = None,
                Ending::Unwritable(failure) => return print(&Message::Failed(failure), out),
            }
        }
    }
}

enum CopyError {
    Read(io::Error),
    Print(io::Error),
}

fn copy_whole_lines(messages: &File, position: &mut u64, out: &mut dyn Write) -> Result<(), CopyError> {
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let count = match messages.read_at(&mut buffer, *position) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(CopyError::Read(error)),
        };
        if let Some(newline) = buffer[..count].iter().rposition(|byte| *byte == b'\n') {
            out.write_all(&buffer[..=newline]).and_then(|()| out.flush()).map_err(CopyError::Print)?;
            *position += newline as u64 + 1;
        } else if count < buffer.len() {
            return Ok(());
        } else if buffer.len() > MAX_LINE_BYTES {
            let reason = format!("a line is longer than {MAX_LINE_BYTES} bytes");
            return Err(CopyError::Read(io::Error::new(io::ErrorKind::InvalidData, reason)));
        } else {
            buffer.resize(buffer.len() * 2, 0);
        }
    }
}

fn print(message: &Message, out: &mut dyn Write) -> Result<(), FollowError> {
    let mut line = serde_json::to_vec(message).map_err(|error| FollowError::Print(error.into()))?;
    line.push(b'\n');
    out.write_all(&line).and_then(|()| out.flush()).map_err(FollowError::Print)
}

/// Why a run whose supervisor is gone has no last message.
fn abandoned(messages: &File) -> RunnerFailure {
    let started_in = first_message(messages).and_then(|message| match message {
        Message::Accepted { boot_id, .. } => boot_id,
        _ => None,
    });
    let restarted = started_in.is_some() && started_in != hello::boot_id();
    let (failure, message) = if restarted {
        (RunnerFailureKind::Restarted, "the device restarted during the run")
    } else {
        (RunnerFailureKind::Killed, "the process that supervised the run is gone: killed from outside, or crashed")
    };
    RunnerFailure { failure, message: message.to_owned(), signal: None, exit_code: None, stderr_tail: Vec::new() }
}

/// The first message of a run.
pub fn first_message(messages: &File) -> Option<Message> {
    let mut head = vec![0; 4096];
    let count = messages.read_at(&mut head, 0).ok()?;
    let end = head[..count].iter().position(|byte| *byte == b'\n')?;
    serde_json::from_slice(&head[..end]).ok()
}
