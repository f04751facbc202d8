//! Files that people name. What has their name may be no file at all: a pipe that nobody writes to would keep whoever
//! opens it for ever.
//!
//! Main functions: [`open`] and [`read`], neither of which ever waits for another process; [`read_through`] and
//! [`content()`], which hash all that they read.

mod content;

use std::fs::{File, Metadata};
use std::io::{Error, ErrorKind, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

pub use content::{content, read_through};

/// Opens a file to read it; returns what is known of it, too.
///
/// # Errors
/// When it can't be read, or is a folder, a pipe, a socket or a machine's device.
pub fn open(path: &Path) -> Result<(File, Metadata), Error> {
    let never_waits = nix::fcntl::OFlag::O_NONBLOCK.bits();
    let file = File::options().read(true).custom_flags(never_waits).open(path)?;
    // Of the file that is open, not of whatever has its name by now.
    let about = file.metadata()?;
    // Who wants an empty file names this one.
    let is_null = || std::fs::metadata("/dev/null").is_ok_and(|null| null.rdev() == about.rdev());
    let is_regular = about.is_file() || about.file_type().is_char_device() && is_null();
    if !is_regular {
        return Err(Error::new(ErrorKind::InvalidInput, "this is not a regular file"));
    }
    Ok((file, about))
}

/// What such a file says, when that is at most so many bytes.
///
/// # Errors
/// As for [`open`], and when it is longer.
pub fn read(path: &Path, max_bytes: u64) -> Result<Vec<u8>, Error> {
    let (file, _) = open(path)?;
    let mut bytes = Vec::new();
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(Error::new(ErrorKind::FileTooLarge, format!("it has more than {max_bytes} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use nix::sys::stat::Mode;

    use super::*;

    #[test]
    fn what_is_no_file_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&pipe, &link).unwrap();
        for path in [pipe.as_path(), link.as_path(), folder.path(), Path::new("/dev/zero")] {
            let error = open(path).unwrap_err();
            assert_eq!(error.to_string(), "this is not a regular file", "{}", path.display());
        }
        let path = folder.path().join("file");
        std::fs::write(&path, "text").unwrap();
        assert_eq!(read(Path::new("/dev/null"), 4).unwrap(), b"");
        assert_eq!(read(&path, 4).unwrap(), b"text");
        assert_eq!(read(&path, 3).unwrap_err().to_string(), "it has more than 3 bytes");
    }
}
