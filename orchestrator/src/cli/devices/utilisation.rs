use clap::Args;
use jiff::{SignedDuration, Timestamp};

use crate::domain::Device;
use crate::status::{Past, Utilisation, utilisation};

use super::super::{CliError, Context, Format, exit, print_data, print_json, print_rows, text_table};

#[derive(Debug, Args)]
pub(in crate::cli) struct UtilisationArguments {
    /// Names; all devices that are not disabled without any
    pub(super) names: Vec<String>,
    /// Over the last so many days
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=3660))]
    days: u16,
}

/// Figures of these devices and of all of them together, over the last days.
pub(in crate::cli) fn figures(context: &Context, devices: &[Device], days: u16) -> Result<Vec<Utilisation>, CliError> {
    let (store, now) = (context.lab.store()?, Timestamp::now());
    let from = now.checked_sub(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(Timestamp::UNIX_EPOCH);
    let past = Past {
        attempts: store.past_attempts(from)?,
        events: store.availability_events()?,
        sightings: store.sightings()?,
    };
    let names: Vec<String> = devices.iter().map(|device| device.name.clone()).collect();
    Ok(utilisation(&names, &past, from, now))
}

pub(super) fn run(context: &Context, devices: &[Device], arguments: &UtilisationArguments) -> Result<u8, CliError> {
    let rows = figures(context, devices, arguments.days)?;
    if context.format == Format::Json {
        print_json(&rows)?;
        return Ok(exit::OK);
    }
    let is_for_people = context.format == Format::Human;
    let share = |share: f64| if is_for_people { format!("{:.1} %", share * 100.0) } else { format!("{share:.6}") };
    let header = ["device", "busy", "idle", "locked", "broken", "jobs_a_day", "attempts", "failed", "failed_by_kind"];
    let cells = rows.iter().map(|row| {
        let kinds = row.failed_by_kind.iter().map(|(kind, part)| format!("{kind} {}", share(*part)));
        vec![
            row.device.clone().unwrap_or_else(|| "(all)".to_owned()),
            share(row.busy),
            share(row.idle),
            share(row.locked),
            share(row.broken),
            format!("{:.1}", row.jobs_per_day),
            row.attempts.to_string(),
            share(row.failed),
            kinds.collect::<Vec<_>>().join(", "),
        ]
    });
    match context.format {
        Format::Human => print_data(text_table(&header, cells).as_bytes())?,
        _ => print_rows(context.format, &header, cells)?,
    }
    Ok(exit::OK)
}
