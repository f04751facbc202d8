use clap::Args;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::print::Format;
use crate::cli::table::Table;
use crate::lab::LabError;
use crate::status::{MOST_DAYS, USUAL_DAYS};

#[derive(Debug, Args)]
pub(in crate::cli) struct UtilisationArguments {
    /// Names; all devices that are not disabled without any
    names: Vec<String>,
    /// Over the last so many days
    #[arg(
        long, value_name = "N", default_value_t = USUAL_DAYS,
        value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_DAYS))
    )]
    days: u16,
}

pub(super) fn run(context: &Context, arguments: &UtilisationArguments) -> Result<u8, LabError> {
    let devices = context.lab.select_devices(&arguments.names)?;
    let rows = context.lab.utilisation(&devices, arguments.days)?;
    let is_for_people = context.format == Format::Human;
    let share = |share: f64| if is_for_people { format!("{:.1} %", share * 100.0) } else { format!("{share:.6}") };
    let header = [
        "device",
        "busy",
        "idle",
        "locked",
        "broken",
        "out_of_service",
        "not_known",
        "jobs_a_day",
        "attempts",
        "failed",
        "failed_by_kind",
    ];
    let cells = rows.iter().map(|row| {
        let kinds = row.failed_by_kind.iter().map(|(kind, part)| format!("{kind} {}", share(*part)));
        vec![
            row.device.clone().unwrap_or_else(|| "(all)".to_owned()),
            share(row.busy),
            share(row.idle),
            share(row.locked),
            share(row.broken),
            share(row.out_of_service),
            share(row.not_known),
            format!("{:.1}", row.jobs_per_day),
            row.attempts.to_string(),
            share(row.failed),
            kinds.collect::<Vec<_>>().join(", "),
        ]
    });
    Table::new(&header, cells).json(&rows).print(context.format)?;
    Ok(exit::OK)
}
