use std::str::FromStr;

use clap::Args;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};

use crate::domain::{Device, DeviceLock};
use crate::lease::is_holder_gone;
use crate::status;
use crate::store::people::{self, LONGEST_LOCK};

use super::super::lab::person;
use super::super::{CliError, Context, exit, say};
use super::find;

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

pub(super) fn lock(context: &Context, devices: &[Device], arguments: &LockArguments) -> Result<u8, CliError> {
    let device = find(devices, &arguments.name)?;
    let why = arguments.why.trim();
    if why.is_empty() {
        return Err(CliError::usage("say with --why what the lock is for"));
    }
    let store = context.lab.store()?;
    let now = Timestamp::now();
    let lock = DeviceLock {
        device: device.name.clone(),
        by: person(),
        why: why.to_owned(),
        since: now,
        until: now.saturating_add(arguments.time.0).map_err(|error| CliError::usage(error.to_string()))?,
    };
    if arguments.force {
        people::unlock_device(store.as_ref(), &device.name, &person(), now)?;
    }
    if let Some(other) = people::lock_device(store.as_ref(), &lock)? {
        return Err(
            CliError::usage(other.to_string()).with_hint("wait for its end, ask them, or take it over with --force")
        );
    }
    say(&format!("{} is locked until {:.0}", device.name, lock.until));
    let views = status::device_views(store.as_ref(), vec![device.clone()], &is_holder_gone, Timestamp::now())?;
    if let Some(used) = views.into_iter().find_map(|view| view.used) {
        let what = used.model.map_or_else(String::new, |model| format!(" with {model}"));
        say(&format!(
            "{} uses it now{what}; the run under way ends first (`farmctl devices show {}`)",
            used.holder, device.name
        ));
    }
    Ok(exit::OK)
}

pub(super) fn unlock(context: &Context, devices: &[Device]) -> Result<u8, CliError> {
    let store = context.lab.store()?;
    let mut unlocked = false;
    for device in devices {
        match people::unlock_device(store.as_ref(), &device.name, &person(), Timestamp::now())? {
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
