use crate::domain::{DELEGATE, PairSide, RunStatus};
use crate::report::columns::{Cell, ColumnKind, ColumnOf};

use super::SweepCell;

/// A column of `summary.csv`.
pub type SummaryColumn = ColumnOf<fn(&SweepCell<'_>) -> Cell>;

/// The columns of `summary.csv`, in the order of the file. New ones are added at the end only.
pub const SUMMARY_COLUMNS: &[SummaryColumn] = &[
    text("sweep_id", "Identifier of this start of the sweep.", |cell| cell.sweep.id.as_str().into()),
    text("cell_id", "Hash of what makes the cell; the same in every sweep, whichever repeat.", |cell| {
        cell.id.as_str().into()
    }),
    text("device", "Name of the device.", |cell| cell.records[0].job.device.as_str().into()),
    text("model", "Name of the network.", |cell| cell.records[0].job.model.name.as_str().into()),
    text("weights", "synthetic or trained.", |cell| cell.records[0].job.model.weights.to_string().into()),
    text("backend", "Inference engine.", |cell| cell.records[0].job.backend.as_str().into()),
    text("delegate", "What the engine hands the work to; empty for its own kernels.", |cell| {
        cell.records[0].job.options.get(DELEGATE).map(String::as_str).into()
    }),
    text("precision", "Arithmetic.", |cell| cell.records[0].job.precision.to_string().into()),
    ColumnOf {
        kind: ColumnKind::Word,
        ..text("threads", "Threads asked for.", |cell| cell.records[0].job.threads.to_string().into())
    },
    count("batch", "Images in one inference.", |cell| cell.records[0].job.batch.into()),
    text("scenario", "Load pattern.", |cell| cell.records[0].job.scenario.to_string().into()),
    text("status", "ok where any run is; else failed where any run is, then cancelled, then skipped.", |cell| {
        cell.status.as_str().into()
    }),
    count("n", "Runs that the figures are of: its repeats that are ok, of each the measurement that counts.", |cell| {
        (cell.runs_ok() as u64).into()
    }),
    count("failed", "Repeats that failed.", |cell| (cell.count(RunStatus::Failed) as u64).into()),
    count("repeats", "Repeats in all.", |cell| (cell.records.len() as u64).into()),
    number("p50_ms", "ms", "Median of the runs' medians.", |cell| cell.median.map(|median| median.p50_ns / 1e6).into()),
    number("p50_low_ms", "ms", "Low end of its interval of 95 %; empty where there is none.", |cell| {
        interval(cell).map(|interval| interval.low_ns / 1e6).into()
    }),
    number("p50_high_ms", "ms", "High end of it.", |cell| interval(cell).map(|interval| interval.high_ns / 1e6).into()),
    text(
        "interval_of",
        "What the interval is made of. runs: six medians of runs or more, by their ranks; few_runs: two to five, by \
         Student, and it is of their mean; samples: the one run that there is, and what another run would say is not \
         in it.",
        |cell| interval(cell).map(|interval| interval.basis.as_str()).into(),
    ),
    number(
        "spread_percent",
        "%",
        "Standard deviation of the runs' medians (n - 1), in per cent of their mean; empty of one run.",
        |cell| cell.median.and_then(|median| median.spread_percent).into(),
    ),
    number("p90_ms", "ms", "Median of the runs' 90th percentiles.", |cell| {
        cell.p90_ns.map(|p90_ns| p90_ns / 1e6).into()
    }),
    number("images_per_s", "1/s", "Median of the runs' throughputs.", |cell| cell.images_per_s.into()),
    number("top1", "", "Share of images whose class was the first answer, from 0 to 1.", |cell| cell.top1.into()),
    text(
        "verdict",
        "The worst verdict of the runs: ok, noisy, unsteady, throttled, disturbed, slow_start or too_few.",
        |cell| cell.verdict.map(|verdict| verdict.as_str()).into(),
    ),
    count("doubtful", "Runs whose verdict is not ok.", |cell| (cell.doubtful as u64).into()),
    text("verdict_reason", "Why the run with that verdict has it.", |cell| cell.reason.as_str().into()),
    text("failure", "What happened to the first repeat without a result, on one line.", |cell| {
        let failed = cell.records.iter().find(|record| record.status != RunStatus::Ok);
        failed.and_then(|record| record.failure.as_ref()).map(|failure| failure.message.as_str()).into()
    }),
    text("run_ids", "The runs, separated by spaces: rows of results.csv, with their samples.", |cell| {
        let ids = cell.records.iter().filter_map(|record| record.run_id.as_ref()).map(|run_id| run_id.as_str());
        ids.collect::<Vec<_>>().join(" ").into()
    }),
    text("side", "Of `farmctl ab`: a or b; empty in other sweeps.", |cell| {
        cell.records[0].job.side.map(PairSide::as_str).into()
    }),
];

const fn column(
    name: &'static str,
    kind: ColumnKind,
    unit: &'static str,
    description: &'static str,
    value: fn(&SweepCell<'_>) -> Cell,
) -> SummaryColumn {
    ColumnOf { name, kind, unit, description, value }
}

const fn text(name: &'static str, description: &'static str, value: fn(&SweepCell<'_>) -> Cell) -> SummaryColumn {
    column(name, ColumnKind::Text, "", description, value)
}

const fn count(name: &'static str, description: &'static str, value: fn(&SweepCell<'_>) -> Cell) -> SummaryColumn {
    column(name, ColumnKind::Integer, "", description, value)
}

const fn number(
    name: &'static str,
    unit: &'static str,
    description: &'static str,
    value: fn(&SweepCell<'_>) -> Cell,
) -> SummaryColumn {
    column(name, ColumnKind::Number, unit, description, value)
}

fn interval(cell: &SweepCell<'_>) -> Option<super::Interval> {
    cell.median?.interval
}
