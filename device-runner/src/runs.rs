//! The folders of the runs.
//!
//! Purpose: keep a run's files, and tell whether it lives or ended. Main types: [`RunFolder`], [`MessageLog`]. Never
//! starts or ends a process.
//!
//! The supervisor holds a lock on its message file as long as it lives. So whoever gets that lock knows that the run is
//! over; if its last message is missing (crash, reboot), the one who got the lock appends it, exactly once.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::thread;
use std::time::{Instant, SystemTime};

use farmctl_protocol::{MAX_LINE_BYTES, MAX_RUNS_IN_HELLO, Message, RunInfo, RunRequest, RunnerFailure};

use crate::lock::{BUSY_GRACE, LEAVING_GRACE, RETRY_INTERVAL};
use crate::workdir::Workdir;

/// Longest run id.
const RUN_ID_CHARACTERS: usize = 64;

/// Bytes put aside in a run's folder, so that a full disk still takes the message that says so.
const RESERVE_BYTES: usize = 16 << 10;

/// Identifier of a run: letters, digits, `-` and `_`, so that it is safe as a file name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunId(String);

impl RunId {
    /// The identifier's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RunId {
    type Err = String;

    fn from_str(text: &str) -> Result<RunId, String> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if (1..=RUN_ID_CHARACTERS).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(RunId(text.to_owned()))
        } else {
            Err(format!("{text:?} is no run id of 1 to {RUN_ID_CHARACTERS} letters, digits, '-' and '_'"))
        }
    }
}

/// A run's folder could not be used.
#[derive(Debug, thiserror::Error)]
#[error("{action} {}: {source}", path.display())]
pub struct RunFolderError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// The open files of a new run.
#[derive(Debug)]
pub struct OpenRun {
    /// The message file, locked before anyone could see it.
    pub messages: File,
    /// Takes what the supervisor writes to its standard error.
    pub log: File,
}

/// The folder of one run.
#[derive(Debug, Clone)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// The folder of `run`, which need not exist.
    pub fn new(workdir: &Workdir, run: &RunId) -> RunFolder {
        RunFolder { path: workdir.runs().join(run.as_str()) }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run's messages.
    pub fn messages(&self) -> PathBuf {
        self.path.join("messages.jsonl")
    }

    fn request(&self) -> PathBuf {
        self.path.join("request.json")
    }

    fn reserve(&self) -> PathBuf {
        self.path.join("reserve")
    }

    fn failed(&self, action: &'static str, path: PathBuf) -> impl FnOnce(io::Error) -> RunFolderError {
        move |source| RunFolderError { action, path, source }
    }

    /// Whether the run was ever started here.
    pub fn exists(&self) -> bool {
        self.messages().exists()
    }

    /// Makes the folder and returns its open files. The caller holds the device's lock.
    ///
    /// # Errors
    /// Names the file that could not be written; what was made of the folder is removed.
    pub fn create(&self, request: &RunRequest) -> Result<OpenRun, RunFolderError> {
        self.fill(request).inspect_err(|_| {
            // Best effort: the first error is the one to tell.
            let _ = fs::remove_dir_all(&self.path);
        })
    }

    fn fill(&self, request: &RunRequest) -> Result<OpenRun, RunFolderError> {
        fs::create_dir_all(&self.path).map_err(self.failed("make the folder", self.path.clone()))?;
        let text =
            serde_json::to_vec(request).map_err(|error| self.failed("put into words", self.request())(error.into()))?;
        fs::write(self.request(), text).map_err(self.failed("write", self.request()))?;
        fs::write(self.reserve(), [0; RESERVE_BYTES]).map_err(self.failed("write", self.reserve()))?;
        let log = self.path.join("supervisor.log");
        let log = File::create(&log).map_err(self.failed("write", log))?;
        let fresh = self.path.join("messages.new");
        // A leftover of an earlier try that crashed would be appended to.
        let _ = fs::remove_file(&fresh);
        let file = File::options().read(true).append(true).create_new(true).open(&fresh);
        let file = file.map_err(self.failed("write", fresh.clone()))?;
        file.lock().map_err(self.failed("lock", fresh.clone()))?;
        fs::rename(&fresh, self.messages()).map_err(self.failed("rename", fresh))?;
        Ok(OpenRun { messages: file, log })
    }

    /// The request that the run was started with.
    ///
    /// # Errors
    /// Fails when it can't be read.
    pub fn read_request(&self) -> Result<RunRequest, RunFolderError> {
        let failed = |error| self.failed("read", self.request())(error);
        serde_json::from_slice(&fs::read(self.request()).map_err(failed)?).map_err(|error| failed(error.into()))
    }

    /// Gives the reserved bytes back to the file system.
    pub fn release_reserve(&self) {
        // Nothing depends on it: without the space, the message that follows fails by itself.
        let _ = fs::remove_file(self.reserve());
    }

    /// Opens the messages for reading and for a last word.
    ///
    /// # Errors
    /// Fails with `NotFound` when there is no such run.
    pub fn open_messages(&self) -> io::Result<File> {
        // Reading must work on a file system that went read-only.
        File::options().read(true).append(true).open(self.messages()).or_else(|_| File::open(self.messages()))
    }
}

/// Whether a supervisor lives for these messages.
///
/// # Errors
/// Fails when the lock can't be asked for.
pub fn is_live(messages: &File) -> io::Result<bool> {
    match messages.try_lock() {
        Ok(()) => messages.unlock().map(|()| false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether a run goes on. One that has written its last message, whose supervisor is just leaving, gets the time to do
/// so.
fn goes_on(messages: &File) -> io::Result<bool> {
    let begun = Instant::now();
    while is_live(messages)? {
        let waited = begun.elapsed();
        if waited > LEAVING_GRACE || (waited > BUSY_GRACE && !has_ended(messages)?) {
            return Ok(true);
        }
        thread::sleep(RETRY_INTERVAL);
    }
    Ok(false)
}

/// Whether the last whole line is a run's last message.
///
/// # Errors
/// Fails when the file can't be read.
pub fn has_ended(messages: &File) -> io::Result<bool> {
    let length = messages.metadata()?.len();
    let first = length.saturating_sub(2 * MAX_LINE_BYTES as u64);
    // Most lines are short: look at a little of the file before looking at much of it.
    for window in [4096, length - first] {
        let start = length.saturating_sub(window);
        let mut tail = vec![0; (length - start) as usize];
        messages.read_exact_at(&mut tail, start)?;
        let Some(end) = tail.iter().rposition(|byte| *byte == b'\n') else { continue };
        let line_start = tail[..end].iter().rposition(|byte| *byte == b'\n').map(|newline| newline + 1);
        let Some(line_start) = line_start.or((start == 0).then_some(0)) else { continue };
        return Ok(serde_json::from_slice::<Message>(&tail[line_start..end]).is_ok_and(|message| message.is_last()));
    }
    Ok(false)
}

/// What became of a run whose supervisor may be dead.
#[derive(Debug)]
pub enum Ending {
    /// The supervisor lives: go on waiting.
    Live,
    /// The last message is in the file.
    Written,
    /// There is no last message and none can be written; this is what it would be.
    Unwritable(RunnerFailure),
}

/// Appends the failure that `describe` gives if the run is over without a last message.
///
/// # Errors
/// Fails when the messages can't be read.
pub fn end_if_abandoned(messages: &File, describe: impl FnOnce() -> RunnerFailure) -> io::Result<Ending> {
    match messages.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(Ending::Live),
        Err(TryLockError::Error(error)) => return Err(error),
        Ok(()) => {}
    }
    let ending = if has_ended(messages)? {
        Ending::Written
    } else {
        let failure = describe();
        let appended = MessageLog::new(messages).and_then(|mut log| log.append(&Message::Failed(failure.clone())));
        if appended.is_ok() { Ending::Written } else { Ending::Unwritable(failure) }
    };
    messages.unlock()?;
    Ok(ending)
}

/// The writing side of a message file: whole lines only, whatever happens. The caller holds the file's lock.
#[derive(Debug)]
pub struct MessageLog<'a> {
    file: &'a File,
    length: u64,
}

impl<'a> MessageLog<'a> {
    /// Goes on after the last whole line; a torn one, left by a crash, is cut off.
    ///
    /// # Errors
    /// Fails when the file can't be read or cut.
    pub fn new(file: &'a File) -> io::Result<MessageLog<'a>> {
        let end = file.metadata()?.len();
        let start = end.saturating_sub(MAX_LINE_BYTES as u64);
        let mut tail = vec![0; (end - start) as usize];
        file.read_exact_at(&mut tail, start)?;
        let length = tail.iter().rposition(|byte| *byte == b'\n').map_or(start, |newline| start + newline as u64 + 1);
        if length < end {
            file.set_len(length)?;
        }
        Ok(MessageLog { file, length })
    }

    /// Appends a message.
    ///
    /// # Errors
    /// The file is then as it was before.
    pub fn append(&mut self, message: &Message) -> io::Result<()> {
        self.append_line(&serde_json::to_vec(message)?)
    }

    /// Appends a line, given without its newline.
    ///
    /// # Errors
    /// The file is then as it was before.
    pub fn append_line(&mut self, line: &[u8]) -> io::Result<()> {
        let mut file = self.file;
        let mut bytes = Vec::with_capacity(line.len() + 1);
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
        match file.write_all(&bytes) {
            Ok(()) => self.length += bytes.len() as u64,
            Err(error) => {
                file.set_len(self.length)?;
                return Err(error);
            }
        }
        Ok(())
    }
}

/// The runs whose folders are there, the newest first. What can't be read is told as far as it is known: this is for a
/// host that cleans up.
pub fn list(workdir: &Workdir) -> Vec<RunInfo> {
    let Ok(entries) = fs::read_dir(workdir.runs()) else { return Vec::new() };
    let mut runs: Vec<(SystemTime, RunInfo)> =
        entries.flatten().filter_map(|entry| describe(workdir, &entry)).collect();
    runs.sort_by(|(a_changed, a), (b_changed, b)| b_changed.cmp(a_changed).then_with(|| b.run_id.cmp(&a.run_id)));
    runs.truncate(MAX_RUNS_IN_HELLO);
    runs.into_iter().map(|(_, run)| run).collect()
}

fn describe(workdir: &Workdir, entry: &fs::DirEntry) -> Option<(SystemTime, RunInfo)> {
    let run: RunId = entry.file_name().to_str()?.parse().ok()?;
    let folder = RunFolder::new(workdir, &run);
    let messages = folder.open_messages().ok();
    let changed = messages.as_ref().and_then(|messages| messages.metadata().ok()?.modified().ok());
    let is_live = messages.is_some_and(|messages| is_live(&messages).unwrap_or(false));
    // Whatever version of the protocol it was written by, its lab stands in the same place.
    let request: Option<serde_json::Value> =
        fs::read(folder.request()).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let lab = request.and_then(|request| request.get("fence")?.get("lab")?.as_str().map(str::to_owned));
    Some((changed.unwrap_or(SystemTime::UNIX_EPOCH), RunInfo { run_id: run.to_string(), lab, is_live }))
}

/// Removes the folders of ended runs. One that isn't there counts as removed; one that goes on stays.
///
/// # Errors
/// Names the folder that can't be removed.
pub fn remove(workdir: &Workdir, runs: &[RunId]) -> Result<(), RunFolderError> {
    for run in runs {
        let folder = RunFolder::new(workdir, run);
        if folder.open_messages().is_ok_and(|messages| goes_on(&messages).unwrap_or(true)) {
            continue;
        }
        match fs::remove_dir_all(&folder.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(folder.failed("remove", folder.path.clone())(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Removes all but the newest `keep` runs that are over. With `all_locked`, the caller holds the device's lock, and
/// folders without messages, left by a crash, go as well.
///
/// # Errors
/// Fails when the folders can't be listed or removed.
pub fn prune(workdir: &Workdir, keep: usize, all_locked: bool) -> Result<usize, RunFolderError> {
    let failed = |action, path: PathBuf| move |source| RunFolderError { action, path, source };
    let mut over: Vec<(SystemTime, PathBuf)> = Vec::new();
    let mut doomed = Vec::new();
    for entry in fs::read_dir(workdir.runs()).map_err(failed("list", workdir.runs()))? {
        let path = entry.map_err(failed("list", workdir.runs()))?.path();
        match File::open(path.join("messages.jsonl")) {
            Ok(messages) => {
                let live = is_live(&messages).map_err(failed("lock the messages in", path.clone()))?;
                let changed = messages.metadata().and_then(|metadata| metadata.modified());
                if !live {
                    over.push((changed.map_err(failed("read the time of", path.clone()))?, path));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && all_locked => doomed.push(path),
            Err(_) => {}
        }
    }
    over.sort();
    over.truncate(over.len().saturating_sub(keep));
    doomed.extend(over.into_iter().map(|(_, path)| path));
    for path in &doomed {
        fs::remove_dir_all(path).map_err(failed("remove", path.clone()))?;
    }
    Ok(doomed.len())
}
