//! Undoes on phones what a crash left changed.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use jiff::Timestamp;

use crate::agent::{is_left_behind, undo_changes};
use crate::device::ask_android;
use crate::domain::{Device, DeviceIdentity, OpenChange};
use crate::store::Store;
use crate::transport::{ConnectOptions, connect};

use super::devices::find_device;
use super::{Lab, LabError};

/// Longest time for each step on a device.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What became of one change.
#[derive(Debug, Serialize)]
pub struct Restored {
    /// The device.
    pub device: String,
    /// What was changed.
    pub setting: String,
    /// What it was before.
    pub previous: String,
    /// The process that changed it.
    pub made_by: String,
    /// Why it was not undone.
    pub failure: Option<String>,
}

impl Restored {
    fn new(device: &str, open: &OpenChange, failure: Option<String>) -> Restored {
        Restored {
            device: device.to_owned(),
            setting: open.change.setting.to_string(),
            previous: open.change.previous.clone(),
            made_by: open.change.holder.clone(),
            failure,
        }
    }
}

impl Lab {
    /// Undoes what was left changed on the devices of these names, or on all without any; with `force`, also what a
    /// process made that may still run.
    ///
    /// # Errors
    /// When there is no such device, or the store can't be used.
    pub async fn restore(&self, names: &[String], force: bool) -> Result<Vec<Restored>, LabError> {
        let (store, devices) = (self.store()?, self.inventory()?.devices);
        let all = store.open_device_changes(None)?;
        let (left, held): (Vec<OpenChange>, Vec<OpenChange>) =
            all.into_iter().partition(|open| force || is_left_behind(open));
        let recorded: BTreeSet<&str> = left.iter().map(|open| open.change.device.as_str()).collect();
        let wanted: Vec<&str> =
            if names.is_empty() { recorded.into_iter().collect() } else { names.iter().map(String::as_str).collect() };
        let options = self.connect_options();
        let mut restored = Vec::new();
        for name in wanted {
            let is_known = devices.iter().any(|device| device.name == name);
            if !is_known && names.is_empty() {
                let why = "no farm file has it now; name the device that it is today".to_owned();
                let own = left.iter().filter(|open| open.change.device == name);
                restored.extend(own.map(|open| Restored::new(name, open, Some(why.clone()))));
                continue;
            }
            let device = find_device(&devices, name)?;
            restored.extend(restore_one(store.as_ref(), device, &left, &options, self.now()).await?);
        }
        for open in held {
            self.remark(&format!(
                "{}: {} was changed by {}, which may still run; --force undoes it all the same",
                open.change.device, open.change.setting, open.change.holder
            ));
        }
        Ok(restored)
    }
}

/// Undoes what was left on a device. What is its own is told by its identity: it may have had another name then.
async fn restore_one(
    store: &dyn Store,
    device: &Device,
    left: &[OpenChange],
    options: &ConnectOptions,
    now: Timestamp,
) -> Result<Vec<Restored>, LabError> {
    let failed = |why: String| {
        let own_changes = left.iter().filter(|open| open.change.device == device.name);
        Ok(own_changes.map(|open| Restored::new(&device.name, open, Some(why.clone()))).collect())
    };
    let transport = match connect(&device.transport, options).await {
        Ok(transport) => transport,
        Err(error) => return failed(format!("failed to connect: {error}")),
    };
    let identity = match ask_android(&device.name, transport.as_ref(), TIMEOUT).await {
        Ok(answer) => answer.and_then(|answer| answer.facts.identity()),
        Err(failure) => return failed(failure.to_string()),
    };
    let by_name = DeviceIdentity::by_name(&device.name);
    let is_its_own = |open: &&OpenChange| match &identity {
        // One of several clones is known by its name.
        Some(identity) => open.change.identity == *identity || open.change.identity == by_name,
        None => open.change.device == device.name,
    };
    let own: Vec<OpenChange> = left.iter().filter(is_its_own).cloned().collect();
    let undone = undo_changes(store, transport.as_ref(), device, own, TIMEOUT, now).await?;
    transport.close().await;
    Ok(undone.iter().map(|(open, result)| Restored::new(&device.name, open, result.clone().err())).collect())
}
