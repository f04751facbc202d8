use clap::Args;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::print::print_data;
use crate::lab::LabError;

#[derive(Debug, Args)]
pub(super) struct WhyArguments {
    /// A device's name, a job's identifier, or a sweep's identifier (its beginning, or `latest`)
    what: String,
    /// The sweep that the job is in
    #[arg(long, value_name = "ID", default_value = "latest")]
    sweep: String,
}

pub(super) fn run(context: &Context, arguments: &WhyArguments) -> Result<u8, LabError> {
    let answer = context.lab.why(&arguments.what, &arguments.sweep)?;
    print_data((answer.join("\n") + "\n").as_bytes())?;
    Ok(exit::OK)
}
