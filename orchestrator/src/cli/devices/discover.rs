use std::path::PathBuf;

use clap::Args;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::inventory::Discovered;
use crate::lab::LabError;
use crate::terminal::print::{say, say_lines};
use crate::terminal::table::Table;

use super::edit::say_added;

#[derive(Debug, Args)]
pub(in crate::cli) struct DiscoverArguments {
    /// The adb server, instead of the one that ADB_SERVER_SOCKET and ANDROID_ADB_SERVER_PORT name
    #[arg(long, value_name = "HOST:PORT")]
    server: Option<String>,
    /// Add those that no farm file has to this one, which keeps its comments; made when it isn't there
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

pub(super) async fn run(context: &Context, arguments: &DiscoverArguments) -> Result<u8, LabError> {
    let found = context.lab.discover(arguments.server.as_deref()).await?;
    print(context, &found)?;
    if let Some(file) = &arguments.write {
        match context.lab.add_discovered(&found, file)? {
            Some(added) => say_added(context, &added, ""),
            None => say("nothing new to write"),
        }
    }
    let ready = found.iter().filter(|one| one.is_ready()).count();
    Ok(exit::of_devices(found.len() - ready, found.len()))
}

fn print(context: &Context, found: &[Discovered]) -> Result<(), LabError> {
    Table::of(found)
        .column("serial", |one| one.serial.clone())
        .column("state", |one| one.state.clone())
        .column("connection", |one| one.connection.clone())
        .column("model", |one| one.model.clone().unwrap_or_default())
        .column("product", |one| one.product.clone().unwrap_or_default())
        .column("known_as", known_as)
        .column("what", |one| one.description().unwrap_or_default())
        .done()
        .json(found)
        .print(context.format)?;
    let told = || tell_what_helps(found);
    // In JSON it stands beside each phone.
    context.format.choose(told, || (), told, told);
    Ok(())
}

fn tell_what_helps(found: &[Discovered]) {
    if found.is_empty() {
        let help = "  help: check cable and power, and switch USB debugging on in its developer options";
        say_lines(&["no phone is listed", help]);
    }
    for one in found {
        if let Some(remedy) = &one.remedy {
            say_lines(&[&format!("{}: {}", one.serial, one.state), &format!("  help: {remedy}")]);
        }
    }
}

fn known_as(found: &Discovered) -> String {
    match (&found.declared_as, &found.same_as) {
        (Some(name), _) => name.clone(),
        (None, Some(other)) => format!("same phone as {other}"),
        (None, None) if found.is_ready() => "new".to_owned(),
        (None, None) => String::new(),
    }
}
