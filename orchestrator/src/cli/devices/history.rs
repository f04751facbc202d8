use clap::Args;

use crate::cli::context::Context;
use crate::cli::events::print_events;
use crate::lab::LabError;

#[derive(Debug, Args)]
pub(in crate::cli) struct HistoryArguments {
    /// The device's name
    name: String,
    /// Also what happens in every run: its phases, pushes, results
    #[arg(long)]
    runs: bool,
    /// Most events that are shown
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
    /// Older ones: those before the event of this number
    #[arg(long, value_name = "NUMBER")]
    before: Option<u64>,
}

pub(super) fn run(context: &Context, arguments: &HistoryArguments) -> Result<u8, LabError> {
    let HistoryArguments { name, runs, limit, before } = arguments;
    let events = context.lab.device_history(name, *runs, *before, *limit)?;
    let with_runs = if *runs { "" } else { "; `--runs` shows what its runs did" };
    let nothing = match before {
        Some(number) => format!("nothing happened to {name} before event {number}{with_runs}"),
        None => format!("nothing happened to {name} yet{with_runs}"),
    };
    print_events(context, &events, *limit, nothing)
}
