//! Takes out of a command's standard error what our own command line put there.
//!
//! Main type: [`StderrFilter`]. What the login shell printed before, and what the command prints, passes unchanged.

use std::borrow::Cow;

use crate::transport::quote::{NOT_FOUND_MARKER, PID_MARKER};

/// A login shell that prints more than this before it starts the command hides the process id.
const SEARCH_LIMIT_BYTES: usize = 16 << 10;

/// Finds the line with the process id, and remembers how the stream ended.
#[derive(Default)]
pub struct StderrFilter {
    /// What came so far, as long as the line with the process id did not.
    held: Vec<u8>,
    found: Found,
    tail: Vec<u8>,
}

#[derive(Default, PartialEq, Eq)]
enum Found {
    #[default]
    NotYet,
    Pid(u32),
    Nothing,
}

impl StderrFilter {
    /// What to pass on of these bytes and earlier ones.
    pub fn pass<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if self.found != Found::NotYet {
            self.remember(bytes);
            return Cow::Borrowed(bytes);
        }
        self.held.extend_from_slice(bytes);
        match marked_line(&self.held) {
            Some((start, end, pid)) => {
                self.found = Found::Pid(pid);
                let mut passed = std::mem::take(&mut self.held);
                passed.drain(start..end);
                self.remember(&passed);
                Cow::Owned(passed)
            }
            None if self.held.len() > SEARCH_LIMIT_BYTES => Cow::Owned(self.finish()),
            None => Cow::Borrowed(&[]),
        }
    }

    /// What is still held at the end.
    pub fn finish(&mut self) -> Vec<u8> {
        if self.found == Found::NotYet {
            self.found = Found::Nothing;
        }
        let held = std::mem::take(&mut self.held);
        self.remember(&held);
        held
    }

    /// Process id of the command on the device.
    pub fn pid(&self) -> Option<u32> {
        match self.found {
            Found::Pid(pid) => Some(pid),
            _ => None,
        }
    }

    /// Whether our command line said last that there is no such program.
    pub fn tells_not_found(&self) -> bool {
        self.tells(NOT_FOUND_MARKER)
    }

    /// Whether this marker was the last line.
    pub fn tells(&self, marker: &str) -> bool {
        let text = self.tail.strip_suffix(b"\n").unwrap_or_default();
        text.ends_with(marker.as_bytes())
    }

    fn remember(&mut self, bytes: &[u8]) {
        let wanted = NOT_FOUND_MARKER.len() + 1;
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(wanted)..]);
        let surplus = self.tail.len().saturating_sub(wanted);
        self.tail.drain(..surplus);
    }
}

/// Where the whole line with the process id begins and ends.
fn marked_line(bytes: &[u8]) -> Option<(usize, usize, u32)> {
    let marker = PID_MARKER.as_bytes();
    let start = bytes.windows(marker.len()).position(|window| window == marker)?;
    let digits = &bytes[start + marker.len()..];
    let length = digits.iter().position(|byte| *byte == b'\n')?;
    let pid = std::str::from_utf8(&digits[..length]).ok()?.parse().ok()?;
    Some((start, start + marker.len() + length + 1, pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(chunks: &[&str]) -> (String, StderrFilter) {
        let mut filter = StderrFilter::default();
        let mut passed = Vec::new();
        for chunk in chunks {
            passed.extend_from_slice(&filter.pass(chunk.as_bytes()));
        }
        passed.extend(filter.finish());
        (String::from_utf8_lossy(&passed).into_owned(), filter)
    }

    #[test]
    fn only_the_line_with_the_process_id_is_taken_out() {
        let (passed, filter) = through(&["hello\nfarmctl-", "pid:12", "34\nerror", " one\n", "farmctl-pid:5\n"]);
        assert_eq!(passed, "hello\nerror one\nfarmctl-pid:5\n");
        assert_eq!(filter.pid(), Some(1234));
        assert!(!filter.tells_not_found());
    }

    #[test]
    fn without_that_line_everything_passes() {
        let long = "x".repeat(SEARCH_LIMIT_BYTES + 1);
        for text in ["", "short", long.as_str()] {
            let (passed, filter) = through(&[text]);
            assert_eq!((passed.as_str(), filter.pid()), (text, None));
        }
    }

    #[test]
    fn a_missing_program_is_seen_across_chunks() {
        let (_, filter) = through(&["farmctl-pid:7\nfarmctl: no such", " program\n"]);
        assert!(filter.tells_not_found());
        assert!(!through(&["farmctl-pid:7\nfarmctl: no such program\nmore\n"]).1.tells_not_found());
    }
}
