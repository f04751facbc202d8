//! Reads the file of host keys that a person refuses (`RevokedHostKeys`).
//!
//! Main function: [`read_revoked`].

use std::path::Path;

use russh::keys::PublicKey;

use super::host_keys::{KeyMark, KnownKey};
use crate::transport::{ErrorKind, TransportError};

/// How OpenSSH's binary lists of revoked keys begin.
const REVOCATION_LIST: &[u8] = b"SSHKRL\n\0";

/// Adds the keys of a file of revoked ones. As ssh has it, one that can't be read lets nobody in.
pub(super) fn read_revoked(file: &Path, known: &mut Vec<KnownKey>) -> Result<(), TransportError> {
    let refused = |reason: &str, hint: &str| {
        TransportError::new(
            ErrorKind::HostKeyUnknown,
            format!("read the revoked host keys in {} (RevokedHostKeys): {reason}", file.display()),
        )
        .with_hint(hint)
    };
    let bytes = std::fs::read(file).map_err(|error| {
        refused(&error.to_string(), "as with ssh, no host key counts until the file is there, or the line is gone")
    })?;
    if bytes.starts_with(REVOCATION_LIST) {
        return Err(refused(
            "farmctl reads no binary revocation list",
            "write the revoked keys into a text file, one a line, for this host",
        ));
    }
    for (index, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
        // Options may stand before the key, and a comment behind it.
        let words: Vec<&str> = line.split_ascii_whitespace().take_while(|word| !word.starts_with('#')).collect();
        let mut pairs = words.windows(2);
        let key = pairs.find_map(|pair| PublicKey::from_openssh(&pair.join(" ")).ok());
        match key {
            Some(key) => {
                known.push(KnownKey {
                    file: file.to_owned(),
                    line: index + 1,
                    mark: KeyMark::Revoked,
                    key,
                    is_told: false,
                });
            }
            None if words.is_empty() => {}
            None => {
                let (file, line) = (file.display(), index + 1);
                tracing::warn!(%file, line, "an unreadable revoked host key is passed over")
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_of_revoked_keys_is_read_or_lets_nobody_in() {
        const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBW7Wq8HzWX0iVVlyI/7Z2mYsGrGYEd7mVvTUeEsbjdP";
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("revoked");
        let read = |bytes: &[u8]| {
            std::fs::write(&file, bytes).unwrap();
            let mut known = Vec::new();
            read_revoked(&file, &mut known).map(|()| known)
        };
        let known = read(format!("# lost\n\n{KEY} old board\nnonsense\n").as_bytes()).unwrap();
        let found: Vec<(usize, KeyMark)> = known.iter().map(|known| (known.line, known.mark)).collect();
        assert_eq!(found, [(3, KeyMark::Revoked)]);
        assert!(read(b"SSHKRL\n\0\0\0\0\x01").unwrap_err().message.contains("revocation list"));
        let missing = read_revoked(&folder.path().join("none"), &mut Vec::new()).unwrap_err();
        assert_eq!(missing.kind, ErrorKind::HostKeyUnknown);
    }
}
