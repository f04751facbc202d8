//! What people do to files of the lab: noted once it is done.

use crate::domain::EventKind;
use crate::store::people;

use super::Lab;

impl Lab {
    /// Notes that a person made a token.
    pub fn token_was_added(&self, name: &str, role: &str) {
        let kind = EventKind::TokenAdded { by: self.person(), name: name.to_owned(), role: role.to_owned() };
        self.note(None, kind);
    }

    /// Notes that a person took a token out.
    pub fn token_was_removed(&self, name: &str) {
        self.note(None, EventKind::TokenRemoved { by: self.person(), name: name.to_owned() });
    }

    /// Notes that a person changed what a farm file says of a device.
    pub fn device_was_edited(&self, device: &str, what: String) {
        self.note(Some(device), EventKind::DeviceEdited { by: self.person(), what });
    }

    /// What was done stays done where it can't be noted.
    fn note(&self, device: Option<&str>, kind: EventKind) {
        let noted = self.store().and_then(|store| Ok(people::note(store.as_ref(), device, kind, self.now())?));
        if let Err(error) = noted {
            self.remark(&format!("`farmctl audit` lacks this: {}", error.text()));
        }
    }
}
