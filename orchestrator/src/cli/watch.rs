use clap::Args;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::signals::Signals;
use crate::cli::sweep::show_end;
use crate::lab::LabError;
use crate::terminal::print::{print_json, say};

#[derive(Debug, Args)]
pub(super) struct WatchArguments {
    /// A sweep's identifier, the beginning of one, its name (the newest of it), or `latest`; without it the newest that
    /// is under way
    sweep: Option<String>,
}

/// Shows a sweep that another process carries out, as that process shows it; Ctrl-C ends the watching alone.
pub(super) async fn run(context: &Context, arguments: &WatchArguments) -> Result<u8, LabError> {
    let row = context.lab.sweep_to_watch(arguments.sweep.as_deref())?;
    let (sweep, was_over) = (row.id.clone(), row.state.is_over());
    let progress = context.open_progress();
    let mut signals = Signals::listen()?;
    let ended = tokio::select! {
        ended = context.lab.watch(&sweep, &progress) => Some(ended),
        _ = signals.next() => None,
    };
    context.close_progress(&progress);
    match ended.transpose()? {
        Some(end) => {
            let hint = format!("`farmctl watch {sweep}` watches it again");
            let code = show_end(context, &sweep, end, &hint, true)?;
            // Of one that was over there is no event to come: programs get what it came to.
            let state = || print_json(&context.lab.sweep_overview(row)?);
            let told = || Ok(());
            context.format.choose(told, || if was_over { state() } else { Ok(()) }, told, told)?;
            Ok(code)
        }
        None => {
            say(&format!("sweep {sweep} goes on: `farmctl watch {sweep}` watches it again"));
            Ok(exit::INTERRUPTED)
        }
    }
}
