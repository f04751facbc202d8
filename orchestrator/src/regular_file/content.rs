//! What a file holds, read from its beginning to its end.

use std::io::{Error, ErrorKind, Read};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::domain::{ArtifactRef, hex};

/// Bytes that are read at a time.
const BUFFER_BYTES: usize = 1 << 20;

/// Reads all of a source. `take` gets each part, and how many bytes have been read with it; its error ends the reading.
/// Gives the hash and the size of what was read.
///
/// # Errors
/// When the source can't be read, as `failed` says it, or `take` gives an error.
pub fn read_through<E>(
    source: &mut impl Read,
    failed: impl FnOnce(Error) -> E,
    mut take: impl FnMut(&[u8], u64) -> Result<(), E>,
) -> Result<ArtifactRef, E> {
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; BUFFER_BYTES]);
    let mut size_bytes = 0;
    loop {
        let count = match source.read(&mut buffer) {
            Ok(0) => return Ok(ArtifactRef { sha256: hex(&hasher.finalize()), size_bytes }),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(failed(error)),
        };
        let part = &buffer[..count];
        size_bytes += count as u64;
        take(part, size_bytes)?;
        hasher.update(part);
    }
}

/// Hash and size of a file.
///
/// # Errors
/// As for [`super::open`], and when it can't be read to its end.
pub fn content(path: &Path) -> Result<ArtifactRef, Error> {
    let (mut file, _) = super::open(path)?;
    read_through(&mut file, |error| error, |_, _| Ok(()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::{self, Write as _};

    use super::*;
    use crate::domain::sha256_hex;

    /// Gives a byte at a time, is interrupted before each, and may break in the end.
    struct Slow<'a> {
        left: &'a [u8],
        is_interrupted: bool,
        breaks: bool,
    }

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.is_interrupted = !self.is_interrupted;
            if self.is_interrupted {
                return Err(ErrorKind::Interrupted.into());
            }
            match self.left.split_first() {
                Some((first, rest)) => {
                    (buffer[0], self.left) = (*first, rest);
                    Ok(1)
                }
                None if self.breaks => Err(Error::other("the disk is gone")),
                None => Ok(0),
            }
        }
    }

    #[test]
    fn all_of_a_source_is_taken_and_hashed() {
        let (mut taken, mut counts) = (Vec::new(), Vec::new());
        let mut source = Slow { left: b"abc", is_interrupted: false, breaks: false };
        let take = |part: &[u8], read_bytes: u64| {
            taken.extend_from_slice(part);
            counts.push(read_bytes);
            Ok::<(), String>(())
        };
        let found = read_through(&mut source, |error| error.to_string(), take).unwrap();
        assert_eq!(found, ArtifactRef { sha256: sha256_hex(b"abc"), size_bytes: 3 });
        assert_eq!((taken.as_slice(), counts.as_slice()), (&b"abc"[..], &[1, 2, 3][..]));
    }

    #[test]
    fn what_can_not_be_read_or_taken_is_an_error() {
        let broken = Slow { left: b"abc", is_interrupted: false, breaks: true };
        for (mut source, most_bytes, wanted) in
            [(broken, 9, "the disk is gone"), (Slow { left: b"abc", is_interrupted: false, breaks: false }, 1, "full")]
        {
            let take =
                |_: &[u8], read_bytes: u64| if read_bytes > most_bytes { Err("full".to_owned()) } else { Ok(()) };
            let error = read_through(&mut source, |error| error.to_string(), take).unwrap_err();
            assert_eq!(error, wanted);
        }
    }

    #[test]
    fn a_file_longer_than_the_buffer_has_its_hash() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let bytes: Vec<u8> = (0..3 * BUFFER_BYTES / 2).map(|index| (index % 251) as u8).collect();
        file.write_all(&bytes).unwrap();
        let found = content(file.path()).unwrap();
        assert_eq!(found, ArtifactRef { sha256: sha256_hex(&bytes), size_bytes: bytes.len() as u64 });
    }
}
