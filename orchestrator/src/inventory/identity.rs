use std::time::Duration;

use futures::StreamExt as _;

use crate::device::{MachineIdentity, PhoneAnswer, Relation, ask_android};
use crate::domain::{Device, Timeouts, TransportConfig};
use crate::transport::Connect;

use super::AT_ONCE;

/// A device that is another one, reached another way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuplicateEntry {
    /// Its name.
    pub device: String,
    /// The device that is used.
    pub same_as: String,
}

/// What was found out about the phones of a farm.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PhoneSurvey {
    /// Those that are others, reached another way.
    pub entries: Vec<DuplicateEntry>,
    /// Names of those that say they are the same phone as another, and are not: clones of one image.
    pub clones: Vec<String>,
}

/// A device with what it said it is, if it is a phone and answered.
type Answer<'a> = (&'a Device, Option<MachineIdentity>);

/// Asks all phones what they are, and says which are declared twice. A device that does not answer is no duplicate
/// entry. With fewer than two phones, none is asked.
pub async fn survey_phones(devices: &[Device], connect: &dyn Connect, timeouts: &Timeouts) -> PhoneSurvey {
    let phones: Vec<&Device> =
        devices.iter().filter(|device| matches!(device.transport, TransportConfig::Adb(_))).collect();
    if phones.len() < 2 {
        return PhoneSurvey::default();
    }
    let limits = [timeouts.connect_seconds, timeouts.bring_up_seconds].map(Duration::from_secs_f64);
    let mut known = ask_all(&phones, connect, limits).await;
    // Of two that look like clones one may have booted anew between the two questions: then both say the same now.
    let unclear: Vec<&Device> = clones(&known).into_iter().map(|(device, _)| *device).collect();
    for (device, machine) in ask_all(&unclear, connect, limits).await {
        let answer = known.iter_mut().find(|(other, _)| other.name == device.name);
        if let (Some(answer), Some(machine)) = (answer, machine) {
            answer.1 = Some(machine);
        }
    }
    let clones = clones(&known).into_iter().map(|(device, _)| device.name.clone()).collect();
    PhoneSurvey { entries: duplicate_entries(&known), clones }
}

async fn ask_all<'a>(devices: &[&'a Device], connect: &dyn Connect, limits: [Duration; 2]) -> Vec<Answer<'a>> {
    let asked = devices.iter().map(|&device| async move {
        let answer = phone_answer(&device.name, &device.transport, connect, limits).await;
        (device, answer.map(|answer| MachineIdentity::of_phone(&answer.facts, answer.boot_id)))
    });
    futures::stream::iter(asked).buffered(AT_ONCE).collect().await
}

/// What a phone says of itself; `None` when it does not answer or is none. The limits are those of connecting and of
/// asking.
pub(super) async fn phone_answer(
    name: &str,
    path: &TransportConfig,
    connect: &dyn Connect,
    [connect_limit, limit]: [Duration; 2],
) -> Option<PhoneAnswer> {
    let transport = match connect.connect(path, connect_limit).await {
        Ok(transport) => transport,
        Err(error) => {
            tracing::debug!(device = name, %error, "not asked what it is");
            return None;
        }
    };
    let answer = ask_android(name, transport.as_ref(), limit).await;
    transport.close().await;
    answer.unwrap_or_else(|failure| {
        tracing::debug!(device = name, %failure, "not asked what it is");
        None
    })
}

fn are(one: &Option<MachineIdentity>, two: &Option<MachineIdentity>, relation: Relation) -> bool {
    one.as_ref().zip(two.as_ref()).is_some_and(|(one, two)| one.relation(two) == relation)
}

/// Those of which another says that it is the same phone, in another boot.
fn clones<'a, 'b>(devices: &'b [Answer<'a>]) -> Vec<&'b Answer<'a>> {
    let has_clone = |(_, machine): &&Answer<'_>| devices.iter().any(|(_, other)| are(machine, other, Relation::Clone));
    devices.iter().filter(has_clone).collect()
}

/// Of devices that are the same phone the one with the best path is used; of equal paths the one declared first.
fn duplicate_entries(devices: &[Answer<'_>]) -> Vec<DuplicateEntry> {
    let duplicate = |(device, machine): &Answer<'_>| {
        let same = devices.iter().filter(|(_, other)| are(machine, other, Relation::Same));
        // The first of several smallest ones.
        let (used, _) = same.min_by_key(|(device, _)| path_rank(&device.transport))?;
        let is_other = used.name != device.name;
        is_other.then(|| DuplicateEntry { device: device.name.clone(), same_as: used.name.clone() })
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
    use crate::domain::{AdbEndpoint, AndroidFacts, sample};

    fn phone(name: &str, serial: Option<&str>, address: Option<&str>) -> Device {
        let [serial, address] = [serial, address].map(|text| text.map(str::to_owned));
        let transport = TransportConfig::Adb(AdbEndpoint { serial, address, server: None });
        Device { transport, ..sample::device(name) }
    }

    fn machine(text: &str) -> MachineIdentity {
        let (serial, boot_id) = text.split_once('/').expect("serial/boot");
        let facts = AndroidFacts { serial: Some(serial.to_owned()), ..AndroidFacts::default() };
        MachineIdentity::of_phone(&facts, Some(boot_id.to_owned()))
    }

    fn found(devices: &[(Device, Option<&str>)]) -> Vec<(String, String)> {
        let known: Vec<Answer<'_>> = devices.iter().map(|(device, identity)| (device, identity.map(machine))).collect();
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
    #[test]
    fn two_phones_of_one_image_are_two() {
        let air = |name| phone(name, None, Some("10.0.0.7:5555"));
        let all = [(air("a"), Some("p/1")), (air("b"), Some("p/2")), (air("c"), Some("p/2")), (air("d"), Some("q/1"))];
        assert_eq!(found(&all), [("c".to_owned(), "b".to_owned())]);
        let known: Vec<Answer<'_>> = all.iter().map(|(device, it)| (device, it.map(machine))).collect();
        let clones: Vec<&str> = clones(&known).into_iter().map(|(device, _)| device.name.as_str()).collect();
        assert_eq!(clones, ["a", "b", "c"]);
    }
}
