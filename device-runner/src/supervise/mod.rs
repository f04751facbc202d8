//! The supervisor of one run.
//!
//! Purpose: check the job's files, start the measuring process, write down what it says, and end the run: well, by its
//! deadline, on request, or because the process crashed. Main function: [`supervise`]. Never measures, and sleeps while
//! the measuring process works.

mod child;
mod element;
mod images;
mod input;
mod looks;
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

use farmctl_engine_kit::affinity;
use farmctl_protocol::{
    ArtifactRef, Message, PROTOCOL_VERSION, Phase, Remark, RemarkKind, RunRequest, RunnerFailure, RunnerFailureKind,
    TensorInfo,
};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::setsid;

use crate::cancel::cancelled;
use crate::conditions::{Plan, Root, Watcher};
use crate::hello;
use crate::runs::{MessageLog, RunFolder, RunFolderError, RunId};
use crate::store::{Store, StoreError};
use crate::workdir::Workdir;
use child::Child;
use images::Images;
pub use images::MAX_IMAGE_BYTES;
use input::{Fed, Feed};
use looks::Looks;
use program::Program;
use protocol_state::{Asked, Foul, RunProtocolState};

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
        program::clear(self.folder.path());
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
        // Where the kernel does not tell which processors there are, nobody is in the way of the run.
        let plan = Plan::of(&self.request.job, &affinity().unwrap_or_default());
        let mut watcher = Watcher::start(Root::device(), plan);
        let mut child = Child::start(&mut program, sender).map_err(|error| program.not_started(&error))?;
        let protocol = self.copy(log, &mut child, &mut watcher);
        // A run that failed had its conditions, too.
        let protocol = end_watch(log, &mut watcher).and(protocol);
        if protocol.as_ref().is_ok_and(|protocol| protocol.is_cut_short) {
            child.end();
            return Ok(());
        }
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

    fn copy(
        &self,
        log: &mut MessageLog,
        child: &mut Child,
        watcher: &mut Watcher,
    ) -> Result<RunProtocolState, RunnerFailure> {
        let mut protocol = RunProtocolState::of(&self.request.job);
        let mut pictures = Pictures::default();
        let mut looks = Looks::of(&self.request.job.limits);
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
            if matches!(message, Message::Samples { .. } | Message::Measured { .. } | Message::Reported(_)) {
                end_watch(log, watcher)?;
            }
            match protocol.take(message).map_err(foul)? {
                Asked::Withhold => continue,
                Asked::Look { latencies_ns, asks } => {
                    if let Some(answer) = looks.take(&latencies_ns, asks) {
                        child.answer(answer).map_err(|text| failure(RunnerFailureKind::Internal, text))?;
                    }
                    continue;
                }
                Asked::Note(remark) => {
                    log.append(&Message::Remark(remark)).map_err(storage)?;
                    continue;
                }
                Asked::Nothing => {}
                Asked::Enter(phase) => {
                    child.enter(phase);
                    looks.enter(phase);
                    watcher.enter(child.pid(), phase);
                    // What was measured stands, whatever becomes of the images.
                    if phase == Phase::Evaluate
                        && let Err(text) = self.show_images(child, &pictures)
                    {
                        log.append(&no_accuracy(&text)).map_err(storage)?;
                        protocol.is_cut_short = true;
                        return Ok(protocol);
                    }
                }
                Asked::Feed(inputs) => self.feed(child, &inputs, &mut pictures)?,
                Asked::Answered(outputs) => pictures.note(images::check_outputs(&self.request.job, &outputs)),
            }
            log.append_line(&line).map_err(storage)?;
        }
    }

    fn feed(&self, child: &Child, inputs: &[TensorInfo], pictures: &mut Pictures) -> Result<(), RunnerFailure> {
        let job = &self.request.job;
        let inputs = input::fed(job, inputs).map_err(|text| failure(RunnerFailureKind::BackendUnsupported, text))?;
        pictures.note(images::check_inputs(job, &inputs));
        pictures.input = inputs.first().cloned();
        let feed = Feed::open(job, inputs, &self.workdir.store());
        let feed =
            feed.map_err(|text| failure(RunnerFailureKind::Storage, format!("failed to read values: {text}")))?;
        child.feed(feed).map_err(|text| failure(RunnerFailureKind::Internal, text))
    }

    fn show_images(&self, child: &Child, pictures: &Pictures) -> Result<(), String> {
        let job = &self.request.job;
        if let Some(text) = &pictures.unfit {
            return Err(text.clone());
        }
        let (Some(evaluation), Some(input)) = (&job.evaluation, &pictures.input) else {
            return Err("the network has no input".to_owned());
        };
        child.show(Images::open(self.workdir, job, evaluation, input)?)
    }

    fn deadline_passed(&self, when: &str) -> RunnerFailure {
        let text = format!("the deadline of {} s passed {when}", self.request.deadline_seconds);
        failure(RunnerFailureKind::Deadline, text)
    }
}

/// What is known of how the job's images fit the network.
#[derive(Debug, Default)]
struct Pictures {
    /// The input that takes them.
    input: Option<Fed>,
    /// Why they do not fit, if so.
    unfit: Option<String>,
}

impl Pictures {
    fn note(&mut self, checked: Result<(), String>) {
        self.unfit = self.unfit.take().or(checked.err());
    }
}

/// Writes down what the device was like, unless that is done.
fn end_watch(log: &mut MessageLog, watcher: &mut Watcher) -> Result<(), RunnerFailure> {
    let Some(conditions) = watcher.end() else { return Ok(()) };
    log.append(&Message::Conditions(Box::new(conditions))).map_err(storage)
}

fn no_accuracy(why: &str) -> Message {
    Message::Remark(Remark { remark: RemarkKind::NoAccuracy, message: format!("no accuracy can be measured: {why}") })
}

fn foul(foul: Foul) -> RunnerFailure {
    match foul {
        Foul::Engine(text) => failure(RunnerFailureKind::Internal, text),
        Foul::Model(text) => failure(RunnerFailureKind::BackendUnsupported, text),
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
