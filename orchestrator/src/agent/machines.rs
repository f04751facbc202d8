use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::device::{MachineIdentity, Relation};
use crate::domain::{Device, DeviceIdentity, Failure, FailureKind};
use crate::inventory::PhoneSurvey;

/// Which device of a sweep is which machine: none is worked on under two names, and no two in one folder.
#[derive(Debug, Default)]
pub(super) struct Machines {
    /// What was found out of phones before any is worked on.
    survey: OnceLock<PhoneSurvey>,
    /// What each device is that is worked on, as it said last. It stays for the sweep: two names never take turns
    /// either.
    used: Mutex<HashMap<String, MachineIdentity>>,
}

/// Why a device is not worked on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// This device is the same machine.
    SameAs(String),
    /// This device is another machine, and works in the same folder.
    WorkdirOf(String),
}

impl Machines {
    /// Notes what was found out before any phone is worked on.
    pub(super) fn set_survey(&self, survey: PhoneSurvey) {
        self.survey.get_or_init(|| survey);
    }

    /// The device that is used instead of this one, if it is a duplicate entry.
    pub(super) fn used_instead_of(&self, device: &Device) -> Option<&str> {
        let entry = self.survey.get()?.entries.iter().find(|entry| entry.device == device.name)?;
        Some(&entry.same_as)
    }

    /// The failure of a device for which another phone answers than before in this sweep.
    pub(super) fn swapped(&self, device: &Device, machine: &MachineIdentity) -> Option<Failure> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.get(&device.name)?.swapped(machine, &device.name)
    }

    /// Takes the machine for this device: one that did not answer when all were asked may turn out to be another's when
    /// it does. Called each time that the device was reached, since a boot makes another of it.
    ///
    /// # Errors
    /// Who has the machine, or the folder that it works in.
    pub(super) fn take(&self, device: &Device, machine: &MachineIdentity) -> Result<(), Taken> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, other) in used.iter().filter(|(name, _)| **name != device.name) {
            match machine.relation(other) {
                Relation::Same => return Err(Taken::SameAs(name.clone())),
                Relation::SharesWorkdir => return Err(Taken::WorkdirOf(name.clone())),
                Relation::Other | Relation::Clone => {}
            }
        }
        used.insert(device.name.clone(), machine.clone());
        Ok(())
    }

    /// The other devices of the sweep that are in the same boot of a machine, and may be worked on at the same time.
    pub(super) fn beside(&self, device: &Device, devices: &[Device]) -> Vec<String> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(boot_id) = used.get(&device.name).and_then(|machine| machine.boot_id.as_ref()) else {
            return Vec::new();
        };
        let takes_turns = |name: &str| devices.iter().any(|it| it.name == name && it.takes_turns_with(device));
        let is_beside = |name: &str, other: &MachineIdentity| {
            name != device.name && other.boot_id.as_ref() == Some(boot_id) && !takes_turns(name)
        };
        let mut names: Vec<String> =
            used.iter().filter(|(name, other)| is_beside(name, other)).map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        names
    }

    /// The identity under which the journal has a phone's changes; `None` for what is no phone. A clone is known by its
    /// name alone.
    pub(super) fn journal_identity(&self, device: &Device, android: Option<DeviceIdentity>) -> DeviceIdentity {
        let is_clone = self.survey.get().is_some_and(|survey| survey.clones.contains(&device.name));
        android.filter(|_| !is_clone).unwrap_or_else(|| DeviceIdentity::by_name(&device.name))
    }
}

/// What a row says of devices that were in the same boot, where there are some.
pub(super) fn one_machine(device: &Device, others: &[String]) -> Option<String> {
    let word = device.exclusive.as_deref().unwrap_or("one-machine");
    let others = (!others.is_empty()).then(|| others.join(", "))?;
    Some(format!(
        "one machine with {others}, which may have been measured at the same time: `exclusive: {word}` at each in the \
         farm file has them take turns"
    ))
}

/// The failure of a device that works in the folder of another one.
pub(super) fn shared_workdir(device: &Device, workdir: &str, other: &str) -> Failure {
    let name = &device.name;
    let message = format!(
        "{name} and {other} are two machines with one workdir, {workdir}: their home folder is shared; give each a \
         `workdir:` of its own in the farm file, for example ~/farmctl-{name}"
    );
    Failure::new(FailureKind::WorkdirUnusable, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AndroidFacts, sample};

    fn phone(serial: &str, boot_id: &str) -> MachineIdentity {
        let facts = AndroidFacts { serial: Some(serial.to_owned()), ..AndroidFacts::default() };
        MachineIdentity::of_phone(&facts, Some(boot_id.to_owned()))
    }

    #[test]
    fn a_machine_is_taken_by_one_device() {
        let machines = Machines::default();
        let [one, two] = ["one", "two"].map(sample::device);
        assert_eq!(machines.take(&one, &phone("1", "a")), Ok(()));
        assert_eq!(machines.take(&one, &phone("1", "b")), Ok(()), "it booted anew");
        assert_eq!(machines.take(&two, &phone("1", "b")), Err(Taken::SameAs("one".to_owned())));
        assert_eq!(machines.take(&two, &phone("1", "c")), Ok(()), "a clone");
    }

    #[test]
    fn no_two_machines_work_in_one_folder() {
        let machines = Machines::default();
        let [one, two] = ["one", "two"].map(sample::device);
        let board = |boot_id: &str, hosts: &[&str]| MachineIdentity {
            boot_id: Some(boot_id.to_owned()),
            folder: Some("8:77".to_owned()),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            phone: None,
        };
        assert_eq!(machines.take(&one, &board("a", &["a"])), Ok(()));
        assert_eq!(machines.take(&two, &board("b", &["a", "b"])), Err(Taken::WorkdirOf("one".to_owned())));
        assert_eq!(machines.take(&two, &board("a", &["a"])), Err(Taken::SameAs("one".to_owned())));
    }

    #[test]
    fn devices_in_one_boot_that_take_no_turns_are_told() {
        let machines = Machines::default();
        let devices = [sample::board("one"), sample::board("two"), sample::board("three"), sample::device("four")];
        let board = |boot_id: &str, folder: &str| MachineIdentity {
            boot_id: Some(boot_id.to_owned()),
            folder: Some(folder.to_owned()),
            ..MachineIdentity::default()
        };
        for (device, boot_id) in devices.iter().zip(["a", "a", "b", "a"]) {
            assert_eq!(machines.take(device, &board(boot_id, &device.name)), Ok(()));
        }
        assert_eq!(machines.beside(&devices[0], &devices), ["four", "two"]);
        assert_eq!(machines.beside(&devices[2], &devices), Vec::<String>::new());
        let turns = |device: &Device| Device { exclusive: Some("pc".to_owned()), ..device.clone() };
        let devices: Vec<Device> = devices.iter().map(turns).collect();
        assert_eq!(machines.beside(&devices[0], &devices), Vec::<String>::new());
        assert_eq!(one_machine(&devices[0], &[]), None);
        let said = one_machine(&devices[0], &["two".to_owned()]).unwrap_or_default();
        assert!(said.contains("with two") && said.contains("`exclusive: pc`"), "{said}");
    }

    #[test]
    fn a_clone_has_a_journal_of_its_own() {
        let machines = Machines::default();
        machines.set_survey(PhoneSurvey { entries: Vec::new(), clones: vec!["two".to_owned()] });
        let [one, two] = ["one", "two"].map(sample::device);
        let said = || Some(DeviceIdentity("p/1".to_owned()));
        assert_eq!(machines.journal_identity(&one, said()).0, "p/1");
        assert_eq!(machines.journal_identity(&two, said()).0, "name/two");
        assert_eq!(machines.journal_identity(&one, None).0, "name/one");
    }
}
