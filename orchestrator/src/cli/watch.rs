use clap::Args;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::print::say;
use crate::cli::signals::Signals;
use crate::cli::sweep::show_end;
use crate::lab::LabError;

#[derive(Debug, Args)]
pub(super) struct WatchArguments {
    /// A sweep's identifier, the beginning of one, or `latest`; without it the newest that is under way
    sweep: Option<String>,
}

/// Shows a sweep that another process carries out, as that process shows it; Ctrl-C ends the watching alone.
pub(super) async fn run(context: &Context, arguments: &WatchArguments) -> Result<u8, LabError> {
    let sweep = context.lab.sweep_to_watch(arguments.sweep.as_deref())?.id;
    let progress = context.open_progress();
    let mut signals = Signals::listen()?;
    let ended = tokio::select! {
        ended = context.lab.watch(&sweep, &progress) => Some(ended),
        _ = signals.next() => None,
    };
    context.close_progress(&progress);
    match ended.transpose()? {
        Some(end) => show_end(context, &sweep, end, &format!("`farmctl watch {sweep}` watches it again"), true),
        None => {
            say(&format!("sweep {sweep} goes on: `farmctl watch {sweep}` watches it again"));
            Ok(exit::INTERRUPTED)
        }
    }
}
