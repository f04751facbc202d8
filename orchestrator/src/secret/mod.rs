//! Files that hold a secret: tokens, passwords, keys. Only their owner may read or write them.
//!
//! Main function: [`open`], the one way to such a file. Never shows what is in it.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::regular_file;

/// No secret is longer: a file of tokens has the most.
const MAX_BYTES: u64 = 1 << 20;

/// Why a secret can't be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file can't be read.
    #[error("{path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's words.
        cause: std::io::Error,
    },
    /// Others than its owner may read the file, or write it.
    #[error("{path}: others may read or write it (its mode is {mode:04o}); `chmod 600 {path}`")]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Another user owns the file, and may change what is in it.
    #[error("{path}: it is the file of another user (number {uid}); `chown $(id -un) {path}`")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The number of that user.
        uid: u32,
    },
}

impl SecretError {
    /// Whether there is no such file.
    pub fn is_absent(&self) -> bool {
        matches!(self, SecretError::File { cause, .. } if cause.kind() == ErrorKind::NotFound)
    }
}

/// Opens a file that holds a secret; returns what is known of it, too.
///
/// # Errors
/// When it can't be read, is no regular file, is another user's, or others may read or write it.
pub fn open(path: &Path) -> Result<(File, Metadata), SecretError> {
    let failed = |cause| SecretError::File { path: path.to_owned(), cause };
    let (file, about) = regular_file::open(path).map_err(failed)?;
    if !is_trusted(about.uid(), nix::unistd::geteuid().as_raw()) {
        return Err(SecretError::Foreign { path: path.to_owned(), uid: about.uid() });
    }
    let mode = about.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SecretError::Open { path: path.to_owned(), mode });
    }
    Ok((file, about))
}

/// Whether a file of this user is one that `me` may go by: one's own, or that of whoever administers the host.
fn is_trusted(owner: u32, me: u32) -> bool {
    owner == me || owner == 0
}

/// The text of such a file.
///
/// # Errors
/// As for [`open`], and when it is no text.
pub fn text(path: &Path) -> Result<String, SecretError> {
    let (file, _) = open(path)?;
    let mut text = String::new();
    let read = file.take(MAX_BYTES).read_to_string(&mut text);
    read.map_err(|cause| SecretError::File { path: path.to_owned(), cause })?;
    Ok(text)
}

/// The first line of such a file: a password, or what messages are signed with.
///
/// # Errors
/// As for [`text`].
pub fn first_line(path: &Path) -> Result<String, SecretError> {
    Ok(text(path)?.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_that_others_may_use_is_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        assert!(first_line(&path).unwrap_err().is_absent());
        std::fs::write(&path, "s3cret\nmore\n").unwrap();
        for mode in [0o644, 0o640, 0o602, 0o660, 0o601] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = first_line(&path).unwrap_err();
            assert!(!error.is_absent() && error.to_string().contains("`chmod 600 "), "{mode:o}: {error}");
            assert!(!error.to_string().contains("s3cret"));
        }
        for mode in [0o600, 0o400, 0o700] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(first_line(&path).unwrap(), "s3cret");
        }
    }

    #[test]
    fn a_file_of_another_user_is_no_secret_of_ours() {
        assert!(is_trusted(1000, 1000) && is_trusted(0, 1000) && is_trusted(0, 0));
        assert!(!is_trusted(65534, 1000) && !is_trusted(1000, 0));
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, "s3cret\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
        assert!(matches!(first_line(&path), Err(SecretError::Foreign { uid: 65534, .. })));
    }

    #[test]
    fn a_pipe_is_no_secret_and_nobody_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
        let error = first_line(&path).unwrap_err();
        assert!(!error.is_absent() && error.to_string().ends_with("this is not a regular file"), "{error}");
    }
}
