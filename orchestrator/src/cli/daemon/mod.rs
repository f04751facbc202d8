use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use sd_notify::NotifyState;
use tokio::time::{Interval, MissedTickBehavior};

use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::print::{say, say_coloured};
use crate::cli::signals::{Asked, Signals};
use crate::config::{Access, DaemonConfig};
use crate::daemon::{Daemon, LabSweeps};
use crate::domain::DaemonStatus;
use crate::lab::{DaemonLock, Lab, LabError};
use crate::progress::Mode;
use crate::regular_file;

mod http;
mod install;

use http::HttpFrontend;

/// How often it is looked at what is to be done.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// More is not held against what the file said before; it is too long to be read at all.
const MAX_RULES_BYTES: u64 = 2 << 20;
/// How long runs may take to end when the daemon is told to. Those that take longer go on on their devices.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Debug, Args)]
pub(super) struct DaemonArguments {
    /// What it does, instead of the lab's configs/daemon.yaml
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Let tokens go over the network in clear text, where `listen` is no loopback address and there is no `tls`
    #[arg(long, global = true)]
    insecure: bool,
    #[command(subcommand)]
    verb: Option<DaemonVerb>,
}

#[derive(Debug, Subcommand)]
enum DaemonVerb {
    /// Write the systemd unit that runs it for this lab
    Install(install::InstallArguments),
}

pub(super) async fn run(context: &Context, arguments: &DaemonArguments) -> Result<u8, LabError> {
    let path = arguments.config.clone().unwrap_or_else(|| context.lab.daemon_config());
    let path =
        std::path::absolute(&path).map_err(|error| LabError::usage(format!("failed to find the file: {error}")))?;
    match &arguments.verb {
        Some(DaemonVerb::Install(install)) => {
            let config = arguments.config.is_some().then_some(path.as_path());
            install::run(context, install, &install::DaemonOptions { config, insecure: arguments.insecure })
        }
        None => serve(context, &path, arguments.insecure).await,
    }
}

async fn serve(context: &Context, path: &Path, insecure: bool) -> Result<u8, LabError> {
    let mut rules = RulesFile::read(path);
    // From before they are read: what changes meanwhile is read again.
    let mut files = context.lab.file_stamps(&[]);
    let config = context.lab.daemon_rules(path)?;
    context.lab.store()?;
    let mut lock = context.lab.lock_daemon()?;
    let mut signals = Signals::listen_as_daemon()?;
    let progress = context.open_progress_as(Mode::Log);
    let (mut daemon, access) = start(context, config, path, LabSweeps::new(context.lab.clone(), progress.clone()))?;
    let mut frontend = HttpFrontend::open(context, access.clone(), insecure, &daemon, &progress).await?;
    let mut reader = RulesReader { lab: &context.lab, path, access: &access, out_of_reach: BTreeSet::new() };
    reader.note_missing_agent(&mut daemon);
    daemon.tick().await;
    tell_system(&[NotifyState::Ready]);
    let mut reporter = StatusReporter { lab: context.lab.clone(), last: None };
    let mut why_ended = None;
    let mut ticks = tokio::time::interval(POLL_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        for (about, trouble) in frontend.look().await? {
            daemon.note(about, trouble);
        }
        // Files of secrets change by themselves, and so does who may read them.
        let faults = context.lab.channel_faults(daemon.channels());
        daemon.note("notifications' secrets", faults);
        reporter.report(&daemon.status(), frontend.url());
        frontend.note(&daemon);
        let wake = next(&mut signals, &mut ticks).await;
        if wake == Wake::Stop {
            break;
        }
        why_ended = why_to_end(&context.lab, &mut lock);
        if why_ended.is_some() {
            break;
        }
        let (is_new, before) = (rules.has_changed() || wake == Wake::Reload, files);
        files = context.lab.file_stamps(daemon.schedules());
        if is_new || files != before {
            reader.reload(&mut daemon, is_new);
        }
        daemon.tick().await;
        tell_system(&[NotifyState::Watchdog]);
    }
    tell_system(&[NotifyState::Stopping]);
    say("stopping: runs under way end, no more start; a second signal leaves at once");
    let stop = async { tokio::join!(daemon.stop(STOP_TIMEOUT), tokio::time::timeout(STOP_TIMEOUT, frontend.stop())) };
    tokio::select! {
        _ = stop => {}
        () = stop_again(&mut signals) => {}
    }
    context.close_progress(&progress);
    why_ended.map_or(Ok(exit::OK), Err)
}

/// Why this can be the lab's daemon no longer.
fn why_to_end(lab: &Lab, lock: &mut DaemonLock) -> Option<LabError> {
    match lab.store_lost() {
        Some(why) => Some(
            LabError::internal(format!("{why}; this daemon has ended"))
                .with_hint("start it anew: it goes on with the store that is there, or with the one that you put back"),
        ),
        None => lab.keep_daemon_lock(lock).err(),
    }
}

/// The daemon with what its file says, and how page and API are reached.
fn start(
    context: &Context,
    config: DaemonConfig,
    path: &Path,
    sweeps: LabSweeps,
) -> Result<(Daemon, Access), LabError> {
    let DaemonConfig { access, schedules, probe_every, retention, channels } = config;
    context.lab.publish_what_is_missing(&schedules)?;
    let mut daemon = Daemon::of_lab(&context.lab, Arc::new(sweeps))?;
    let names: Vec<&str> = schedules.iter().map(|schedule| schedule.name.as_str()).collect();
    let names = if names.is_empty() { "no schedules".to_owned() } else { names.join(", ") };
    say(&format!("daemon {} goes by {}: {names}", std::process::id(), context.lab.short_path(path)));
    daemon.set_schedules(schedules);
    daemon.probe_every(probe_every);
    daemon.set_retention(retention);
    daemon.set_channels(channels);
    Ok((daemon, access))
}

/// Reads the daemon's file, and those that it names, again.
struct RulesReader<'a> {
    lab: &'a Lab,
    path: &'a Path,
    access: &'a Access,
    /// The devices for whose login an ssh agent is missing.
    out_of_reach: BTreeSet<String>,
}

impl RulesReader<'_> {
    /// Goes by the files as they are now. One that is faulty is told of, and what was in force stays.
    fn reload(&mut self, daemon: &mut Daemon, is_told: bool) {
        let name = self.lab.short_path(self.path);
        match self.lab.daemon_rules(self.path) {
            Ok(DaemonConfig { access, schedules, probe_every, retention, channels }) => {
                if is_told {
                    say(&format!("{name} was read again: {} schedules", schedules.len()));
                }
                if access != *self.access {
                    say("how page and API are reached changes with the next start of the daemon");
                }
                daemon.set_schedules(schedules);
                daemon.probe_every(probe_every);
                daemon.set_retention(retention);
                daemon.set_channels(channels);
                daemon.note("config", None);
                self.note_missing_agent(daemon);
            }
            Err(error) => {
                say(&format!(
                    "{name}, or a file that it goes by, is refused, and the schedules of before stay in force:"
                ));
                say_coloured(&error.text(), false);
                let faults = error.in_short();
                daemon.note("config", Some(format!("refused, the schedules of before are in force: {faults}")));
            }
        }
    }

    /// A daemon that systemd starts has no ssh agent: devices that a person reaches by one are out of its reach.
    fn note_missing_agent(&mut self, daemon: &mut Daemon) {
        let Ok(missing) = self.lab.devices_without_agent() else { return };
        let about = |device: &str| format!("login to {device}");
        let mut out_of_reach = BTreeSet::new();
        for (device, what) in missing {
            let trouble = format!(
                "this daemon has no ssh agent, and {what}; name a key without a passphrase by identity_file, or give \
                 it the agent: `farmctl daemon install` where SSH_AUTH_SOCK is set"
            );
            daemon.note(&about(&device), Some(trouble));
            out_of_reach.insert(device);
        }
        for device in self.out_of_reach.difference(&out_of_reach) {
            daemon.note(&about(device), None);
        }
        self.out_of_reach = out_of_reach;
    }
}

/// The daemon's file, to see when it changes.
struct RulesFile {
    path: PathBuf,
    text: Option<Vec<u8>>,
}

impl RulesFile {
    /// The file as it is now. One that is not there is told of when it is loaded.
    fn read(path: &Path) -> RulesFile {
        RulesFile { path: path.to_owned(), text: regular_file::read(path, MAX_RULES_BYTES).ok() }
    }

    /// Whether it says something else than when it was last read; reads it.
    fn has_changed(&mut self) -> bool {
        let now = regular_file::read(&self.path, MAX_RULES_BYTES).ok();
        let has_changed = now != self.text;
        self.text = now;
        has_changed
    }
}

/// Tells systemd, where it has started this.
fn tell_system(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd was not told");
    }
}

/// Tells what the daemon is at, when that changes: to systemd, and to whoever asks.
struct StatusReporter {
    lab: Lab,
    last: Option<DaemonStatus>,
}

impl StatusReporter {
    fn report(&mut self, status: &DaemonStatus, url: Option<String>) {
        if self.last.as_ref() == Some(status) {
            return;
        }
        let troubles = |status: &DaemonStatus| status.troubles.clone();
        if self.last.as_ref().map(troubles).unwrap_or_default() != status.troubles {
            let text = if status.troubles.is_empty() { "all is well again".to_owned() } else { status.line() };
            say(&text);
        }
        tell_system(&[NotifyState::Status(&status.line())]);
        if let Err(error) = self.lab.write_daemon_status(status, url.as_deref()) {
            tracing::warn!(%error, "what the daemon is at was not written");
        }
        self.last = Some(status.clone());
    }
}

/// Why the daemon wakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wake {
    Tick,
    Reload,
    Stop,
}

async fn next(signals: &mut Signals, ticks: &mut Interval) -> Wake {
    tokio::select! {
        asked = signals.next() => match asked {
            Asked::Interrupt | Asked::Terminate => Wake::Stop,
            Asked::Reload => Wake::Reload,
        },
        _ = ticks.tick() => Wake::Tick,
    }
}

async fn stop_again(signals: &mut Signals) {
    while signals.next().await == Asked::Reload {}
}
