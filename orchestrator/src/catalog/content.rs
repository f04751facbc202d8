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
    /// An XML document: an answer of a store, most often.
    Xml,
    /// Files in another wrapping; the name of a program that unwraps it.
    Packed(Magic),
    /// Something else that has a name.
    Other(Magic),
}

/// How a kind of file begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Magic {
    at: usize,
    bytes: &'static [u8],
    what: &'static str,
    /// The program that unpacks it; empty where there is nothing to unpack.
    pub(super) unpacked_by: &'static str,
}

const fn magic(at: usize, bytes: &'static [u8], what: &'static str, unpacked_by: &'static str) -> Magic {
    Magic { at, bytes, what, unpacked_by }
}

const PICKLE: &str = "a Python pickle, as PyTorch writes it";

/// What is told apart by bytes at a place. Each is longer than chance makes likely.
const MAGICS: [Magic; 18] = [
    magic(0, b"\xfd7zXZ\0", "an xz file", "unxz"),
    magic(4, b"1AY&SY", "a bzip2 file", "bunzip2"),
    magic(0, b"\x28\xb5\x2f\xfd", "a Zstandard file", "unzstd"),
    magic(0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", "7z x"),
    magic(0, b"Rar!\x1a\x07", "a RAR archive", "unrar x"),
    magic(257, b"ustar", "a tar archive", "tar -xf"),
    magic(0, b"\x89PNG\r\n\x1a\n", "a PNG picture", ""),
    magic(0, b"\xff\xd8\xff\xe0", "a JPEG picture", ""),
    magic(0, b"GIF8", "a GIF picture", ""),
    magic(0, b"%PDF-", "a PDF document", ""),
    magic(0, b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes it", ""),
    magic(0, b"\x80\x02\x8a\x0a", PICKLE, ""),
    magic(0, b"\x80\x02}q", PICKLE, ""),
    magic(0, b"\x80\x02ctorch", PICKLE, ""),
    magic(0, b"\x80\x03}q", PICKLE, ""),
    magic(0, b"\x80\x03ctorch", PICKLE, ""),
    magic(0, b"\x80\x04\x95", PICKLE, ""),
    magic(0, b"\x80\x05\x95", PICKLE, ""),
];

/// How the first element of a page may be called.
const PAGE_ELEMENTS: [&str; 7] = ["<!doctype html", "<html", "<head", "<body", "<script", "<meta", "<title"];

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
        let is_there = |magic: &&Magic| head.get(magic.at..).is_some_and(|rest| rest.starts_with(magic.bytes));
        if let Some(magic) = MAGICS.iter().find(is_there) {
            return Some(if magic.unpacked_by.is_empty() { Self::Other(*magic) } else { Self::Packed(*magic) });
        }
        let text = String::from_utf8_lossy(head);
        let text = text.trim_start_matches('\u{feff}').trim_start();
        let element = behind_comments(text);
        let lower = element.to_ascii_lowercase();
        if PAGE_ELEMENTS.iter().any(|page| lower.starts_with(page)) {
            return Some(Self::Page(title(element, &lower)));
        }
        if text.starts_with("<?xml") || text.starts_with("<!--") {
            return Some(Self::Xml);
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

/// A page or document from its first element on: declarations and comments may stand before it.
fn behind_comments(mut text: &str) -> &str {
    loop {
        let ends = [("<!--", "-->"), ("<?", "?>")];
        let rest = ends.iter().find_map(|(start, end)| text.strip_prefix(start)?.split_once(end));
        let Some((_, rest)) = rest else { return text };
        text = rest.trim_start();
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
            Self::Xml => f.write_str("an XML document"),
            Self::Packed(magic) | Self::Other(magic) => f.write_str(magic.what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_first_bytes() {
        let said = |head: &[u8]| Content::of(head).map(|content| content.to_string());
        let mut tar = [0; 300];
        tar[257..262].copy_from_slice(b"ustar");
        let cases: [(&[u8], Option<&str>); 24] = [
            (&tar, Some("a tar archive")),
            (b"<!-- proxy --><!DOCTYPE html><title>No</title>", Some("a web page titled \"No\"")),
            (b"<?xml version=\"1.0\"?>\n<!-- a --> <html>", Some("a web page")),
            (b"<?xml version=\"1.0\"?><Error/>", Some("an XML document")),
            (b"<!-- never ended", Some("an XML document")),
            (b"\xfd7zXZ\0\0", Some("an xz file")),
            (b"BZh91AY&SY", Some("a bzip2 file")),
            (b"\x89PNG\r\n\x1a\n", Some("a PNG picture")),
            (b"%PDF-1.7", Some("a PDF document")),
            (b"\x80\x02}q\0", Some("a Python pickle, as PyTorch writes it")),
            (b"\x80\x04\x95\0", Some("a Python pickle, as PyTorch writes it")),
            (b"BZh9", None),
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
