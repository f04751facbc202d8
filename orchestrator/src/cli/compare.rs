use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::measured_again::{AgainArguments, AgainSides, measure_again};
use crate::cli::only_runs::{KnownNames, OnlyRuns};
use crate::cli::words::one_of;
use crate::compare::{
    self, ALPHA, Axis, CellKey, Comparison, DeviceName, Gate, GateOutcome, Options, Runs, THRESHOLD_PERCENT, Unclear,
};
use crate::lab::LabError;
use crate::report;
use crate::terminal::print::{print_file, say, terminal_width};
use crate::terminal::table::print_forms;
use crate::wording::printable;

#[derive(Debug, Args)]
pub(super) struct CompareArguments {
    /// What to compare with: a sweep's identifier, the beginning of one, its name, `latest`; `baseline:NAME`; a folder
    /// with results.csv; a CSV file with the columns device, model, backend, status and mean_ms
    #[arg(
        value_name = "A",
        required_unless_present = "across",
        default_value_if("across", clap::builder::ArgPredicate::IsPresent, "latest")
    )]
    a: Option<String>,
    /// What to compare
    #[arg(value_name = "B", default_value = "latest", conflicts_with = "across")]
    b: String,
    /// Compare the cells of A alone, along this axis
    #[arg(long, value_name = "AXIS", value_parser = one_of(Axis::ALL, Axis::as_str, Axis::description))]
    across: Option<Axis>,
    /// The value of the axis that the others are compared with; the first in order unless told
    #[arg(long, value_name = "VALUE", requires = "across")]
    base: Option<String>,
    /// Changes below so many per cent are the same [default: 3, or what a gate lets pass, if that is less]
    #[arg(long, value_name = "PERCENT", value_parser = above_zero)]
    threshold: Option<f64>,
    /// How likely any cell of equal runs may be called slower or faster, over all cells together
    #[arg(long, value_name = "SHARE", default_value_t = ALPHA, value_parser = share)]
    alpha: f64,
    /// What is known of the spread from run to run, a standard deviation in per cent: lets single runs speak. Of one
    /// device, or of all
    #[arg(long, value_name = "[DEVICE=]PERCENT", value_parser = spread)]
    spread: Vec<Spread>,
    /// Compare cells whose conditions differ in what moves time, too
    #[arg(long)]
    anyway: bool,
    /// What makes a device of A and one of B the same
    #[arg(long, default_value = "name", value_name = "WHAT",
        value_parser = one_of(DeviceName::ALL, DeviceName::as_str, DeviceName::description))]
    devices_by: DeviceName,
    #[command(flatten)]
    only: OnlyRuns,
    /// What must not be, as 'slower > 3%', 'geomean > 1%' or 'top1 < -0.5': if it is, farmctl ends with 7 (may be given
    /// several times)
    #[arg(long, value_name = "CONDITION", value_parser = gate)]
    gate: Vec<Gate>,
    /// What a cell that can't be told yet does to a gate
    #[arg(long, default_value = "pass", requires = "gate",
        value_parser = one_of(Unclear::ALL, Unclear::as_str, Unclear::description))]
    unclear: Unclear,
    #[command(flatten)]
    again: AgainArguments,
    /// Write what the gates say as JUnit's XML
    #[arg(long, value_name = "FILE", requires = "gate")]
    junit: Option<PathBuf>,
    /// Write the comparison as Markdown, for a pull request
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

/// Stands for all devices that no spread is told of.
const ANY_DEVICE: &str = "*";

/// A spread that is known of a device, or of all.
#[derive(Debug, Clone)]
struct Spread {
    device: String,
    percent: f64,
}

pub(super) fn above_zero(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('%').parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "write a number above 0, as 3".to_owned())
}

pub(super) fn share(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| *number > 0.0 && *number < 1.0);
    number.ok_or_else(|| "write a share between 0 and 1, as 0.01".to_owned())
}

fn spread(text: &str) -> Result<Spread, String> {
    let (device, percent) = text.rsplit_once('=').unwrap_or((ANY_DEVICE, text));
    Ok(Spread { device: device.to_owned(), percent: above_zero(percent)? })
}

pub(super) fn gate(text: &str) -> Result<Gate, String> {
    text.parse().map_err(|error: compare::GateError| error.to_string())
}

pub(super) async fn run(context: &Context, arguments: &CompareArguments) -> Result<u8, LabError> {
    if arguments.base.is_some() && arguments.across.is_none() {
        return Err(LabError::usage("--base names a value of an axis, and no axis is told")
            .with_hint("write --across backends (or devices, models, threads, precision) with it, or leave it out"));
    }
    let options = options(arguments)?;
    let sides = (arguments.unclear == Unclear::Rerun).then(|| sides(context, arguments)).transpose()?;
    let mut comparison = compared(context, arguments, &options)?;
    let judge = |comparison: &Comparison| -> Vec<GateOutcome> {
        arguments.gate.iter().map(|gate| compare::judge(gate, comparison, arguments.unclear)).collect()
    };
    let mut gates = judge(&comparison);
    if let Some(sides) = &sides {
        let stopped = measure_again(context, &mut comparison, &gates, sides, &arguments.again).await?;
        if let Some(code) = stopped {
            return Ok(code);
        }
        gates = judge(&comparison);
    }
    if let Some(path) = &arguments.junit {
        write(path, &report::comparison_junit(&comparison, &gates))?;
    }
    if let Some(path) = &arguments.markdown {
        write(path, &printable(&report::comparison_markdown(&comparison, &gates), false))?;
    }
    print_comparison(context, &comparison, &gates)?;
    let has_failed = gates.iter().any(|gate| !gate.is_passed());
    let untold: usize = gates.iter().map(|gate| gate.untold.len()).sum();
    if untold > 0 && !has_failed && arguments.unclear == Unclear::Pass {
        say("what can't be told passed: `--unclear fail` lets it fail");
    }
    Ok(if has_failed { exit::GATE_FAILED } else { exit::OK })
}

/// What the arguments ask to be compared.
fn compared(context: &Context, arguments: &CompareArguments, options: &Options) -> Result<Comparison, LabError> {
    let base = arguments.base.as_deref();
    let mut a = context.lab.compared_table_or_runs(word_of_a(arguments), arguments.devices_by)?;
    let mut b = match arguments.across {
        Some(_) => None,
        None => Some(context.lab.compared_table_or_runs(&arguments.b, arguments.devices_by)?),
    };
    let cells = || a.cells().chain(b.iter().flat_map(Runs::cells));
    arguments.only.refuse_unknown(&KnownNames {
        devices: cells().map(|cell| cell.device.as_str()).collect(),
        networks: cells().map(|cell| cell.model.as_str()).collect(),
        backends: cells().map(|cell| cell.backend.as_str()).collect(),
    })?;
    refuse_unknown_spreads(arguments, cells().map(|cell| cell.device.as_str()).collect())?;
    let is_meant = |cell: &CellKey| arguments.only.names(&cell.device, &cell.model, &cell.backend);
    std::iter::once(&mut a).chain(&mut b).for_each(|runs| runs.retain(is_meant));
    Ok(match (arguments.across, &b) {
        (Some(axis), _) => compare::compare_across(&a, axis, base, options),
        (None, Some(b)) => compare::compare(&a, b, options),
        (None, None) => return Err(LabError::usage("a comparison needs two sides")),
    }?)
}

/// Refuses the spread of a device that no cell is of: it would change nothing, without a word.
fn refuse_unknown_spreads(arguments: &CompareArguments, known: BTreeSet<&str>) -> Result<(), LabError> {
    let mut named = arguments.spread.iter().filter(|spread| spread.device != ANY_DEVICE);
    if arguments.across == Some(Axis::Devices) {
        return named.next().map_or(Ok(()), |spread| {
            let error = LabError::usage(format!("--spread {}=… is of one device, and two are compared", spread.device));
            Err(error.with_hint(format!("write --spread {} for all of them", spread.percent)))
        });
    }
    let Some(unknown) = named.find(|spread| !known.contains(spread.device.as_str())) else { return Ok(()) };
    let known: Vec<&str> = known.into_iter().collect();
    Err(LabError::usage(format!("--spread: no run is of the device {:?}", unknown.device))
        .with_hint(format!("there are: {}", known.join(", "))))
}

fn word_of_a(arguments: &CompareArguments) -> &str {
    arguments.a.as_deref().unwrap_or("latest")
}

/// What is measured again, where something is unclear.
fn sides(context: &Context, arguments: &CompareArguments) -> Result<AgainSides, LabError> {
    if arguments.across == Some(Axis::Devices) || arguments.devices_by != DeviceName::Name {
        return Err(LabError::usage("two devices can't be measured side by side: a pair is of one device")
            .with_hint("say what becomes of what is unclear: `--unclear pass` or `--unclear fail`"));
    }
    let a = context.lab.sweep_to_measure(word_of_a(arguments))?;
    let b = match arguments.across {
        Some(_) => a.clone(),
        None => context.lab.sweep_to_measure(&arguments.b)?,
    };
    Ok(AgainSides { a, b, axis: arguments.across })
}

fn options(arguments: &CompareArguments) -> Result<Options, LabError> {
    // What is unclear is looked at twice then: each has a half of the chance to be wrong.
    let looks = if arguments.unclear == Unclear::Rerun { 2.0 } else { 1.0 };
    Ok(Options {
        threshold_percent: threshold_percent(arguments.threshold, &arguments.gate)?,
        alpha: arguments.alpha / looks,
        spreads: arguments.spread.iter().map(|spread| (spread.device.clone(), spread.percent)).collect(),
        anyway: arguments.anyway,
        device: arguments.devices_by,
    })
}

/// Below which changes are the same: as given, else as the strictest gate needs.
///
/// # Errors
/// When a gate asks for changes that would be the same by what is given.
pub(super) fn threshold_percent(given: Option<f64>, gates: &[Gate]) -> Result<f64, LabError> {
    let of_gates = || gates.iter().filter_map(Gate::threshold_percent);
    let Some(given) = given else { return Ok(of_gates().fold(THRESHOLD_PERCENT, f64::min)) };
    let stricter = gates.iter().find(|gate| gate.threshold_percent().is_some_and(|limit| limit < given));
    stricter.map_or(Ok(given), |gate| {
        let why = format!("the gate '{gate}' is stricter than --threshold {given}: it would see no smaller change");
        Err(LabError::usage(why).with_hint("leave --threshold out: the strictest gate sets it then; or raise the gate"))
    })
}

/// Prints a comparison in the form that is asked for.
pub(super) fn print_comparison(
    context: &Context,
    comparison: &Comparison,
    gates: &[GateOutcome],
) -> Result<(), LabError> {
    if context.format.is_page() {
        let page = report::comparison_html(comparison, gates);
        return print_file(&page.map_err(|error| LabError::internal(format!("failed to make the page: {error}")))?);
    }
    print_forms(
        context.format,
        || report::comparison_text(comparison, gates, terminal_width()),
        || report::comparison_json(comparison, gates),
        || report::comparison_csv(comparison),
        || report::comparison_markdown(comparison, gates),
    )
}

fn write(path: &Path, text: &str) -> Result<(), LabError> {
    std::fs::write(path, text).map_err(|error| {
        LabError::usage(format!("failed to write {}: {error}", path.display()))
            .with_hint("is there such a folder, and may you write there?")
            .caused_by(error)
    })
}
