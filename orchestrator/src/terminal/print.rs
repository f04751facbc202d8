//! What verbs print: data on stdout, words for people on stderr. Whatever it is passes the guard of [`wording`] here,
//! so that no text from outside reaches a terminal as it is.
//!
//! [`wording`]: crate::wording

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::sync::OnceLock;

use clap::ValueEnum;
use jiff::tz::TimeZone;

use crate::lab::LabError;
use crate::wording::{in_zone, indented_line, printable, printable_json};

/// By whose clocks people are told times; without a lab, by those of UTC.
static TIME_ZONE: OnceLock<TimeZone> = OnceLock::new();

/// Tells people times by the clocks of this zone from now on. JSON and CSV have UTC.
pub fn tell_times_in(zone: TimeZone) {
    // A second lab in one process (tests) keeps the first one's.
    let _ = TIME_ZONE.set(zone);
}

/// A text for people, with its times by the lab's clocks.
pub fn by_the_labs_clocks(text: &str) -> Cow<'_, str> {
    in_zone(text, TIME_ZONE.get().unwrap_or(&TimeZone::UTC))
}

/// Form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[value(alias = "table")]
    Human,
    /// For programs: JSON; of a sweep, its events as JSON Lines.
    Json,
    /// For spreadsheets.
    Csv,
    /// For an issue or a page.
    Markdown,
    /// A page that needs nothing beside it: of `compare`, `ab` and `report`.
    Html,
}

impl Format {
    /// Whether people read it: they are told more than what was asked for.
    pub fn is_for_people(self) -> bool {
        self == Format::Human
    }

    /// Whether it is a page, which few verbs have.
    pub fn is_page(self) -> bool {
        self == Format::Html
    }

    /// What is so in each form of output: only that of this one is made. All of `cli` that is another in another form
    /// goes by this or by a [`Table`](super::table::Table). The few verbs that have a page print it before.
    pub fn choose<T>(
        self,
        human: impl FnOnce() -> T,
        json: impl FnOnce() -> T,
        csv: impl FnOnce() -> T,
        markdown: impl FnOnce() -> T,
    ) -> T {
        match self {
            Format::Human => human(),
            Format::Json => json(),
            Format::Csv => csv(),
            Format::Markdown | Format::Html => markdown(),
        }
    }
}

/// Writes lines for people, or a table, to stdout. Each line is guarded, and each value has to be before it becomes a
/// part of one: a line break in it is not told from ours here.
pub fn print_lines(text: &str) -> Result<(), LabError> {
    print_file(by_the_labs_clocks(&printable(text, false)).as_bytes())
}

/// The same for text that is coloured by us.
pub fn print_coloured_lines(text: &str, is_coloured: bool) -> Result<(), LabError> {
    print_file(by_the_labs_clocks(&printable(text, is_coloured)).as_bytes())
}

/// Writes what is a file elsewhere to stdout: a report, a script, packed samples. Whoever made it has guarded what is
/// in it. A reader that has seen enough (`| head`) is no error.
pub fn print_file(bytes: &[u8]) -> Result<(), LabError> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(LabError::internal(format!("failed to write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Writes a value to stdout as JSON.
pub fn print_json(value: &(impl serde::Serialize + ?Sized)) -> Result<(), LabError> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|error| LabError::internal(format!("failed to write JSON: {error}")))?;
    text.push('\n');
    print_file(printable_json(&text).as_bytes())
}

/// Writes a value to stdout as JSON, or else as this text.
pub fn print_text(format: Format, text: &str, json: &impl serde::Serialize) -> Result<(), LabError> {
    let lines = || print_lines(text);
    format.choose(lines, || print_json(json), lines, lines)
}

/// Whether standard error is a terminal that can draw a line anew, in colour. One of an editor or without `TERM` can't:
/// the library that draws would show nothing there.
pub fn is_drawn_on_terminal() -> bool {
    std::io::stderr().is_terminal() && !console::is_dumb()
}

/// Columns that a table on stdout may have.
pub fn terminal_width() -> u16 {
    const WITHOUT_TERMINAL: u16 = 120;
    console::Term::stdout().size_checked().map_or(WITHOUT_TERMINAL, |(_, columns)| columns)
}

/// Writes a line for people to stderr; it stays one, whatever is in it.
pub fn say(line: &str) {
    say_coloured(&indented_line(line), false);
}

/// Writes lines for people to stderr.
pub fn say_lines(lines: &[&str]) {
    lines.iter().for_each(|line| say(line));
}

/// Writes what may be several lines, and coloured by us.
pub fn say_coloured(line: &str, is_coloured: bool) {
    let _ = writeln!(std::io::stderr().lock(), "{}", by_the_labs_clocks(&printable(line, is_coloured)));
}

/// Tells a person why a verb failed, and what helps; with `verbose`, also what lies beneath.
pub fn print_error(error: &LabError, color: bool, verbose: bool) {
    let (red, cyan, off) = if color { ("\x1b[31;1m", "\x1b[36m", "\x1b[0m") } else { ("", "", "") };
    let mut text = format!("{red}error{off}: {}", printable(&error.to_string(), false));
    for cause in error.causes().iter().filter(|_| verbose) {
        let _ = write!(text, "\n{cyan}cause{off}: {}", printable(cause, false));
    }
    for hint in error.hints() {
        let _ = write!(text, "\n{cyan}help{off}: {}", printable(hint, false));
    }
    say_coloured(&text, color);
}
