//! A file's text: read with a bound, checked to be UTF-8, and cut into lines for messages.

use std::cell::{Cell, RefCell};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::regular_file;

use super::fault::{Fault, MAX_FAULTS, Place};

/// Largest file that is read; a farm of a thousand boards stays far below.
pub(super) const MAX_FILE_BYTES: u64 = 1 << 20;

/// A stretch of a file: it starts at a line and column (both from 1, in characters) and stays on that line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) length: usize,
}

impl Span {
    /// The very beginning.
    pub(super) const START: Span = Span { line: 1, column: 1, length: 1 };
}

/// A file that was read.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) file: PathBuf,
    pub(super) text: String,
    /// Byte range of each line, without its end.
    lines: Vec<std::ops::Range<usize>>,
    /// Faults found so far: those beyond the limit are counted, not shown, and need no copy of their line.
    faults: Cell<usize>,
    /// The line that was shown last, masked: a long line with many faults is masked once.
    last_shown: RefCell<Option<(usize, Arc<str>)>>,
}

impl Source {
    /// Reads a file that a person wrote.
    pub(super) fn read(file: &Path) -> Result<Source, Fault> {
        Source::read_up_to(file, MAX_FILE_BYTES)
    }

    /// Reads a file of at most so many bytes.
    pub(super) fn read_up_to(file: &Path, max_bytes: u64) -> Result<Source, Fault> {
        let failed = |error: std::io::Error| {
            let fault = Fault::whole_file(file, format!("failed to read the file: {error}"));
            match error.kind() {
                std::io::ErrorKind::InvalidInput => Fault::whole_file(file, error.to_string()),
                std::io::ErrorKind::NotFound => fault.hint("check the path; it is relative to the current folder"),
                _ => fault,
            }
        };
        let (opened, metadata) = regular_file::open(file).map_err(failed)?;
        let mut bytes = Vec::new();
        opened.take(max_bytes + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > max_bytes {
            let size = metadata.len().max(bytes.len() as u64);
            let message = format!("the file has {size} bytes; at most {max_bytes} are read");
            return Err(Fault::whole_file(file, message).hint("is this the right file? Else split it into several"));
        }
        Source::from_bytes(file, bytes)
    }

    /// Takes bytes for the content of a file.
    pub(super) fn from_bytes(file: &Path, mut bytes: Vec<u8>) -> Result<Source, Fault> {
        if bytes.starts_with(b"\xef\xbb\xbf") {
            bytes.drain(..3);
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Source::from_text(file, text)),
            Err(error) => Err(not_utf8(file, &error)),
        }
    }

    fn from_text(file: &Path, text: String) -> Source {
        let lines = line_ranges(&text);
        Source { file: file.to_owned(), text, lines, faults: Cell::new(0), last_shown: RefCell::new(None) }
    }

    /// A fault at a place of this file.
    pub(super) fn fault(&self, span: Span, message: impl Into<String>) -> Fault {
        self.faults.set(self.faults.get() + 1);
        // Faults are sorted by place later, so that a few more than the limit keep their lines.
        let shown = self.faults.get() <= 4 * MAX_FAULTS;
        let source_line = if shown { self.masked(span.line) } else { "".into() };
        let place = Place { line: span.line, column: span.column.max(1), length: span.length.max(1), source_line };
        Fault { place: Some(Box::new(place)), ..Fault::whole_file(&self.file, message) }
    }

    fn masked(&self, line: usize) -> Arc<str> {
        let mut last = self.last_shown.borrow_mut();
        if let Some((_, text)) = last.as_ref().filter(|(shown, _)| *shown == line) {
            return Arc::clone(text);
        }
        let range = self.lines.get(line.saturating_sub(1)).cloned().unwrap_or_default();
        let text: Arc<str> = mask_secrets(&self.text[range]).into();
        *last = Some((line, Arc::clone(&text)));
        text
    }

    /// Line (from 1) and column (from 1, in characters) of a byte of the text.
    pub(super) fn line_and_column(&self, byte: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|range| range.end < byte).min(self.lines.len() - 1);
        let start = self.lines[line].start;
        (line + 1, self.text[start..byte.max(start)].chars().count() + 1)
    }

    /// `file:line`, for what remembers where it was declared.
    pub(super) fn at(&self, span: Span) -> String {
        format!("{}:{}", self.file.display(), span.line)
    }
}

fn line_ranges(text: &str) -> Vec<std::ops::Range<usize>> {
    let bytes = text.as_bytes();
    let mut lines = Vec::new();
    let mut start = 0;
    let mut at = 0;
    while at < bytes.len() {
        if matches!(bytes[at], b'\n' | b'\r') {
            lines.push(start..at);
            at += usize::from(bytes[at] == b'\r' && bytes.get(at + 1) == Some(&b'\n'));
            start = at + 1;
        }
        at += 1;
    }
    lines.push(start..bytes.len());
    lines
}

fn not_utf8(file: &Path, error: &std::string::FromUtf8Error) -> Fault {
    let bytes = error.as_bytes();
    let at = error.utf8_error().valid_up_to();
    let before = String::from_utf8_lossy(&bytes[..at]).into_owned();
    let line = line_ranges(&before).len();
    let last = line_ranges(&before).pop().unwrap_or_default();
    let column = before[last.clone()].chars().count() + 1;
    // The rest of the line is shown too, with a replacement character for each stretch that is no text.
    let rest = bytes[at..].split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
    let source_line = mask_secrets(&format!("{}{}", &before[last], String::from_utf8_lossy(rest))).into();
    let place = Place { line, column, length: 1, source_line };
    let message = format!("the file is not UTF-8: byte 0x{:02x} at offset {at} is no part of a character", bytes[at]);
    let hint = match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "this looks like UTF-16; save the file as UTF-8",
        _ => "save the file as UTF-8",
    };
    Fault { place: Some(Box::new(place)), ..Fault::whole_file(file, message) }.hint(hint)
}

/// Whether a field of that name holds a secret, or was meant to: `password`, `pasword`, `ssh_passwd`, `token`.
pub(super) fn names_secret(field: &str) -> bool {
    let field = field.to_lowercase();
    ["pass", "secret", "token", "credential"].iter().any(|word| field.contains(word))
        || ["password", "passphrase", "passwd"].iter().any(|word| strsim::damerau_levenshtein(&field, word) <= 2)
}

/// The line with `*` for each character of what is written as the value of a secret field: a secret that stands in a
/// file by mistake must not reach a terminal or a log.
fn mask_secrets(line: &str) -> String {
    let chars: Vec<char> = line.chars().collect();
    let mut shown = chars.clone();
    for (colon, _) in chars.iter().enumerate().filter(|(_, c)| **c == ':') {
        let end = chars[..colon].iter().rposition(|c| !matches!(c, ' ' | '"' | '\'')).map_or(0, |at| at + 1);
        let is_word = |c: &char| c.is_alphanumeric() || matches!(c, '_' | '-');
        let start = chars[..end].iter().rposition(|c| !is_word(c)).map_or(0, |at| at + 1);
        if !names_secret(&chars[start..end].iter().collect::<String>()) {
            continue;
        }
        let value = chars[colon + 1..].iter().position(|c| !c.is_whitespace()).map(|at| colon + 1 + at);
        // A mapping says where the secret is found; that is no secret.
        if let Some(value) = value.filter(|at| chars[*at] != '{') {
            shown[value..].fill('*');
        }
    }
    mask_addresses(&chars, &mut shown);
    shown.into_iter().collect()
}

/// Masks user and password of addresses, `https://user:password@host`, and `password=` behind a question mark.
fn mask_addresses(chars: &[char], shown: &mut [char]) {
    let is_end = |c: &char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | '}');
    let name: Vec<char> = "password=".chars().collect();
    for begin in chars.windows(3).enumerate().filter(|(_, part)| **part == [':', '/', '/']).map(|(at, _)| at + 3) {
        let end = chars[begin..].iter().position(is_end).map_or(chars.len(), |at| begin + at);
        if let Some(login) = chars[begin..end].iter().rposition(|c| *c == '@') {
            shown[begin..begin + login].fill('*');
        }
        if let Some(at) = chars[begin..end].windows(name.len()).position(|window| window == name) {
            shown[begin + at + name.len()..end].fill('*');
        }
    }
}
