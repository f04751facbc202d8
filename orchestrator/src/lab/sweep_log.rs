use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::wording::printable_json;

use super::LabError;

/// The log of a sweep, in its folder.
pub(super) const LOG_FILE: &str = "log.jsonl";

/// The files that the log of this process is written to, as JSON Lines: one for each sweep that is under way.
#[derive(Clone, Default)]
pub struct SweepLogs {
    files: Arc<Mutex<Vec<(u64, File)>>>,
}

impl SweepLogs {
    /// Writes the log to this file, too, until what is returned is dropped. What belongs to which sweep is told by the
    /// spans of each line.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write_to(&self, path: &Path) -> Result<SweepLog, LabError> {
        let failed = |error: std::io::Error| {
            LabError::internal(format!("failed to write the log {}: {error}", path.display())).caused_by(error)
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let file = File::options().create(true).append(true).open(path).map_err(failed)?;
        let mut files = self.files();
        let number = files.iter().map(|(number, _)| number + 1).max().unwrap_or(0);
        files.push((number, file));
        drop(files);
        Ok(SweepLog { logs: self.clone(), number })
    }

    /// Writes into all of the files.
    pub fn writer(&self) -> SweepLogWriter {
        SweepLogWriter(self.clone())
    }

    fn files(&self) -> MutexGuard<'_, Vec<(u64, File)>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that the log is written to.
pub struct SweepLog {
    logs: SweepLogs,
    number: u64,
}

impl Drop for SweepLog {
    fn drop(&mut self) {
        self.logs.files().retain(|(number, _)| *number != self.number);
    }
}

/// Writes into the sweeps' files, when there are some.
pub struct SweepLogWriter(SweepLogs);

impl Write for SweepLogWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // A line of the log comes in one piece.
        let safe = printable_json(&String::from_utf8_lossy(bytes));
        self.0.files().iter_mut().try_for_each(|(_, file)| file.write_all(safe.as_bytes()))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn nothing_in_the_log_turns_or_hides_what_else_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LOG_FILE);
        let logs = SweepLogs::default();
        let log = logs.write_to(&path).unwrap();
        let line = "{\"message\":\"a\u{202e}b\u{2028}c\u{feff}d ä\"}\n";
        logs.writer().write_all(line.as_bytes()).unwrap();
        drop(log);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "{\"message\":\"a\\u202eb\\u2028c\\ufeffd ä\"}\n");
        let read: [serde_json::Value; 2] = [&text, line].map(|line| serde_json::from_str(line).unwrap());
        assert_eq!(read[0], read[1], "it means the same");
    }
}
