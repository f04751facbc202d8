use crate::domain::{AndroidFacts, DeviceIdentity, Failure, FailureKind};

use super::probe::DeviceProbe;

/// What tells a machine from others, however it is reached, and its workdir from other folders.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MachineIdentity {
    /// Which boot it is in.
    pub boot_id: Option<String>,
    /// Which phone it says it is: product and serial number, and what it runs. Clones of one image say the same.
    pub phone: Option<(DeviceIdentity, Option<String>)>,
    /// The workdir's numbers in its file system.
    pub folder: Option<String>,
    /// Boots of all machines that have used this workdir in the last day.
    pub hosts: Vec<String>,
}

/// What one device is to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// Another machine with files of its own, as far as is known.
    Other,
    /// The same machine, with another name.
    Same,
    /// Another machine whose workdir is the same folder.
    SharesWorkdir,
    /// Another machine that says it is the same phone: a clone.
    Clone,
}

impl MachineIdentity {
    /// What a probe told.
    pub(super) fn of(probe: &DeviceProbe) -> MachineIdentity {
        MachineIdentity {
            boot_id: probe.boot_id.clone(),
            phone: probe.android.as_ref().and_then(phone_of),
            folder: probe.folder.clone(),
            hosts: probe.hosts.clone(),
        }
    }

    /// Of a phone of which only this was asked.
    pub fn of_phone(facts: &AndroidFacts, boot_id: Option<String>) -> MachineIdentity {
        MachineIdentity { boot_id, phone: phone_of(facts), ..MachineIdentity::default() }
    }

    /// The failure of a device for which another phone answers now. What that measures would stand under a wrong name.
    pub fn swapped(&self, now: &MachineIdentity, device: &str) -> Option<Failure> {
        let ((was, _), (is, _)) = (self.phone.as_ref()?, now.phone.as_ref()?);
        let message = format!("another phone answers for {device}: it was {was} in this sweep, and is {is} now");
        (was != is).then(|| Failure::new(FailureKind::NameUnknown, message))
    }

    /// What the other one is to this one, when both answered just now.
    pub fn relation(&self, other: &MachineIdentity) -> Relation {
        let is_same_phone = self.phone.is_some() && self.phone == other.phone;
        match (&self.boot_id, &other.boot_id) {
            // Containers of one host are in one boot, too: their folders tell them apart.
            (Some(one), Some(two)) if one == two => {
                let is_same_folder = self.folder.is_some() && self.folder == other.folder;
                if is_same_phone || is_same_folder { Relation::Same } else { Relation::Other }
            }
            (Some(one), Some(two)) => {
                let is_shared = self.hosts.contains(two) || other.hosts.contains(one);
                match (is_same_phone, is_shared) {
                    (true, _) => Relation::Clone,
                    (false, true) => Relation::SharesWorkdir,
                    (false, false) => Relation::Other,
                }
            }
            _ if is_same_phone => Relation::Same,
            _ => Relation::Other,
        }
    }
}

fn phone_of(facts: &AndroidFacts) -> Option<(DeviceIdentity, Option<String>)> {
    Some((facts.identity()?, facts.build.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phone(serial: &str, build: &str, boot_id: Option<&str>) -> MachineIdentity {
        let serial = Some(serial.to_owned());
        let facts = AndroidFacts { serial, build: Some(build.to_owned()), ..AndroidFacts::default() };
        MachineIdentity::of_phone(&facts, boot_id.map(str::to_owned))
    }

    fn board(boot_id: &str, folder: &str, hosts: &[&str]) -> MachineIdentity {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        let (boot_id, folder) = (Some(boot_id.to_owned()), Some(folder.to_owned()));
        MachineIdentity { boot_id, folder, hosts, phone: None }
    }

    #[test]
    fn a_phone_is_one_by_serial_number_build_and_boot() {
        let one = phone("S", "b", Some("1"));
        assert_eq!(one.relation(&phone("S", "b", Some("1"))), Relation::Same);
        assert_eq!(one.relation(&phone("S", "b", Some("2"))), Relation::Clone);
        assert_eq!(one.relation(&phone("S", "c", Some("1"))), Relation::Other);
        assert_eq!(one.relation(&phone("T", "b", Some("1"))), Relation::Other);
        assert_eq!(one.relation(&phone("S", "b", None)), Relation::Same, "a kernel that does not tell");
        assert_eq!(phone("unknown", "b", Some("1")).relation(&phone("unknown", "b", Some("1"))), Relation::Other);
    }

    #[test]
    fn a_board_is_one_by_boot_and_folder_and_a_shared_home_is_told() {
        let one = board("1", "8:77", &["1"]);
        assert_eq!(one.relation(&board("1", "8:77", &["1"])), Relation::Same);
        assert_eq!(one.relation(&board("1", "8:78", &["1"])), Relation::Other, "two containers of one host");
        assert_eq!(one.relation(&board("2", "8:77", &["2"])), Relation::Other, "numbers are each machine's own");
        assert_eq!(one.relation(&board("2", "8:77", &["1", "2"])), Relation::SharesWorkdir);
        assert_eq!(MachineIdentity::default().relation(&MachineIdentity::default()), Relation::Other);
    }
}
