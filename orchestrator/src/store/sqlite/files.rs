//! A store's file and what SQLite keeps beside it: the one place that knows whether they belong together.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;

use super::connection::{BUSY_PAUSE, BUSY_TIMEOUT};
use crate::store::{Aside, StoreError};

/// What SQLite keeps beside a store's file: its log, the index of that, and the journal of before there was a log.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];
/// Ending of [`Mark`]'s file.
const MARK: &str = "-open";
/// Links that are followed to a store's file.
const MOST_LINKS: usize = 16;

/// How long ago somebody else may have kept what this process lost, too.
const A_MOMENT: Duration = Duration::from_secs(60);

/// Which file a store is, whatever its name is: its device and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    /// Of the file that has this name now; `None` where none has.
    pub(super) fn of(path: &Path) -> Option<FileIdentity> {
        let about = std::fs::metadata(path).ok()?;
        Some(FileIdentity { device: about.dev(), inode: about.ino() })
    }
}

/// The files of one store, by their names.
#[derive(Debug, Clone)]
pub(super) struct StoreFiles {
    file: PathBuf,
}

impl StoreFiles {
    /// Links to the file are followed, whether or not it is there: SQLite has its log beside what they lead to.
    pub(super) fn of(path: &Path) -> StoreFiles {
        let mut file = path.to_owned();
        for _ in 0..MOST_LINKS {
            let Ok(target) = std::fs::read_link(&file) else { break };
            file = file.parent().unwrap_or(Path::new("")).join(target);
        }
        StoreFiles { file }
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    pub(super) fn log(&self) -> PathBuf {
        beside(&self.file, BESIDE[0])
    }

    /// How much is in the log; 0 where there is none.
    pub(super) fn log_bytes(&self) -> u64 {
        std::fs::metadata(self.log()).map_or(0, |about| about.len())
    }

    /// Whether the store's file is there.
    ///
    /// # Errors
    /// When it is not, or is empty, and its log is left: SQLite would throw that away.
    pub(super) fn are_there(&self) -> Result<bool, StoreError> {
        // The log first: it never comes before the file.
        let log_bytes = self.log_bytes();
        let bytes = std::fs::metadata(&self.file).ok().map(|about| about.len());
        let what = match bytes {
            None if log_bytes > 0 => "it is gone",
            Some(0) if log_bytes > 0 => "it is empty",
            bytes => return Ok(bytes.is_some()),
        };
        Err(StoreError::Parted {
            path: self.file.clone(),
            cause: format!("{what}, and its log {} is left, with what was written last", self.log().display()),
            remedy:
                "put the file back that it belongs to, or `farmctl store restore` a backup: the log then goes aside"
                    .to_owned(),
        })
    }

    /// Gives all that is there names that nothing has; returns the new one, if anything was there.
    pub(super) fn move_aside(&self, word: &str) -> std::io::Result<Option<Aside>> {
        let all = || [""].into_iter().chain(BESIDE);
        let is_there = |path: &Path| path.symlink_metadata().is_ok();
        let (mut aside, name) = (None, self.free_name(word));
        for ending in all() {
            let (from, to) = (beside(&self.file, ending), beside(&name, ending));
            if is_there(&from) {
                std::fs::rename(&from, &to)?;
                aside.get_or_insert(Aside { path: to, is_whole: ending.is_empty() });
            }
        }
        Ok(aside)
    }

    /// A name beside the file's that no store has, and no part of one.
    pub(super) fn free_name(&self, word: &str) -> PathBuf {
        let mut names = (1_u64..).map(|number| beside(&self.file, &format!(".{word}-{number}")));
        let is_free = |name: &PathBuf| {
            [""].into_iter().chain(BESIDE).all(|ending| beside(name, ending).symlink_metadata().is_err())
        };
        names.find(is_free).unwrap_or_else(|| beside(&self.file, word))
    }

    /// The last of the names with this word, if it was given a moment ago.
    pub(super) fn kept_just_now(&self, word: &str) -> Option<PathBuf> {
        let names = (1_u64..).map(|number| beside(&self.file, &format!(".{word}-{number}")));
        let last = names.take_while(|name| name.exists()).last()?;
        let age = std::fs::metadata(&last).and_then(|about| about.modified()).ok()?.elapsed().ok()?;
        (age < A_MOMENT).then_some(last)
    }

    /// Removes all of them: what is not there need not go.
    pub(super) fn remove(&self) {
        for ending in ["", MARK].into_iter().chain(BESIDE) {
            let _ = std::fs::remove_file(beside(&self.file, ending));
        }
    }

    /// Removes what SQLite keeps beside the file, if the log is this one.
    pub(super) fn remove_log(&self, log: Option<FileIdentity>) {
        if log.is_some() && FileIdentity::of(&self.log()) == log {
            for ending in BESIDE {
                let _ = std::fs::remove_file(beside(&self.file, ending));
            }
        }
    }
}

/// A file beside a store's, which every process has locked that has the store open. It says which file that is, and
/// which log: so who comes next knows whether another file was put beside a log.
#[derive(Debug)]
pub(super) struct Mark {
    file: File,
    /// Nobody else has the store open.
    is_first: bool,
}

/// What a mark says: the numbers of the store's file and of its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    file: u64,
    log: u64,
}

/// How far a log is to be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogTrust {
    /// Others use it with this file, or there is nothing in it.
    Sound,
    /// It was left by a process that is gone.
    Left,
    /// It is of another file.
    Foreign,
}

impl Mark {
    /// Waits while another process looks through the store. `None` where no file can be made or locked: then nothing is
    /// known of others.
    pub(super) fn take(files: &StoreFiles) -> Result<Option<Mark>, StoreError> {
        let path = beside(&files.file, MARK);
        let open = |write: bool| {
            let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
            File::options().read(true).write(write).create(write).mode(0o600).custom_flags(flags.bits()).open(&path)
        };
        let Ok(file) = open(true).or_else(|_| open(false)) else { return Ok(None) };
        let give_up_at = Instant::now() + BUSY_TIMEOUT;
        let is_first = file.try_lock().is_ok();
        if is_first {
            return Ok(Some(Mark { file, is_first }));
        }
        loop {
            match file.try_lock_shared() {
                Ok(()) => return Ok(Some(Mark { file, is_first })),
                Err(TryLockError::WouldBlock) if Instant::now() < give_up_at => std::thread::sleep(BUSY_PAUSE),
                Err(TryLockError::WouldBlock) => {
                    return Err(StoreError::Busy { action: "open the file".to_owned(), path: files.file.clone() });
                }
                Err(TryLockError::Error(_)) => return Ok(None),
            }
        }
    }

    fn known(&self) -> Option<Known> {
        let mut text = [0; LENGTH];
        self.file.read_exact_at(&mut text, 0).ok()?;
        let (file, log) = std::str::from_utf8(&text).ok()?.trim_end().split_once(' ')?;
        Some(Known { file: file.parse().ok()?, log: log.parse().ok()? })
    }

    /// Whether the store was whole once.
    pub(super) fn is_known(&self) -> bool {
        self.known().is_some()
    }

    fn write(&self, text: &str) {
        if let Err(error) = self.file.write_all_at(text.as_bytes(), 0) {
            tracing::debug!(%error, "which file the store is was not noted");
        }
    }

    /// Notes which files these are, and lets others in.
    pub(super) fn share(&mut self, files: &StoreFiles) {
        let inode = |path: &Path| std::fs::metadata(path).map_or(0, |about| about.ino());
        let now = Known { file: inode(&files.file), log: inode(&files.log()) };
        if self.known() != Some(now) {
            self.write(&format!("{:020} {:020}\n", now.file, now.log));
        }
        if self.is_first && self.file.lock_shared().is_ok() {
            self.is_first = false;
        }
    }

    /// Notes that a store is to be made.
    pub(super) fn forget(&self) {
        if self.is_known() {
            self.write(&" ".repeat(LENGTH));
        }
    }
}

/// Bytes of what a mark says: always as many, so that nobody reads half of it.
const LENGTH: usize = 42;

/// How far the log beside the store is to be believed.
pub(super) fn trust(files: &StoreFiles, mark: Option<&Mark>) -> LogTrust {
    let known = mark.and_then(Mark::known);
    let inode = |path: &Path| std::fs::metadata(path).ok().map(|about| about.ino());
    let (file, log) = (inode(&files.file), inode(&files.log()));
    let is_replaced = known.is_some_and(|known| Some(known.file) != file);
    let is_first = mark.is_none_or(|mark| mark.is_first);
    match (is_first, is_replaced) {
        // Even an empty log: its index tells how it was.
        (false, true) if log.is_some() => LogTrust::Foreign,
        (false, _) => LogTrust::Sound,
        (true, _) if files.log_bytes() == 0 => LogTrust::Sound,
        // The file went from under it.
        (true, true) if known.map(|known| known.log) == log => LogTrust::Foreign,
        // A crash, or a copy of the whole folder.
        (true, _) => LogTrust::Left,
    }
}

pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.to_path_buf().into_os_string();
    path.push(ending);
    path.into()
}

/// Makes an empty file for its owner alone, where there is none; what SQLite puts beside it gets the same mode.
pub(super) fn make_private(path: &Path) -> std::io::Result<()> {
    match File::options().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
