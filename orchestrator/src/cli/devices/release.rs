use jiff::Timestamp;

use crate::agent::Holder;
use crate::domain::{Device, Event, EventKind};

use super::super::{CliError, Context, exit, say};

/// Takes devices out of quarantine, and counts their failures from none.
pub(super) fn run(context: &Context, devices: &[Device]) -> Result<u8, CliError> {
    let store = context.lab.store()?;
    let mut released = false;
    for device in devices {
        let name = &device.name;
        if !store.end_quarantine(name, Timestamp::now())? {
            say(&format!("{name} is not quarantined"));
            continue;
        }
        released = true;
        let by =
            Holder::of_this_process().map_or_else(|_| "a person".to_owned(), |holder| format!("a person ({holder})"));
        store.append_event(&Event {
            at: Timestamp::now(),
            sweep_id: None,
            device: Some(name.clone()),
            job_id: None,
            run_id: None,
            kind: EventKind::DeviceReleased { by },
        })?;
        say(&format!("{name} is back in service"));
    }
    Ok(if released { exit::OK } else { exit::NOTHING })
}
