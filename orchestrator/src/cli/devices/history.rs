use clap::Args;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::print::{Format, print_data, print_json, print_rows, say};
use crate::domain::Event;
use crate::lab::LabError;
use crate::wording::event_sentence;

#[derive(Debug, Args)]
pub(in crate::cli) struct HistoryArguments {
    /// The device's name
    name: String,
    /// Most events that are shown
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u32,
}

pub(super) fn run(context: &Context, arguments: &HistoryArguments) -> Result<u8, LabError> {
    let name = &arguments.name;
    let events = context.lab.device_history(name, arguments.limit)?;
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
