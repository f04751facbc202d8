use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;

use crate::cli::compare::above_zero;
use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::sweep::{ExecutionMode, begin};
use crate::compare::side_by_side::{FEWEST_PAIRS, MOST_PAIRS};
use crate::compare::{Axis, ComparedCell, Comparison, GateOutcome, MeasuredAgain};
use crate::domain::SweepRow;
use crate::lab::{AgainOrder, LabError};
use crate::terminal::print::say;

/// Most pairs of each cell, where nothing else is said.
const PAIRS: u32 = 40;

/// How `--unclear rerun` measures.
#[derive(Debug, Args)]
pub(super) struct AgainArguments {
    /// Of `--unclear rerun`: most pairs of each cell
    #[arg(long, value_name = "N", default_value_t = PAIRS,
        value_parser = clap::value_parser!(u32).range(i64::from(FEWEST_PAIRS)..=i64::from(MOST_PAIRS)))]
    pairs: u32,
    /// Of `--unclear rerun`: start no more runs after so many minutes
    #[arg(long, value_name = "MINUTES", value_parser = above_zero)]
    minutes: Option<f64>,
    /// Of `--unclear rerun`: the runner that A was measured with, where the lab has another now: a file, or a folder of
    /// runners
    #[arg(long, value_name = "PATH")]
    a_runner: Option<PathBuf>,
    /// The same of B
    #[arg(long, value_name = "PATH")]
    b_runner: Option<PathBuf>,
    /// Of `--unclear rerun`: measure in this process, also when a daemon runs that would
    #[arg(long)]
    local: bool,
}

/// The sweeps whose cells are measured again, and along which axis.
pub(super) struct AgainSides {
    pub(super) a: SweepRow,
    pub(super) b: SweepRow,
    pub(super) axis: Option<Axis>,
}

/// Measures again what some gate can't tell, and puts it into the comparison. Gives the exit code of a sweep that a
/// person stopped.
pub(super) async fn measure_again(
    context: &Context,
    comparison: &mut Comparison,
    gates: &[GateOutcome],
    sides: &AgainSides,
    arguments: &AgainArguments,
) -> Result<Option<u8>, LabError> {
    let untold: BTreeSet<&String> = gates.iter().flat_map(|gate| &gate.untold).map(|(cell, _)| cell).collect();
    let is_meant = |cell: &&ComparedCell| cell.may_be_told() && untold.contains(&cell.name());
    let cells: Vec<ComparedCell> = comparison.cells.iter().filter(is_meant).cloned().collect();
    if cells.is_empty() {
        return Ok(None);
    }
    let order = AgainOrder {
        a: &sides.a,
        b: &sides.b,
        axis: sides.axis,
        cells: &cells,
        pairs: arguments.pairs,
        minutes: arguments.minutes,
        threshold_percent: comparison.options.threshold_percent,
        alpha: comparison.options.alpha,
        a_runner: arguments.a_runner.as_deref(),
        b_runner: arguments.b_runner.as_deref(),
    };
    let progress = context.open_progress_beside();
    let planned = context.lab.plan_again(&order, &progress).await;
    context.close_progress(&progress);
    let planned = planned?;
    for (name, why) in planned.left {
        say(&format!("{name} can't be measured again: {why}"));
        if let Some(cell) = comparison.cells.iter_mut().find(|cell| cell.name() == name) {
            cell.why = Some(format!("it can't be measured again: {why}"));
        }
    }
    for again in planned.sweeps {
        let ended = begin(context, again.planned, ExecutionMode::beside(context, arguments.local)).await?;
        let (sweep, across) = (ended.sweep.to_string(), sides.axis.zip(again.values));
        match context.lab.side_by_side(&sweep) {
            Ok(result) => comparison.take_over(MeasuredAgain { comparison: result.comparison, sweep, across }),
            Err(error) => say(&error.text()),
        }
        if ended.code == exit::INTERRUPTED {
            return Ok(Some(ended.code));
        }
    }
    Ok(None)
}
