//! What verbs print: data on stdout, words for people on stderr.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};

use clap::ValueEnum;

use crate::lab::LabError;

/// Form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Human,
    /// For programs: JSON; of a sweep, its events as JSON Lines.
    Json,
    /// For spreadsheets.
    Csv,
    /// For an issue or a page.
    Markdown,
}

/// Writes data to stdout. A reader that has seen enough (`| head`) is no error.
pub(super) fn print_data(bytes: &[u8]) -> Result<(), LabError> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(LabError::internal(format!("failed to write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes a value to stdout as JSON.
pub(super) fn print_json(value: &(impl serde::Serialize + ?Sized)) -> Result<(), LabError> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|error| LabError::internal(format!("failed to write JSON: {error}")))?;
    text.push('\n');
    print_data(text.as_bytes())
}

/// Writes a value to stdout as JSON, or else as this text.
pub(super) fn print_text(format: Format, text: &str, json: &impl serde::Serialize) -> Result<(), LabError> {
    match format {
        Format::Json => print_json(json),
        Format::Human | Format::Csv | Format::Markdown => print_data(text.as_bytes()),
    }
}

/// Whether standard error is a terminal that can draw a line anew, in colour. One of an editor or without `TERM` can't:
/// the library that draws would show nothing there.
pub(super) fn is_drawn_on_terminal() -> bool {
    std::io::stderr().is_terminal() && !console::is_dumb()
}

/// Columns that a table on stdout may have.
pub(super) fn terminal_width() -> u16 {
    const WITHOUT_TERMINAL: u16 = 120;
    console::Term::stdout().size_checked().map_or(WITHOUT_TERMINAL, |(_, columns)| columns)
}

/// Writes a line for people to stderr.
pub(super) fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Tells a person why a verb failed, and what helps; with `verbose`, also what lies beneath.
pub(super) fn print_error(error: &LabError, color: bool, verbose: bool) {
    let (red, cyan, off) = if color { ("\x1b[31;1m", "\x1b[36m", "\x1b[0m") } else { ("", "", "") };
    let mut text = format!("{red}error{off}: {error}");
    for cause in error.causes().iter().filter(|_| verbose) {
        let _ = write!(text, "\n{cyan}cause{off}: {cause}");
    }
    for hint in error.hints() {
        let _ = write!(text, "\n{cyan}help{off}: {hint}");
    }
    say(&text);
}
