//! The devices of all hosts: a name means one device in the whole lab.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::domain::{DeclaredDevice, Device, Inventory, TransportConfig};
use crate::lab::{Lab, LabDevice, LabError};
use crate::status::DeviceView;
use crate::transport;

use super::declared::{declared, difference};

/// What all hosts of the lab declare, by device.
#[derive(Debug, Default)]
pub(in crate::lab) struct Declarations(BTreeMap<String, Vec<DeclaredDevice>>);

impl Declarations {
    pub(super) fn of(all: impl IntoIterator<Item = DeclaredDevice>) -> Declarations {
        let mut by_name: BTreeMap<String, Vec<DeclaredDevice>> = BTreeMap::new();
        for one in all {
            by_name.entry(one.device.name.clone()).or_default().push(one);
        }
        for of_device in by_name.values_mut() {
            of_device.sort_by(|one, other| one.host.cmp(&other.host));
            // Those that the entry names go first, in its order.
            let order = of_device.first().map(|first| first.device.preferred_hosts.clone()).unwrap_or_default();
            let rank = |host: &str| order.iter().position(|preferred| preferred == host).unwrap_or(usize::MAX);
            of_device.sort_by_key(|one| rank(&one.host));
        }
        Declarations(by_name)
    }

    /// The hosts that declare a device, the one that goes first first.
    pub(in crate::lab) fn hosts(&self, device: &str) -> Vec<String> {
        self.0.get(device).into_iter().flatten().map(|one| one.host.clone()).collect()
    }

    /// Why a name means no device: two hosts mean two by it.
    pub(in crate::lab) fn conflict(&self, device: &str) -> Option<String> {
        let of_device = self.0.get(device)?;
        let first = of_device.first()?;
        let (other, difference) = of_device.iter().find_map(|one| Some((one, difference(first, one)?)))?;
        let place = |one: &DeclaredDevice| format!("at host {} ({})", one.host, one.device.declared_at);
        Some(format!(
            "declared in two ways, {} and {}; {difference}: make both entries the same, or rename one",
            place(first),
            place(other)
        ))
    }

    /// All names that mean no device, each with why.
    pub(in crate::lab) fn conflicts(&self) -> BTreeMap<&str, String> {
        self.0.keys().filter_map(|name| Some((name.as_str(), self.conflict(name)?))).collect()
    }

    /// What a host declares.
    pub(super) fn of_host<'a>(&'a self, host: &'a str) -> impl Iterator<Item = &'a DeclaredDevice> {
        self.0.values().flatten().filter(move |one| one.host == host)
    }

    /// The devices of one host, and those that only others declare.
    fn completed(&self, inventory: Inventory) -> Inventory {
        let own: BTreeSet<String> = inventory.devices.iter().map(|device| device.name.clone()).collect();
        let others = self.0.values().filter_map(|of_device| of_device.first());
        let others = others.filter(|one| !own.contains(&one.device.name)).map(|one| {
            // All of a host's own are one machine, and another one than this host.
            let machine = || (one.device.transport == TransportConfig::Local).then(|| one.host.clone());
            let exclusive = one.device.exclusive.clone().or_else(machine);
            Device { is_elsewhere: true, exclusive, ..one.device.clone() }
        });
        let others: Vec<Device> = others.collect();
        let devices = inventory.devices.into_iter().chain(others).map(|device| self.of_lab(device)).collect();
        Inventory { devices, ..inventory }
    }

    /// A device that this host may declare, as the whole lab has it.
    fn of_lab(&self, device: Device) -> Device {
        match self.conflict(&device.name) {
            Some(conflict) => Device { disabled: Some(conflict), ..device },
            None => device,
        }
    }
}

impl Lab {
    /// What this host publishes.
    ///
    /// # Errors
    /// When a farm file is faulty, and none was good before.
    pub(super) fn own_declarations(&self, host: &str) -> Result<Vec<DeclaredDevice>, LabError> {
        let below = |place: &str| {
            let below = Path::new(place).strip_prefix(&self.root);
            below.map_or_else(|_| place.to_owned(), |below| below.display().to_string())
        };
        let devices = self.devices()?;
        Ok(devices.iter().map(|it| declared(host, &it.device, below(&it.device.declared_at))).collect())
    }

    /// What all hosts declare: this one by its farm files as they are now, the others by what they have published.
    /// `None` where no other host declares anything.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(in crate::lab) fn declarations(&self) -> Result<Option<Declarations>, LabError> {
        if !self.shares_store()? {
            return Ok(None);
        }
        let host = self.host_name()?;
        let mut all = self.store()?.declared_devices()?;
        all.retain(|one| one.host != host);
        if all.is_empty() {
            return Ok(None);
        }
        all.extend(self.own_declarations(&host)?);
        Ok(Some(Declarations::of(all)))
    }

    /// The devices of all hosts of the lab: those of this host's farm files, then the others by name.
    ///
    /// # Errors
    /// When a farm file is faulty, or the store can't be read.
    pub fn union_devices(&self) -> Result<Vec<LabDevice>, LabError> {
        let own = self.devices()?;
        let Some(declarations) = self.declarations()? else { return Ok(own.to_vec()) };
        let options = self.connect_options();
        let of_lab = |device: Device, address: String| {
            let hosts = declarations.hosts(&device.name);
            LabDevice { hosts, address, device: declarations.of_lab(device) }
        };
        let mut devices: Vec<LabDevice> = own.iter().map(|it| of_lab(it.device.clone(), it.address.clone())).collect();
        let is_own = |name: &str| own.iter().any(|it| it.device.name == name);
        let others = declarations.0.values().filter_map(|of_device| of_device.first());
        let others = others.filter(|one| !is_own(&one.device.name));
        devices
            .extend(others.map(|one| of_lab(one.device.clone(), transport::address(&one.device.transport, &options))));
        Ok(devices)
    }

    /// The devices of all hosts, as they are now.
    ///
    /// # Errors
    /// As for [`Lab::union_devices`].
    pub fn union_views(&self) -> Result<Vec<DeviceView>, LabError> {
        let (devices, mut hosts) = (self.union_devices()?, BTreeMap::new());
        let devices = devices.into_iter().map(|LabDevice { device, hosts: of_device, .. }| {
            hosts.insert(device.name.clone(), of_device);
            device
        });
        let mut views = self.device_views(devices.collect())?;
        for view in &mut views {
            view.hosts = hosts.remove(&view.device.name).unwrap_or_default();
        }
        Ok(views)
    }

    /// What is planned on: a device whose name means two is out of service, with why.
    pub(in crate::lab) fn without_conflicts(&self, inventory: Inventory) -> Inventory {
        self.with_declarations(inventory, |declarations, inventory| {
            let devices = inventory.devices.into_iter().map(|device| declarations.of_lab(device)).collect();
            Inventory { devices, ..inventory }
        })
    }

    /// The same with the devices that only other hosts declare.
    pub(in crate::lab) fn of_all_hosts(&self, inventory: Inventory) -> Inventory {
        self.with_declarations(inventory, Declarations::completed)
    }

    /// What becomes of an inventory by what all hosts declare; where that is not known, it stays, and that is told.
    fn with_declarations(
        &self,
        inventory: Inventory,
        change: impl FnOnce(&Declarations, Inventory) -> Inventory,
    ) -> Inventory {
        match self.declarations() {
            Ok(None) => inventory,
            Ok(Some(declarations)) => change(&declarations, inventory),
            Err(error) => {
                self.remark(&format!("what other hosts declare is not known: {}", error.in_short()));
                inventory
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::domain::sample;

    fn at(host: &str, name: &str, change: impl FnOnce(&mut Device)) -> DeclaredDevice {
        let mut device = sample::board(name);
        change(&mut device);
        declared(host, &device, format!("farms/{host}.yaml:7"))
    }

    #[test]
    fn hosts_stand_in_the_order_of_the_entry_then_by_name() {
        let order = |device: &mut Device| device.preferred_hosts = ["c", "x", "a"].map(str::to_owned).to_vec();
        let all = ["d", "a", "b", "c"].map(|host| at(host, "board", order));
        let found = Declarations::of(all.into_iter().chain([at("b", "other", |_| {})]));
        assert_eq!(found.hosts("board"), ["c", "a", "b", "d"]);
        assert_eq!((found.hosts("other"), found.hosts("nobody")), (vec!["b".to_owned()], vec![]));
        assert!(found.conflicts().is_empty());
    }

    #[test]
    fn what_only_others_declare_is_planned_for_and_not_reached_from_here() {
        let local = declared("b", &sample::device("b-itself"), "farms/b.yaml:1".to_owned());
        let found = Declarations::of([at("a", "own", |_| {}), at("b", "own", |_| {}), at("b", "board", |_| {}), local]);
        let own = Inventory { devices: vec![sample::board("own")], host_target: None };
        let all = found.completed(own);
        let told: Vec<(&str, bool)> = all.devices.iter().map(|it| (it.name.as_str(), it.is_elsewhere)).collect();
        assert_eq!(told, [("own", false), ("b-itself", true), ("board", true)]);
        let machines: Vec<&str> = all.devices[1].machines().collect();
        assert_eq!(machines, ["b"], "another machine than this host");
        assert_eq!(found.completed(all.clone()), all, "it is complete already");
    }

    #[test]
    fn a_name_that_means_two_devices_is_told_with_both_places_and_is_out_of_service() {
        let second = at("b", "board", |device| device.workdir = "/data".to_owned());
        let all = [at("a", "board", |_| {}), second, at("a", "other", |_| {})];
        let found = Declarations::of(all);
        let conflict = found.conflict("board").unwrap();
        for part in ["at host a (farms/a.yaml:7)", "at host b (farms/b.yaml:7)", "they differ in workdir"] {
            assert!(conflict.contains(part), "{part} in {conflict}");
        }
        assert_eq!(found.conflicts().keys().collect::<Vec<_>>(), [&"board"]);
        assert_eq!(found.of_lab(sample::board("board")).disabled, Some(conflict));
        assert_eq!(found.of_lab(sample::board("other")).disabled, None);
    }
}
