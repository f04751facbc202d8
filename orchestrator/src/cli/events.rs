//! Events of the past, a line each, and how older ones are had.

use serde::Serialize;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::domain::Event;
use crate::lab::LabError;
use crate::terminal::print::say;
use crate::terminal::table::{Table, field_line};
use crate::wording::event_sentence;

/// An event for programs.
#[derive(Serialize)]
struct NumberedEvent<'a> {
    /// Older ones are had by `--before` this.
    number: u64,
    #[serde(flatten)]
    event: &'a Event,
}

/// Prints events with their numbers, oldest first; says how older ones are had where there may be some.
pub(super) fn print_events(
    context: &Context,
    events: &[(u64, Event)],
    limit: u32,
    nothing: String,
) -> Result<u8, LabError> {
    let cells = |(number, event): &(u64, Event)| {
        let sweep = event.sweep_id.as_ref().map(ToString::to_string).unwrap_or_default();
        let at = format!("{:.0}", event.at);
        event_sentence(event).map(|sentence| vec![number.to_string(), at, sweep, sentence])
    };
    let rows: Vec<Vec<String>> = events.iter().filter_map(cells).collect();
    let text = rows.iter().map(|row| field_line(&row[1], row[1].len() + 1, &row[3])).collect();
    let json: Vec<_> = events.iter().map(|(number, event)| NumberedEvent { number: *number, event }).collect();
    let table = Table::new(&["number", "at", "sweep", "what"], rows).text(text).json(&json);
    // What happened may be nothing that there are words for.
    let table = if events.is_empty() { table.when_empty(nothing) } else { table };
    table.print(context.format)?;
    let is_cut = events.len() == limit as usize && context.format.is_for_people();
    if let Some((oldest, _)) = events.first().filter(|_| is_cut) {
        say(&format!("`--before {oldest}` shows older ones"));
    }
    Ok(if events.is_empty() { exit::NOTHING } else { exit::OK })
}
