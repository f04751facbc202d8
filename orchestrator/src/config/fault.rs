//! Faults of what people write, and how they are shown.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use unicode_width::UnicodeWidthChar;

pub(super) use crate::wording::{did_you_mean, nearest};

/// Columns of a source line that are shown at most; a longer line is cut around the caret.
const SHOWN_COLUMNS: usize = 100;
/// Columns that stay visible before the caret when a line is cut.
const SHOWN_BEFORE: usize = 40;
/// What a tab is shown as.
const TAB: &str = "    ";

/// Most faults of one file that are reported: a person mends a few and tries again, and a file of nothing but faults
/// must not fill the memory.
pub(super) const MAX_FAULTS: usize = 100;

/// Everything that is wrong in one or more files. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// The faults: by file in the order read, then by place.
    pub faults: Vec<Fault>,
}

impl ConfigErrors {
    /// `value` when there are no faults; else all of them, those of a file in the order of its lines.
    pub(super) fn unless_clean<T>(value: Option<T>, mut faults: Vec<Fault>) -> Result<T, ConfigErrors> {
        match value {
            Some(value) if faults.is_empty() => Ok(value),
            _ => {
                sort(&mut faults);
                limit(&mut faults);
                Err(ConfigErrors { faults })
            }
        }
    }
}

/// Sorts by place inside each file; files stay in the order in which they first appear.
fn sort(faults: &mut [Fault]) {
    let mut files: Vec<PathBuf> = Vec::new();
    for fault in faults.iter() {
        if !files.contains(&fault.file) {
            files.push(fault.file.clone());
        }
    }
    let rank = |fault: &Fault| {
        let file = files.iter().position(|file| *file == fault.file);
        let place = fault.place.as_ref().map(|place| (place.line, place.column));
        (file, place)
    };
    faults.sort_by_key(rank);
}

/// Keeps the first [`MAX_FAULTS`] of each file, and says how many more there are. Takes them sorted by file.
fn limit(faults: &mut Vec<Fault>) {
    let mut kept: Vec<Fault> = Vec::new();
    for of_file in faults.chunk_by(|one, next| one.file == next.file) {
        kept.extend(of_file.iter().take(MAX_FAULTS).cloned());
        if let Some(more) = of_file.len().checked_sub(MAX_FAULTS).filter(|more| *more > 0) {
            kept.push(Fault::whole_file(&of_file[0].file, format!("{more} more faults are not shown")));
        }
    }
    *faults = kept;
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// In which file.
    pub file: PathBuf,
    /// Where in it; `None` when it is about the file itself.
    pub place: Option<Box<Place>>,
    /// What is wrong.
    pub message: String,
    /// Facts that belong to it, for example where a name was used first.
    pub notes: Vec<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault of a file as a whole.
    pub(super) fn whole_file(file: &Path, message: impl Into<String>) -> Fault {
        Fault { file: file.to_owned(), place: None, message: message.into(), notes: Vec::new(), hint: None }
    }

    /// Adds what to do about it.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Fault {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what to do about it, if there is something.
    pub(super) fn maybe_hint(mut self, hint: Option<String>) -> Fault {
        self.hint = hint.or(self.hint);
        self
    }

    /// Adds a fact.
    pub(super) fn note(mut self, note: impl Into<String>) -> Fault {
        self.notes.push(note.into());
        self
    }
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, counted in characters.
    pub column: usize,
    /// Characters that the fault spans on that line, at least 1.
    pub length: usize,
    /// The line's text, with what may be a secret masked.
    pub source_line: Arc<str>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(place) = &self.place {
            write!(f, ":{}:{}", place.line, place.column)?;
        }
        write!(f, ": {}", self.message)?;
        let mut margin = 0;
        if let Some(place) = &self.place {
            let number = place.line.to_string();
            margin = number.len();
            let Excerpt { line, before, carets } = Excerpt::of(place);
            let line = line.trim_end();
            write!(f, "\n{:margin$} |\n{number} | {line}", "")?;
            write!(f, "\n{:margin$} | {:before$}{}", "", "", "^".repeat(carets))?;
        }
        for note in &self.notes {
            write!(f, "\n{:margin$} = note: {note}", "")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n{:margin$} = help: {hint}", "")?;
        }
        Ok(())
    }
}

/// The part of a line that is shown, with the carets below it.
struct Excerpt {
    line: String,
    /// Columns before the first caret.
    before: usize,
    carets: usize,
}

impl Excerpt {
    fn of(place: &Place) -> Excerpt {
        // More than is ever shown on either side; a line may have a million characters.
        const NEAR: usize = 4 * SHOWN_COLUMNS;
        let skipped = (place.column - 1).saturating_sub(NEAR);
        let shown: Vec<(String, usize)> = place.source_line.chars().skip(skipped).take(2 * NEAR).map(shown).collect();
        let width = |cells: &[(String, usize)]| cells.iter().map(|(_, width)| width).sum::<usize>();
        let start = (place.column - 1 - skipped).min(shown.len());
        let end = (start + place.length).min(shown.len());

        let mut first = 0;
        if width(&shown) > SHOWN_COLUMNS {
            while width(&shown[first..start]) > SHOWN_BEFORE {
                first += 1;
            }
        }
        let mut last = first;
        let mut used = 0;
        while last < shown.len() && used + shown[last].1 <= SHOWN_COLUMNS {
            used += shown[last].1;
            last += 1;
        }
        let (left, right) = (if first > 0 { "…" } else { "" }, if last < shown.len() { "…" } else { "" });
        let text: String = shown[first..last].iter().map(|(text, _)| text.as_str()).collect();
        let before = width(&shown[first..start]) + usize::from(first > 0);
        let carets = width(&shown[start..end.min(last).max(start)]).max(1);
        Excerpt { line: format!("{left}{text}{right}"), before, carets }
    }
}

/// What a character is shown as, and how many columns that takes: nothing that a file holds may move the cursor.
fn shown(c: char) -> (String, usize) {
    match c {
        '\t' => (TAB.to_owned(), TAB.len()),
        _ if c.is_control() || is_invisible(c) => ("\u{fffd}".to_owned(), 1),
        _ => (c.to_string(), c.width().unwrap_or(1)),
    }
}

/// Characters that change the direction or the look of their neighbours without being seen.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A value of the file inside a message: quoted, escaped, and not longer than a person reads.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 40;
    if text.chars().count() > LONGEST {
        format!("\"{}…\"", text.chars().take(LONGEST).collect::<String>().escape_debug())
    } else {
        format!("\"{}\"", text.escape_debug())
    }
}

/// A word of the file inside a message, as code.
pub(super) fn code(text: &str) -> String {
    if text.is_empty() {
        return "the empty text".to_owned();
    }
    let quoted = quoted(text);
    format!("`{}`", &quoted[1..quoted.len() - 1])
}

/// Several words of ours: `` `a`, `b` or `c` ``.
pub(super) fn any_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.as_slice() {
        [] => "nothing".to_owned(),
        [word] => word.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
