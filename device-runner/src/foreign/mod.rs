//! Benchmark programs that aren't farmctl's.
//!
//! Purpose: start one, as the measuring process, read what it prints, and tell it in the words of the protocol. Main
//! function: [`serve`]; the parsers are in [`PARSERS`]. Never corrects what a program says, and never measures: the
//! program's timed loop is its own.

mod benchncnn;
mod json_lines;
mod onnxruntime;
mod pytorch;
mod text;
mod tflite;

use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, PipeReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use farmctl_engine_kit::{BackendError, Process, ServeError, serve_with};
use farmctl_protocol::{Dialect, Figures, Message, Phase, Reported};

/// What was read out of a program's output.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Report {
    /// Latency of each inference, of programs that print it.
    samples_ns: Vec<u64>,
    figures: Figures,
}

/// Reads the report out of all that a program printed.
type Parser = fn(&str) -> Result<Report, String>;

/// Every dialect that has to be parsed.
static PARSERS: &[(Dialect, Parser)] = &[
    (Dialect::TfliteBenchmarkModel, tflite::parse),
    (Dialect::SpeedBenchmarkTorch, pytorch::parse),
    (Dialect::Caffe2SpeedBenchmark, pytorch::parse),
    (Dialect::Benchncnn, benchncnn::parse),
    (Dialect::OnnxruntimePerfTest, onnxruntime::parse),
    (Dialect::JsonLines, json_lines::parse),
];

/// Most output that is kept of a program.
const MAX_OUTPUT_BYTES: usize = 16 << 20;

/// Longest line that is taken in one piece.
const MAX_LINE_BYTES: u64 = 1 << 16;

/// Runs the program in `command`, which speaks `dialect`, for the order on standard input. Gives the exit code.
pub fn serve(dialect: Dialect, command: &[OsString]) -> i32 {
    serve_with(|order, process| {
        let unsupported = |text: &str| ServeError::from(BackendError::Unsupported(text.to_owned()));
        let parser = PARSERS.iter().find(|(known, _)| *known == dialect).map(|(_, parser)| *parser);
        let parser = parser.ok_or_else(|| unsupported("this runner can't read what such a program prints"))?;
        let (program, arguments) = command.split_first().ok_or_else(|| unsupported("no program is given"))?;
        process.pin(order)?;
        process.send(&Message::Phase { phase: Phase::Measure })?;
        let begun = Instant::now();
        let start = |source| ServeError::Device { action: "start the benchmark program".to_owned(), source };
        let (child, output) = start_program(program, arguments).map_err(start)?;
        let output = finish(child, output).map_err(failed)?;
        let process_wall_ns = begun.elapsed().as_nanos() as u64;
        let report = parser(&output).and_then(checked).map_err(failed)?;
        process.send_samples(&report.samples_ns)?;
        // The program is the only child that this process has had.
        let usage = Process::usage_of_children()?;
        process.send(&Message::Reported(Reported {
            samples: report.samples_ns.len() as u64,
            figures: report.figures,
            process_wall_ns,
            process_cpu_user_ns: usage.cpu.user_ns,
            process_cpu_system_ns: usage.cpu.system_ns,
            peak_rss_bytes: usage.peak_rss_bytes,
            threads: order.threads,
        }))?;
        Ok(())
    })
}

fn failed(text: String) -> ServeError {
    BackendError::Inference(text).into()
}

/// Starts the program. Both its streams are one pipe, so that its lines keep their order.
fn start_program(program: &OsString, arguments: &[OsString]) -> io::Result<(Child, PipeReader)> {
    let (output, stream) = io::pipe()?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(stream.try_clone()?).stderr(stream);
    // The command goes, and with it this process's ends of the pipe: it ends with the program.
    Ok((command.spawn()?, output))
}

/// Reads to the end and waits for the program; what it prints is passed on to standard error, whose last lines are kept
/// for the case that something fails.
fn finish(mut child: Child, output: PipeReader) -> Result<String, String> {
    let mut output = BufReader::new(output);
    let mut text = String::new();
    let mut line = Vec::new();
    // A line without an end is cut into pieces. The program is not blocked by what is too much.
    while (&mut output).take(MAX_LINE_BYTES).read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        let _ = io::stderr().write_all(&line);
        if text.len() < MAX_OUTPUT_BYTES {
            text.push_str(&String::from_utf8_lossy(&line));
        }
        line.clear();
    }
    let status = child.wait().map_err(|error| format!("failed to wait for the benchmark program: {error}"))?;
    if !status.success() {
        return Err(format!("the benchmark program ended with {status}"));
    }
    if text.len() >= MAX_OUTPUT_BYTES {
        return Err(format!("the benchmark program printed more than {MAX_OUTPUT_BYTES} bytes"));
    }
    Ok(text)
}

/// A report that says nothing is none.
fn checked(report: Report) -> Result<Report, String> {
    match (report.samples_ns.is_empty(), report.figures.mean_ns.or(report.figures.median_ns)) {
        (true, None) => Err("the benchmark program reported no latency".to_owned()),
        (true, Some(0)) => Err("the benchmark program reported a latency of 0".to_owned()),
        _ => Ok(report),
    }
}
