//! What is due next, and what became of what was due.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use jiff::Timestamp;

use crate::cli::context::Context;
use crate::cli::sweep::ExecutionMode;
use crate::cli::{exit, sweep};
use crate::domain::StartState;
use crate::lab::LabError;
use crate::terminal::print::say;
use crate::terminal::table::Table;

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

pub(super) async fn run(context: &Context, verb: &SchedulesVerb) -> Result<u8, LabError> {
    match verb {
        SchedulesVerb::List { config } => list(context, config.as_deref()),
        SchedulesVerb::Pause { name } => Ok(tell(context.lab.pause_schedule(name)?, name, "paused")),
        SchedulesVerb::Resume { name } => Ok(tell(context.lab.resume_schedule(name)?, name, "resumed")),
        SchedulesVerb::Run { name } => {
            let planned = context.lab.plan_schedule_by_hand(&context.lab.schedule(name)?)?;
            Ok(sweep::begin(context, planned, ExecutionMode::of_lab(context)).await?.code)
        }
        SchedulesVerb::History { name, limit } => history(context, name.as_deref(), *limit),
    }
}

/// Says whether it came to what was asked.
fn tell(is_new: bool, name: &str, what: &str) -> u8 {
    say(&format!("{name} is {what}{}", if is_new { "" } else { " already" }));
    if is_new { exit::OK } else { exit::NOTHING }
}

fn list(context: &Context, config: Option<&Path>) -> Result<u8, LabError> {
    let listed = context.lab.schedule_overviews(config)?;
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
    Table::new(&header, rows).json(&listed).print(context.format)?;
    if context.lab.daemon_is_running() {
        let at = context.lab.daemon_status().map_or_else(String::new, |status| format!("; {}", status.line()));
        say(&format!("a daemon runs{at}"));
    } else {
        say("no daemon runs: `farmctl daemon` starts what is due");
    }
    Ok(exit::OK)
}

fn moment(at: Option<Timestamp>) -> String {
    at.map(|at| format!("{at:.0}")).unwrap_or_default()
}

fn history(context: &Context, name: Option<&str>, limit: u32) -> Result<u8, LabError> {
    let starts = context.lab.scheduled_starts(name, limit)?;
    let header = ["due", "schedule", "what", "sweep", "why"];
    let rows = starts.iter().map(|start| {
        let what = match start.state {
            StartState::Waiting => "waits",
            StartState::Begun => "begun",
            StartState::Skipped => "left out",
        };
        let sweep = start.sweep_id.as_ref().map(ToString::to_string).unwrap_or_default();
        let due = format!("{:.0}", start.due.due_at);
        let by_hand = start.by.as_ref().map(|by| format!("begun by hand, by {by}"));
        let why = start.why.clone().or(by_hand).unwrap_or_default();
        vec![due, start.due.schedule.clone(), what.to_owned(), sweep, why]
    });
    Table::new(&header, rows).json(&starts).when_empty("nothing was due yet").print(context.format)?;
    Ok(if starts.is_empty() { exit::NOTHING } else { exit::OK })
}
