use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::agent::{is_left_behind, undo_changes};
use crate::device::ask_android;
use crate::domain::{Device, OpenChange};
use crate::transport::{ConnectOptions, connect};

use super::super::{CliError, Context, Format, exit, print_data, print_json, print_rows, say, text_table};
use super::find;

/// Longest time for each step on a device.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub(in crate::cli) struct RestoreArguments {
    /// Names; all devices that something was left on without any
    names: Vec<String>,
    /// Also undo what a process made that still runs, or runs on another host
    #[arg(long)]
    force: bool,
}

/// What became of one change.
#[derive(Debug, Serialize)]
struct Restored {
    device: String,
    setting: String,
    previous: String,
    made_by: String,
    /// Why it was not undone.
    failure: Option<String>,
}

pub(super) async fn run(context: &Context, devices: &[Device], arguments: &RestoreArguments) -> Result<u8, CliError> {
    let store = context.lab.store()?;
    let all = store.open_device_changes(None)?;
    let (left, held): (Vec<OpenChange>, Vec<OpenChange>) =
        all.into_iter().partition(|open| arguments.force || is_left_behind(open));
    let recorded: BTreeSet<&str> = left.iter().map(|open| open.change.device.as_str()).collect();
    let names: Vec<&str> = if arguments.names.is_empty() {
        recorded.into_iter().collect()
    } else {
        arguments.names.iter().map(String::as_str).collect()
    };
    let options = context.lab.connect_options();
    let mut restored = Vec::new();
    for name in names {
        let is_known = devices.iter().any(|device| device.name == name);
        if !is_known && arguments.names.is_empty() {
            let why = "no farm file has it now; name the device that it is today".to_owned();
            let of_name = left.iter().filter(|open| open.change.device == name);
            restored.extend(of_name.map(|open| outcome(name, open, Some(why.clone()))));
            continue;
        }
        let device = find(devices, name)?;
        restored.extend(restore(&store, device, &left, &options).await?);
    }
    for open in held {
        say(&format!(
            "{}: {} was changed by {}, which may still run; --force undoes it all the same",
            open.change.device, open.change.setting, open.change.holder
        ));
    }
    print(context, &restored)?;
    let failed = restored.iter().filter(|one| one.failure.is_some()).count();
    Ok(match failed {
        0 if restored.is_empty() => exit::NOTHING,
        0 => exit::OK,
        all if all == restored.len() => exit::NO_DEVICE,
        _ => exit::SOME_FAILED,
    })
}

/// Undoes what was left on a device. What is its own is told by its identity: it may have had another name then.
async fn restore(
    store: &std::sync::Arc<dyn crate::store::Store>,
    device: &Device,
    left: &[OpenChange],
    options: &ConnectOptions,
) -> Result<Vec<Restored>, CliError> {
    let failed = |why: String| {
        let of_name = left.iter().filter(|open| open.change.device == device.name);
        Ok(of_name.map(|open| outcome(&device.name, open, Some(why.clone()))).collect())
    };
    let transport = match connect(&device.transport, options).await {
        Ok(transport) => transport,
        Err(error) => return failed(format!("failed to connect: {error}")),
    };
    let identity = match ask_android(&device.name, transport.as_ref(), PATIENCE).await {
        Ok(facts) => facts.and_then(|facts| facts.identity()),
        Err(failure) => return failed(failure.to_string()),
    };
    let is_its_own = |open: &&OpenChange| match &identity {
        Some(identity) => open.change.identity == *identity,
        None => open.change.device == device.name,
    };
    let own: Vec<OpenChange> = left.iter().filter(is_its_own).cloned().collect();
    let undone = undo_changes(store.as_ref(), transport.as_ref(), device, own, PATIENCE).await?;
    transport.close().await;
    Ok(undone.iter().map(|(open, result)| outcome(&device.name, open, result.clone().err())).collect())
}

fn outcome(device: &str, open: &OpenChange, failure: Option<String>) -> Restored {
    Restored {
        device: device.to_owned(),
        setting: open.change.setting.to_string(),
        previous: open.change.previous.clone(),
        made_by: open.change.holder.clone(),
        failure,
    }
}

fn print(context: &Context, restored: &[Restored]) -> Result<(), CliError> {
    let header = ["device", "setting", "previous", "verdict", "made_by"];
    let rows = restored.iter().map(|one| {
        vec![
            one.device.clone(),
            one.setting.clone(),
            one.previous.clone(),
            one.failure.clone().unwrap_or_else(|| "restored".to_owned()),
            one.made_by.clone(),
        ]
    });
    match context.format {
        Format::Human if restored.is_empty() => {
            say("nothing is left changed");
            Ok(())
        }
        Format::Human => print_data(text_table(&header, rows).as_bytes()),
        Format::Json => print_json(&restored),
        Format::Csv | Format::Markdown => print_rows(context.format, &header, rows),
    }
}
