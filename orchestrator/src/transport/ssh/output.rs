//! Takes out of a command's standard output what the login shell printed before.
//!
//! Main type: [`OutputFilter`].

use std::borrow::Cow;

use crate::transport::ends::Ends;
use crate::transport::quote::OUTPUT_MARKER;

/// A login shell that prints more than this before it starts the command has gone astray.
pub(super) const GREETING_LIMIT_BYTES: u64 = 64 << 20;

/// Finds where a command's own output begins.
#[derive(Default)]
pub(super) struct OutputFilter {
    /// What came before that.
    greeting: Ends,
    is_found: bool,
}

/// More came than any greeting has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMuch;

impl OutputFilter {
    /// What of these bytes is the command's own.
    pub(super) fn pass<'a>(&mut self, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, TooMuch> {
        if self.is_found {
            return Ok(Cow::Borrowed(bytes));
        }
        let marker = OUTPUT_MARKER.as_bytes();
        // The marker may have begun in what came before.
        let begun = self.greeting.tail(marker.len() - 1);
        let text = [begun.as_slice(), bytes].concat();
        let Some(start) = text.windows(marker.len()).position(|window| window == marker) else {
            self.greeting.note(bytes);
            return if self.greeting.length() > GREETING_LIMIT_BYTES { Err(TooMuch) } else { Ok(Cow::Borrowed(&[])) };
        };
        self.is_found = true;
        // Never before these bytes: else it had been found in them.
        Ok(Cow::Borrowed(&bytes[start + marker.len() - begun.len()..]))
    }

    /// Whether the command was started.
    pub(super) fn is_found(&self) -> bool {
        self.is_found
    }

    /// Whether this marker of our own line was the last that came, where standard error comes here, too.
    pub(super) fn tells(&self, marker: &str) -> bool {
        !self.is_found && self.greeting.tail(marker.len() + 1) == format!("{marker}\n").as_bytes()
    }

    /// The end of what the login shell printed, if the command was never started.
    pub(super) fn greeting_end(&self) -> Vec<u8> {
        self.greeting.tail(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_a_login_shell_prints_is_taken_out_whatever_the_chunks() {
        let text = b"Welcome!\nfarmctl-out hi farmctl-output:\n{\"a\":1}\nfarmctl-output:\n";
        for chunk in 1..text.len() {
            let mut filter = OutputFilter::default();
            let mut passed = Vec::new();
            for bytes in text.chunks(chunk) {
                passed.extend_from_slice(&filter.pass(bytes).unwrap());
            }
            assert_eq!(passed, b"{\"a\":1}\nfarmctl-output:\n", "chunks of {chunk}");
        }
    }

    #[test]
    fn a_shell_may_print_much_before_it_starts_the_command() {
        let mut filter = OutputFilter::default();
        let noise = vec![b'x'; 1 << 20];
        for _ in 0..3 {
            assert!(filter.pass(&noise).unwrap().is_empty());
        }
        assert_eq!(filter.pass(b"\nfarmctl-output:\nwell").unwrap().as_ref(), b"well");
    }

    #[test]
    fn a_shell_that_never_starts_the_command_is_seen() {
        let mut filter = OutputFilter::default();
        assert!(filter.pass(b"This account is currently not available.\n").unwrap().is_empty());
        assert!(!filter.is_found() && filter.greeting_end().ends_with(b"not available.\n"));
        let noise = vec![b'x'; 1 << 20];
        assert!((0..64).any(|_| filter.pass(&noise) == Err(TooMuch)));
    }
}
