use clap::Args;

use crate::cli::context::Context;
use crate::cli::events::print_events;
use crate::lab::LabError;

#[derive(Debug, Args)]
pub(super) struct AuditArguments {
    /// Most acts that are shown
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
    /// Older ones: those before the event of this number
    #[arg(long, value_name = "NUMBER")]
    before: Option<u64>,
}

pub(super) fn run(context: &Context, arguments: &AuditArguments) -> Result<u8, LabError> {
    let events = context.lab.acts(arguments.before, arguments.limit)?;
    print_events(context, &events, arguments.limit, "nobody did anything here yet".to_owned())
}
