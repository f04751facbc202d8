use clap::Args;
use jiff::SignedDuration;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::words::lock_time;
use crate::lab::LabError;
use crate::terminal::print::say;

#[derive(Debug, Args)]
pub(in crate::cli) struct LockArguments {
    /// The device's name
    name: String,
    /// For how long: `90m`, `2h`, `3d`; it ends by itself
    #[arg(long = "for", value_name = "TIME", value_parser = lock_time)]
    time: SignedDuration,
    /// What for: shown to everybody who waits
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// Take it over from whoever has it locked
    #[arg(long)]
    force: bool,
}

pub(super) fn lock(context: &Context, arguments: &LockArguments) -> Result<u8, LabError> {
    let LockArguments { name, time, why, force } = arguments;
    let (lock, used) = context.lab.lock_device(name, *time, why, *force)?;
    say(&format!("{name} is locked until {:.0}", lock.until));
    if let Some(used) = used {
        let what = used.model.map_or_else(String::new, |model| format!(" with {model}"));
        say(&format!(
            "{} uses it now{what}; the run under way ends first (`farmctl devices show {name}`)",
            used.holder
        ));
    }
    Ok(exit::OK)
}

pub(super) fn unlock(context: &Context, names: &[String]) -> Result<u8, LabError> {
    let mut unlocked = false;
    for device in context.lab.select_devices(names)? {
        match context.lab.unlock_device(&device)? {
            Some(lock) => {
                unlocked = true;
                say(&format!("{} is free; {} had locked it for «{}»", device.name, lock.by, lock.why));
            }
            None => say(&format!("{} is not locked", device.name)),
        }
    }
    Ok(if unlocked { exit::OK } else { exit::NOTHING })
}
