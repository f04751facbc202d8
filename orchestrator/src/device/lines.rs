use farmctl_protocol::{MAX_LINE_BYTES, Message};

/// Cuts a byte stream into lines and reads each as a [`Message`]. What a device sends is hostile until it is read: the
/// memory used is bounded by one line.
#[derive(Debug, Default)]
pub(super) struct MessageDecoder {
    pending: Vec<u8>,
    consumed_bytes: u64,
}

impl MessageDecoder {
    /// Takes in some bytes and calls `each` for every message they complete, with the offset behind its line.
    ///
    /// # Errors
    /// Says what is wrong when a line is too long or is no message; an error of `each` is passed on.
    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        each: &mut dyn FnMut(Message) -> Result<(), String>,
    ) -> Result<(), String> {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            self.take(&bytes[..end])?;
            let line = std::mem::take(&mut self.pending);
            let message = serde_json::from_slice(&line)
                .map_err(|error| format!("a line of the runner is no message ({error}): {}", excerpt(&line)))?;
            each(message)?;
            self.consumed_bytes += line.len() as u64 + 1;
            bytes = &bytes[end + 1..];
        }
        self.take(bytes)
    }

    /// Bytes of whole lines read so far: where `follow` goes on.
    pub(super) fn consumed_bytes(&self) -> u64 {
        self.consumed_bytes
    }

    /// Forgets a line that was begun: the stream starts anew at [`Self::consumed_bytes`].
    pub(super) fn restart(&mut self) {
        self.pending.clear();
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), String> {
        if self.pending.len() + bytes.len() > MAX_LINE_BYTES {
            return Err(format!("a line of the runner is longer than {MAX_LINE_BYTES} bytes: {}", excerpt(bytes)));
        }
        self.pending.extend_from_slice(bytes);
        Ok(())
    }
}

/// The beginning of a text from a device, printable, for an error message.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    const LONGEST_CHARS: usize = 120;
    let text = String::from_utf8_lossy(bytes);
    let mut short = String::new();
    for character in text.chars().take(LONGEST_CHARS) {
        match character {
            // Letters of any language stay; what would not be seen, or turn the line round, does not.
            '\u{80}'.. => short.extend(character.escape_debug()),
            ascii => short.extend(ascii.escape_default()),
        }
    }
    if text.chars().nth(LONGEST_CHARS).is_some() {
        short.push('…');
    }
    format!("«{short}»")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LINE: &[u8] = b"{\"kind\":\"phase\",\"phase\":\"load\"}\n{\"kind\":\"finished\",\"finished_unix_ms\":5}\n";

    #[test]
    fn messages_arrive_whatever_the_chunks() {
        for chunk in 1..LINE.len() {
            let mut decoder = MessageDecoder::default();
            let mut seen = Vec::new();
            for bytes in LINE.chunks(chunk) {
                decoder
                    .feed(bytes, &mut |message| {
                        seen.push(message);
                        Ok(())
                    })
                    .unwrap();
            }
            assert_eq!(seen.len(), 2, "chunks of {chunk}");
            assert!(seen[1].is_last());
            assert_eq!(decoder.consumed_bytes(), LINE.len() as u64);
        }
    }

    #[test]
    fn a_broken_line_is_read_again_from_its_beginning() {
        let mut decoder = MessageDecoder::default();
        let mut seen = 0;
        decoder
            .feed(&LINE[..40], &mut |_| {
                seen += 1;
                Ok(())
            })
            .unwrap();
        assert_eq!((seen, decoder.consumed_bytes()), (1, 32));
        decoder.restart();
        decoder
            .feed(&LINE[32..], &mut |_| {
                seen += 1;
                Ok(())
            })
            .unwrap();
        assert_eq!((seen, decoder.consumed_bytes()), (2, LINE.len() as u64));
    }

    #[test]
    fn letters_of_any_language_can_be_read_and_nothing_else_gets_through() {
        assert_eq!(excerpt("„größer“ 漢字".as_bytes()), "«„größer“ 漢字»");
        assert_eq!(excerpt("a\u{1b}[2J\u{202e}b\u{9b}".as_bytes()), "«a\\u{1b}[2J\\u{202e}b\\u{9b}»");
    }

    #[test]
    fn garbage_and_endless_lines_are_errors() {
        let mut decoder = MessageDecoder::default();
        let error = decoder.feed(b"Segmentation \x1b[2J fault\n", &mut |_| Ok(())).unwrap_err();
        assert!(error.contains("no message") && error.contains("\\u{1b}"), "{error}");
        let mut decoder = MessageDecoder::default();
        let block = vec![b'x'; 64 * 1024];
        let error = (0..1000).find_map(|_| decoder.feed(&block, &mut |_| Ok(())).err()).unwrap();
        assert!(error.contains("longer than"), "{error}");
    }
}
