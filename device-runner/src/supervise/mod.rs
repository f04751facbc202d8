//! The supervisor of one run.
//!
//! Purpose: check the job's files, start the measuring process, write down what it says, and end the run: well, by its
//! deadline, on request, or because the process crashed. Main function: [`supervise`]. Never measures, and sleeps while
//! the measuring process works.

mod child;
mod images;
mod input;
mod program;
mod protocol_state;
mod verdict;

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::process;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use farmctl_protocol::{ArtifactRef, Message, PROTOCOL_VERSION, Phase, RunRequest, RunnerFailure, RunnerFailureKind};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::setsid;

use crate::cancel::cancelled;
use crate::hello;
use crate::runs::{MessageLog, RunFolder, RunFolderError, RunId};
use crate::store::{Store, StoreError};
use crate::workdir::Workdir;
use child::Child;
use images::Images;
pub use images::MAX_IMAGE_BYTES;
use program::Program;
use protocol_state::{Asked, RunProtocolState};

/// Events that may wait for the supervisor; a measuring process that is faster waits itself.
const EVENT_QUEUE: usize = 16;

/// The supervisor could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    /// The request could not be read.
    #[error(transparent)]
    Folder(#[from] RunFolderError),
    /// A session, signal or stream could not be set up.
    #[error("set up the supervisor: {0}")]
    SetUp(io::Error),
    /// The messages could not be written.
    #[error("write the run's messages: {0}")]
    Messages(io::Error),
}

/// What the supervisor waits for.
#[derive(Debug)]
enum Event {
    /// The measuring process wrote a line.
    Line(Vec<u8>),
    /// It wrote what is no line of the protocol.
    Garbage(String),
    /// It closed its output.
    Closed,
    /// The host asked to end the run.
    Cancel,
}

/// Watches over the run of `run`. Standard input holds the device's lock, standard output is the locked message file.
///
/// # Errors
/// Fails when the messages can't be written: whoever follows the run then sees that it is gone.
pub fn supervise(workdir: &Workdir, run: &RunId) -> Result<(), SuperviseError> {
    setsid().map_err(|error| SuperviseError::SetUp(error.into()))?;
    let messages = File::from(io::stdout().as_fd().try_clone_to_owned().map_err(SuperviseError::SetUp)?);
    let folder = RunFolder::new(workdir, run);
    let (sender, events) = sync_channel(EVENT_QUEUE);
    listen_for_cancel(sender.clone())?;
    let mut log = MessageLog::new(&messages).map_err(SuperviseError::Messages)?;
    let request = folder.read_request()?;
    let last = Supervisor::new(workdir, &folder, &request, events).run(&mut log, sender);
    folder.release_reserve();
    log.append(&last).and_then(|()| messages.sync_all()).map_err(SuperviseError::Messages)
}

/// Turns SIGTERM into an event. The signal is blocked here, before any other thread starts, and in all of them.
fn listen_for_cancel(sender: SyncSender<Event>) -> Result<(), SuperviseError> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.thread_block().map_err(|error| SuperviseError::SetUp(error.into()))?;
    let wait = move || {
        // The thread ends with the process; a second request has nothing to add.
        if signals.wait().is_ok() {
            let _ = sender.send(Event::Cancel);
        }
    };
    thread::Builder::new().name("cancel".to_owned()).spawn(wait).map_err(SuperviseError::SetUp)?;
    Ok(())
}

struct Supervisor<'a> {
    workdir: &'a Workdir,
    folder: &'a RunFolder,
    request: &'a RunRequest,
    events: Receiver<Event>,
    deadline: Instant,
}

impl<'a> Supervisor<'a> {
    fn new(
        workdir: &'a Workdir,
        folder: &'a RunFolder,
        request: &'a RunRequest,
        events: Receiver<Event>,
    ) -> Supervisor<'a> {
        let seconds = Duration::try_from_secs_f64(request.deadline_seconds).unwrap_or(Duration::ZERO);
        Supervisor { workdir, folder, request, events, deadline: Instant::now() + seconds }
    }

    /// Does the run; gives the last message, which is not yet written.
    fn run(&self, log: &mut MessageLog, sender: SyncSender<Event>) -> Message {
        let accepted = Message::Accepted {
            protocol: PROTOCOL_VERSION,
            run_id: self.request.run_id.clone(),
            pid: process::id(),
            boot_id: hello::boot_id(),
            started_unix_ms: hello::unix_ms(),
        };
        let done = log
            .append(&accepted)
            .and_then(|()| log.append(&Message::Phase { phase: Phase::Verify }))
            .map_err(storage)
            .and_then(|()| self.verify())
            .and_then(|()| self.measure(log, sender));
        match done {
            Ok(()) => Message::Finished { finished_unix_ms: hello::unix_ms() },
            Err(failure) => Message::Failed(failure),
        }
    }

    fn verify(&self) -> Result<(), RunnerFailure> {
        program::files(&self.request.job).try_for_each(|(what, artifact)| self.verify_file(&what, artifact))
    }

    fn verify_file(&self, what: &str, artifact: &ArtifactRef) -> Result<(), RunnerFailure> {
        let digest = artifact.sha256.parse().map_err(|error| failure(RunnerFailureKind::Internal, error))?;
        let mut stopped = None;
        let store = Store::new(self.workdir);
        store.touch(&digest);
        let checked = store.check(&digest, &mut || {
            match self.events.try_recv() {
                Ok(Event::Cancel) => stopped = Some(cancelled()),
                Ok(_) | Err(TryRecvError::Empty | TryRecvError::Disconnected) => {}
            }
            if stopped.is_none() && Instant::now() >= self.deadline {
                stopped = Some(self.deadline_passed("while the files were being verified"));
            }
            stopped.is_some()
        });
        let kind = match &checked {
            Ok(file) if file.size_bytes == artifact.size_bytes => return Ok(()),
            Ok(file) => {
                let text = format!("{what} has {} bytes, the job says {}", file.size_bytes, artifact.size_bytes);
                return Err(failure(RunnerFailureKind::ArtifactCorrupt, text));
            }
            Err(StoreError::Missing(_)) => RunnerFailureKind::ArtifactMissing,
            Err(StoreError::WrongHash { .. } | StoreError::WrongSize { .. }) => RunnerFailureKind::ArtifactCorrupt,
            Err(StoreError::Interrupted(_) | StoreError::Io { .. }) => RunnerFailureKind::Storage,
        };
        let text = checked.map_or_else(|error| format!("failed to have {what}: failed to {error}"), |_| String::new());
        Err(stopped.unwrap_or_else(|| failure(kind, text)))
    }

    /// Lets the measuring process do its work and copies what it says.
    fn measure(&self, log: &mut MessageLog, sender: SyncSender<Event>) -> Result<(), RunnerFailure> {
        let kills_before = verdict::oom_kills();
        let mut program = Program::of(self.workdir, &self.request.job, self.folder.path())?;
        let mut child = Child::start(&mut program, sender).map_err(|error| program.not_started(&error))?;
        let protocol = self.copy(log, &mut child);
        // A process that closed its output may still be busy with its end, or be stuck there.
        let ended = protocol.and_then(|protocol| match child.wait_until(self.deadline) {
            Ok(Some(status)) => Ok((protocol, status)),
            Ok(None) => Err(self.deadline_passed("after the results were there")),
            Err(error) => Err(failure(RunnerFailureKind::Internal, format!("failed to wait for the process: {error}"))),
        });
        let stderr_tail = child.end();
        match ended {
            Ok((protocol, status)) => {
                let spoke = protocol.spoke;
                let judged = verdict::judge(protocol, status, stderr_tail, kills_before);
                judged.map_err(|failure| match failure.failure {
                    RunnerFailureKind::Crashed if !spoke => program.explain(failure),
                    _ => failure,
                })
            }
            Err(failure) => Err(RunnerFailure { stderr_tail, ..failure }),
        }
    }

    fn copy(&self, log: &mut MessageLog, child: &mut Child) -> Result<RunProtocolState, RunnerFailure> {
        let mut protocol = RunProtocolState::of(&self.request.job);
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let line = match self.events.recv_timeout(left) {
                Ok(Event::Line(line)) => line,
                Ok(Event::Closed) => return Ok(protocol),
                Ok(Event::Cancel) => return Err(cancelled()),
                Ok(Event::Garbage(text)) => return Err(failure(RunnerFailureKind::Internal, text)),
                Err(RecvTimeoutError::Timeout) => return Err(self.deadline_passed(child.phase())),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(failure(RunnerFailureKind::Internal, "the supervisor lost its own events".to_owned()));
                }
            };
            let message = serde_json::from_slice::<Message>(&line).map_err(|error| {
                let start: String = String::from_utf8_lossy(&line).chars().take(80).collect();
                let text = format!("the measuring process sent a line that is no message ({error}): {start:?}");
                failure(RunnerFailureKind::Internal, text)
            })?;
            let foul = |text| failure(RunnerFailureKind::Internal, text);
            match protocol.take(message).map_err(foul)? {
                Asked::Withhold => continue,
                Asked::Nothing => {}
                Asked::Enter(phase) => {
                    child.enter(phase);
                    if let (Phase::Evaluate, Some(evaluation)) = (phase, &self.request.job.evaluation) {
                        let images = Images::open(self.workdir, &self.request.job, evaluation).map_err(foul)?;
                        child.show(images).map_err(foul)?;
                    }
                }
                Asked::Feed { inputs, outputs } => {
                    images::check(&self.request.job, &inputs, &outputs)
                        .map_err(|text| failure(RunnerFailureKind::BackendUnsupported, text))?;
                    child.feed(&self.request.job, inputs).map_err(foul)?;
                }
            }
            log.append_line(&line).map_err(storage)?;
        }
    }

    fn deadline_passed(&self, when: &str) -> RunnerFailure {
        let text = format!("the deadline of {} s passed {when}", self.request.deadline_seconds);
        failure(RunnerFailureKind::Deadline, text)
    }
}

fn failure(failure: RunnerFailureKind, message: String) -> RunnerFailure {
    RunnerFailure { failure, message, signal: None, exit_code: None, stderr_tail: Vec::new() }
}

fn storage(error: io::Error) -> RunnerFailure {
    failure(
        RunnerFailureKind::Storage,
        format!("failed to write the run's messages: {error}; free space on the device"),
    )
}
