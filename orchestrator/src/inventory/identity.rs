use std::time::Duration;

use futures::StreamExt as _;

use crate::device::ask_android;
use crate::domain::{AndroidFacts, Device, DeviceIdentity, Timeouts, TransportConfig};
use crate::transport::Connect;

use super::AT_ONCE;

/// A device that is another one, reached another way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuplicateEntry {
    /// Its name.
    pub device: String,
    /// The device that is used.
    pub same_as: String,
    /// What both are.
    pub identity: DeviceIdentity,
}

/// Asks all phones what they are, and says which are declared twice. A device that does not answer is no duplicate
/// entry. With fewer than two phones, none is asked.
pub async fn find_duplicate_entries(
    devices: &[Device],
    connect: &dyn Connect,
    timeouts: &Timeouts,
) -> Vec<DuplicateEntry> {
    let phones: Vec<&Device> =
        devices.iter().filter(|device| matches!(device.transport, TransportConfig::Adb(_))).collect();
    if phones.len() < 2 {
        return Vec::new();
    }
    let limits = [timeouts.connect_seconds, timeouts.bring_up_seconds].map(Duration::from_secs_f64);
    let asked = phones.into_iter().map(|device| async move {
        let facts = facts(&device.name, &device.transport, connect, limits).await;
        (device, facts.and_then(|facts| facts.identity()))
    });
    let known: Vec<(&Device, Option<DeviceIdentity>)> = futures::stream::iter(asked).buffered(AT_ONCE).collect().await;
    duplicate_entries(&known)
}

/// What a phone says of itself; `None` when it does not answer or is none. The limits are those of connecting and of
/// asking.
pub(super) async fn facts(
    name: &str,
    path: &TransportConfig,
    connect: &dyn Connect,
    [connect_limit, limit]: [Duration; 2],
) -> Option<AndroidFacts> {
    let transport = match connect.connect(path, connect_limit).await {
        Ok(transport) => transport,
        Err(error) => {
            tracing::debug!(device = name, %error, "not asked what it is");
            return None;
        }
    };
    let facts = ask_android(name, transport.as_ref(), limit).await;
    transport.close().await;
    facts.unwrap_or_else(|failure| {
        tracing::debug!(device = name, %failure, "not asked what it is");
        None
    })
}

/// Of devices with the same identity the one with the best path is used; of equal paths the one declared first.
fn duplicate_entries(devices: &[(&Device, Option<DeviceIdentity>)]) -> Vec<DuplicateEntry> {
    let of_identity = |wanted: &DeviceIdentity| {
        let same = devices.iter().filter(|(_, identity)| identity.as_ref() == Some(wanted));
        // The first of several smallest ones.
        same.map(|(device, _)| *device).min_by_key(|device| path_rank(&device.transport))
    };
    let duplicate = |(device, identity): &(&Device, Option<DeviceIdentity>)| {
        let identity = identity.clone()?;
        let used = of_identity(&identity)?;
        (used.name != device.name).then(|| DuplicateEntry {
            device: device.name.clone(),
            same_as: used.name.clone(),
            identity,
        })
    };
    devices.iter().filter_map(duplicate).collect()
}

/// How good a way to a device is; less is better. A cable is faster than the network, and doesn't use the radio of the
/// phone that is measured.
fn path_rank(transport: &TransportConfig) -> u8 {
    match transport {
        TransportConfig::Local => 0,
        TransportConfig::Adb(endpoint) if endpoint.is_cable_only() => 1,
        TransportConfig::Adb(endpoint) if endpoint.is_network_only() => 3,
        TransportConfig::Adb(_) => 2,
        TransportConfig::Ssh(_) => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AdbEndpoint, sample};

    fn phone(name: &str, serial: Option<&str>, address: Option<&str>) -> Device {
        let [serial, address] = [serial, address].map(|text| text.map(str::to_owned));
        let transport = TransportConfig::Adb(AdbEndpoint { serial, address, server: None });
        Device { transport, ..sample::device(name) }
    }

    fn found(devices: &[(Device, Option<&str>)]) -> Vec<(String, String)> {
        let known: Vec<(&Device, Option<DeviceIdentity>)> = devices
            .iter()
            .map(|(device, identity)| (device, identity.map(|text| DeviceIdentity(text.to_owned()))))
            .collect();
        duplicate_entries(&known).into_iter().map(|entry| (entry.device, entry.same_as)).collect()
    }

    #[test]
    fn the_cable_goes_before_the_network_whatever_the_order() {
        let air = phone("air", None, Some("10.0.0.7:5555"));
        let cable = phone("cable", Some("R58"), None);
        let expected = [("air".to_owned(), "cable".to_owned())];
        assert_eq!(found(&[(air.clone(), Some("p/1")), (cable.clone(), Some("p/1"))]), expected);
        assert_eq!(found(&[(cable, Some("p/1")), (air, Some("p/1"))]), expected);
    }

    #[test]
    fn of_equal_paths_the_first_declared_is_used() {
        let all = ["one", "two", "three"].map(|name| (phone(name, None, Some("10.0.0.7:5555")), Some("p/1")));
        let expected = [("two", "one"), ("three", "one")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(found(&all), expected);
    }

    #[test]
    fn without_an_identity_or_with_another_none_is_a_duplicate() {
        let cable = |name| phone(name, Some("R58"), None);
        assert_eq!(found(&[(cable("a"), None), (cable("b"), None), (cable("c"), Some("p/1"))]), []);
        assert_eq!(found(&[(cable("a"), Some("p/1")), (cable("b"), Some("q/1"))]), []);
    }
}
