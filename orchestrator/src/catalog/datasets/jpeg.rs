//! What a JPEG file says of itself, and whether it is whole: decoders fill up what is missing without a word.

/// A JPEG file's segments, as far as they are of interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Jpeg {
    /// Colour components of a pixel: 1 grey, 3 colours, 4 for printing.
    pub(super) components: u8,
    /// Whether the end is there.
    pub(super) is_whole: bool,
}

/// Start and end of an image.
const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;

/// Walks through a file's segments (ITU-T T.81, annex B); `None` for what is no JPEG file.
pub(super) fn walk(bytes: &[u8]) -> Option<Jpeg> {
    if !bytes.starts_with(&[0xff, SOI]) {
        return None;
    }
    let mut jpeg = Jpeg { components: 0, is_whole: false };
    let mut at = 2;
    while let Some(marker) = next_marker(bytes, &mut at) {
        match marker {
            EOI => {
                jpeg.is_whole = true;
                break;
            }
            // Of no length: restart marks, and TEM.
            0x01 | 0xd0..=0xd8 => continue,
            _ => {}
        }
        let Some(length) = bytes.get(at..at + 2).map(|length| usize::from(length[0]) << 8 | usize::from(length[1]))
        else {
            break;
        };
        // Start of frame, of all kinds: not the tables of Huffman (c4) and arithmetic coding (cc), nor c8.
        let is_frame = (0xc0..=0xcf).contains(&marker) && !matches!(marker, 0xc4 | 0xc8 | 0xcc);
        if let (true, Some(components)) = (is_frame, bytes.get(at + 7)) {
            jpeg.components = *components;
        }
        // The data of a scan, which follow its head, are passed over as what has no marker.
        at += length.max(2);
    }
    Some(jpeg)
}

/// The next marker at or after a place, which moves behind it.
fn next_marker(bytes: &[u8], at: &mut usize) -> Option<u8> {
    loop {
        let rest = bytes.get(*at..)?;
        *at += rest.iter().position(|byte| *byte == 0xff)?;
        // Any number of ff may stand before a marker.
        *at += bytes[*at..].iter().position(|byte| *byte != 0xff)?;
        let marker = bytes[*at];
        *at += 1;
        if marker != 0 {
            return Some(marker);
        }
    }
}
