//! The device's lock.
//!
//! Purpose: two runs never overlap on a device. Main type: [`DeviceLock`]. Never waits longer than a fraction of a
//! second for a run that goes on.
//!
//! It is an advisory lock on a file, held by an open file that `run` hands to the supervisor: the kernel releases it
//! when the supervisor ends, however it ends.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use crate::runs::{self, RunFolder, RunId};
use crate::workdir::Workdir;

/// How long a try goes on while another run holds the lock; a look at the lock (`hello`) holds it for microseconds.
pub(crate) const BUSY_GRACE: Duration = Duration::from_millis(200);

/// How long a try goes on once the other run has written its last message, its supervisor just leaving, or while a
/// calibration holds the lock.
pub(crate) const LEAVING_GRACE: Duration = Duration::from_secs(5);

/// Time between two tries.
pub(crate) const RETRY_INTERVAL: Duration = Duration::from_millis(5);

/// The lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another run holds it.
    #[error(
        "take the device's lock: {}",
        .0.as_ref().map_or("a calibration is going on".to_owned(), |run| format!("run {run} is running"))
    )]
    Busy(Option<RunId>),
    /// The operating system refused.
    #[error("{action} the lock file {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The lock file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

/// The lock, held.
#[derive(Debug)]
pub struct DeviceLock(File);

impl DeviceLock {
    /// Takes the lock.
    ///
    /// # Errors
    /// [`LockError::Busy`] when another run holds it.
    pub fn acquire(workdir: &Workdir) -> Result<DeviceLock, LockError> {
        let path = workdir.lock();
        let failed = |action| {
            let path = path.clone();
            move |source| LockError::Io { action, path, source }
        };
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(failed("open"))?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(DeviceLock(file)),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(failed("lock")(error)),
            }
            let waited = begun.elapsed();
            let holder = read_holder(workdir);
            let leaving = || {
                let messages = holder.as_ref().and_then(|run| RunFolder::new(workdir, run).open_messages().ok());
                messages.is_some_and(|messages| runs::has_ended(&messages).unwrap_or(false))
            };
            // What has no name is no run, and short.
            if waited > LEAVING_GRACE || (waited > BUSY_GRACE && holder.is_some() && !leaving()) {
                return Err(LockError::Busy(holder));
            }
            thread::sleep(RETRY_INTERVAL);
        }
    }

    /// Writes down which run holds the lock, and gives the open file that holds it.
    ///
    /// # Errors
    /// Fails when the file can't be written.
    pub fn assign(self, workdir: &Workdir, run: &RunId) -> Result<File, LockError> {
        self.name(workdir, run.as_str())
    }

    /// Holds the lock for something short that is no run, as long as the file is open. Whoever starts a run waits for
    /// it.
    ///
    /// # Errors
    /// Fails when the file can't be written.
    pub fn hold_unnamed(self, workdir: &Workdir) -> Result<File, LockError> {
        self.name(workdir, "")
    }

    fn name(self, workdir: &Workdir, holder: &str) -> Result<File, LockError> {
        let mut file = self.0;
        file.set_len(0).and_then(|()| file.write_all(holder.as_bytes())).map_err(|source| LockError::Io {
            action: "write",
            path: workdir.lock(),
            source,
        })?;
        Ok(file)
    }
}

/// The run that holds the lock right now.
pub fn holder(workdir: &Workdir) -> Option<RunId> {
    let file = File::open(workdir.lock()).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => read_holder(workdir),
        _ => None,
    }
}

fn read_holder(workdir: &Workdir) -> Option<RunId> {
    fs::read_to_string(workdir.lock()).ok()?.parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn what_is_no_run_is_waited_for_and_a_run_is_not() {
        let folder = Scratch::new();
        let workdir = Workdir::open(folder.path()).unwrap();
        let run: RunId = "r-1".parse().unwrap();
        fs::create_dir(workdir.runs().join("r-1")).unwrap();
        fs::write(workdir.runs().join("r-1/messages.jsonl"), "").unwrap();
        let held = DeviceLock::acquire(&workdir).unwrap().assign(&workdir, &run).unwrap();
        assert!(matches!(DeviceLock::acquire(&workdir), Err(LockError::Busy(Some(busy))) if busy == run));
        assert_eq!(holder(&workdir), Some(run));
        drop(held);
        let held = DeviceLock::acquire(&workdir).unwrap().hold_unnamed(&workdir).unwrap();
        assert_eq!(holder(&workdir), None, "no run holds it");
        let ends = thread::spawn(move || {
            thread::sleep(3 * BUSY_GRACE);
            drop(held);
        });
        DeviceLock::acquire(&workdir).unwrap();
        ends.join().unwrap();
    }
}
