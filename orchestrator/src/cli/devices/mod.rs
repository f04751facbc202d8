use std::sync::Arc;

use clap::Subcommand;

use crate::agent::{Initiator, ProbeResult, Probes};
use crate::domain::Device;
use crate::progress::Progress;

use self::discover::DiscoverArguments;
use self::edit::{AddArguments, EditArguments};
use self::history::HistoryArguments;
use self::lock::LockArguments;
use self::restore::RestoreArguments;
use self::utilisation::UtilisationArguments;
use super::runner::RunnerSource;
use super::sweep::{start_lease_keeper, wall_clock};
use super::{CliError, Context, Format, exit, print_data, print_json, print_rows, say};

mod check;
mod discover;
mod edit;
mod history;
mod lock;
mod release;
mod restore;
mod show;
mod utilisation;

#[derive(Debug, Subcommand)]
pub(super) enum DevicesVerb {
    /// List the devices of the farm files: what each does now, and when it was last heard of
    List,
    /// Show all that is known of a device
    Show {
        /// Its name
        name: String,
    },
    /// Add a device to a farm file
    Add(AddArguments),
    /// Change a device in its farm file, which keeps its comments
    Edit(EditArguments),
    /// Take devices out of their farm files
    Remove {
        /// Names
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Keep every sweep off a device for a while; a run that is under way ends first
    Lock(LockArguments),
    /// Give devices free before their lock ends
    Unlock {
        /// Names
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Say what happened to a device, the newest last
    History(HistoryArguments),
    /// Say what the time of devices went into: busy, idle, locked, broken; jobs a day, and what failed
    #[command(visible_alias = "utilization")]
    Utilisation(UtilisationArguments),
    /// Ask devices what they are; pushes the runner where it isn't there
    Probe {
        /// Names; all devices that are not disabled without any
        names: Vec<String>,
    },
    /// Check that devices can be reached, have what a run needs, and are as fast as they were
    Check {
        /// Names; all devices that are not disabled without any
        names: Vec<String>,
    },
    /// Find phones that an adb server knows
    Discover(DiscoverArguments),
    /// Take devices out of quarantine: they are well again
    Release {
        /// Names
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Undo what was changed on phones for measuring and left behind by a crash
    Restore(RestoreArguments),
}

pub(super) async fn run(context: &Context, verb: DevicesVerb) -> Result<u8, CliError> {
    let devices = context.lab.inventory()?.devices;
    match verb {
        DevicesVerb::Discover(arguments) => discover::run(context, &devices, &arguments).await,
        DevicesVerb::Restore(arguments) => restore::run(context, &devices, &arguments).await,
        DevicesVerb::Release { names } => release::run(context, &select(devices, &names)?),
        DevicesVerb::Lock(arguments) => lock::lock(context, &devices, &arguments),
        DevicesVerb::Unlock { names } => lock::unlock(context, &select(devices, &names)?),
        DevicesVerb::History(arguments) => history::run(context, &devices, &arguments),
        DevicesVerb::Add(arguments) => edit::add(context, &devices, &arguments),
        DevicesVerb::Edit(arguments) => edit::edit(find(&devices, &arguments.name)?, &arguments),
        DevicesVerb::Remove { names } => edit::remove(&select(devices, &names)?),
        DevicesVerb::List => show::list(context, devices),
        DevicesVerb::Show { name } => show::show(context, find(&devices, &name)?.clone()),
        DevicesVerb::Utilisation(arguments) => {
            utilisation::run(context, &select(devices, &arguments.names)?, &arguments)
        }
        DevicesVerb::Probe { names } => probe(context, select(devices, &names)?).await,
        DevicesVerb::Check { names } => check::check(context, select(devices, &names)?).await,
    }
}

fn select(devices: Vec<Device>, names: &[String]) -> Result<Vec<Device>, CliError> {
    if names.is_empty() {
        return Ok(devices.into_iter().filter(|device| device.disabled.is_none()).collect());
    }
    names.iter().map(|name| find(&devices, name).cloned()).collect()
}

fn find<'a>(devices: &'a [Device], name: &str) -> Result<&'a Device, CliError> {
    devices.iter().find(|device| device.name == name).ok_or_else(|| {
        let names: Vec<&str> = devices.iter().map(|device| device.name.as_str()).collect();
        CliError::usage(format!("there is no device {name:?}")).with_hint(format!("devices: {}", names.join(", ")))
    })
}

/// What devices are asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Question {
    WhatTheyAre,
    WhetherTheyAreFit,
}

/// What it takes to ask devices, for a task of this process.
pub(super) async fn begin_probes(
    context: &Context,
    initiator: Initiator,
    progress: &Progress,
) -> Result<Probes, CliError> {
    let store = context.lab.store()?;
    Ok(Probes {
        leases: start_lease_keeper(&store).await?,
        store,
        connect: Arc::new(context.lab.connect_options()),
        runners: Arc::new(RunnerSource::new(context.lab.runners(), progress.clone())),
        clock: wall_clock(),
        initiator,
    })
}

/// Asks devices that no sweep uses, each under its lease.
async fn ask(context: &Context, devices: Vec<Device>, question: Question) -> Result<Vec<ProbeResult>, CliError> {
    let progress = super::open_progress(context);
    let probes = begin_probes(context, Initiator::Person, &progress).await?;
    let answers = match question {
        Question::WhatTheyAre => probes.ask(&devices).await,
        Question::WhetherTheyAreFit => probes.check(&devices, None).await,
    };
    super::close_progress(context, &progress);
    Ok(answers?)
}

fn code(answers: &[ProbeResult]) -> u8 {
    let failed = answers.iter().filter(|answer| answer.failure.is_some()).count();
    match failed {
        0 if answers.is_empty() => exit::NOTHING,
        0 => exit::OK,
        all if all == answers.len() => exit::NO_DEVICE,
        _ => exit::SOME_FAILED,
    }
}

async fn probe(context: &Context, devices: Vec<Device>) -> Result<u8, CliError> {
    let answers = ask(context, devices, Question::WhatTheyAre).await?;
    let header = ["device", "target", "soc", "cores", "memory_mb", "free_mb", "os", "kernel", "backends"];
    let rows = answers.iter().filter_map(|answer| {
        let (hello, facts) = (answer.hello.as_ref()?, answer.facts.as_ref()?);
        let backends: Vec<String> =
            hello.backends.iter().map(|backend| format!("{} {}", backend.name, backend.version)).collect();
        Some(vec![
            answer.device.clone(),
            hello.target.clone(),
            facts.soc.clone().unwrap_or_default(),
            hello.cpus.len().to_string(),
            (hello.memory_total_bytes >> 20).to_string(),
            (hello.store.free_bytes >> 20).to_string(),
            facts.os.clone(),
            hello.kernel.clone(),
            backends.join(" "),
        ])
    });
    print_answers(context, &answers, &header, rows)
}

/// Prints what devices answered, and tells why those that did not.
fn print_answers(
    context: &Context,
    answers: &[ProbeResult],
    header: &[&str],
    rows: impl Iterator<Item = Vec<String>>,
) -> Result<u8, CliError> {
    match context.format {
        Format::Human => print_data(super::text_table(header, rows).as_bytes())?,
        Format::Json => print_json(&answers)?,
        Format::Csv | Format::Markdown => print_rows(context.format, header, rows)?,
    }
    if context.format != Format::Json {
        tell_failures(answers);
    }
    Ok(code(answers))
}

fn tell_failures(answers: &[ProbeResult]) {
    for answer in answers {
        if let Some(used) = &answer.same_as {
            say(&format!("{} is a spare: same phone as {used}, which is used", answer.device));
        }
        if let Some(used_by) = &answer.used_by {
            say(&format!("{} was not asked: {used_by}", answer.device));
        }
        if let Some(failure) = &answer.failure {
            let message: String = failure.message.chars().filter(|c| !c.is_control()).collect();
            say(&format!("{}: {message}\n  help: {}", failure.kind, failure.kind.remedy()));
        }
    }
}
