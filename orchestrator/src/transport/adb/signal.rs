//! Takes out of a command's standard error the line that tells of a signal.
//!
//! Main type: [`SignalFilter`]. The line is the last one, and nothing else is changed.

use crate::transport::quote::SIGNAL_MARKER;

/// Digits of the largest number of a signal.
const MAX_DIGITS: usize = 3;

/// Holds back what may be the beginning of that line.
#[derive(Default)]
pub(super) struct SignalFilter {
    held: Vec<u8>,
}

impl SignalFilter {
    /// What to pass on of these bytes and earlier ones.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let earliest = self.held.len().saturating_sub(SIGNAL_MARKER.len() + MAX_DIGITS + 1);
        let start = (earliest..self.held.len()).find(|&start| may_be_marker(&self.held[start..]));
        let tail = self.held.split_off(start.unwrap_or(self.held.len()));
        std::mem::replace(&mut self.held, tail)
    }

    /// At the end: the signal, or what is still to be passed on.
    pub(super) fn finish(&mut self) -> Result<i32, Vec<u8>> {
        let held = std::mem::take(&mut self.held);
        let line = held.strip_prefix(SIGNAL_MARKER.as_bytes()).and_then(|rest| rest.strip_suffix(b"\n"));
        let number = line.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        number.ok_or(held)
    }
}

fn may_be_marker(bytes: &[u8]) -> bool {
    let marker = SIGNAL_MARKER.as_bytes();
    match bytes.strip_prefix(marker) {
        Some(rest) => {
            let digits = rest.strip_suffix(b"\n").unwrap_or(rest);
            digits.len() <= MAX_DIGITS && digits.iter().all(u8::is_ascii_digit)
        }
        None => marker.starts_with(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(chunks: &[&str]) -> (String, Option<i32>) {
        let mut filter = SignalFilter::default();
        let mut passed = Vec::new();
        for chunk in chunks {
            passed.extend(filter.pass(chunk.as_bytes()));
        }
        let signal = filter.finish().map_err(|rest| passed.extend(rest)).ok();
        (String::from_utf8_lossy(&passed).into_owned(), signal)
    }

    #[test]
    fn the_line_is_taken_out_however_it_comes() {
        for chunks in [
            &["error farmctl-signal:9\n"][..],
            &["error farm", "ctl-sig", "nal:", "9", "\n"],
            &["err", "or ", "farmctl-signal:9\n"],
        ] {
            assert_eq!(through(chunks), ("error ".to_owned(), Some(9)), "{chunks:?}");
        }
    }

    #[test]
    fn nothing_else_is_changed() {
        for text in
            ["", "farm", "farmctl-signal:9\nmore", "farmctl-signal:x\n", "farmctl-signal:1234\n", "farmctl-signal:\n"]
        {
            assert_eq!(through(&[text]), (text.to_owned(), None));
            let letters: Vec<String> = text.chars().map(String::from).collect();
            let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
            assert_eq!(through(&letters), (text.to_owned(), None));
        }
    }
}
