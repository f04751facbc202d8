//! The runner: measures inference on one device.
//!
//! Purpose: the program that farmctl puts on phones and boards; small, synchronous, one static file. Reading order:
//! `args` (what can be asked), `start` and `supervise` (a run, detached), the crate `farmctl-engine-kit` (the
//! measuring process), `foreign` (other people's benchmark programs), `conditions` (what the device is like), `follow`
//! (what the host sees). Never speaks to a network, and never writes outside its work folder.

mod args;
mod calibrate;
mod cancel;
mod conditions;
mod fence;
mod follow;
mod foreign;
mod hello;
mod lock;
mod request;
mod runs;
#[cfg(test)]
#[path = "../tests/lab/scratch.rs"]
mod scratch;
mod start;
mod store;
mod supervise;
mod tract;
mod workdir;

use std::env;
use std::io::{self, Write};
use std::path::Path;

use farmctl_engine_kit::Backend;
use farmctl_protocol::exit;
use serde::Serialize;

use args::{Command, Invocation};
use calibrate::CalibrateError;
use cancel::CancelError;
use conditions::Root;
use fence::FenceError;
use follow::FollowError;
use lock::LockError;
use request::RequestError;
use runs::RunFolder;
use start::StartError;
use store::{Store, StoreError};
use workdir::Workdir;

/// What this runner is: version, commit, sources, target. One text, so that farmctl can read it out of the file of a
/// runner that is for another machine.
const STAMP: &str = concat!(env!("RUNNER_STAMP"), "\n");

/// Every engine that is compiled into this runner.
static BACKENDS: &[&dyn Backend] = &[&tract::Tract];

/// Why a command failed: an exit code with what to say on standard error.
struct Exit {
    code: i32,
    text: String,
}

impl<E: std::error::Error + 'static> From<E> for Exit {
    fn from(error: E) -> Exit {
        Exit::with(code_of(&error), &error)
    }
}

impl Exit {
    fn with(code: i32, error: &dyn std::error::Error) -> Exit {
        Exit { code, text: format!("failed to {error}") }
    }
}

/// What the operating system refused, where it is at the root of an error.
fn code_of(error: &(dyn std::error::Error + 'static)) -> i32 {
    let mut cause = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => return exit::DISK_FULL,
            Some(io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => return exit::DENIED,
            _ => cause = error.source(),
        }
    }
    exit::FAILED
}

fn main() {
    let code = match args::parse(env::args_os().skip(1)) {
        Err(text) => complain(&Exit { code: exit::USAGE, text }),
        Ok(invocation) => obey(invocation).unwrap_or_else(|exit| complain(&exit)),
    };
    std::process::exit(code);
}

fn complain(exit: &Exit) -> i32 {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(io::stderr(), "device-runner: {}", exit.text);
    exit.code
}

fn obey(invocation: Invocation) -> Result<i32, Exit> {
    match invocation {
        Invocation::Help => print(args::HELP),
        Invocation::Version => print(STAMP),
        Invocation::Measure => Ok(farmctl_engine_kit::serve(BACKENDS)),
        Invocation::Foreign(dialect, command) => Ok(foreign::serve(dialect, &command)),
        Invocation::In(root, command) => obey_in(&root, command),
    }
}

fn obey_in(root: &Path, command: Command) -> Result<i32, Exit> {
    let workdir = Workdir::open(root)?;
    let store = Store::new(&workdir);
    match command {
        Command::Hello => print_json(&hello::hello(&workdir, store.status()?, store::own_hash()?)),
        Command::Calibrate => match calibrate::calibrate(&workdir) {
            Ok(calibration) => print_json(&calibration),
            Err(error @ CalibrateError::Lock(LockError::Busy(_))) => Err(Exit::with(exit::BUSY, &error)),
            Err(error @ CalibrateError::Memory) => Err(Exit::with(exit::NO_MEMORY, &error)),
            Err(error) => Err(error.into()),
        },
        Command::Rest => print_json(&conditions::rest(&Root::device())),
        Command::StoreStatus => print_json(&store.status()?),
        Command::StoreCommit { digest, size_bytes, executable } => {
            match store.commit(&digest, size_bytes, executable) {
                Ok(file) => print_json(&file),
                Err(error @ StoreError::WrongHash { .. }) => Err(Exit::with(exit::CORRUPT, &error)),
                Err(error @ (StoreError::Missing(_) | StoreError::WrongSize { .. })) => {
                    Err(Exit::with(exit::INCOMPLETE, &error))
                }
                Err(error) => Err(error.into()),
            }
        }
        Command::StoreVerify(digests) => print_json(&store.verify(&digests)?),
        Command::StoreRemove(digests) => {
            store.remove(&digests)?;
            print_json(&store.status()?)
        }
        Command::Run => run(&workdir),
        Command::Follow { run, offset } => follow_run(&RunFolder::new(&workdir, &run), &run, offset),
        Command::Cancel(run) => match cancel::cancel(&RunFolder::new(&workdir, &run), &run) {
            Ok(()) => Ok(exit::OK),
            Err(error @ CancelError::UnknownRun(_)) => Err(Exit::with(exit::UNKNOWN_RUN, &error)),
            Err(error) => Err(error.into()),
        },
        Command::StoreTrim { free_bytes, keep } => print_json(&store.trim(free_bytes, &keep)?),
        Command::RemoveRuns(runs) => {
            runs::remove(&workdir, &runs)?;
            Ok(exit::OK)
        }
        Command::PruneRuns { keep } => {
            runs::prune(&workdir, keep, false)?;
            Ok(exit::OK)
        }
        Command::Supervise(run) => {
            supervise::supervise(&workdir, &run)?;
            Ok(exit::OK)
        }
    }
}

fn run(workdir: &Workdir) -> Result<i32, Exit> {
    let (run, request) = request::read(io::stdin().lock()).map_err(|error| match &error {
        RequestError::Protocol(_) => Exit::with(exit::PROTOCOL, &error),
        RequestError::Invalid(_) | RequestError::TooLong => Exit::with(exit::USAGE, &error),
        RequestError::Io(_) => Exit::with(exit::FAILED, &error),
    })?;
    let folder = start::start(workdir, &run, &request).map_err(|error| match &error {
        StartError::Lock(LockError::Busy(_)) => Exit::with(exit::BUSY, &error),
        StartError::Fence(FenceError::Stale { .. }) => Exit::with(exit::FENCED, &error),
        _ => error.into(),
    })?;
    follow_run(&folder, &run, 0)
}

fn follow_run(folder: &RunFolder, run: &runs::RunId, offset: u64) -> Result<i32, Exit> {
    match follow::follow(folder, run, offset, &mut io::stdout().lock()) {
        Ok(()) => Ok(exit::OK),
        Err(error @ FollowError::UnknownRun(_)) => Err(Exit::with(exit::UNKNOWN_RUN, &error)),
        Err(error @ FollowError::BadOffset { .. }) => Err(Exit::with(exit::USAGE, &error)),
        Err(error) => Err(error.into()),
    }
}

fn print(text: &str) -> Result<i32, Exit> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Exit { code: exit::FAILED, text: format!("failed to print: {error}") })?;
    Ok(exit::OK)
}

fn print_json(answer: &impl Serialize) -> Result<i32, Exit> {
    print(&format!("{}\n", serde_json::to_string(answer)?))
}
