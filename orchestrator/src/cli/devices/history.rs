use clap::Args;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::table::Table;
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
    let rows: Vec<Vec<String>> = events.iter().filter_map(cells).collect();
    let text = rows.iter().map(|row| format!("{}  {}\n", row[0], row[2])).collect();
    let table = Table::new(&["at", "sweep", "what"], rows).text(text).json(&events);
    // What happened may be nothing that there are words for.
    let table = if events.is_empty() { table.when_empty(format!("nothing happened to {name} yet")) } else { table };
    table.print(context.format)?;
    Ok(if events.is_empty() { exit::NOTHING } else { exit::OK })
}
