//! What is due next, and what became of what was due.

use std::path::PathBuf;

use clap::Subcommand;
use jiff::Timestamp;
use serde::Serialize;

use crate::daemon::Status;
use crate::domain::{SchedulePause, ScheduledStart, StartState};
use crate::schedule::{Opening, Schedule};
use crate::store::{Store, people};

use super::lab::person;
use super::{CliError, Context, Format, daemon, exit, print_data, print_json, print_rows, say, sweep, text_table};

#[derive(Debug, Subcommand)]
pub(super) enum SchedulesVerb {
    /// List the schedules: when each is due next, and what its last sweep is
    List {
        /// What the daemon does, instead of the lab's configs/daemon.yaml
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Start nothing by a schedule until it is resumed; what is due meanwhile is not made up for
    Pause {
        /// Its name
        name: String,
    },
    /// Start by a schedule again
    Resume {
        /// Its name
        name: String,
    },
    /// Run the sweep of a schedule now, whatever the time
    Run {
        /// Its name
        name: String,
    },
    /// Say what became of each due time, the newest first
    History {
        /// Of this schedule alone
        name: Option<String>,
        /// Most due times that are shown
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: u32,
    },
}

/// A schedule as a person asks for it.
#[derive(Debug, Serialize)]
struct Listed {
    schedule: String,
    enabled: bool,
    /// A person paused it.
    paused: Option<SchedulePause>,
    cron: String,
    timezone: String,
    window: Option<String>,
    window_is_open: bool,
    /// Its devices are checked before its sweep begins.
    check_first: bool,
    next_due: Option<Timestamp>,
    waiting: usize,
    last: Option<ScheduledStart>,
    last_sweep: Option<String>,
}

pub(super) async fn run(context: &Context, verb: &SchedulesVerb) -> Result<u8, CliError> {
    let store = context.lab.store()?;
    match verb {
        SchedulesVerb::List { config } => list(context, store.as_ref(), config.as_ref()),
        SchedulesVerb::Pause { name } => {
            let schedule = find(context, name)?.name;
            let pause = SchedulePause { schedule, by: person(), since: Timestamp::now() };
            let paused = people::pause_schedule(store.as_ref(), &pause)?;
            Ok(tell(paused, name, "paused"))
        }
        SchedulesVerb::Resume { name } => {
            let resumed =
                people::resume_schedule(store.as_ref(), &find(context, name)?.name, &person(), Timestamp::now())?;
            Ok(tell(resumed, name, "resumed"))
        }
        SchedulesVerb::Run { name } => {
            let schedule = find(context, name)?;
            let devices = Some(schedule.devices).filter(|devices| !devices.is_empty());
            sweep::run_on(context, &schedule.sweep, devices).await
        }
        SchedulesVerb::History { name, limit } => history(context, store.as_ref(), name.as_deref(), *limit),
    }
}

/// The schedule of this name.
fn find(context: &Context, name: &str) -> Result<Schedule, CliError> {
    let schedules = daemon::load(context, &context.lab.daemon_config())?.schedules;
    let names = schedules.iter().map(|schedule| schedule.name.as_str()).collect::<Vec<_>>().join(", ");
    schedules.into_iter().find(|schedule| schedule.name == name).ok_or_else(|| {
        CliError::usage(format!("there is no schedule {name:?}")).with_hint(format!("schedules: {names}"))
    })
}

/// Says whether it came to what was asked.
fn tell(is_new: bool, name: &str, what: &str) -> u8 {
    say(&format!("{name} is {what}{}", if is_new { "" } else { " already" }));
    if is_new { exit::OK } else { exit::NOTHING }
}

fn list(context: &Context, store: &dyn Store, config: Option<&PathBuf>) -> Result<u8, CliError> {
    let path = config.cloned().unwrap_or_else(|| context.lab.daemon_config());
    let schedules = daemon::load(context, &path)?.schedules;
    let pauses = store.schedule_pauses()?;
    let listed = schedules.iter().map(|schedule| {
        let paused = pauses.iter().find(|pause| pause.schedule == schedule.name).cloned();
        listed(store, schedule, paused)
    });
    let listed: Vec<Listed> = listed.collect::<Result<_, _>>()?;
    let header = ["schedule", "next due", "timezone", "window", "waiting", "last due", "last sweep"];
    let rows = listed.iter().map(|one| {
        let window = one
            .window
            .as_ref()
            .map(|window| format!("{window} ({})", if one.window_is_open { "open" } else { "closed" }));
        vec![
            one.schedule.clone(),
            match &one.paused {
                Some(pause) => format!("paused by {} since {:.0}", pause.by, pause.since),
                None if one.enabled => moment(one.next_due),
                None => "disabled".to_owned(),
            },
            one.timezone.clone(),
            window.unwrap_or_default(),
            one.waiting.to_string(),
            moment(one.last.as_ref().map(|last| last.due.due_at)),
            one.last_sweep.clone().unwrap_or_default(),
        ]
    });
    match context.format {
        Format::Human => print_data(text_table(&header, rows).as_bytes())?,
        Format::Json => print_json(&listed)?,
        Format::Csv | Format::Markdown => print_rows(context.format, &header, rows)?,
    }
    if daemon::is_running(context) {
        let status = std::fs::read(context.lab.daemon_file(daemon::STATUS_FILE)).unwrap_or_default();
        let status = serde_json::from_slice::<Status>(&status).ok();
        let at = status.map_or_else(String::new, |status| format!("; {}", status.line()));
        say(&format!("a daemon runs{at}"));
    } else {
        say("no daemon runs: `farmctl daemon` starts what is due");
    }
    Ok(exit::OK)
}

fn listed(store: &dyn Store, schedule: &Schedule, paused: Option<SchedulePause>) -> Result<Listed, CliError> {
    let now = Timestamp::now();
    let last = store.scheduled_starts(Some(&schedule.name), 1)?.into_iter().next();
    let last_sweep = match last.as_ref().map(|last| (&last.sweep_id, &last.why, last.state)) {
        Some((Some(sweep), ..)) => {
            let counts = store.counts(sweep)?;
            Some(format!(
                "{sweep}: {}, {} of {} jobs",
                store.sweep_state(sweep)?,
                counts.jobs - counts.open,
                counts.jobs
            ))
        }
        Some((None, Some(why), _)) => Some(format!("left out: {why}")),
        Some((None, None, state)) => Some(state.to_string()),
        None => None,
    };
    Ok(Listed {
        schedule: schedule.name.clone(),
        enabled: schedule.is_enabled,
        next_due: schedule.next_due(now).filter(|_| schedule.is_enabled && paused.is_none()),
        paused,
        cron: schedule.cron.to_string(),
        timezone: schedule.time_zone.iana_name().unwrap_or("UTC").to_owned(),
        window: schedule.window.map(|window| window.to_string()),
        window_is_open: schedule.opening(now).is_open() || schedule.opening(now) == Opening::Always,
        check_first: schedule.checks_first,
        waiting: store.waiting_starts(&schedule.name)?.len(),
        last,
        last_sweep,
    })
}

fn moment(at: Option<Timestamp>) -> String {
    at.map(|at| format!("{at:.0}")).unwrap_or_default()
}

fn history(context: &Context, store: &dyn Store, name: Option<&str>, limit: u32) -> Result<u8, CliError> {
    let starts = store.scheduled_starts(name, limit)?;
    let header = ["due", "schedule", "what", "sweep", "why"];
    let rows = starts.iter().map(|start| {
        let what = match start.state {
            StartState::Waiting => "waits",
            StartState::Begun => "begun",
            StartState::Skipped => "left out",
        };
        let sweep = start.sweep_id.as_ref().map(ToString::to_string).unwrap_or_default();
        let due = format!("{:.0}", start.due.due_at);
        vec![due, start.due.schedule.clone(), what.to_owned(), sweep, start.why.clone().unwrap_or_default()]
    });
    match context.format {
        Format::Human if starts.is_empty() => say("nothing was due yet"),
        Format::Human => print_data(text_table(&header, rows).as_bytes())?,
        Format::Json => print_json(&starts)?,
        Format::Csv | Format::Markdown => print_rows(context.format, &header, rows)?,
    }
    Ok(if starts.is_empty() { exit::NOTHING } else { exit::OK })
}
