use clap::Args;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::lab::LabError;
use crate::terminal::table::Table;

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
    let table = Table::of(&restored)
        .column("device", |one| one.device.clone())
        .column("setting", |one| one.setting.clone())
        .column("previous", |one| one.previous.clone())
        .column("verdict", |one| one.failure.clone().unwrap_or_else(|| "restored".to_owned()))
        .column("made_by", |one| one.made_by.clone())
        .done()
        .json(&restored);
    table.when_empty("nothing is left changed").print(context.format)?;
    let failed = restored.iter().filter(|one| one.failure.is_some()).count();
    Ok(exit::of_devices(failed, restored.len()))
}
