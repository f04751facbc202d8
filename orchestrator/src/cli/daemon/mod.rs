use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use sd_notify::NotifyState;
use tokio::time::{Interval, MissedTickBehavior};

use crate::api::DoorTrouble;
use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::signals::{Asked, Signals};
use crate::config::DaemonConfig;
use crate::daemon::{Daemon, LabSweeps, Rules};
use crate::domain::DaemonStatus;
use crate::lab::{DaemonLock, HostNews, Lab, LabError};
use crate::progress::Mode;
use crate::terminal::print::say;

mod http;
mod install;

use http::HttpFrontend;

/// How often it is looked at what is to be done.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is looked whether another program has brought the store further.
const LOOK_AT_STORE_EVERY: Duration = Duration::from_secs(5);
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
    // From before they are read: what changes meanwhile is read again.
    let mut rules = Rules::at(&context.lab, path, say);
    let config = context.lab.daemon_rules(path)?;
    context.lab.store()?;
    say_of_newer_schema(&context.lab)?;
    let mut lock = context.lab.lock_daemon()?;
    let host = context.lab.join_hosts()?;
    let mut signals = Signals::listen_as_daemon()?;
    let progress = context.open_progress_as(Mode::Log);
    let access = config.access.clone();
    let mut daemon = start(context, config, path, LabSweeps::new(context.lab.clone(), progress.clone()))?;
    let mut frontend = HttpFrontend::open(context, access.clone(), insecure, &daemon, &progress).await?;
    rules.begin(access, &mut daemon);
    daemon.tick().await;
    tell_system(&[NotifyState::Ready]);
    let mut reporter = StatusReporter { lab: context.lab.clone(), last: None };
    let (mut why_ended, mut store_looked_at) = (None, Instant::now());
    let mut ticks = tokio::time::interval(POLL_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        for DoorTrouble { about, trouble } in frontend.look().await? {
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
        if store_looked_at.elapsed() >= LOOK_AT_STORE_EVERY {
            store_looked_at = Instant::now();
            if let Some(error) = context.lab.store_outgrown() {
                // Nothing more is written there. Whoever works with it next collects the runs.
                context.close_progress(&progress);
                return Err(stands_aside(error));
            }
        }
        let news = host.news();
        why_ended = why_to_end(&context.lab, &mut lock, &news);
        if why_ended.is_some() {
            break;
        }
        daemon.go_by_hosts(&news);
        rules.look(&mut daemon, wake == Wake::Reload);
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
    host.leave();
    context.close_progress(&progress);
    why_ended.map_or(Ok(exit::OK), Err)
}

/// What it says when a newer farmctl has brought the store further than this one can follow.
fn stands_aside(error: LabError) -> LabError {
    error
        .with_hint("this daemon stands aside: it begins nothing, and its runs go on on their devices")
        .with_hint("start the newer farmctl's daemon here, which collects them")
}

/// Says that the store is a newer farmctl's, with which this one may work.
fn say_of_newer_schema(lab: &Lab) -> Result<(), LabError> {
    if let Some(version) = lab.newer_schema()? {
        say(&format!(
            "the store has schema version {version}, of a newer farmctl: this one works beside it; bring this host up \
             to date, too"
        ));
    }
    Ok(())
}

/// Why this can be the lab's daemon no longer.
fn why_to_end(lab: &Lab, lock: &mut DaemonLock, news: &HostNews) -> Option<LabError> {
    if let Some(why) = &news.lost {
        return Some(LabError::internal(format!("{why}; this daemon has ended")));
    }
    match lab.store_lost() {
        Some(why) => Some(
            LabError::internal(format!("{why}; this daemon has ended"))
                .with_hint("start it anew: it goes on with the store that is there, or with the one that you put back"),
        ),
        None => lab.keep_daemon_lock(lock).err(),
    }
}

/// The daemon with what its file says.
fn start(context: &Context, config: DaemonConfig, path: &Path, sweeps: LabSweeps) -> Result<Daemon, LabError> {
    context.lab.publish_what_is_missing(&config.schedules)?;
    let mut daemon = Daemon::of_lab(&context.lab, Arc::new(sweeps))?;
    let names: Vec<&str> = config.schedules.iter().map(|schedule| schedule.name.as_str()).collect();
    let names = if names.is_empty() { "no schedules".to_owned() } else { names.join(", ") };
    say(&format!("daemon {} goes by {}: {names}", std::process::id(), context.lab.short_path(path)));
    daemon.go_by(config);
    Ok(daemon)
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
