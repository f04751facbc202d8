use std::path::PathBuf;

use clap::Args;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::cli::print::{Format, say, say_lines};
use crate::cli::table::Table;
use crate::config::{self, NewDevice};
use crate::domain::TransportConfig;
use crate::inventory::{self, Discovered};
use crate::lab::LabError;

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
        write(context, &found, file)?;
    }
    let ready = found.iter().filter(|one| one.is_ready()).count();
    Ok(match ready {
        0 if found.is_empty() => exit::NOTHING,
        0 => exit::NO_DEVICE,
        all if all == found.len() => exit::OK,
        _ => exit::SOME_FAILED,
    })
}

fn print(context: &Context, found: &[Discovered]) -> Result<(), LabError> {
    let header = ["serial", "state", "connection", "model", "product", "known_as", "what"];
    let rows = found.iter().map(|one| {
        vec![
            one.serial.clone(),
            one.state.clone(),
            one.connection.clone(),
            one.model.clone().unwrap_or_default(),
            one.product.clone().unwrap_or_default(),
            known_as(one),
            one.description().unwrap_or_default(),
        ]
    });
    Table::new(&header, rows).json(found).print(context.format)?;
    if context.format == Format::Json {
        return Ok(());
    }
    if found.is_empty() {
        let help = "  help: check cable and power, and switch USB debugging on in its developer options";
        say_lines(&["no phone is listed", help]);
    }
    for one in found {
        if let Some(remedy) = &one.remedy {
            say_lines(&[&format!("{}: {}", one.serial, one.state), &format!("  help: {remedy}")]);
        }
    }
    Ok(())
}

fn known_as(found: &Discovered) -> String {
    match (&found.declared_as, &found.same_as) {
        (Some(name), _) => name.clone(),
        (None, Some(other)) => format!("same phone as {other}"),
        (None, None) if found.is_ready() => "new".to_owned(),
        (None, None) => String::new(),
    }
}

fn write(context: &Context, found: &[Discovered], file: &std::path::Path) -> Result<(), LabError> {
    let declared = context.lab.inventory()?.devices;
    let mut new: Vec<NewDevice> = Vec::new();
    for one in found.iter().filter(|one| one.is_new()) {
        let taken = |name: &str| {
            declared.iter().any(|device| device.name == name) || new.iter().any(|device| device.name == name)
        };
        let name = inventory::suggest_name(one, &taken);
        new.push(NewDevice { name, transport: TransportConfig::Adb(one.endpoint.clone()), notes: one.description() });
    }
    if new.is_empty() {
        say("nothing new to write");
        return Ok(());
    }
    config::append_devices(file, &new, &|name| context.lab.variable(name))?;
    let names: Vec<&str> = new.iter().map(|device| device.name.as_str()).collect();
    for name in &names {
        context.lab.device_was_edited(name, format!("added to {}", context.lab.short_path(file)));
    }
    say(&format!("added to {}: {}", context.lab.short_path(file), names.join(", ")));
    // A file that is none of the lab's is a person's own choice; but it is better told.
    let is_read = context.lab.inventory()?.devices.iter().any(|device| names.contains(&device.name.as_str()));
    if !is_read {
        say("note: this lab doesn't read that file; name it with --farm, or move it into farms/");
    }
    Ok(())
}
