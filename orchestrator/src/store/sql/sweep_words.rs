//! What sweeps are found by when somebody looks for words.

use crate::store::NewSweep;

/// What a sweep is found by, in small letters: nobody looks for a text that goes over the end of a line.
pub(super) fn words(new: &NewSweep<'_>) -> String {
    let (row, definition) = (new.row, new.definition);
    let ordered = definition.ordered.as_ref();
    let texts = [
        Some(row.id.as_str()),
        Some(&row.name),
        Some(&definition.config),
        definition.due.as_ref().map(|due| due.schedule.as_str()),
        ordered.and_then(|ordered| ordered.schedule.as_deref()),
        ordered.map(|ordered| ordered.by.as_str()),
    ];
    texts.into_iter().flatten().collect::<Vec<_>>().join("\n").to_lowercase()
}

/// Any text that has this word in it.
pub(super) fn pattern(word: &str) -> String {
    let word = word.replace('!', "!!").replace('%', "!%").replace('_', "!_");
    format!("%{word}%")
}
