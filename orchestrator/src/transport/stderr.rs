//! Takes out of a command's standard error what our own command line put there.
//!
//! Main type: [`StderrFilter`]. What the command prints passes unchanged; what its login shell printed before is no
//! part of it, however much that is.

use std::borrow::Cow;

use super::ends::Ends;
use crate::transport::quote::{NOT_FOUND_MARKER, PID_MARKER};

/// Most digits of a process id.
const MAX_DIGITS: usize = 10;

/// Finds the line with the process id, and remembers how the stream ended.
#[derive(Default)]
pub struct StderrFilter {
    /// What came before the line with the process id.
    before: Ends,
    /// The end of that, which may be the beginning of the line.
    begun: Vec<u8>,
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
    /// What to pass on of these bytes.
    pub fn pass<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if self.found != Found::NotYet {
            self.remember(bytes);
            return Cow::Borrowed(bytes);
        }
        self.begun.extend_from_slice(bytes);
        match marked_line(&self.begun) {
            Some((end, pid)) => {
                self.found = Found::Pid(pid);
                let passed = std::mem::take(&mut self.begun).split_off(end);
                self.remember(&passed);
                Cow::Owned(passed)
            }
            None => {
                let kept = (PID_MARKER.len() + MAX_DIGITS).min(self.begun.len());
                let gone: Vec<u8> = self.begun.drain(..self.begun.len() - kept).collect();
                self.before.note(&gone);
                Cow::Borrowed(&[])
            }
        }
    }

    /// What is still held at the end: of a command that never began, what its login shell printed.
    pub fn finish(&mut self) -> Vec<u8> {
        if self.found == Found::NotYet {
            self.found = Found::Nothing;
        }
        let begun = std::mem::take(&mut self.begun);
        if self.found != Found::Nothing {
            return begun;
        }
        self.before.note(&begun);
        let held = std::mem::take(&mut self.before).text();
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

/// Where the whole line with the process id ends. The number of all processes, or of the first, is nobody's.
fn marked_line(bytes: &[u8]) -> Option<(usize, u32)> {
    let marker = PID_MARKER.as_bytes();
    let starts = bytes.windows(marker.len()).enumerate().filter(|(_, window)| *window == marker);
    starts.map(|(start, _)| start + marker.len()).find_map(|start| {
        let digits = &bytes[start..];
        let length = digits.iter().position(|byte| *byte == b'\n')?;
        let pid: u32 = std::str::from_utf8(&digits[..length]).ok()?.parse().ok()?;
        (pid > 1).then_some((start + length + 1, pid))
    })
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
    fn only_what_comes_behind_the_line_with_the_process_id_is_the_commands() {
        let (passed, filter) = through(&["hello\nfarmctl-", "pid:12", "34\nerror", " one\n", "farmctl-pid:5\n"]);
        assert_eq!(passed, "error one\nfarmctl-pid:5\n");
        assert_eq!(filter.pid(), Some(1234));
        assert!(!filter.tells_not_found());
    }

    #[test]
    fn the_number_of_all_processes_is_never_taken() {
        let (passed, filter) = through(&["farmctl-pid:1\nfarmctl-pid:0\nfarmctl-pid:", "42\nerror\n"]);
        assert_eq!((passed.as_str(), filter.pid()), ("error\n", Some(42)));
    }

    #[test]
    fn a_login_shell_may_print_much_before() {
        let noise = "y".repeat(1 << 20);
        let (passed, filter) = through(&[&noise, &noise, "\nfarmctl-pid:77\nerror\n"]);
        assert_eq!((passed.as_str(), filter.pid()), ("error\n", Some(77)));
    }

    #[test]
    fn without_that_line_the_beginning_and_the_end_pass() {
        for text in ["", "short"] {
            let (passed, filter) = through(&[text]);
            assert_eq!((passed.as_str(), filter.pid()), (text, None));
        }
        let (passed, _) = through(&["begin ", &"x".repeat(1 << 16), " end"]);
        assert!(passed.starts_with("begin x") && passed.ends_with("x end") && passed.len() < 1000, "{passed}");
    }

    #[test]
    fn a_missing_program_is_seen_across_chunks() {
        let (_, filter) = through(&["farmctl-pid:7\nfarmctl: no such", " program\n"]);
        assert!(filter.tells_not_found());
        assert!(!through(&["farmctl-pid:7\nfarmctl: no such program\nmore\n"]).1.tells_not_found());
    }
}
