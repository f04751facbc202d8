use clap::Args;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::lab::LabError;
use crate::terminal::print::print_text;
use crate::wording::indented_line;

#[derive(Debug, Args)]
pub(super) struct WhyArguments {
    /// A device's name, a job's identifier, or a sweep: its identifier, the beginning of one, its name (the newest of
    /// it), or `latest`
    what: String,
    /// The sweep that the job is in
    #[arg(long, value_name = "ID", default_value = "latest")]
    sweep: String,
}

pub(super) fn run(context: &Context, arguments: &WhyArguments) -> Result<u8, LabError> {
    let answer = context.lab.why(&arguments.what, &arguments.sweep)?;
    // A device's failures and a lock's reason are texts of others: none of them begins a line.
    let lines = answer.iter().map(|line| indented_line(line) + "\n");
    print_text(context.format, &lines.collect::<String>(), &answer)?;
    Ok(exit::OK)
}
