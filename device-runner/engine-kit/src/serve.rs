//! The measuring process.
//!
//! Purpose: do one order and tell what was measured. Main functions: [`serve()`] for an engine, [`serve_with`] for
//! whatever else measures. Never writes while something is timed, and never outlives its supervisor.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Stdin, Write};
use std::os::fd::AsFd;
use std::panic::{self, AssertUnwindSafe};
use std::process;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use farmctl_protocol::{
    ElementType, MAX_LINE_BYTES, MAX_NAME_BYTES, MAX_RANK, MAX_TENSORS, Message, Phase, RunnerFailure,
    RunnerFailureKind, SAMPLES_PER_MESSAGE, TensorInfo, exit,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::{dup2_stdout, getpgrp, getpid};

use crate::answer::Answer;
use crate::backend::{self, Backend, BackendError, Session};
use crate::evaluate::best_classes;
use crate::judge::{Judge, Judgement};
use crate::memory::{refused_bytes, tell_refusal_at_abort};
use crate::order::Order;
use crate::process::{ChildUsage, CpuTime, affinity, peak_rss_bytes, pin_to};
use crate::scenario::{self, Bounds, TimedLoop, WarmUp};
use crate::values::Values;

/// Score by which the kernel takes this process first when memory runs out, and not its supervisor, which reports it.
const OOM_SCORE: &str = "1000";

/// Longest line that the supervisor answers.
const MAX_ANSWER_BYTES: u64 = 64;

/// The order could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The engine failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The device refused something.
    #[error("{action}: {source}")]
    Device {
        /// What was tried.
        action: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The supervisor sent no order.
    #[error("read the order: {0}")]
    Order(String),
    /// The supervisor sent no inputs.
    #[error("read the inputs: {0}")]
    Inputs(io::Error),
    /// The engine panicked while the model was loaded.
    #[error("load the model: the engine {0}")]
    PanickedLoading(String),
    /// The engine panicked in an inference.
    #[error("infer: the engine {0}")]
    PanickedInferring(String),
    /// The supervisor did not say whether a loop is long enough.
    #[error("read whether the loop is long enough: {0}")]
    Answer(io::Error),
    /// The supervisor doesn't listen.
    #[error("send a message: {0}")]
    Send(#[from] io::Error),
}

impl ServeError {
    fn kind(&self) -> RunnerFailureKind {
        match self {
            ServeError::Backend(error) => error.kind(),
            ServeError::Device { .. } => RunnerFailureKind::Device,
            ServeError::PanickedLoading(_) => RunnerFailureKind::ModelLoad,
            ServeError::PanickedInferring(_) => RunnerFailureKind::Inference,
            ServeError::Order(_) | ServeError::Inputs(_) | ServeError::Answer(_) | ServeError::Send(_) => {
                RunnerFailureKind::Internal
            }
        }
    }
}

/// Reads an order from standard input, has one of `backends` do it, and writes the messages to standard output; a
/// failure becomes a message too. Gives the process's exit code.
pub fn serve(backends: &[&dyn Backend]) -> i32 {
    serve_with(|order, process| do_order(backends, order, process))
}

/// As [`serve`], for a process whose messages `measure` sends.
pub fn serve_with(measure: impl FnOnce(&Order, &mut Process) -> Result<(), ServeError>) -> i32 {
    // Without it the supervisor is as likely to be taken as this process: a worse report, but no wrong one.
    let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    let mut process = match Process::take_streams() {
        Ok(process) => process,
        Err(error) => {
            eprintln!("failed to set up the messages: {error}");
            return exit::FAILED;
        }
    };
    let done = set_up(&mut process.input).and_then(|order| {
        keep_panics();
        let measured = panic::catch_unwind(AssertUnwindSafe(|| measure(&order, &mut process)));
        measured.unwrap_or_else(|_| Err(panicked(process.phase)))
    });
    let Err(error) = done else { return exit::OK };
    let message = match &error {
        ServeError::Backend(BackendError::Unsupported(text)) => text.clone(),
        error => format!("failed to {error}"),
    };
    let failure =
        RunnerFailure { failure: error.kind(), message, signal: None, exit_code: None, stderr_tail: Vec::new() };
    // A supervisor that can't be told is gone.
    let _ = process.send(&Message::Failed(failure));
    exit::FAILED
}

/// What the first panic said, on whatever thread.
static PANIC: Mutex<Option<String>> = Mutex::new(None);

/// Keeps what a panic says, besides its being printed. An engine that panics has met a model that it is not made for.
fn keep_panics() {
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let text = info.to_string().replace('\n', " ").chars().take(MAX_NAME_BYTES).collect();
        PANIC.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(text);
        print(info);
    }));
}

fn panicked(phase: Option<Phase>) -> ServeError {
    let text = PANIC.lock().unwrap_or_else(PoisonError::into_inner).take();
    let text = text.unwrap_or_else(|| "panicked without a word".to_owned());
    // An engine that is refused memory panics like any other.
    if let Some(bytes) = refused_bytes() {
        return BackendError::Memory(format!("{bytes} bytes were refused; the engine {text}")).into();
    }
    match phase {
        None | Some(Phase::Verify | Phase::Load) => ServeError::PanickedLoading(text),
        Some(_) => ServeError::PanickedInferring(text),
    }
}

fn set_up(input: &mut BufReader<Stdin>) -> Result<Order, ServeError> {
    let failed = |action: &str| {
        let action = action.to_owned();
        move |source| ServeError::Device { action, source }
    };
    // Inherited blocked from the supervisor, which waits for it in another way.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.thread_unblock().map_err(|error| failed("unblock SIGTERM")(error.into()))?;
    tell_refusal_at_abort().map_err(failed("have aborts told"))?;
    let watching = thread::Builder::new().name("supervisor-watch".to_owned()).spawn(leave_with_supervisor);
    watching.map_err(failed("start a thread"))?;
    Order::read(input).map_err(ServeError::Order)
}

/// The supervisor holds the other end of standard input as long as it lives.
fn leave_with_supervisor() {
    let stdin = io::stdin();
    loop {
        // Nothing but the end of the stream is waited for: what is in it is for the main thread.
        let mut ends = [PollFd::new(stdin.as_fd(), PollFlags::empty())];
        match poll(&mut ends, PollTimeout::NONE) {
            Ok(_) => leave(),
            Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}

/// Ends this process with all that it started: the supervisor made it the leader of a group of its own.
fn leave() -> ! {
    if getpgrp() == getpid() {
        let _ = killpg(getpgrp(), Signal::SIGKILL);
    }
    process::exit(exit::FAILED)
}

fn do_order(backends: &[&dyn Backend], order: &Order, process: &mut Process) -> Result<(), ServeError> {
    let backend = backend::find(backends, order)?;
    let pattern = scenario::find(order.scenario).ok_or_else(|| {
        BackendError::Unsupported(format!("this engine does not know the scenario {}", order.scenario))
    })?;
    process.pin(order)?;

    process.send(&Message::Phase { phase: Phase::Load })?;
    let begun = Instant::now();
    let mut session = backend.load(order)?;
    let load_ns = begun.elapsed().as_nanos() as u64;
    let inputs = session.inputs().to_vec();
    if told_of(&inputs).len() < inputs.len() {
        let text = format!("{} inputs, or their names and shapes, are more than can be told", inputs.len());
        return Err(BackendError::Unsupported(text).into());
    }
    process.send(&Message::Loaded { load_ns, inputs, engine: session.engine() })?;
    set_inputs(&mut *session, process)?;

    process.send(&Message::Phase { phase: Phase::FirstInference })?;
    let begun = Instant::now();
    session.infer()?;
    let latency_ns = begun.elapsed().as_nanos() as u64;
    let outputs = session.outputs()?;
    process.send(&Message::FirstInference { latency_ns, outputs: told_of(&outputs).to_vec() })?;
    let answer = Answer::of(&*session, outputs);

    process.send(&Message::Phase { phase: Phase::WarmUp })?;
    let WarmUp { runs, duration, steady } = scenario::warm_up(&mut *session, &order.limits, process)?;
    process.send(&Message::WarmedUp { runs, duration_ns: duration.as_nanos() as u64, steady })?;

    process.send(&Message::Phase { phase: Phase::Measure })?;
    let (samples, measured) = timed_loop(pattern, &mut *session, order, process)?;
    process.send_samples(&samples)?;
    process.send(&measured)?;
    answer.send(|message| process.send(message))?;
    if order.evaluate_images > 0 { evaluate(&mut *session, order, process) } else { Ok(()) }
}

/// Classifies the images that the supervisor sends.
fn evaluate(session: &mut dyn Session, order: &Order, process: &mut Process) -> Result<(), ServeError> {
    process.send(&Message::Phase { phase: Phase::Evaluate })?;
    let mut first = 0;
    while first < order.evaluate_images {
        let count = order.batch.min(order.evaluate_images - first);
        set_inputs(session, process)?;
        session.infer()?;
        let best = best_classes(&session.output(ranked_output(session, order)?)?, order, count)?;
        process.send(&Message::Classified { first: first.into(), best })?;
        first += count;
    }
    Ok(())
}

/// The output that ranks the classes.
fn ranked_output(session: &dyn Session, order: &Order) -> Result<usize, BackendError> {
    let Some(scores) = &order.scores else { return Ok(0) };
    let place = session.outputs()?.iter().position(|output| output.name == *scores);
    place.ok_or_else(|| BackendError::Inference(format!("the network answers no output {scores:?}")))
}

/// Sets the values of all inputs that the supervisor sends. It has made sure that they are not too many.
fn set_inputs(session: &mut dyn Session, process: &mut Process) -> Result<(), ServeError> {
    let mut read = |info: &TensorInfo| {
        let element: ElementType = info.element.parse().map_err(io::Error::other)?;
        let count = info.shape.iter().product::<u64>() as usize;
        Values::read(element, count, &mut process.input)
    };
    let values = session.inputs().iter().map(&mut read).collect::<io::Result<Vec<Values>>>();
    Ok(session.set_inputs(values.map_err(ServeError::Inputs)?)?)
}

/// As many of the tensors, from the first on, as are told in one message.
fn told_of(tensors: &[TensorInfo]) -> &[TensorInfo] {
    /// Bytes of a dimension's digits, and of what stands around name, type and shape.
    const DIMENSION_BYTES: usize = 21;
    const AROUND_BYTES: usize = 128;
    let mut left = MAX_LINE_BYTES / 2;
    let fits = |info: &&TensorInfo| {
        // Each byte of a name may take six in JSON.
        let bytes = info.name.len() * 6 + info.shape.len() * DIMENSION_BYTES + AROUND_BYTES;
        left = left.saturating_sub(bytes);
        left > 0 && info.name.len() <= MAX_NAME_BYTES && info.shape.len() <= MAX_RANK
    };
    &tensors[..tensors.iter().take(MAX_TENSORS).take_while(fits).count()]
}

fn timed_loop(
    pattern: &dyn scenario::LoadPattern,
    session: &mut dyn Session,
    order: &Order,
    process: &mut Process,
) -> Result<(Vec<u64>, Message), ServeError> {
    let failed = |action: &str| {
        let action = action.to_owned();
        move |source| ServeError::Device { action, source }
    };
    let bounds = Bounds::timed(&order.limits);
    // Written to once, so that no page of it is first touched inside the loop. An odd value, because zeros are not
    // written but mapped.
    let mut samples = vec![u64::MAX; bounds.max_runs()];
    samples.clear();
    let before = CpuTime::now().map_err(failed("read the processor time"))?;
    let TimedLoop { wall, ended_by } = pattern.measure(session, bounds, process, &mut samples)?;
    let spent = CpuTime::now().map_err(failed("read the processor time"))?.since(before);
    let measured = Message::Measured {
        samples: samples.len() as u64,
        wall_ns: wall.as_nanos() as u64,
        cpu_user_ns: spent.user_ns,
        cpu_system_ns: spent.system_ns,
        peak_rss_bytes: peak_rss_bytes().map_err(failed("read the peak memory"))?,
        cpus: affinity().map_err(failed("read the processors of the run"))?,
        threads: session.threads(),
        ended_by: Some(ended_by),
    };
    Ok((samples, measured))
}

/// This process's two pipes to the supervisor.
#[derive(Debug)]
pub struct Process {
    input: BufReader<Stdin>,
    messages: BufWriter<File>,
    /// What was last said to be done.
    phase: Option<Phase>,
}

impl Process {
    /// Takes standard output for the messages alone: whatever a library prints there goes to standard error from now
    /// on.
    fn take_streams() -> io::Result<Process> {
        let pipe = io::stdout().as_fd().try_clone_to_owned()?;
        dup2_stdout(io::stderr())?;
        Ok(Process { input: BufReader::new(io::stdin()), messages: BufWriter::new(File::from(pipe)), phase: None })
    }

    /// Pins this process, and all that it starts, as the order says.
    ///
    /// # Errors
    /// Names the processors when one is not to be had.
    pub fn pin(&self, order: &Order) -> Result<(), ServeError> {
        let Some(cpus) = &order.cpus else { return Ok(()) };
        let action = format!("pin the run to the processors {cpus:?}");
        pin_to(cpus).map_err(|source| ServeError::Device { action, source })
    }

    /// Sends a message.
    ///
    /// # Errors
    /// Fails when the supervisor is gone.
    pub fn send(&mut self, message: &Message) -> io::Result<()> {
        if let Message::Phase { phase } = message {
            self.phase = Some(*phase);
        }
        serde_json::to_writer(&mut self.messages, message)?;
        self.messages.write_all(b"\n")?;
        self.messages.flush()
    }

    /// Sends samples, in as many messages as it takes.
    ///
    /// # Errors
    /// Fails when the supervisor is gone.
    pub fn send_samples(&mut self, latencies_ns: &[u64]) -> io::Result<()> {
        for chunk in latencies_ns.chunks(SAMPLES_PER_MESSAGE) {
            self.send(&Message::Samples { latencies_ns: chunk.to_vec() })?;
        }
        Ok(())
    }

    /// What the programs that this process started and waited for have used.
    ///
    /// # Errors
    /// Fails when the kernel doesn't tell.
    pub fn usage_of_children() -> Result<ChildUsage, ServeError> {
        let action = "read what the program used".to_owned();
        crate::process::usage_of_children().map_err(|source| ServeError::Device { action, source })
    }
}

/// The supervisor at the other end of the pipes.
impl Judge for Process {
    fn tell(&mut self, latencies_ns: &[u64]) -> Result<(), ServeError> {
        for chunk in latencies_ns.chunks(SAMPLES_PER_MESSAGE) {
            self.send(&Message::Look { latencies_ns: chunk.to_vec(), asks: false })?;
        }
        Ok(())
    }

    fn ask(&mut self) -> Result<Judgement, ServeError> {
        self.send(&Message::Look { latencies_ns: Vec::new(), asks: true })?;
        let mut line = String::new();
        (&mut self.input).take(MAX_ANSWER_BYTES).read_line(&mut line).map_err(ServeError::Answer)?;
        Judgement::of_line(&line).ok_or_else(|| ServeError::Answer(io::Error::other(format!("{line:?} is no answer"))))
    }
}
