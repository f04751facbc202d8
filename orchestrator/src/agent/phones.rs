use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::domain::{Device, DeviceIdentity};
use crate::inventory::DuplicateEntry;

/// Which device of a sweep is which phone: no phone is worked on under two names.
#[derive(Debug, Default)]
pub(super) struct Phones {
    /// By the name of the duplicate entry; set before any phone is worked on.
    entries: OnceLock<HashMap<String, String>>,
    /// The name under which a phone is worked on. It stays for the sweep: two names never take turns either.
    used: Mutex<HashMap<DeviceIdentity, String>>,
}

impl Phones {
    /// Notes what was found out before any phone is worked on.
    pub(super) fn set_duplicate_entries(&self, entries: Vec<DuplicateEntry>) {
        self.entries.get_or_init(|| entries.into_iter().map(|entry| (entry.device, entry.same_as)).collect());
    }

    /// The device that is used instead of this one, if it is a duplicate entry.
    pub(super) fn used_instead_of(&self, device: &Device) -> Option<&str> {
        self.entries.get()?.get(&device.name).map(String::as_str)
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
        let phones = Phones::default();
        let [one, two] = ["one", "two"].map(sample::device);
        let [first, second] = ["p/1", "p/2"].map(|text| DeviceIdentity(text.to_owned()));
        assert_eq!(phones.take(&one, &first), Ok(()));
        assert_eq!(phones.take(&one, &first), Ok(()));
        assert_eq!(phones.take(&two, &first), Err("one".to_owned()));
        assert_eq!(phones.take(&two, &second), Ok(()));
    }
}
