use clap::Args;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::table::Table;
use crate::lab::{LabError, Restored};

#[derive(Debug, Args)]
pub(in crate::cli) struct RestoreArguments {
    /// Names; all devices that something was left on without any
    names: Vec<String>,
    /// Also undo what a process made that still runs, or runs on another host
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(context: &Context, arguments: &RestoreArguments) -> Result<u8, LabError> {
    let restored = context.lab.restore(&arguments.names, arguments.force).await?;
    print(context, &restored)?;
    let failed = restored.iter().filter(|one| one.failure.is_some()).count();
    Ok(match failed {
        0 if restored.is_empty() => exit::NOTHING,
        0 => exit::OK,
        all if all == restored.len() => exit::NO_DEVICE,
        _ => exit::SOME_FAILED,
    })
}

fn print(context: &Context, restored: &[Restored]) -> Result<(), LabError> {
    let header = ["device", "setting", "previous", "verdict", "made_by"];
    let rows = restored.iter().map(|one| {
        vec![
            one.device.clone(),
            one.setting.clone(),
            one.previous.clone(),
            one.failure.clone().unwrap_or_else(|| "restored".to_owned()),
            one.made_by.clone(),
        ]
    });
    Table::new(&header, rows).json(restored).when_empty("nothing is left changed").print(context.format)
}
