//! The measuring process, seen from outside.
//!
//! Purpose: start it, read its two streams within bounds, and end it with everything it started. Main type: [`Child`].
//! Never understands what it says.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{self, ChildStderr, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use farmctl_protocol::{MAX_LINE_BYTES, Phase};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::Event;
use super::images::Images;
use super::input::Feed;
use super::program::Program;

/// Lines of standard error that are kept.
const STDERR_LINES: usize = 20;

/// Bytes of a line of standard error that are kept.
const STDERR_LINE_BYTES: usize = 400;

/// Time between two looks at whether the process has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// How long the rest of standard error may take after the process ended.
const STDERR_GRACE: Duration = Duration::from_secs(1);

type Tail = Arc<Mutex<VecDeque<String>>>;

/// The measuring process and its process group.
#[derive(Debug)]
pub(super) struct Child {
    process: process::Child,
    /// Open as long as the supervisor lives: the process leaves when it is closed.
    stdin: ChildStdin,
    reaped: bool,
    stderr_tail: Tail,
    stderr_reader: thread::JoinHandle<()>,
    phase: Phase,
}

impl Child {
    /// Starts the process in a group of its own; its lines become events.
    pub(super) fn start(program: &mut Program, sender: SyncSender<Event>) -> io::Result<Child> {
        let command = program.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.process_group(0).spawn()?;
        let (stdin, stdout, stderr) = (process.stdin.take(), process.stdout.take(), process.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            return Err(io::Error::other("the process has no pipes"));
        };
        let stderr_tail = Tail::default();
        let tail = Arc::clone(&stderr_tail);
        let stderr_reader = thread::Builder::new().name("stderr".to_owned()).spawn(move || keep_tail(stderr, &tail))?;
        thread::Builder::new().name("messages".to_owned()).spawn(move || read_lines(stdout, &sender))?;
        // A process that died at once is judged by its end, not by this pipe. An order is far smaller than a pipe
        // holds.
        let _ = stdin.write_all(program.order.as_bytes());
        Ok(Child { process, stdin, reaped: false, stderr_tail, stderr_reader, phase: Phase::Load })
    }

    /// Its number.
    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// What the process was last said to be doing, in words.
    pub(super) fn phase(&self) -> &'static str {
        match self.phase {
            Phase::Verify => "while the model was being verified",
            Phase::Load => "while the model was being loaded",
            Phase::FirstInference => "during the first inference",
            Phase::WarmUp => "during the warm-up",
            Phase::Measure => "during the timed loop, or while its results were being sent",
            Phase::Evaluate => "while images were being classified",
        }
    }

    /// Notes what the process does.
    pub(super) fn enter(&mut self, phase: Phase) {
        self.phase = phase;
    }

    /// Sends the values of all inputs, as fast as the process takes them.
    ///
    /// # Errors
    /// Says why that can't begin.
    pub(super) fn feed(&self, feed: Feed) -> Result<(), String> {
        self.send("inputs", move |pipe| feed.write(pipe))
    }

    /// Sends the images to classify, as fast as the process takes them.
    ///
    /// # Errors
    /// Says why they can't be read.
    pub(super) fn show(&self, images: Images) -> Result<(), String> {
        self.send("images", move |pipe| images.write(pipe))
    }

    /// Answers whether a loop is long enough.
    ///
    /// # Errors
    /// Says why that can't begin.
    pub(super) fn answer(&self, line: String) -> Result<(), String> {
        self.send("answer", move |pipe| pipe.write_all(line.as_bytes()))
    }

    /// Writes to the process's standard input, in a thread that ends with it. What it is sent before is over long
    /// before: it asks for the next only when it has all of that.
    fn send(&self, what: &str, write: impl FnOnce(&mut File) -> io::Result<()> + Send + 'static) -> Result<(), String> {
        let failed = |error: io::Error| format!("failed to send the {what}: {error}");
        let mut pipe = File::from(self.stdin.as_fd().try_clone_to_owned().map_err(failed)?);
        // A process that doesn't take them is judged by its end or by the deadline, not by this pipe.
        let write = move || drop(write(&mut pipe));
        thread::Builder::new().name(what.to_owned()).spawn(write).map_err(failed)?;
        Ok(())
    }

    /// Waits for the process to end; `None` when it still runs at the deadline.
    pub(super) fn wait_until(&mut self, deadline: Instant) -> io::Result<Option<ExitStatus>> {
        loop {
            if let Some(status) = self.process.try_wait()? {
                self.reaped = true;
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Ends whatever is left of the process group, and gives the last lines of standard error.
    pub(super) fn end(mut self) -> Vec<String> {
        if let Ok(group) = i32::try_from(self.process.id()) {
            // Fails when nothing is left, which is what is wanted. As long as a member of the group lives, its number
            // is not given to another.
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        if !self.reaped {
            // After SIGKILL this returns as soon as the kernel is done with the process.
            let _ = self.process.wait();
        }
        let deadline = Instant::now() + STDERR_GRACE;
        while !self.stderr_reader.is_finished() && Instant::now() < deadline {
            thread::sleep(POLL_INTERVAL);
        }
        let tail = self.stderr_tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.iter().cloned().collect()
    }
}

fn read_lines(stdout: ChildStdout, sender: &SyncSender<Event>) {
    let mut stdout = BufReader::with_capacity(64 << 10, stdout);
    loop {
        let mut line = Vec::new();
        let event = match (&mut stdout).take(MAX_LINE_BYTES as u64).read_until(b'\n', &mut line) {
            Ok(0) => Event::Closed,
            Ok(_) if line.last() == Some(&b'\n') => {
                line.pop();
                Event::Line(line)
            }
            Ok(count) if count == MAX_LINE_BYTES => {
                Event::Garbage(format!("the measuring process sent a line of more than {MAX_LINE_BYTES} bytes"))
            }
            // A torn line at the end: the process died while writing, and how it died tells more.
            Ok(_) => Event::Closed,
            Err(error) => Event::Garbage(format!("failed to read what the measuring process sends: {error}")),
        };
        let more = matches!(event, Event::Line(_));
        // The supervisor stops listening once the run is over.
        if sender.send(event).is_err() || !more {
            return;
        }
    }
}

fn keep_tail(stderr: ChildStderr, tail: &Tail) {
    let mut stderr = BufReader::new(stderr);
    loop {
        let mut line = Vec::new();
        match (&mut stderr).take(STDERR_LINE_BYTES as u64).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        if text.is_empty() {
            continue;
        }
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.len() == STDERR_LINES {
            tail.pop_front();
        }
        tail.push_back(text);
    }
}
