use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// How a Git LFS pointer begins.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/";
/// Enough of a file for a page's title.
const HEAD_BYTES: u64 = 2048;
/// Longest title that is shown, in characters.
const TITLE_LENGTH: usize = 60;

/// What a file is that stands where another one should: known by its first bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing at all.
    Empty,
    /// A web page with its title: a login, a proxy's refusal.
    Page(String),
    /// What a clone without Git LFS has in place of a file.
    LfsPointer,
    /// A file compressed by gzip.
    Gzip,
    /// A zip archive.
    Zip,
    /// JSON: most often an answer that says what went wrong.
    Json,
}

impl Content {
    /// What these first bytes of a file are; `None` for anything else.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        if head.is_empty() {
            return Some(Self::Empty);
        }
        if head.starts_with(LFS_POINTER) {
            return Some(Self::LfsPointer);
        }
        if head.starts_with(&[0x1f, 0x8b]) {
            return Some(Self::Gzip);
        }
        if head.starts_with(b"PK\x03\x04") {
            return Some(Self::Zip);
        }
        let text = String::from_utf8_lossy(head);
        let text = text.trim_start_matches('\u{feff}').trim_start();
        let lower = text.to_ascii_lowercase();
        if lower.starts_with("<!doctype html") || lower.starts_with("<html") {
            return Some(Self::Page(title(text, &lower)));
        }
        // A letter, a number or a bracket follows: a bare `{` may begin anything.
        let is_json = |rest: &str| rest.trim_start().starts_with(['"', '}', ']', '{', '[']);
        text.strip_prefix(['{', '[']).is_some_and(is_json).then_some(Self::Json)
    }

    /// What a file is; `None` for anything else, and when it can't be read.
    pub(super) fn of_file(path: &Path) -> Option<Self> {
        let mut head = Vec::new();
        File::open(path).and_then(|file| file.take(HEAD_BYTES).read_to_end(&mut head)).ok()?;
        Self::of(&head)
    }
}

/// The title of a page, on one line.
fn title(text: &str, lower: &str) -> String {
    let title = || {
        let start = lower.find("<title>")? + "<title>".len();
        let end = start + lower[start..].find("</title>")?;
        text.get(start..end)
    };
    let words: Vec<&str> = title().unwrap_or_default().split_whitespace().collect();
    words.join(" ").chars().filter(|letter| !letter.is_control()).take(TITLE_LENGTH).collect()
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("nothing"),
            Self::Page(title) if title.is_empty() => f.write_str("a web page"),
            Self::Page(title) => write!(f, "a web page titled {title:?}"),
            Self::LfsPointer => f.write_str("a Git LFS pointer"),
            Self::Gzip => f.write_str("a gzip file"),
            Self::Zip => f.write_str("a zip archive"),
            Self::Json => f.write_str("JSON"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_first_bytes() {
        let said = |head: &[u8]| Content::of(head).map(|content| content.to_string());
        let cases: [(&[u8], Option<&str>); 12] = [
            (b"", Some("nothing")),
            (b"\xef\xbb\xbf\n<!DOCTYPE HTML><Title>Sign\n in \x1b</TITLE>", Some("a web page titled \"Sign in \"")),
            (b"<html><body>", Some("a web page")),
            (b"version https://git-lfs.github.com/spec/v1\noid", Some("a Git LFS pointer")),
            (b"\x1f\x8b\x08", Some("a gzip file")),
            (b"PK\x03\x04", Some("a zip archive")),
            (b"{\"error\": 1}", Some("JSON")),
            (b" [\n {}", Some("JSON")),
            (b"{x", None),
            (b"\x08\x07\x12", None),
            (b"TFL3", None),
            (b"plain words", None),
        ];
        cases.iter().for_each(|(head, expected)| assert_eq!(said(head).as_deref(), *expected, "{head:?}"));
    }
}
