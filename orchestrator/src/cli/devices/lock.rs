use std::str::FromStr;

use clap::Args;
use jiff::{SignedDuration, Span, SpanRelativeTo};

use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::print::say;
use crate::lab::{LONGEST_LOCK, LabError};

#[derive(Debug, Args)]
pub(in crate::cli) struct LockArguments {
    /// The device's name
    name: String,
    /// For how long: `90m`, `2h`, `3d`; it ends by itself
    #[arg(long = "for", value_name = "TIME")]
    time: LockTime,
    /// What for: shown to everybody who waits
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// Take it over from whoever has it locked
    #[arg(long)]
    force: bool,
}

/// How long a lock lasts.
#[derive(Debug, Clone, Copy)]
struct LockTime(SignedDuration);

impl FromStr for LockTime {
    type Err = String;

    fn from_str(text: &str) -> Result<LockTime, String> {
        let span: Span = text.parse().map_err(|_| "it is no time: write for example 90m, 2h or 3d".to_owned())?;
        let time = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|error| error.to_string())?;
        if !time.is_positive() || time > LONGEST_LOCK {
            let hint = "beyond that, set `disabled` in the farm file";
            return Err(format!("a lock lasts up to {} days; {hint}", LONGEST_LOCK.as_hours() / 24));
        }
        Ok(LockTime(time))
    }
}

pub(super) fn lock(context: &Context, arguments: &LockArguments) -> Result<u8, LabError> {
    let LockArguments { name, time, why, force } = arguments;
    let (lock, used) = context.lab.lock_device(name, time.0, why, *force)?;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn times_are_what_people_write() {
        let seconds = |text: &str| text.parse::<LockTime>().map(|time| time.0.as_secs());
        assert_eq!(seconds("90m").unwrap(), 5400);
        assert_eq!(seconds("2h").unwrap(), 7200);
        assert_eq!(seconds("2 hours 30 minutes").unwrap(), 9000);
        assert_eq!(seconds("3d").unwrap(), 3 * 86_400);
        for wrong in ["", "soon", "-1h", "0s", "32d", "2"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
