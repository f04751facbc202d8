use clap::Args;

use crate::domain::{Device, Event};
use crate::wording::event_sentence;

use super::super::{CliError, Context, Format, exit, print_data, print_json, print_rows, say};
use super::find;

#[derive(Debug, Args)]
pub(in crate::cli) struct HistoryArguments {
    /// The device's name
    name: String,
    /// Most events that are shown
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
}

pub(super) fn run(context: &Context, devices: &[Device], arguments: &HistoryArguments) -> Result<u8, CliError> {
    // One that no farm file has any more has a history all the same.
    let name = find(devices, &arguments.name).map_or_else(|_| arguments.name.clone(), |device| device.name.clone());
    let events = context.lab.store()?.device_events(&name, arguments.limit)?;
    if events.is_empty() {
        find(devices, &name)?;
    }
    let cells = |event: &Event| {
        let sweep = event.sweep_id.as_ref().map(ToString::to_string).unwrap_or_default();
        event_sentence(event).map(|sentence| vec![format!("{:.0}", event.at), sweep, sentence])
    };
    let rows = events.iter().filter_map(cells);
    match context.format {
        Format::Human if events.is_empty() => say(&format!("nothing happened to {name} yet")),
        Format::Human => {
            let text: String = rows.map(|row| format!("{}  {}\n", row[0], row[2])).collect();
            print_data(text.as_bytes())?;
        }
        Format::Json => print_json(&events)?,
        Format::Csv | Format::Markdown => print_rows(context.format, &["at", "sweep", "what"], rows)?,
    }
    Ok(if events.is_empty() { exit::NOTHING } else { exit::OK })
}
