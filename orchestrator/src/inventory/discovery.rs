use std::time::Duration;

use futures::StreamExt as _;
use serde::Serialize;

use crate::device::{MachineIdentity, Relation};
use crate::domain::{AdbEndpoint, AndroidFacts, Device, DeviceIdentity, TransportConfig, is_host_and_port};
use crate::transport::adb::{AdbDevice, AnnouncedDevice, list_announced, list_devices};
use crate::transport::{ConnectOptions, TransportError};

use super::AT_ONCE;
use super::identity::phone_answer;

/// Longest name of a device in a farm file.
const MAX_NAME_CHARS: usize = 64;
/// The state of a device that announces itself and is not connected.
const ANNOUNCED: &str = "announced";

/// A device that an adb server lists, or that announces itself in the network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Discovered {
    /// What names it to the server: a serial number, or `host:port`.
    pub serial: String,
    /// `device` when it can be used; else what the server says, or `announced`.
    pub state: String,
    /// `usb`, `tcp` or `emulator`.
    pub connection: String,
    /// Build product.
    pub product: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// Its identity, when it could be asked.
    pub identity: Option<DeviceIdentity>,
    /// The name under which a farm file has it.
    pub declared_as: Option<String>,
    /// What names it to the server on a better way, when this is not the best one.
    pub same_as: Option<String>,
    /// What a person can do, when it can't be used.
    pub remedy: Option<String>,
    /// How a farm file would name it: with all ways that lead to it.
    pub endpoint: AdbEndpoint,
    /// What Android says of it, when it could be asked.
    pub facts: Option<AndroidFacts>,
    /// Which machine it is, when it could be asked.
    #[serde(skip)]
    pub machine: Option<MachineIdentity>,
}

impl Discovered {
    /// Whether it can be used.
    pub fn is_ready(&self) -> bool {
        self.state == "device"
    }

    /// Whether a farm file could be given it: it works, no file has it, and it is no second way to another.
    pub fn is_new(&self) -> bool {
        self.is_ready() && self.declared_as.is_none() && self.same_as.is_none()
    }

    /// What it is, for people: `Google Pixel 6, Android 14 (API 34)`.
    pub fn description(&self) -> Option<String> {
        let facts = self.facts.as_ref()?;
        let words: Vec<&str> = [&facts.manufacturer, &facts.model].into_iter().flatten().map(String::as_str).collect();
        Some([words.join(" "), facts.os()].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", "))
    }

    /// `serial` is a name that no other device of the server's list has.
    fn listed(device: AdbDevice, serial: String, server: Option<&str>) -> Discovered {
        let name = Some(serial.clone());
        // A name that mDNS gave is none that a server could be told to connect to.
        let endpoint = if is_host_and_port(&serial) {
            AdbEndpoint { address: name, ..AdbEndpoint::default() }
        } else {
            AdbEndpoint { serial: name, ..AdbEndpoint::default() }
        };
        Discovered {
            connection: device.connection().to_owned(),
            remedy: device.remedy(),
            endpoint: AdbEndpoint { server: server.map(str::to_owned), ..endpoint },
            serial,
            state: device.state,
            product: device.product,
            model: device.model,
            identity: None,
            declared_as: None,
            same_as: None,
            facts: None,
            machine: None,
        }
    }

    fn announced(service: AnnouncedDevice, server: Option<&str>) -> Discovered {
        let address = Some(service.address.clone());
        let remedy = if service.service.contains("pairing") {
            format!("it waits to be paired: `adb pair {}` with the code on its screen", service.address)
        } else {
            format!("`adb connect {}`; it must have been paired once", service.address)
        };
        Discovered {
            endpoint: AdbEndpoint { address, server: server.map(str::to_owned), ..AdbEndpoint::default() },
            remedy: Some(remedy),
            state: ANNOUNCED.to_owned(),
            ..Discovered::listed(
                AdbDevice { serial: service.address.clone(), ..AdbDevice::default() },
                service.address,
                server,
            )
        }
    }
}

/// The devices of an adb server, each asked what it is, beside those that farm files declare.
///
/// # Errors
/// When the server does not answer. A device that does not answer is listed without its identity.
pub async fn discover(
    server: Option<&str>,
    declared: &[Device],
    options: &ConnectOptions,
    deadline: Duration,
) -> Result<Vec<Discovered>, TransportError> {
    let listed = list_devices(server, options, deadline).await?;
    let announced = list_announced(server, options, deadline).await.unwrap_or_else(|error| {
        tracing::debug!(%error, "the server does not tell what the network announces");
        Vec::new()
    });
    let names: Vec<String> = listed.iter().map(|device| device.unique_name(&listed)).collect();
    let asked = listed.into_iter().zip(names).map(|(device, name)| async move {
        let mut found = Discovered::listed(device, name, server);
        if found.is_ready() {
            let path = AdbEndpoint { serial: Some(found.serial.clone()), address: None, ..found.endpoint.clone() };
            let (path, limits) = (TransportConfig::Adb(path), [options.connect_timeout, deadline]);
            if let Some(answer) = phone_answer(&found.serial, &path, options, limits).await {
                found.identity = answer.facts.identity();
                found.machine = Some(MachineIdentity::of_phone(&answer.facts, answer.boot_id));
                found.facts = Some(answer.facts);
            }
        }
        found
    });
    let mut found: Vec<Discovered> = futures::stream::iter(asked).buffered(AT_ONCE).collect().await;
    for service in announced {
        let is_listed = |found: &Discovered| found.serial == service.address || found.serial.starts_with(&service.name);
        if !found.iter().any(is_listed) {
            found.push(Discovered::announced(service, server));
        }
    }
    join_ways(&mut found);
    mark_declared(&mut found, declared);
    Ok(found)
}

/// Marks all ways to a phone but the best one, which gets the others' address.
fn join_ways(found: &mut [Discovered]) {
    // Of each, the best way to what it is: itself, unless a better one comes.
    let mut best: Vec<usize> = (0..found.len()).collect();
    for index in 0..found.len() {
        let Some(first) = (0..index).find(|&other| is_same(&found[other], &found[index])).map(|other| best[other])
        else {
            continue;
        };
        let (used, other) = if found[index].endpoint.is_cable_only() && !found[first].endpoint.is_cable_only() {
            (index, first)
        } else {
            (first, index)
        };
        best.iter_mut().filter(|way| **way == other).for_each(|way| *way = used);
        let address = found[other].endpoint.address.clone();
        found[used].endpoint.address = found[used].endpoint.address.take().or(address);
    }
    for index in (0..found.len()).filter(|&index| best[index] != index) {
        found[index].same_as = Some(found[best[index]].serial.clone());
    }
}

/// Whether both are ways to one phone.
fn is_same(one: &Discovered, two: &Discovered) -> bool {
    one.machine.as_ref().zip(two.machine.as_ref()).is_some_and(|(one, two)| one.relation(two) == Relation::Same)
}

/// Marks what farm files have: by serial number or address, or because another way to the phone is declared.
fn mark_declared(found: &mut [Discovered], declared: &[Device]) {
    let by_name = |one: &Discovered| {
        let names = [Some(&one.serial), one.endpoint.serial.as_ref(), one.endpoint.address.as_ref()];
        let own_serial = one.facts.as_ref().and_then(|facts| facts.serial.as_ref());
        let is_it = |device: &&Device| match &device.transport {
            TransportConfig::Adb(endpoint) => {
                let says = |name: Option<&String>| name.is_some() && names.contains(&name);
                says(endpoint.serial.as_ref())
                    || says(endpoint.address.as_ref())
                    || (endpoint.serial.is_some() && endpoint.serial.as_ref() == own_serial)
            }
            TransportConfig::Local | TransportConfig::Ssh(_) => false,
        };
        declared.iter().find(is_it).map(|device| device.name.clone())
    };
    let names: Vec<Option<String>> = found.iter().map(by_name).collect();
    let same = |one: &Discovered| {
        let known = found.iter().zip(&names).filter(|(other, _)| is_same(one, other));
        known.filter_map(|(_, name)| name.clone()).next()
    };
    let marks: Vec<Option<String>> =
        found.iter().zip(&names).map(|(one, name)| name.clone().or_else(|| same(one))).collect();
    found.iter_mut().zip(marks).for_each(|(one, mark)| one.declared_as = mark);
}

/// A name for a farm file that none of `taken` has: model and serial number, in letters that a name may have.
pub fn suggest_name(found: &Discovered, taken: &dyn Fn(&str) -> bool) -> String {
    let facts = found.facts.as_ref();
    let model = facts.and_then(|facts| facts.model.as_deref()).or(found.model.as_deref()).unwrap_or("phone");
    let serial = facts.and_then(|facts| facts.serial.as_deref()).unwrap_or(&found.serial);
    let mut name = String::new();
    for c in format!("{model}-{serial}").chars() {
        let c = if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '-' };
        if c != '-' || !name.ends_with('-') {
            name.push(c);
        }
    }
    let name = name.trim_matches(|c| c == '-' || c == '.');
    let name = if name.is_empty() { "phone" } else { name };
    let numbered = |number: u32| {
        let end = if number == 1 { String::new() } else { format!("-{number}") };
        let start: String = name.chars().take(MAX_NAME_CHARS - end.len()).collect();
        format!("{start}{end}")
    };
    (1..=u32::MAX).map(numbered).find(|name| !taken(name)).unwrap_or_else(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sample;

    fn found(serial: &str, phone: Option<&str>) -> Discovered {
        let state = "device".to_owned();
        let listed =
            AdbDevice { serial: serial.to_owned(), state, model: Some("Pixel_6".to_owned()), ..Default::default() };
        let facts = phone.map(|serial| AndroidFacts {
            serial: Some(serial.to_owned()),
            product: Some("oriole".to_owned()),
            model: Some("Pixel 6".to_owned()),
            ..AndroidFacts::default()
        });
        let identity = facts.as_ref().and_then(AndroidFacts::identity);
        let machine = facts.as_ref().map(|facts| MachineIdentity::of_phone(facts, Some("1".to_owned())));
        Discovered { facts, identity, machine, ..Discovered::listed(listed, serial.to_owned(), None) }
    }

    fn declared(name: &str, serial: Option<&str>, address: Option<&str>) -> Device {
        let [serial, address] = [serial, address].map(|text| text.map(str::to_owned));
        let transport = TransportConfig::Adb(AdbEndpoint { serial, address, server: None });
        Device { transport, ..sample::device(name) }
    }

    #[test]
    fn two_ways_to_a_phone_are_one_entry_with_both() {
        for order in [["10.0.0.7:5555", "1A2B"], ["1A2B", "10.0.0.7:5555"]] {
            let mut all = order.map(|serial| found(serial, Some("1A2B")));
            join_ways(&mut all);
            let cable = all.iter().find(|one| one.serial == "1A2B").expect("it is there");
            let air = all.iter().find(|one| one.serial != "1A2B").expect("it is there");
            assert_eq!((cable.same_as.as_deref(), air.same_as.as_deref()), (None, Some("1A2B")));
            assert_eq!(cable.endpoint.address.as_deref(), Some("10.0.0.7:5555"));
            assert!(cable.is_new() && !air.is_new());
        }
    }

    #[test]
    fn what_a_farm_file_has_is_known_whichever_way_it_names_it() {
        for known in [
            declared("desk", Some("1A2B"), None),
            declared("desk", None, Some("10.0.0.7:5555")),
            declared("desk", Some("1A2B"), Some("10.0.0.9:1")),
        ] {
            let mut all = [found("1A2B", Some("1A2B")), found("10.0.0.7:5555", Some("1A2B")), found("X", Some("X"))];
            join_ways(&mut all);
            mark_declared(&mut all, &[sample::device("board"), known.clone()]);
            let marks: Vec<Option<&str>> = all.iter().map(|one| one.declared_as.as_deref()).collect();
            assert_eq!(marks, [Some("desk"), Some("desk"), None], "{known:?}");
        }
        // Connected over TCP alone, and declared by the serial number it has on USB.
        let mut all = [found("10.0.0.7:5555", Some("1A2B"))];
        mark_declared(&mut all, &[declared("desk", Some("1A2B"), None)]);
        assert_eq!(all[0].declared_as.as_deref(), Some("desk"));
    }

    #[test]
    fn names_are_good_and_unique() {
        assert_eq!(suggest_name(&found("x", Some("1A2B")), &|_| false), "pixel-6-1a2b");
        let taken = |name: &str| matches!(name, "pixel-6-1a2b" | "pixel-6-1a2b-2");
        assert_eq!(suggest_name(&found("x", Some("1A2B")), &taken), "pixel-6-1a2b-3");
        assert_eq!(suggest_name(&found("10.0.0.7:5555", None), &|_| false), "pixel-6-10.0.0.7-5555");
        let long = suggest_name(&found(&"9".repeat(200), None), &|name| !name.ends_with("-2"));
        assert!(long.len() == MAX_NAME_CHARS && long.ends_with("-2"), "{long}");
        assert_eq!(suggest_name(&Discovered { model: Some("«»".into()), ..found("…", None) }, &|_| false), "phone");
    }
}
