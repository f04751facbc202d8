use jiff::Timestamp;

use crate::domain::Device;
use crate::store::people;

use super::super::lab::person;
use super::super::{CliError, Context, exit, say};

/// Takes devices out of quarantine, and counts their failures from none.
pub(super) fn run(context: &Context, devices: &[Device]) -> Result<u8, CliError> {
    let store = context.lab.store()?;
    let mut released = false;
    for device in devices {
        let name = &device.name;
        if !people::release_device(store.as_ref(), name, &person(), Timestamp::now())? {
            say(&format!("{name} is not quarantined"));
            continue;
        }
        released = true;
        say(&format!("{name} is back in service"));
    }
    Ok(if released { exit::OK } else { exit::NOTHING })
}
