use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::domain::{Device, DeviceIdentity};
use crate::inventory::Spare;

/// Which device of a sweep is which phone: no phone is worked on under two names.
#[derive(Debug)]
pub(super) struct Phones {
    spares: HashMap<String, String>,
    /// The name under which a phone is worked on. It stays for the sweep: two names never take turns either.
    used: Mutex<HashMap<DeviceIdentity, String>>,
}

impl Phones {
    /// What was found out before any work began.
    pub(super) fn with_spares(spares: Vec<Spare>) -> Phones {
        let spares = spares.into_iter().map(|spare| (spare.device, spare.same_as)).collect();
        Phones { spares, used: Mutex::new(HashMap::new()) }
    }

    /// The device that is used instead of this one, if it is a spare.
    pub(super) fn used_instead_of(&self, device: &Device) -> Option<&str> {
        self.spares.get(&device.name).map(String::as_str)
    }

    /// Takes the phone for this device, or says which device has it: one that did not answer when all were asked may
    /// turn out to be another's phone when it does.
    ///
    /// # Errors
    /// The name of the device that has it.
    pub(super) fn take(&self, device: &Device, identity: &DeviceIdentity) -> Result<(), String> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let holder = used.entry(identity.clone()).or_insert_with(|| device.name.clone());
        if *holder == device.name { Ok(()) } else { Err(holder.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sample;

    #[test]
    fn a_phone_is_taken_by_one_device() {
        let phones = Phones::with_spares(Vec::new());
        let [one, two] = ["one", "two"].map(sample::device);
        let [first, second] = ["p/1", "p/2"].map(|text| DeviceIdentity(text.to_owned()));
        assert_eq!(phones.take(&one, &first), Ok(()));
        assert_eq!(phones.take(&one, &first), Ok(()));
        assert_eq!(phones.take(&two, &first), Err("one".to_owned()));
        assert_eq!(phones.take(&two, &second), Ok(()));
    }
}
