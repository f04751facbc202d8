use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use sd_notify::NotifyState;
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Interval, MissedTickBehavior};

use crate::config::{self, Access, DaemonConfig};
use crate::daemon::{Daemon, Status};
use crate::domain::SweepId;
use crate::lease::{Holder, is_holder_gone};
use crate::progress::Mode;

use super::lab::Sources;
use super::sweep::wall_clock;
use super::{CliError, Context, exit, models, say, short_path};

mod actions;
mod checks;
mod http;
mod install;
mod notices;
mod sweeps;

use http::Front;
use sweeps::LabSweeps;

/// How often it is looked at what is to be done.
const LOOK: Duration = Duration::from_secs(1);
/// How long runs may take to end when the daemon is told to. Those that take longer go on on their devices.
const STOP_PATIENCE: Duration = Duration::from_secs(20);
/// How long the lock is tried for, and how often.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// The file whose lock says that a daemon runs.
pub(super) const LOCK_FILE: &str = "daemon.lock";
/// What a daemon last said of itself.
pub(super) const STATUS_FILE: &str = "daemon.json";

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct DaemonArguments {
    /// What it does, instead of the lab's configs/daemon.yaml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    verb: Option<DaemonVerb>,
}

#[derive(Debug, Subcommand)]
enum DaemonVerb {
    /// Write the systemd unit that runs it for this lab
    Install(install::InstallArguments),
}

pub(super) async fn run(context: &Context, arguments: &DaemonArguments) -> Result<u8, CliError> {
    let path = arguments.config.clone().unwrap_or_else(|| context.lab.daemon_config());
    let path =
        std::path::absolute(&path).map_err(|error| CliError::usage(format!("failed to find the file: {error}")))?;
    match &arguments.verb {
        Some(DaemonVerb::Install(arguments)) => install::run(context, arguments),
        None => serve(context, &path).await,
    }
}

async fn serve(context: &Context, path: &Path) -> Result<u8, CliError> {
    let mut text = read(path);
    let DaemonConfig { access, schedules, probe_every, retention, channels } = load(context, path)?;
    let store = context.lab.store()?;
    let _lock = lock(context)?;
    let mut signals = Signals::listen()?;
    let progress = super::open_progress_as(context, Mode::Log);
    let sweeps = Arc::new(LabSweeps::new(context.clone(), progress.clone()));
    sweeps.publish_what_is_missing(store.as_ref(), &schedules);
    let mut daemon = Daemon::new(store, Arc::clone(&sweeps) as _, wall_clock(), is_holder_gone);
    let names: Vec<&str> = schedules.iter().map(|schedule| schedule.name.as_str()).collect();
    let names = if names.is_empty() { "no schedules".to_owned() } else { names.join(", ") };
    say(&format!("daemon {} goes by {}: {names}", std::process::id(), short_path(path)));
    daemon.go_by(schedules);
    daemon.probe_every(probe_every);
    daemon.keep(retention);
    daemon.tell_by(channels);
    let mut front = Front::open(context, access.clone(), &daemon, &sweeps, &progress).await?;
    daemon.look().await;
    tell_system(&[NotifyState::Ready]);
    let mut told = Told::new(context.lab.daemon_file(STATUS_FILE), front.url());
    loop {
        told.tell(&daemon.status());
        front.note(&daemon);
        let reload = match signals.next().await {
            Wake::Stop => break,
            Wake::Reload => true,
            Wake::Look => false,
        };
        let now = read(path);
        if reload || now != text {
            text = now;
            go_by(context, &mut daemon, path, &access);
        }
        daemon.look().await;
        tell_system(&[NotifyState::Watchdog]);
    }
    tell_system(&[NotifyState::Stopping]);
    say("stopping: runs under way end, no more start; a second signal leaves at once");
    let stop = async { tokio::join!(daemon.stop(STOP_PATIENCE), tokio::time::timeout(STOP_PATIENCE, front.stop())) };
    tokio::select! {
        _ = stop => {}
        () = signals.stop_again() => {}
    }
    super::close_progress(context, &progress);
    Ok(exit::OK)
}

/// Goes by the file as it is now; one that is faulty is told of, and what was in force stays.
fn go_by(context: &Context, daemon: &mut Daemon, path: &Path, access: &Access) {
    match load(context, path) {
        Ok(DaemonConfig { access: new, schedules, probe_every, retention, channels }) => {
            say(&format!("{} was read again: {} schedules", short_path(path), schedules.len()));
            if new != *access {
                say("how page and API are reached changes with the next start of the daemon");
            }
            daemon.go_by(schedules);
            daemon.probe_every(probe_every);
            daemon.keep(retention);
            daemon.tell_by(channels);
            daemon.note("config", None);
        }
        Err(error) => {
            let text = error.text();
            say(&format!("{} is refused, and the schedules of before stay in force:\n{text}", short_path(path)));
            let first = text.lines().next().unwrap_or_default().to_owned();
            daemon.note("config", Some(format!("refused, the schedules of before are in force: {first}")));
        }
    }
}

/// What the file says.
pub(super) fn load(context: &Context, path: &Path) -> Result<DaemonConfig, CliError> {
    let inventory = context.lab.inventory()?;
    let catalog = models::with_found_files(context, context.lab.catalog()?)?;
    Ok(config::load_daemon(path, &inventory, &catalog)?)
}

/// What the file says now, to see when it changes. One that is not there is told of when it is loaded.
fn read(path: &Path) -> Option<Vec<u8>> {
    std::fs::read(path).ok()
}

/// What a daemon writes into the file that it locks.
#[derive(Debug, Serialize, Deserialize)]
struct Identity {
    /// The process, as holders of leases are named.
    process: String,
    /// What it reads instead of the lab's own files.
    sources: Sources,
}

/// Makes sure that this is the lab's one daemon; the kernel gives the lock free, however the process ends.
fn lock(context: &Context) -> Result<File, CliError> {
    let path = context.lab.daemon_file(LOCK_FILE);
    let failed = |error: &std::io::Error| CliError::internal(format!("failed to lock {}: {error}", path.display()));
    let mut file = File::options().create(true).append(true).open(&path).map_err(|error| failed(&error))?;
    let give_up_at = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            // Whoever asks whether a daemon runs has the lock for a moment.
            Err(TryLockError::WouldBlock) if Instant::now() < give_up_at => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::WouldBlock) => {
                return Err(CliError::usage("a daemon runs in this lab already")
                    .with_hint("`farmctl schedules list` shows what it is at"));
            }
            Err(TryLockError::Error(error)) => return Err(failed(&error)),
        }
    }
    let process = Holder::for_this_process().map_err(|error| failed(&error))?.to_string();
    let identity = Identity { process, sources: context.lab.sources() };
    let written = file.set_len(0).and_then(|()| Ok(serde_json::to_writer(&mut file, &identity)?));
    written.map(|()| file).map_err(|error| failed(&error))
}

/// Whether a daemon runs in this lab.
pub(super) fn is_running(context: &Context) -> bool {
    let file = File::options().append(true).open(context.lab.daemon_file(LOCK_FILE));
    file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// The daemon that runs in this lab, if one does and has said who it is.
fn identity(context: &Context) -> Option<Identity> {
    let text = std::fs::read(context.lab.daemon_file(LOCK_FILE)).ok()?;
    serde_json::from_slice(&text).ok().filter(|_| is_running(context))
}

/// Whether a daemon runs in this lab that does what this process was told to.
pub(super) fn takes_over(context: &Context) -> bool {
    let Some(daemon) = identity(context) else { return false };
    let serves = daemon.sources.serve(&context.lab.sources());
    if !serves {
        say("a daemon runs, but not by the files that these options name: this is carried out here");
    }
    serves
}

/// Whether this holder of a lease is the daemon that runs in this lab.
pub(super) fn is_daemon(context: &Context, holder: &str) -> bool {
    identity(context).is_some_and(|daemon| {
        let task = holder.strip_prefix(&daemon.process);
        task.is_some_and(|task| task.is_empty() || task.starts_with('.'))
    })
}

/// What the daemon says is wrong now that keeps it from going on with a sweep.
pub(super) fn troubles_of(context: &Context, sweep: &SweepId) -> Vec<String> {
    let status = std::fs::read(context.lab.daemon_file(STATUS_FILE)).ok();
    let status: Option<Status> = status.and_then(|text| serde_json::from_slice(&text).ok());
    let of_sweep = format!("sweep {sweep}: ");
    let about = ["room: ".to_owned(), "store: ".to_owned(), format!("end of {of_sweep}"), of_sweep];
    let mut troubles = status.map(|status| status.troubles).unwrap_or_default();
    troubles.retain(|trouble| about.iter().any(|about| trouble.starts_with(about)));
    troubles
}

/// Tells systemd, where it has started this.
fn tell_system(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd was not told");
    }
}

/// Tells what the daemon is at, when that changes: to systemd, and to whoever asks.
struct Told {
    path: PathBuf,
    /// Where page and API are.
    url: Option<String>,
    last: Option<Status>,
}

/// What is written for others.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    status: &'a Status,
    url: Option<&'a str>,
}

impl Told {
    fn new(path: PathBuf, url: Option<String>) -> Told {
        Told { path, url, last: None }
    }

    fn tell(&mut self, status: &Status) {
        if self.last.as_ref() == Some(status) {
            return;
        }
        let troubles = |status: &Status| status.troubles.clone();
        if self.last.as_ref().map(troubles).unwrap_or_default() != status.troubles {
            let text = if status.troubles.is_empty() { "all is well again".to_owned() } else { status.line() };
            say(&text);
        }
        tell_system(&[NotifyState::Status(&status.line())]);
        if let Err(error) = self.write(status) {
            tracing::warn!(%error, path = %self.path.display(), "what the daemon is at was not written");
        }
        self.last = Some(status.clone());
    }

    /// Beside the file, then renamed.
    fn write(&self, status: &Status) -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(self.path.parent().unwrap_or(Path::new(".")))?;
        serde_json::to_writer(&mut file, &Written { status, url: self.url.as_deref() })?;
        file.flush()?;
        file.persist(&self.path).map(drop).map_err(|error| error.error)
    }
}

/// Why the daemon wakes.
enum Wake {
    Look,
    Reload,
    Stop,
}

/// What wakes the daemon.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    look: Interval,
}

impl Signals {
    fn listen() -> Result<Signals, CliError> {
        let listen =
            |kind| signal(kind).map_err(|error| CliError::internal(format!("failed to listen to signals: {error}")));
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (interrupt, terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        Ok(Signals { interrupt, terminate, hang_up: listen(SignalKind::hangup())?, look })
    }

    async fn next(&mut self) -> Wake {
        tokio::select! {
            _ = self.interrupt.recv() => Wake::Stop,
            _ = self.terminate.recv() => Wake::Stop,
            _ = self.hang_up.recv() => Wake::Reload,
            _ = self.look.tick() => Wake::Look,
        }
    }

    async fn stop_again(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
