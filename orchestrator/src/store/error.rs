use std::path::PathBuf;

use crate::domain::{DueTime, JobId, RunId, SweepId};

/// What the store could not do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A write about a run whose lease belongs to somebody else by now, or that has its record.
    #[error("write about run {run} refused: its lease has moved on from epoch {epoch}")]
    StaleEpoch {
        /// The run.
        run: RunId,
        /// The epoch of the write.
        epoch: u64,
    },
    /// A step that may not be taken in the state something is in.
    #[error("{step} {of}: it is {state}{}", told(.events))]
    IllegalStep {
        /// The step.
        step: String,
        /// What was to take it.
        of: String,
        /// The state it is in.
        state: String,
        /// What happened last, as JSON.
        events: Vec<String>,
    },
    /// No job of that identifier is in the sweep.
    #[error("find job {job} in sweep {sweep}: it is not there")]
    UnknownJob {
        /// The sweep.
        sweep: SweepId,
        /// The job.
        job: JobId,
    },
    /// A sweep of that identifier is there already.
    #[error("add sweep {sweep}: the store has a sweep of that identifier already")]
    SweepExists {
        /// The sweep.
        sweep: SweepId,
    },
    /// Nothing waits to be begun for a due time: it was begun, or left out.
    #[error("begin the sweep of {} that was due at {}: nothing waits for that", .due.schedule, .due.due_at)]
    NotWaiting {
        /// The due time.
        due: DueTime,
    },
    /// No sweep of that identifier is there.
    #[error("find sweep {sweep} in the store: it is not there")]
    UnknownSweep {
        /// The sweep.
        sweep: SweepId,
    },
    /// The store was written by a newer farmctl.
    #[error("open {path}: it has schema version {found}, this farmctl knows {known}; use the newer farmctl")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// The version this program writes.
        known: u32,
    },
    /// Others work with the store that could not any more once its schema is brought up to date.
    #[error(
        "bring {path} from schema version {found} to {known}: {hosts} at work with it, and could not be any more; end \
         their daemons first (runs under way go on on their devices), or wait a minute where they have died, then \
         bring them all to one version"
    )]
    NeededAsItIs {
        /// The server and its database.
        path: PathBuf,
        /// Its schema version.
        found: u32,
        /// The version this program writes.
        known: u32,
        /// Who: «host a (farmctl 0.1.0) is», «hosts … are».
        hosts: String,
    },
    /// The file belongs to something else; it was not touched.
    #[error("open {path}: it is no farmctl store ({cause})")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What shows it.
        cause: String,
    },
    /// The file is a store, but damaged.
    #[error("{action} in the store {path}: the file is damaged ({cause}); restore it from a backup or move it away")]
    Damaged {
        /// What was tried.
        action: String,
        /// The file.
        path: PathBuf,
        /// The database's words.
        cause: String,
    },
    /// The file is not there, or is empty, or is another, and what lies beside it is of the one that was.
    #[error("open the store {path}: {cause}; {remedy}")]
    Parted {
        /// The file.
        path: PathBuf,
        /// What does not belong together.
        cause: String,
        /// What a person can do.
        remedy: String,
    },
    /// The file that was opened is gone, or another has its name.
    #[error("go on: {why}")]
    Lost {
        /// Which, and where what it had is kept.
        why: String,
    },
    /// This process may not read or write the file, or its folder.
    #[error(
        "{action} in the store {path}: the system does not let this user ({cause}); look at the owner and the mode of \
         the file and of its folder, and whether its disk is mounted for reading only"
    )]
    Unwritable {
        /// What was tried.
        action: String,
        /// The file.
        path: PathBuf,
        /// The database's words.
        cause: String,
    },
    /// No store can be made of a file; the lab's own is as it was.
    #[error("make a store of {path}: {cause}; take another copy, the lab's store is as it was")]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// There is no room for the file to grow.
    #[error("{action} in the store {path}: no space is left ({cause}); free some and go on, nothing was half-written")]
    Full {
        /// What was tried.
        action: String,
        /// The file.
        path: PathBuf,
        /// The database's words.
        cause: String,
    },
    /// The system refused to read or write the file.
    #[error(
        "{action} in the store {path}: the system refused to read or write the file ({cause}); look at `ulimit -f`, \
         quotas and the disk, then go on: nothing was half-written"
    )]
    Disk {
        /// What was tried.
        action: String,
        /// The file.
        path: PathBuf,
        /// The database's words.
        cause: String,
    },
    /// Another process has the store for itself.
    #[error("{action} in the store {path}: another process keeps it locked; wait until that has ended, and try again")]
    Busy {
        /// What was tried.
        action: String,
        /// The file.
        path: PathBuf,
    },
    /// An export could not be written to where it was to go.
    #[error("write the export: {cause}")]
    Export {
        /// The system's words.
        cause: std::io::Error,
    },
    /// A copy of the store could not be made or put back.
    #[error("{action} {path}: {cause}")]
    Copy {
        /// What was tried.
        action: String,
        /// The file.
        path: PathBuf,
        /// The system's words.
        cause: std::io::Error,
    },
    /// The server of the store can't be reached, lets this user not in, or does not answer.
    #[error(
        "{action} in the store {path}: {cause}; look whether the server runs, and lets this user in from this host"
    )]
    Unreachable {
        /// What was tried.
        action: String,
        /// The server and its database.
        path: PathBuf,
        /// The system's or the server's words.
        cause: String,
    },
    /// No encrypted connection to the server of the store comes to be: nothing was said to it.
    #[error("{action} in the store {path}: {cause}; {remedy}")]
    Unencrypted {
        /// What was tried.
        action: String,
        /// The server and its database.
        path: PathBuf,
        /// What failed.
        cause: String,
        /// What a person can do.
        remedy: String,
    },
    /// The role that works in the store may not do that.
    #[error("{action} in the store {path}: {cause}; {remedy}")]
    NotAllowed {
        /// What was tried.
        action: String,
        /// The server and its database.
        path: PathBuf,
        /// The server's words.
        cause: String,
        /// Who can help, and how.
        remedy: String,
    },
    /// The address of a server is none, or what belongs to it can't be used.
    #[error("understand the address {url}: {cause}")]
    Address {
        /// The address, without what is secret.
        url: String,
        /// What is wrong.
        cause: String,
    },
    /// The database does that itself, by programs of its own.
    #[error("do that with the store {path}: {what}")]
    ElsewhereDone {
        /// The server and its database.
        path: PathBuf,
        /// By what.
        what: String,
    },
    /// The URL's scheme names no store.
    #[error("open store {url}: unknown scheme; use sqlite:PATH or postgres://USER@HOST/DATABASE")]
    UnknownScheme {
        /// The URL.
        url: String,
    },
    /// Something in the store does not have the form it was written in.
    #[error("read {what} from the store: {cause}")]
    Corrupt {
        /// What was read.
        what: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The database refused.
    #[error("{action} in the store {path}: {cause}")]
    Database {
        /// What was tried.
        action: String,
        /// The file.
        path: PathBuf,
        /// The database's words.
        cause: String,
    },
}

fn told(events: &[String]) -> String {
    events.iter().map(|event| format!("\n  {event}")).collect()
}
