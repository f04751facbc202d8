use crate::cli::context::Context;
use crate::domain::CheckFigures;
use crate::lab::{LabError, ProbeResult, Question, slower_by};
use crate::terminal::table::Table;
use crate::wording::BYTES_PER_MB;

use super::{ask, print_answers};

pub(super) async fn check(context: &Context, names: &[String]) -> Result<u8, LabError> {
    let answers = ask(context, names, Question::WhetherTheyAreFit).await?;
    print_answers(
        context,
        &answers,
        Table::of(&answers)
            .column("device", |answer| answer.device.clone())
            .column("verdict", |answer| verdict(answer).to_owned())
            .column("bring_up_ms", |answer| {
                answer.hello.as_ref().map(|_| answer.bring_up_ms.to_string()).unwrap_or_default()
            })
            .column("round_trip_ms", figure(1, |figures| figures.round_trip_ms))
            .column("push_mb_s", figure(1, |figures| figures.push_bytes_per_second.map(|speed| speed / 1e6)))
            .column("free_mb", figure(0, |figures| figures.free_bytes.map(|bytes| (bytes / BYTES_PER_MB) as f64)))
            .column(
                "compute_ms",
                figure(2, |figures| figures.calibration.as_ref().map(|it| it.compute_ns() as f64 / 1e6)),
            )
            .column(
                "memory_ms",
                figure(2, |figures| figures.calibration.as_ref().map(|it| it.memory_ns() as f64 / 1e6)),
            )
            .column("slower_percent", |answer| number(slower_percent(answer), 0))
            .column("hottest_c", |answer| {
                let sensors = answer.sensors.iter().flatten();
                number(sensors.map(|sensor| sensor.temperature_c).reduce(f64::max), 1)
            })
            .column("sensors", |answer| answer.sensors.as_ref().map(|it| it.len().to_string()).unwrap_or_default())
            .column("clock_off_s", figure(0, |figures| figures.clock_off_ms.map(|off_ms| off_ms as f64 / 1e3)))
            .column("why", why)
            .done(),
    )
}

/// A number with so many digits behind the point; what was not measured is empty.
fn number(value: Option<f64>, digits: usize) -> String {
    value.map(|it| format!("{it:.digits$}")).unwrap_or_default()
}

/// What was measured, with so many digits behind the point.
fn figure(digits: usize, value: fn(&CheckFigures) -> Option<f64>) -> impl Fn(&ProbeResult) -> String {
    move |answer| number(answer.check.as_ref().and_then(|check| value(&check.figures)), digits)
}

/// By how much its kernel was slower than it usually is.
fn slower_percent(answer: &ProbeResult) -> Option<f64> {
    let now = answer.check.as_ref()?.figures.calibration.as_ref()?;
    slower_by(now.compute_ns(), answer.baseline?.compute_ns?).map(|share| share * 100.0)
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
