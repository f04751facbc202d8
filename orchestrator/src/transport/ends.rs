//! Keeps the beginning and the end of a text that may be long.
//!
//! Main type: [`Ends`].

/// How much is kept of each.
const KEPT_BYTES: usize = 400;

/// The first and the last bytes of what was noted.
#[derive(Debug, Default)]
pub struct Ends {
    first: Vec<u8>,
    last: Vec<u8>,
    /// Bytes in between, which are gone.
    left_out: u64,
}

impl Ends {
    /// More of the text.
    pub fn note(&mut self, bytes: &[u8]) {
        let room = KEPT_BYTES - self.first.len();
        let (first, rest) = bytes.split_at(bytes.len().min(room));
        self.first.extend_from_slice(first);
        // What will be left out at once is not copied.
        let kept = &rest[rest.len().saturating_sub(KEPT_BYTES)..];
        self.left_out += (rest.len() - kept.len()) as u64;
        self.last.extend_from_slice(kept);
        let surplus = self.last.len().saturating_sub(KEPT_BYTES);
        self.last.drain(..surplus);
        self.left_out += surplus as u64;
    }

    /// How long the text is.
    pub fn length(&self) -> u64 {
        self.left_out + (self.first.len() + self.last.len()) as u64
    }

    /// Its last bytes, at most so many of those that are kept.
    pub fn tail(&self, limit_bytes: usize) -> Vec<u8> {
        let text = [self.first.as_slice(), &self.last].concat();
        let text = if self.left_out > 0 { &self.last } else { &text };
        text[text.len().saturating_sub(limit_bytes)..].to_vec()
    }

    /// What is kept; a line tells of what is not.
    pub fn text(&self) -> Vec<u8> {
        let gap = if self.left_out > 0 { format!("\n[{} bytes left out]\n", self.left_out) } else { String::new() };
        [self.first.as_slice(), gap.as_bytes(), &self.last].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_and_the_end_stay_whatever_the_chunks() {
        let text: Vec<u8> = (0..5000_u32).flat_map(|number| format!("{number} ").into_bytes()).collect();
        for chunk in [1, 7, 399, 400, 401, 5000, text.len()] {
            let mut ends = Ends::default();
            text.chunks(chunk).for_each(|bytes| ends.note(bytes));
            assert_eq!(ends.length(), text.len() as u64, "chunks of {chunk}");
            assert_eq!(ends.tail(9999), text[text.len() - KEPT_BYTES..]);
            let kept = ends.text();
            assert!(kept.starts_with(&text[..KEPT_BYTES]) && kept.ends_with(&text[text.len() - KEPT_BYTES..]));
        }
        let mut short = Ends::default();
        short.note(b"a text");
        assert_eq!((short.text(), short.tail(4)), (b"a text".to_vec(), b"text".to_vec()));
    }
}
