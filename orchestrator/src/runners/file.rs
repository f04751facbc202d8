use std::path::Path;

use crate::device::RunnerFile;
use crate::domain::{ArtifactRef, sha256_hex};

use super::{FILE_NAME, RunnerError};

/// Longest of the lines in which a runner says what it is.
const STAMP_BYTES: usize = 300;

/// Hash and size of a runner's file.
///
/// # Errors
/// When it can't be read.
pub async fn describe(path: &Path, target: &str) -> Result<RunnerFile, RunnerError> {
    let bytes = read(path).await?;
    let artifact = ArtifactRef { sha256: sha256_hex(&bytes), size_bytes: bytes.len() as u64 };
    Ok(RunnerFile::new(path.to_owned(), artifact, target.to_owned()))
}

/// What a runner says of itself with `--version`, read out of its file: it may be for another machine.
///
/// # Errors
/// When it can't be read.
pub async fn stamp(path: &Path) -> Result<Option<String>, RunnerError> {
    Ok(find_stamp(&read(path).await?))
}

async fn read(path: &Path) -> Result<Vec<u8>, RunnerError> {
    tokio::fs::read(path).await.map_err(|cause| RunnerError::Unreadable { path: path.to_owned(), cause })
}

/// The line `device-runner <version> …` among the bytes of a program.
fn find_stamp(bytes: &[u8]) -> Option<String> {
    let start = format!("{FILE_NAME} ");
    bytes.windows(start.len()).enumerate().find_map(|(place, window)| {
        let rest = (window == start.as_bytes()).then(|| &bytes[place..bytes.len().min(place + STAMP_BYTES)])?;
        let line = rest.split(|&byte| byte == b'\n').next().filter(|line| line.len() < rest.len())?;
        let line = std::str::from_utf8(line).ok()?;
        line[start.len()..].starts_with(|first: char| first.is_ascii_digit()).then(|| line.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stamp_is_found_among_other_bytes() {
        let text = b"\x7fELF\0device-runner --help\nx\xffdevice-runner 0.1.0 (commit ab) riscv64\nmore".as_slice();
        assert_eq!(find_stamp(text).as_deref(), Some("device-runner 0.1.0 (commit ab) riscv64"));
        assert_eq!(find_stamp(b"device-runner 0.1.0 cut off"), None);
        assert_eq!(find_stamp(b"device-runner 0\xff\n"), None);
        assert_eq!(find_stamp(b""), None);
    }
}
