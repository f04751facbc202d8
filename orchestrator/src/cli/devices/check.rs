use crate::cli::context::Context;
use crate::domain::{Calibration, CheckFigures};
use crate::lab::{LabError, ProbeResult, Question, slower_by};

use super::{ask, print_answers};

const HEADER: [&str; 13] = [
    "device",
    "verdict",
    "bring_up_ms",
    "round_trip_ms",
    "push_mb_s",
    "free_mb",
    "compute_ms",
    "memory_ms",
    "slower_percent",
    "hottest_c",
    "sensors",
    "clock_off_s",
    "why",
];

pub(super) async fn check(context: &Context, names: &[String]) -> Result<u8, LabError> {
    let answers = ask(context, names, Question::WhetherTheyAreFit).await?;
    print_answers(context, &answers, &HEADER, answers.iter().map(row))
}

/// A device's row; what was not measured is empty.
fn row(answer: &ProbeResult) -> Vec<String> {
    let nothing = CheckFigures::default();
    let figures = answer.check.as_ref().map_or(&nothing, |check| &check.figures);
    let number = |value: Option<f64>, digits: usize| value.map(|it| format!("{it:.digits$}")).unwrap_or_default();
    let kernel =
        |time_ns: fn(&Calibration) -> u64| number(figures.calibration.as_ref().map(|it| time_ns(it) as f64 / 1e6), 2);
    let usual_ns = answer.baseline.and_then(|baseline| baseline.compute_ns);
    let slower = figures.calibration.as_ref().zip(usual_ns);
    let slower = slower.and_then(|(now, usual_ns)| slower_by(now.compute_ns(), usual_ns));
    let hottest = answer.sensors.iter().flatten().map(|sensor| sensor.temperature_c).reduce(f64::max);
    vec![
        answer.device.clone(),
        verdict(answer).to_owned(),
        answer.hello.as_ref().map(|_| answer.bring_up_ms.to_string()).unwrap_or_default(),
        number(figures.round_trip_ms, 1),
        number(figures.push_bytes_per_second.map(|speed| speed / 1e6), 1),
        figures.free_bytes.map(|bytes| (bytes >> 20).to_string()).unwrap_or_default(),
        kernel(Calibration::compute_ns),
        kernel(Calibration::memory_ns),
        number(slower.map(|share| share * 100.0), 0),
        number(hottest, 1),
        answer.sensors.as_ref().map(|sensors| sensors.len().to_string()).unwrap_or_default(),
        number(figures.clock_off_ms.map(|off_ms| off_ms as f64 / 1e3), 0),
        why(answer),
    ]
}

fn verdict(answer: &ProbeResult) -> &'static str {
    match (&answer.same_as, &answer.check) {
        (Some(_), _) => "spare",
        (None, Some(check)) => check.verdict.as_str(),
        (None, None) => "busy",
    }
}

fn why(answer: &ProbeResult) -> String {
    match (&answer.same_as, &answer.used_by, &answer.failure, &answer.check) {
        (Some(used), ..) => format!("same device as {used}"),
        (None, Some(used_by), ..) => used_by.clone(),
        (None, None, Some(failure), _) => failure.kind.to_string(),
        (None, None, None, Some(check)) => {
            check.findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        }
        (None, None, None, None) => String::new(),
    }
}
