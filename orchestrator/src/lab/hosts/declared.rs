//! A device as a host publishes it, and whether two hosts mean the same by one name.

use serde_json::Value;

use crate::domain::{AdbEndpoint, DeclaredDevice, Device, Recovery, SshEndpoint, TransportConfig, sha256_hex};

/// What a host publishes of a device: nothing of how it logs in, or brings the device back.
pub(super) fn declared(host: &str, device: &Device, declared_at: String) -> DeclaredDevice {
    let transport = match &device.transport {
        TransportConfig::Local => TransportConfig::Local,
        TransportConfig::Ssh(endpoint) => TransportConfig::Ssh(SshEndpoint {
            host: endpoint.host.clone(),
            port: endpoint.port,
            user: endpoint.user.clone(),
            ..SshEndpoint::default()
        }),
        TransportConfig::Adb(endpoint) => TransportConfig::Adb(AdbEndpoint { server: None, ..endpoint.clone() }),
    };
    let device = Device { transport, recovery: Recovery::default(), declared_at, ..device.clone() };
    let place = if is_of_one_host(&device.transport) { host } else { "" };
    let hash = sha256_hex(format!("{place} {}", meant(&device)).as_bytes());
    DeclaredDevice { host: host.to_owned(), device, hash }
}

/// Whether the same words mean another device at another host: that host itself, or a place of its own adb server.
fn is_of_one_host(transport: &TransportConfig) -> bool {
    match transport {
        TransportConfig::Local => true,
        TransportConfig::Ssh(_) => false,
        TransportConfig::Adb(endpoint) => {
            let is_place = |serial: &str| serial.starts_with("usb:") || serial.starts_with("transport_id:");
            endpoint.serial.as_deref().is_some_and(is_place)
        }
    }
}

/// What must be the same wherever the device is declared: how it is reached, what it allows, what selects it.
fn meant(device: &Device) -> Value {
    let same =
        Device { farm: String::new(), notes: None, max_parallel: None, declared_at: String::new(), ..device.clone() };
    // A device is plain data, which JSON can say.
    serde_json::to_value(same).unwrap_or_default()
}

/// In what two declarations of one name differ, in a person's words; `None` when both mean the same device.
pub(super) fn difference(one: &DeclaredDevice, other: &DeclaredDevice) -> Option<String> {
    if one.hash == other.hash {
        return None;
    }
    let (of_one, of_other) = (meant(&one.device), meant(&other.device));
    let fields = of_one.as_object().into_iter().chain(of_other.as_object()).flat_map(|fields| fields.keys());
    let mut differing: Vec<&str> =
        fields.filter(|field| of_one.get(field) != of_other.get(field)).map(String::as_str).collect();
    differing.sort_unstable();
    differing.dedup();
    match differing.is_empty() {
        true => Some("each of them is of that host alone".to_owned()),
        false => Some(format!("they differ in {}", differing.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::PathBuf;

    use super::*;
    use crate::domain::{HostKey, SecretSource, Tag, sample};

    fn at(host: &str, device: &Device) -> DeclaredDevice {
        declared(host, device, format!("farms/{host}.yaml:2"))
    }

    fn board(change: impl FnOnce(&mut SshEndpoint)) -> Device {
        let mut endpoint = SshEndpoint { host: "10.0.0.1".to_owned(), ..SshEndpoint::default() };
        change(&mut endpoint);
        Device { transport: TransportConfig::Ssh(endpoint), ..sample::device("board") }
    }

    #[test]
    fn how_a_host_logs_in_is_its_own_business_and_not_published() {
        let plain = board(|_| {});
        let with_key = board(|endpoint| {
            endpoint.identity_file = Some(PathBuf::from("/home/ann/.ssh/key"));
            endpoint.password = Some(SecretSource::Environment("SECRET".to_owned()));
            endpoint.host_key = Some(HostKey("SHA256:abc".to_owned()));
        });
        let recovery = Recovery { reset: Some(vec!["uhubctl".to_owned()]), ..Recovery::default() };
        let with_key = Device { recovery, notes: Some("red".to_owned()), farm: "rack".to_owned(), ..with_key };
        let (one, other) = (at("a", &plain), at("b", &with_key));
        assert_eq!(difference(&one, &other), None);
        let published = serde_json::to_string(&other.device).unwrap();
        for word in ["/home/ann", "SECRET", "SHA256:abc", "uhubctl"] {
            assert!(!published.contains(word), "{word} in {published}");
        }
        assert_eq!(other.device.declared_at, "farms/b.yaml:2");
    }

    #[test]
    fn what_selects_or_reaches_a_device_must_be_the_same() {
        let plain = board(|_| {});
        let tag = Tag { key: "arm".to_owned(), value: None };
        let cases = [
            (board(|endpoint| endpoint.host = "10.0.0.2".to_owned()), "transport"),
            (board(|endpoint| endpoint.port = Some(2222)), "transport"),
            (Device { tags: [tag].into(), ..plain.clone() }, "tags"),
            (Device { disabled: Some("broken".to_owned()), ..plain.clone() }, "disabled"),
            (Device { workdir: "/data".to_owned(), exclusive: Some("pc".to_owned()), ..plain.clone() }, "workdir"),
        ];
        for (other, word) in cases {
            let told = difference(&at("a", &plain), &at("b", &other)).unwrap();
            assert!(told.starts_with("they differ in ") && told.contains(word), "{told}");
        }
    }

    #[test]
    fn this_host_and_its_own_ports_are_another_device_at_another_host() {
        let serial = |serial: &str| {
            let endpoint = AdbEndpoint { serial: Some(serial.to_owned()), address: None, server: None };
            Device { transport: TransportConfig::Adb(endpoint), ..sample::device("phone") }
        };
        for device in [sample::device("this-host"), serial("usb:1-5")] {
            assert_eq!(difference(&at("a", &device), &at("b", &device)).unwrap(), "each of them is of that host alone");
            assert_eq!(difference(&at("a", &device), &at("a", &device)), None);
        }
        // A phone that was moved from one host to the other is the same phone.
        let phone = serial("R58M123ABCD");
        assert_eq!(difference(&at("a", &phone), &at("b", &phone)), None);
    }
}
