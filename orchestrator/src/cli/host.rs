//! The hosts that share the lab.

use clap::Subcommand;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::lab::{HostDetails, HostOverview, LabError};
use crate::terminal::print::say;
use crate::terminal::table::{Table, field_line};
use crate::wording::duration_text;

#[derive(Debug, Subcommand)]
pub(super) enum HostVerb {
    /// List the hosts: what each does, what it reaches, and when its daemon was last heard of
    List,
    /// Show all that is known of a host
    Show {
        /// Its name
        name: String,
    },
    /// Have the daemon of a host begin no further run; those under way end
    Drain {
        /// Its name
        name: String,
    },
    /// Have the daemon of a host begin runs again
    Resume {
        /// Its name
        name: String,
    },
    /// Forget a host that is not there any more, with the devices that it alone declared
    Remove {
        /// Its name
        name: String,
    },
}

pub(super) fn run(context: &Context, verb: &HostVerb) -> Result<u8, LabError> {
    match verb {
        HostVerb::List => list(context),
        HostVerb::Show { name } => show(context, name),
        HostVerb::Drain { name } => {
            if !context.lab.drain_host(name)? {
                return Ok(already(&format!("{name} is drained already")));
            }
            say(&format!(
                "{name} begins no further run, and lets those under way end; `farmctl host resume {name}` undoes it"
            ));
            Ok(exit::OK)
        }
        HostVerb::Resume { name } => {
            if !context.lab.resume_host(name)? {
                return Ok(already(&format!("{name} is not drained")));
            }
            say(&format!("{name} begins runs again"));
            Ok(exit::OK)
        }
        HostVerb::Remove { name } => {
            context.lab.remove_host(name)?;
            say(&format!("{name} is forgotten; a daemon that registers under this name is a new host"));
            Ok(exit::OK)
        }
    }
}

/// Says that there was nothing to do.
fn already(words: &str) -> u8 {
    say(words);
    exit::NOTHING
}

fn list(context: &Context) -> Result<u8, LabError> {
    let hosts = context.lab.hosts()?;
    Table::of(&hosts)
        .column("host", |host| host.host.clone())
        .column("status", |host| host.status.as_str().to_owned())
        .column("devices", |host| host.devices.to_string())
        .column("load", |host| format!("{:.2}", host.load))
        .column("cores", |host| host.cores.to_string())
        .column("beat", beat)
        .column("version", |host| host.version.clone())
        .column("detail", |host| host.detail.clone())
        .done()
        .json(&hosts)
        .when_empty("no host has registered yet: `farmctl daemon` does")
        .print(context.format)?;
    Ok(if hosts.is_empty() { exit::NOTHING } else { exit::OK })
}

/// How long ago its last beat is.
fn beat(host: &HostOverview) -> String {
    format!("{} ago", duration_text(std::time::Duration::from_secs(host.beat_seconds_ago)))
}

fn show(context: &Context, name: &str) -> Result<u8, LabError> {
    let host = context.lab.host_details(name)?;
    let rows = fields(&host.overview).into_iter().chain(declared(&host));
    let rows: Vec<(&str, String)> = rows.collect();
    let text = rows.iter().map(|(what, value)| field_line(what, 10, value)).collect();
    let rows = rows.into_iter().map(|(what, value)| vec![what.to_owned(), value]);
    Table::new(&["field", "value"], rows).text(text).json(&host).print(context.format)?;
    Ok(exit::OK)
}

fn fields(host: &HostOverview) -> Vec<(&'static str, String)> {
    let or_none = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    vec![
        ("host", host.host.clone()),
        ("status", host.status.as_str().to_owned()),
        ("detail", or_none(&host.detail)),
        ("devices", host.devices.to_string()),
        ("load", format!("{:.2} on {} cores", host.load, host.cores)),
        ("beat", format!("{}, {:.0}", beat(host), host.beat_at)),
        ("registered", format!("{:.0}", host.registered_at)),
        ("clock", clock(host.clock_ahead_seconds)),
        ("version", host.version.clone()),
        ("process", host.process.clone()),
        ("machine", or_none(&host.machine)),
    ]
}

/// What it declares, a line a device.
fn declared(host: &HostDetails) -> impl Iterator<Item = (&'static str, String)> {
    host.declared.iter().map(move |one| {
        let others: Vec<&str> =
            one.hosts.iter().map(String::as_str).filter(|other| *other != host.overview.host).collect();
        let others = if others.is_empty() { String::new() } else { format!(", also at {}", others.join(", ")) };
        let conflict = one.conflict.as_ref().map_or_else(String::new, |conflict| format!("; {conflict}"));
        ("declares", format!("{} ({}, {}){others}{conflict}", one.device, one.transport, one.declared_at))
    })
}

/// How its clock stands to the database's.
fn clock(ahead_seconds: f64) -> String {
    match ahead_seconds {
        seconds if seconds.abs() < 1.0 => "as the store's".to_owned(),
        seconds if seconds > 0.0 => format!("{seconds:.0} s ahead of the store's"),
        seconds => format!("{:.0} s behind the store's", -seconds),
    }
}
