//! Puts rendered reports into files: each whole or not at all.
//!
//! Main functions: [`publish`], and [`publish_rows`] for what is written while rows are read. The content comes from
//! `report`, which does no I/O; nothing is computed here.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::domain::RunStatus;
use crate::report::{REPORTS, Report, ReportInput};

mod rows;

pub use rows::publish_rows;

/// What could not be written.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A file or folder.
    #[error("write {path}: {cause}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The system's words.
        #[source]
        cause: std::io::Error,
    },
    /// A report could not be rendered.
    #[error("render {name}: {cause}")]
    Render {
        /// The report's file name.
        name: &'static str,
        /// Why not.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Writes all reports of a sweep into `<root>/<sweep-id>/`; of one that is told by a part of its records those that
/// are made of that part alone. `<root>/latest` points at the newest sweep that has a
/// result: at this one, unless it has none or a newer one is there. What is dated later than `now` was begun by a clock
/// that was ahead, and is never the newest; without `now`, nothing is that begins now. Returns the folder.
///
/// # Errors
/// When a file can't be written; those written before are whole.
pub fn publish(root: &Path, input: &ReportInput<'_>, now: Option<Timestamp>) -> Result<PathBuf, PublishError> {
    let folder = sweep_folder(root, input.sweep.id.as_str());
    let is_made_here = |report: &&&dyn Report| input.whole.is_none() || !report.is_of_all();
    for report in REPORTS.iter().filter(is_made_here) {
        let path = folder.join(report.file_name());
        write_whole_by(&path, |file| {
            let mut file = Noting { file, refused: None };
            let written = report.write(input, &mut file);
            written.map_err(|error| match file.refused {
                Some(cause) => PublishError::Write { path: path.clone(), cause },
                None => PublishError::Render { name: report.file_name(), cause: error.cause },
            })
        })?;
    }
    let has_result = input.records.iter().any(|record| record.status == RunStatus::Ok);
    if is_newest(root, input.sweep.id.as_str(), has_result, now) {
        point_latest(root, input.sweep.id.as_str())?;
    }
    Ok(folder)
}

/// A file that notes why it refused what was written: an encoder passes that on in words of its own.
struct Noting<'a> {
    file: &'a mut (dyn Write + Send),
    refused: Option<std::io::Error>,
}

impl Noting<'_> {
    fn noted<T>(&mut self, done: std::io::Result<T>) -> std::io::Result<T> {
        done.map_err(|error| {
            let kind = error.kind();
            self.refused = Some(error);
            kind.into()
        })
    }
}

impl Write for Noting<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let done = self.file.write(bytes);
        self.noted(done)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let done = self.file.flush();
        self.noted(done)
    }
}

/// The folder of a sweep's reports.
pub fn sweep_folder(root: &Path, sweep_id: &str) -> PathBuf {
    root.join(sweep_id)
}

/// Writes a file so that under its name there is always either the old or the new content.
///
/// # Errors
/// When that can't be done.
pub fn write_whole(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), PublishError> {
    write_whole_by(&folder.join(name), |file| {
        file.write_all(bytes).map_err(|cause| PublishError::Write { path: folder.join(name), cause })
    })
}

/// The same for a content that is written piece by piece, which may fail in its own way.
///
/// # Errors
/// When that can't be done: under the name is then what was there.
pub fn write_whole_by<E: From<PublishError>>(
    path: &Path,
    content: impl FnOnce(&mut (dyn Write + Send)) -> Result<(), E>,
) -> Result<(), E> {
    let mut file = WholeFile::begin(path)?;
    content(&mut file.writer)?;
    Ok(file.end()?)
}

/// A file that is being written under another name. Without its end nothing is there.
struct WholeFile {
    path: PathBuf,
    writer: BufWriter<tempfile::NamedTempFile>,
}

impl WholeFile {
    fn begin(path: &Path) -> Result<WholeFile, PublishError> {
        let failed = |cause| PublishError::Write { path: path.to_owned(), cause };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(failed)?;
        let partial = tempfile::Builder::new().prefix(".partial-").permissions(readable()).tempfile_in(folder);
        Ok(WholeFile { path: path.to_owned(), writer: BufWriter::new(partial.map_err(failed)?) })
    }

    fn end(self) -> Result<(), PublishError> {
        let WholeFile { path, writer } = self;
        let failed = |cause| PublishError::Write { path: path.clone(), cause };
        let file = writer.into_inner().map_err(|error| failed(error.into_error()))?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

/// Reports are read by others than the one who measured.
fn readable() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::Permissions::from_mode(0o644)
}

/// The sweep that `<root>/latest` points at; where its reports are gone, the newest that has some.
pub fn latest(root: &Path) -> Option<String> {
    let target = std::fs::read_link(root.join("latest")).ok()?;
    let id = target.file_name()?.to_str()?;
    if target.components().count() != 1 {
        return None;
    }
    if root.join(id).is_dir() {
        return Some(id.to_owned());
    }
    let folders = std::fs::read_dir(root).ok()?.flatten().filter(|entry| entry.path().join("index.html").is_file());
    let names =
        folders.filter(|entry| !entry.path().is_symlink()).filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| !name.starts_with('.')).max_by(|a, b| second_of(a).cmp(second_of(b)))
}

/// Whether a sweep is what `latest` is to point at. Identifiers begin with the second of their start; one without a
/// result is better than nothing.
fn is_newest(root: &Path, sweep_id: &str, has_result: bool, now: Option<Timestamp>) -> bool {
    let Some(current) = latest(root) else { return true };
    let Some(now) = now.map(|now| now.strftime("%Y%m%d-%H%M%S").to_string()) else { return current == sweep_id };
    let (second, of_current) = (second_of(sweep_id), second_of(&current));
    let is_dated = |second: &str| second <= now.as_str();
    has_result && (is_dated(second) || !is_dated(of_current)) && (second >= of_current || !is_dated(of_current))
}

fn second_of(sweep_id: &str) -> &str {
    const LENGTH: usize = "20260102-030405".len();
    sweep_id.get(..LENGTH).unwrap_or(sweep_id)
}

fn point_latest(root: &Path, sweep_id: &str) -> Result<(), PublishError> {
    let latest = root.join("latest");
    let place = || -> std::io::Result<()> {
        let holder = tempfile::Builder::new().prefix(".partial-").tempdir_in(root)?;
        let link = holder.path().join("latest");
        std::os::unix::fs::symlink(sweep_id, &link)?;
        std::fs::rename(&link, &latest)
    };
    place().map_err(|cause| PublishError::Write { path: latest.clone(), cause })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        write_whole(folder.path(), "a.csv", b"old").unwrap();
        write_whole(folder.path(), "a.csv", b"new").unwrap();
        assert_eq!(std::fs::read(folder.path().join("a.csv")).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn links_in_the_report_folder_are_replaced_and_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let (victim, folder) = (root.path().join("victim"), root.path().join("one"));
        std::fs::write(&victim, b"precious").unwrap();
        std::fs::create_dir(&folder).unwrap();
        std::os::unix::fs::symlink(&victim, folder.join("results.csv")).unwrap();
        std::os::unix::fs::symlink(&victim, root.path().join("latest")).unwrap();
        write_whole(&folder, "results.csv", b"new").unwrap();
        point_latest(root.path(), "one").unwrap();
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
        assert!(std::fs::symlink_metadata(folder.join("results.csv")).unwrap().is_file());
        assert_eq!(std::fs::read(root.path().join("latest/results.csv")).unwrap(), b"new");
    }

    #[test]
    fn latest_moves_on() {
        let root = tempfile::tempdir().unwrap();
        for id in ["one", "two"] {
            std::fs::create_dir(root.path().join(id)).unwrap();
            point_latest(root.path(), id).unwrap();
            assert_eq!(std::fs::read_link(root.path().join("latest")).unwrap(), Path::new(id));
        }
    }

    #[test]
    fn latest_is_the_newest_with_a_result() {
        let root = tempfile::tempdir().unwrap();
        let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let is_newest = |id: &str, has_result| super::is_newest(root.path(), id, has_result, Some(now));
        assert!(is_newest("20260102-x", false), "better than nothing");
        std::fs::create_dir(root.path().join("20260102-x")).unwrap();
        point_latest(root.path(), "20260102-x").unwrap();
        assert_eq!(latest(root.path()).as_deref(), Some("20260102-x"));
        let cases = [("20260103-x", true, true), ("20260103-x", false, false), ("20260101-x", true, false)];
        cases.iter().for_each(|(id, has, is)| assert_eq!(is_newest(id, *has), *is, "{id}"));
        assert!(!is_newest("20260102-x", false) && is_newest("20260102-x", true));
        std::fs::remove_dir(root.path().join("20260102-x")).unwrap();
        assert!(is_newest("20260101-x", true), "it was removed");
        assert_eq!(latest(root.path()), None);
        for id in ["20251231-y", "20260101-y"] {
            write_whole(&root.path().join(id), "index.html", b"").unwrap();
        }
        assert_eq!(latest(root.path()).as_deref(), Some("20260101-y"), "the newest that is left");
    }

    #[test]
    fn what_a_clock_that_was_ahead_has_dated_is_not_the_newest() {
        let root = tempfile::tempdir().unwrap();
        let now: Timestamp = "2026-11-30T12:00:00Z".parse().unwrap();
        let [before, ahead, after] = ["20261129-100000-x-1", "20371130-120000-x-2", "20261130-110000-x-3"];
        let point = |id: &str| {
            std::fs::create_dir_all(root.path().join(id)).unwrap();
            point_latest(root.path(), id).unwrap();
        };
        point(before);
        assert!(!is_newest(root.path(), ahead, true, None), "the clock is in doubt");
        assert!(!is_newest(root.path(), ahead, true, Some(now)), "its reports are written anew later");
        assert!(is_newest(root.path(), after, true, Some(now)));
        // A link of before is not kept for eleven years.
        point(ahead);
        assert!(is_newest(root.path(), after, true, Some(now)) && is_newest(root.path(), before, true, Some(now)));
        assert!(!is_newest(root.path(), after, false, Some(now)), "without a result");
    }

    #[test]
    fn a_disk_that_refuses_is_told_as_such() {
        let mut full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut noting = Noting { file: &mut full, refused: None };
        let mut encoder = BufWriter::new(&mut noting);
        assert!(encoder.write_all(b"row").and_then(|()| encoder.flush()).is_err());
        drop(encoder);
        assert_eq!(noting.refused.unwrap().raw_os_error(), Some(28), "no space is left");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), b"").unwrap();
        let error = write_whole(&folder.path().join("file"), "a", b"").unwrap_err().to_string();
        assert!(error.contains("file/a"), "{error}");
    }
}
