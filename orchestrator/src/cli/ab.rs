use std::path::PathBuf;

use clap::Args;

use crate::cli::compare::{above_zero, gate, print_comparison, share, threshold_percent};
use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::sweep::{ExecutionMode, begin};
use crate::cli::words::one_of;
use crate::compare::{self, ALPHA, Gate, GateOutcome, Unclear};
use crate::lab::{LabError, SideBySideOrder};
use crate::terminal::print::say;

/// Most pairs of each cell, where nothing else is said.
const PAIRS: u32 = 40;

#[derive(Debug, Args)]
pub(super) struct AbArguments {
    /// The sweep file of both, or of A
    #[arg(value_name = "FILE", required_unless_present = "show")]
    file: Option<PathBuf>,
    /// The sweep file of B: it may differ in one value of each of those fields
    #[arg(value_name = "FILE_B")]
    file_b: Option<PathBuf>,
    /// A value of A instead of the file's: backend=tract or backend=NAME@FILE, model= (a name or a file), runner= (a
    /// file or a folder of runners), weights=, precision=, threads=, batch=, scenario= (may be given several times)
    #[arg(long, value_name = "FIELD=VALUE")]
    a: Vec<String>,
    /// A value of B instead of the file's
    #[arg(long, value_name = "FIELD=VALUE")]
    b: Vec<String>,
    /// Most pairs of each cell, from 6 to 200; a cell that is settled before is measured no more
    #[arg(long, value_name = "N", default_value_t = PAIRS)]
    pairs: u32,
    /// Start no more runs after so many minutes of work; `--resume` counts anew
    #[arg(long, value_name = "MINUTES", value_parser = above_zero)]
    minutes: Option<f64>,
    /// Changes below so many per cent are the same; 3 without it, or what a stricter gate needs
    #[arg(long, value_name = "PERCENT", value_parser = above_zero)]
    threshold: Option<f64>,
    /// How likely any cell of equal sides may be called slower or faster, over all cells and looks together
    #[arg(long, value_name = "SHARE", default_value_t = ALPHA, value_parser = share)]
    alpha: f64,
    /// What must not be, as 'slower > 3%': if it is, farmctl ends with 7 (may be given several times)
    #[arg(long, value_name = "CONDITION", value_parser = gate)]
    gate: Vec<Gate>,
    /// What a cell that is not settled does to a gate
    #[arg(long, default_value = "pass", requires = "gate",
        value_parser = one_of(Unclear::OF_PAIRS, Unclear::as_str, Unclear::description))]
    unclear: Unclear,
    /// Only print what such a sweep says so far: its identifier, the beginning of one, `latest`
    #[arg(long, value_name = "SWEEP", conflicts_with_all =
        ["file", "file_b", "a", "b", "pairs", "minutes", "threshold", "alpha"])]
    show: Option<String>,
    /// Carry it out in this process, also when a daemon runs that would
    #[arg(long)]
    local: bool,
}

pub(super) async fn run(context: &Context, arguments: &AbArguments) -> Result<u8, LabError> {
    let Some(file) = arguments.file.clone().filter(|_| arguments.show.is_none()) else {
        return show(context, arguments.show.as_deref().unwrap_or("latest"), arguments);
    };
    let planned = context.lab.plan_side_by_side(&SideBySideOrder {
        a: file,
        b: arguments.file_b.clone(),
        a_values: arguments.a.clone(),
        b_values: arguments.b.clone(),
        pairs: arguments.pairs,
        minutes: arguments.minutes,
        threshold_percent: threshold_percent(arguments.threshold, &arguments.gate)?,
        alpha: arguments.alpha,
    })?;
    let ended = begin(context, planned, ExecutionMode::without_table(context, arguments.local)).await?;
    let shown = show(context, ended.sweep.as_str(), arguments);
    match (ended.code, shown) {
        (exit::OK, shown) => shown,
        (code, Ok(_)) => Ok(code),
        // How the sweep ended says more than that there is nothing to compare.
        (code, Err(error)) => {
            say(&error.to_string());
            Ok(code)
        }
    }
}

/// Prints what a sweep says of its two sides.
fn show(context: &Context, wanted: &str, arguments: &AbArguments) -> Result<u8, LabError> {
    let result = context.lab.side_by_side(wanted)?;
    let comparison = &result.comparison;
    let gates: Vec<GateOutcome> =
        arguments.gate.iter().map(|gate| compare::judge(gate, comparison, arguments.unclear)).collect();
    print_comparison(context, comparison, &gates)?;
    if result.open > 0 {
        say(&format!("`farmctl sweep --resume {}` goes on with what is open", result.sweep.id));
    }
    Ok(if gates.iter().any(|gate| !gate.is_passed()) { exit::GATE_FAILED } else { exit::OK })
}
