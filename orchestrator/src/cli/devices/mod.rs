use clap::Subcommand;
use farmctl_protocol::Hello;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::domain::DeviceFacts;
use crate::lab::{LabError, ProbeResult, Question};
use crate::terminal::print::{say, say_lines};
use crate::terminal::table::Table;
use crate::wording::BYTES_PER_MB;

use self::discover::DiscoverArguments;
use self::edit::{AddArguments, EditArguments};
use self::history::HistoryArguments;
use self::lock::LockArguments;
use self::restore::RestoreArguments;
use self::utilisation::UtilisationArguments;

mod check;
mod discover;
mod edit;
mod history;
mod lock;
mod release;
mod restore;
mod show;
mod trust;
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
    /// Say how well devices repeat themselves, how they compare with others of their model, and what stands out
    Trust {
        /// Names; all devices that are not disabled without any
        names: Vec<String>,
    },
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

pub(super) async fn run(context: &Context, verb: DevicesVerb) -> Result<u8, LabError> {
    match verb {
        DevicesVerb::Discover(arguments) => discover::run(context, &arguments).await,
        DevicesVerb::Restore(arguments) => restore::run(context, &arguments).await,
        DevicesVerb::Release { names } => release::run(context, &names),
        DevicesVerb::Lock(arguments) => lock::lock(context, &arguments),
        DevicesVerb::Unlock { names } => lock::unlock(context, &names),
        DevicesVerb::History(arguments) => history::run(context, &arguments),
        DevicesVerb::Add(arguments) => edit::add(context, &arguments),
        DevicesVerb::Edit(arguments) => edit::edit(context, &arguments),
        DevicesVerb::Remove { names } => edit::remove(context, &names),
        DevicesVerb::List => show::list(context),
        DevicesVerb::Show { name } => show::show(context, &name),
        DevicesVerb::Utilisation(arguments) => utilisation::run(context, &arguments),
        DevicesVerb::Trust { names } => trust::run(context, &names),
        DevicesVerb::Probe { names } => probe(context, &names).await,
        DevicesVerb::Check { names } => check::check(context, &names).await,
    }
}

/// Asks devices that no sweep uses.
async fn ask(context: &Context, names: &[String], question: Question) -> Result<Vec<ProbeResult>, LabError> {
    let devices = context.lab.select_own_devices(names)?;
    let progress = context.open_progress();
    let answers = context.lab.ask(&devices, question, &progress).await;
    context.close_progress(&progress);
    answers
}

/// What a device said that answered.
struct Answer<'a> {
    device: &'a str,
    hello: &'a Hello,
    facts: &'a DeviceFacts,
}

async fn probe(context: &Context, names: &[String]) -> Result<u8, LabError> {
    let answers = ask(context, names, Question::WhatTheyAre).await?;
    let answered: Vec<Answer<'_>> = answers
        .iter()
        .filter_map(|answer| {
            Some(Answer { device: &answer.device, hello: answer.hello.as_ref()?, facts: answer.facts.as_ref()? })
        })
        .collect();
    let backends = |hello: &Hello| {
        let names = hello.backends.iter().map(|backend| format!("{} {}", backend.name, backend.version));
        names.collect::<Vec<_>>().join(" ")
    };
    print_answers(
        context,
        &answers,
        Table::of(&answered)
            .column("device", |answer| answer.device.to_owned())
            .column("target", |answer| answer.hello.target.clone())
            .column("soc", |answer| answer.facts.soc.clone().unwrap_or_default())
            .column("cores", |answer| answer.hello.cpus.len().to_string())
            .column("memory_mb", |answer| (answer.hello.memory_total_bytes / BYTES_PER_MB).to_string())
            .column("free_mb", |answer| (answer.hello.store.free_bytes / BYTES_PER_MB).to_string())
            .column("os", |answer| answer.facts.os.clone())
            .column("kernel", |answer| answer.hello.kernel.clone())
            .column("backends", move |answer| backends(answer.hello))
            .done(),
    )
}

/// Prints what devices answered, and tells why those that did not.
fn print_answers<'a>(context: &Context, answers: &'a [ProbeResult], table: Table<'a>) -> Result<u8, LabError> {
    table.json(answers).print(context.format)?;
    let told = || tell_failures(answers);
    // In JSON they stand beside the answers.
    context.format.choose(told, || (), told, told);
    let failed = answers.iter().filter(|answer| answer.failure.is_some()).count();
    Ok(exit::of_devices(failed, answers.len()))
}

fn tell_failures(answers: &[ProbeResult]) {
    for answer in answers {
        if let Some(used) = &answer.same_as {
            say(&format!("{} is a spare: same device as {used}, which is used", answer.device));
        }
        if let Some(used_by) = &answer.used_by {
            say(&format!("{} was not asked: {used_by}", answer.device));
        }
        if let Some(failure) = &answer.failure {
            let help = format!("  help: {}", failure.remedy(&answer.device, None));
            say_lines(&[&format!("{}: {}", failure.kind, failure.message), &help]);
        }
    }
}
