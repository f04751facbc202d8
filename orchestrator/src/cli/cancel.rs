use clap::Args;

use crate::cli::context::Context;
use crate::cli::sweep::{conclude, execute};
use crate::domain::SweepId;
use crate::lab::{Cancelled, LabError};
use crate::progress::Progress;

#[derive(Debug, Args)]
pub(super) struct CancelArguments {
    /// A sweep's identifier, the beginning of one, or `latest`
    sweep: String,
}

pub(super) async fn run(context: &Context, arguments: &CancelArguments) -> Result<u8, LabError> {
    let progress = context.open_progress();
    let ended = end(context, arguments, &progress).await;
    context.close_progress(&progress);
    conclude(context, &ended?, false)
}

async fn end(context: &Context, arguments: &CancelArguments, progress: &Progress) -> Result<SweepId, LabError> {
    let Cancelled { sweep, left } = context.lab.cancel(&arguments.sweep, progress).await?;
    if let Some(left) = left {
        execute(context, left, progress).await?;
    }
    Ok(sweep)
}
