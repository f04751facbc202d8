//! The measuring process.
//!
//! Purpose: do one job and tell what was measured. Main function: [`measure`]. Never writes while something is timed, and
//! never outlives its supervisor.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Stdin, Write};
use std::process;
use std::thread;
use std::time::Instant;

use farmctl_protocol::{
    JobSpec, MAX_LINE_BYTES, Message, Output, Phase, RunnerFailure, RunnerFailureKind, SAMPLES_PER_MESSAGE, TensorInfo,
    VALUES_PER_MESSAGE, exit,
};
use nix::sys::signal::{SigSet, Signal};

use crate::backend::{self, BackendError, OutputTensor, Session};
use crate::input::SeededInput;
use crate::process::{CpuTime, affinity, peak_rss_bytes, pin_to};
use crate::scenario::{self, Bounds};
use crate::store::Store;
use crate::workdir::Workdir;

/// Score by which the kernel takes this process first when memory runs out, and not its supervisor, which reports it.
const OOM_SCORE: &str = "1000";

/// The job could not be done.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// The engine failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// A setting of the device was refused.
    #[error("{action}: {source}")]
    Device {
        /// What was tried.
        action: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The supervisor sent no job.
    #[error("read the job: {0}")]
    Job(String),
    /// The supervisor doesn't listen.
    #[error("send a message: {0}")]
    Send(#[from] io::Error),
}

impl MeasureError {
    fn kind(&self) -> RunnerFailureKind {
        match self {
            MeasureError::Backend(error) => error.kind(),
            MeasureError::Device { .. } => RunnerFailureKind::Device,
            MeasureError::Job(_) | MeasureError::Send(_) => RunnerFailureKind::Internal,
        }
    }
}

/// Reads a job from standard input and writes its messages to standard output; a failure becomes a message too.
pub fn measure(workdir: &Workdir) -> i32 {
    // Without it the supervisor is as likely to be taken as this process: a worse report, but no wrong one.
    let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    let mut out = Messages(BufWriter::new(io::stdout().lock()));
    let Err(error) = set_up().and_then(|job| do_job(workdir, &job, &mut out)) else { return exit::OK };
    let message = match &error {
        MeasureError::Backend(BackendError::Unsupported(text)) => text.clone(),
        error => format!("failed to {error}"),
    };
    let failure =
        RunnerFailure { failure: error.kind(), message, signal: None, exit_code: None, stderr_tail: Vec::new() };
    // A supervisor that can't be told is gone.
    let _ = out.send(&Message::Failed(failure));
    exit::FAILED
}

fn set_up() -> Result<JobSpec, MeasureError> {
    // Inherited blocked from the supervisor, which waits for it in another way.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals
        .thread_unblock()
        .map_err(|error| MeasureError::Device { action: "unblock SIGTERM".to_owned(), source: error.into() })?;
    let mut input = BufReader::new(io::stdin());
    let mut line = String::new();
    let read = (&mut input).take(MAX_LINE_BYTES as u64).read_line(&mut line);
    read.map_err(|error| MeasureError::Job(error.to_string()))?;
    let job = serde_json::from_str(&line).map_err(|error| MeasureError::Job(error.to_string()))?;
    let watch = move || leave_with_supervisor(input);
    let watching = thread::Builder::new().name("supervisor-watch".to_owned()).spawn(watch);
    watching.map_err(|source| MeasureError::Device { action: "start a thread".to_owned(), source })?;
    Ok(job)
}

/// The supervisor holds the other end of standard input as long as it lives.
fn leave_with_supervisor(mut input: BufReader<Stdin>) {
    let mut rest = [0; 64];
    while input.read(&mut rest).is_ok_and(|count| count > 0) {}
    process::exit(exit::FAILED);
}

fn do_job(workdir: &Workdir, job: &JobSpec, out: &mut Messages<impl Write>) -> Result<(), MeasureError> {
    let backend = backend::find(job)?;
    let pattern = scenario::find(job.scenario)
        .ok_or_else(|| BackendError::Unsupported(format!("this runner does not know the scenario {}", job.scenario)))?;
    if let Some(cpus) = &job.cpus {
        let action = format!("pin the run to the processors {cpus:?}");
        pin_to(cpus).map_err(|source| MeasureError::Device { action, source })?;
    }
    let digest = job.model.sha256.parse().map_err(MeasureError::Job)?;

    out.send(&Message::Phase { phase: Phase::Load })?;
    let begun = Instant::now();
    let mut session = backend.load(&Store::new(workdir).path(&digest), job)?;
    let load_ns = begun.elapsed().as_nanos() as u64;
    let (inputs, outputs) = (session.inputs().to_vec(), session.outputs().to_vec());
    out.send(&Message::Loaded { load_ns, inputs, outputs, engine: None })?;
    let values = seeded_values(job, session.inputs());
    session.set_inputs(values)?;

    out.send(&Message::Phase { phase: Phase::FirstInference })?;
    let begun = Instant::now();
    session.infer()?;
    let latency_ns = begun.elapsed().as_nanos() as u64;
    out.send(&Message::FirstInference { latency_ns })?;
    let answer = session.answer()?;

    out.send(&Message::Phase { phase: Phase::WarmUp })?;
    let (runs, duration) = scenario::warm_up(&mut *session, &job.limits)?;
    out.send(&Message::WarmedUp { runs, duration_ns: duration.as_nanos() as u64 })?;

    out.send(&Message::Phase { phase: Phase::Measure })?;
    let (samples, measured) = timed_loop(pattern, &mut *session, job)?;
    for chunk in samples.chunks(SAMPLES_PER_MESSAGE) {
        out.send(&Message::Samples { latencies_ns: chunk.to_vec() })?;
    }
    out.send(&measured)?;
    send_answer(&answer, out)
}

fn seeded_values(job: &JobSpec, inputs: &[TensorInfo]) -> Vec<Vec<f32>> {
    let mut seeded = SeededInput::new(job.seed, job.input_range);
    let count = |input: &TensorInfo| input.shape.iter().product::<u64>() as usize;
    inputs.iter().map(|input| seeded.take(count(input))).collect()
}

fn timed_loop(
    pattern: &dyn scenario::LoadPattern,
    session: &mut dyn Session,
    job: &JobSpec,
) -> Result<(Vec<u64>, Message), MeasureError> {
    let failed = |action: &str| {
        let action = action.to_owned();
        move |source| MeasureError::Device { action, source }
    };
    let bounds = Bounds::timed(&job.limits);
    // Written to once, so that no page of it is first touched inside the loop. An odd value, because zeros are not
    // written but mapped.
    let mut samples = vec![u64::MAX; bounds.max_runs()];
    samples.clear();
    let before = CpuTime::now().map_err(failed("read the processor time"))?;
    let wall = pattern.measure(session, &bounds, &mut samples)?;
    let spent = CpuTime::now().map_err(failed("read the processor time"))?.since(before);
    let measured = Message::Measured {
        samples: samples.len() as u64,
        wall_ns: wall.as_nanos() as u64,
        cpu_user_ns: spent.user_ns,
        cpu_system_ns: spent.system_ns,
        peak_rss_bytes: peak_rss_bytes().map_err(failed("read the peak memory"))?,
        cpus: affinity().map_err(failed("read the processors of the run"))?,
        threads: session.threads(),
    };
    Ok((samples, measured))
}

fn send_answer(answer: &[OutputTensor], out: &mut Messages<impl Write>) -> Result<(), MeasureError> {
    for tensor in answer {
        for (index, chunk) in tensor.values.chunks(VALUES_PER_MESSAGE).enumerate() {
            let first = (index * VALUES_PER_MESSAGE) as u64;
            out.send(&Message::Output(Output::new(&tensor.name, &tensor.shape, first, chunk)))?;
        }
    }
    Ok(())
}

/// The sending side of the pipe to the supervisor.
struct Messages<W: Write>(W);

impl<W: Write> Messages<W> {
    fn send(&mut self, message: &Message) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, message)?;
        self.0.write_all(b"\n")?;
        self.0.flush()
    }
}
