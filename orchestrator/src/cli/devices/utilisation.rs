use clap::Args;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::lab::LabError;
use crate::status::{MOST_DAYS, USUAL_DAYS};
use crate::terminal::table::Table;

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
    let is_for_people = context.format.is_for_people();
    let share = move |share: f64| if is_for_people { format!("{:.1} %", share * 100.0) } else { format!("{share:.6}") };
    Table::of(&rows)
        .column("device", |row| row.device.clone().unwrap_or_else(|| "(all)".to_owned()))
        .column("busy", |row| share(row.busy))
        .column("idle", |row| share(row.idle))
        .column("locked", |row| share(row.locked))
        .column("broken", |row| share(row.broken))
        .column("out_of_service", |row| share(row.out_of_service))
        .column("not_known", |row| share(row.not_known))
        .column("jobs_a_day", |row| format!("{:.1}", row.jobs_per_day))
        .column("attempts", |row| row.attempts.to_string())
        .column("failed", |row| share(row.failed))
        .column("failed_by_kind", |row| {
            let kinds = row.failed_by_kind.iter().map(|(kind, part)| format!("{kind} {}", share(*part)));
            kinds.collect::<Vec<_>>().join(", ")
        })
        .done()
        .json(&rows)
        .print(context.format)?;
    Ok(exit::OK)
}
