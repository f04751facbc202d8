use crate::cli::context::Context;
use crate::cli::exit;
use crate::lab::LabError;
use crate::terminal::print::say;

/// Takes devices out of quarantine, and counts their failures from none.
pub(super) fn run(context: &Context, names: &[String]) -> Result<u8, LabError> {
    let mut released = false;
    for device in context.lab.select_devices(names)? {
        let name = &device.name;
        if !context.lab.release_device(&device)? {
            say(&format!("{name} is not quarantined"));
            continue;
        }
        released = true;
        say(&format!("{name} is back in service"));
    }
    Ok(if released { exit::OK } else { exit::NOTHING })
}
