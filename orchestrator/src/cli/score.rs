use clap::Args;
use clap::builder::TypedValueParser as _;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::only_runs::{KnownNames, OnlyRuns};
use crate::cli::words::one_of;
use crate::lab::LabError;
use crate::score::{self, AccuracySource, Options, ResultMatrix, SCORES, Score};
use crate::terminal::print::{say, terminal_width};
use crate::terminal::table::print_forms;
use crate::{catalog, report};

#[derive(Debug, Args)]
pub(super) struct ScoreArguments {
    /// What to rank: a sweep's identifier, the beginning of one, its name, `latest`; `baseline:NAME`; a folder with
    /// results.csv; a CSV file with the columns device, model, backend, status and mean_ms. Several are ranked together
    #[arg(default_value = "latest", value_name = "SWEEP|DIR|FILE.csv")]
    results: Vec<String>,
    /// Which score
    #[arg(long, default_value = "aiotbench", value_parser = one_of(SCORES, name, description).map(Kind))]
    kind: Kind,
    /// Where accuracies come from
    #[arg(
        long, default_value = "measured",
        value_parser = one_of(AccuracySource::ALL, AccuracySource::as_str, AccuracySource::description)
    )]
    accuracy: AccuracySource,
    /// Count a multiply-add as two operations (FLOPs), not as one (MACs)
    #[arg(long)]
    flops: bool,
    /// The device that geomean compares with
    #[arg(long, value_name = "DEVICE")]
    reference: Option<String>,
    #[command(flatten)]
    only: OnlyRuns,
    /// Print each term of each sum with the run it is from; csv and json always have them
    #[arg(long)]
    terms: bool,
}

/// A score, as the command line takes it.
#[derive(Clone, Copy)]
struct Kind(&'static dyn Score);

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name())
    }
}

fn name(score: &'static dyn Score) -> &'static str {
    score.name()
}

fn description(score: &'static dyn Score) -> &'static str {
    score.description()
}

pub(super) fn run(context: &Context, arguments: &ScoreArguments) -> Result<u8, LabError> {
    let (Kind(score), accuracy) = (arguments.kind, arguments.accuracy);
    // A published accuracy is no column of a table.
    let top = score.accuracy().filter(|_| accuracy == AccuracySource::Measured);
    let columns: Vec<&str> = top.iter().map(|top| top.column()).collect();
    let mut runs = Vec::new();
    for wanted in &arguments.results {
        runs.extend(context.lab.scored_runs(wanted, &columns)?);
    }
    arguments.only.refuse_unknown(&KnownNames {
        devices: runs.iter().map(|run| run.device.as_str()).collect(),
        networks: runs.iter().map(|run| run.workload.model.as_str()).collect(),
        backends: runs.iter().map(|run| run.workload.backend.as_str()).collect(),
    })?;
    runs.retain(|run| arguments.only.names(&run.device, &run.workload.model, &run.workload.backend));
    let options = Options {
        accuracy,
        flops: arguments.flops,
        reference: arguments.reference.as_deref(),
        published: catalog::published_networks(),
    };
    let ranking = ResultMatrix::new(&runs).and_then(|contest| score::rank(score, &contest, &options))?;
    print_forms(
        context.format,
        || report::ranking_text(&ranking, terminal_width(), arguments.terms),
        || report::ranking_json(&ranking),
        || report::ranking_csv(&ranking),
        || report::ranking_markdown(&ranking, arguments.terms),
    )?;
    if context.format.is_for_people() && !arguments.terms {
        say("--terms shows each term with its run");
    }
    Ok(exit::OK)
}
