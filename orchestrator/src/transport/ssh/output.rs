//! Takes out of a command's standard output what the login shell printed before.
//!
//! Main type: [`OutputFilter`].

use std::borrow::Cow;

use crate::transport::quote::OUTPUT_MARKER;

/// A login shell that prints more than this before it starts the command has gone astray.
pub(super) const GREETING_LIMIT_BYTES: usize = 64 << 10;

/// Finds where a command's own output begins.
#[derive(Default)]
pub(super) struct OutputFilter {
    /// What came before that.
    greeting: Vec<u8>,
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
        let from = self.greeting.len().saturating_sub(marker.len());
        self.greeting.extend_from_slice(bytes);
        let found = self.greeting[from..].windows(marker.len()).position(|window| window == marker);
        match found {
            Some(start) => {
                self.is_found = true;
                let rest = self.greeting.split_off(from + start + marker.len());
                self.greeting.truncate(from + start);
                Ok(Cow::Owned(rest))
            }
            None if self.greeting.len() > GREETING_LIMIT_BYTES => Err(TooMuch),
            None => Ok(Cow::Borrowed(&[])),
        }
    }

    /// Whether the command was started.
    pub(super) fn is_found(&self) -> bool {
        self.is_found
    }

    /// What the login shell printed.
    pub(super) fn greeting(&self) -> &[u8] {
        &self.greeting
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
            assert_eq!(filter.greeting(), b"Welcome!\nfarmctl-out hi ");
        }
    }

    #[test]
    fn a_shell_that_never_starts_the_command_is_seen() {
        let mut filter = OutputFilter::default();
        assert!(filter.pass(b"This account is currently not available.\n").unwrap().is_empty());
        assert!(!filter.is_found());
        assert_eq!(filter.pass(&[b'x'; GREETING_LIMIT_BYTES]), Err(TooMuch));
    }
}
