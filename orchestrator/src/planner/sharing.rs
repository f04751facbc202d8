//! Devices that are one machine, or may be: measured at the same time they slow each other down.

use core::net::IpAddr;

use crate::domain::{AdbEndpoint, Device, Inventory, Plan, SshEndpoint, THIS_HOST, TransportConfig};

/// What is to be said of the devices that a plan has jobs for.
pub fn remarks_on_machines_of(plan: &Plan, inventory: &Inventory) -> Vec<String> {
    // Of other hosts' devices they say it themselves.
    let has_jobs = |device: &&Device| !device.is_elsewhere && plan.jobs.iter().any(|job| job.device == device.name);
    remarks_on_machines(inventory.devices.iter().filter(has_jobs))
}

/// What is to be said of those devices that are one machine or are reached at one host. Local ones take turns by
/// themselves. Of others it is not known: a host's ports may lead to boards behind it. So a person has to say.
pub fn remarks_on_machines<'a>(devices: impl IntoIterator<Item = &'a Device>) -> Vec<String> {
    let mut hosts: Vec<(String, Vec<&Device>)> = Vec::new();
    for device in devices.into_iter().filter(|device| device.disabled.is_none()) {
        let Some(host) = host_of(&device.transport) else { continue };
        match hosts.iter_mut().find(|(other, _)| *other == host) {
            Some((_, devices)) => devices.push(device),
            None => hosts.push((host, vec![device])),
        }
    }
    hosts.iter().filter_map(|(host, devices)| remark(host, devices)).collect()
}

fn remark(host: &str, devices: &[&Device]) -> Option<String> {
    let names = |devices: &[&Device]| devices.iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join(", ");
    if devices.len() < 2 {
        return None;
    }
    if devices.iter().all(|device| device.transport == TransportConfig::Local) {
        return Some(format!("{} are this host: they take turns, for they would slow each other down", names(devices)));
    }
    let meets_another =
        |device: &&&Device| devices.iter().any(|it| it.name != device.name && !device.takes_turns_with(it));
    // Whoever gave a device a word has said what it shares.
    let unsaid: Vec<&Device> =
        devices.iter().filter(|device| device.exclusive.is_none()).filter(meets_another).copied().collect();
    if unsaid.is_empty() {
        return None;
    }
    let word = devices.iter().find_map(|device| device.exclusive.clone()).unwrap_or_else(|| word_of(host));
    let places: Vec<&str> = unsaid.iter().map(|device| device.declared_at.as_str()).collect();
    Some(format!(
        "{} are reached at {host} and may be one machine, on which they would slow each other down: \
         `exclusive: {word}` at {} ({}) has them take turns; a word of its own for each says that they are several",
        names(devices),
        names(&unsaid),
        places.join(", ")
    ))
}

/// The machine that something is reached at, as far as its address tells.
fn host_of(transport: &TransportConfig) -> Option<String> {
    match transport {
        TransportConfig::Local => Some(THIS_HOST.to_owned()),
        TransportConfig::Ssh(SshEndpoint { host, proxy_jump, .. }) => {
            match proxy_jump.as_deref().filter(|jump| *jump != "none") {
                Some(jump) => Some(format!("{} behind {jump}", host.to_lowercase())),
                None => Some(host_name(host)),
            }
        }
        TransportConfig::Adb(AdbEndpoint { serial, address, server }) => {
            let at_server = || server.as_deref().map_or_else(|| THIS_HOST.to_owned(), host_part);
            let is_emulator = serial.as_deref().is_some_and(|serial| serial.starts_with("emulator-"));
            if is_emulator && address.is_none() {
                return Some(at_server());
            }
            let named = address.as_deref().or(serial.as_deref().filter(|it| crate::domain::is_host_and_port(it)))?;
            let host = host_part(named);
            Some(if host == THIS_HOST { at_server() } else { host })
        }
    }
}

fn host_part(address: &str) -> String {
    host_name(address.rsplit_once(':').map_or(address, |(host, _)| host))
}

fn host_name(host: &str) -> String {
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_lowercase();
    let is_loopback = bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if is_loopback { THIS_HOST.to_owned() } else { bare }
}

/// A word for a farm file.
fn word_of(host: &str) -> String {
    let word: String = host.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    word.trim_matches(['-', '.']).chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sample;

    fn ssh(name: &str, host: &str, port: u16) -> Device {
        let endpoint = SshEndpoint { host: host.to_owned(), port: Some(port), ..SshEndpoint::default() };
        let declared_at = format!("farms/lab.yaml:{port}");
        Device { transport: TransportConfig::Ssh(endpoint), declared_at, ..sample::device(name) }
    }

    fn adb(name: &str, serial: Option<&str>, address: Option<&str>) -> Device {
        let [serial, address] = [serial, address].map(|it| it.map(str::to_owned));
        let endpoint = AdbEndpoint { serial, address, server: None };
        Device { transport: TransportConfig::Adb(endpoint), ..sample::device(name) }
    }

    fn said(devices: Vec<Device>) -> Vec<String> {
        let jobs = devices.iter().map(|device| sample::job(&device.name, "mobilenet_v2")).collect();
        let plan = Plan { sweep: String::new(), jobs, skipped: Vec::new() };
        remarks_on_machines_of(&plan, &Inventory { devices, host_target: None })
    }

    #[test]
    fn local_devices_are_this_host_and_take_turns() {
        let [one, two] = ["one", "two"].map(sample::device);
        assert!(one.takes_turns_with(&two));
        let said_of = said(vec![one.clone(), two]);
        assert_eq!(said_of, ["one, two are this host: they take turns, for they would slow each other down"]);
        assert_eq!(said(vec![one]), Vec::<String>::new());
    }

    #[test]
    fn ports_of_one_host_may_be_one_machine_until_a_person_says_what_they_share() {
        let boards = || vec![ssh("a", "Bench-PC.lab", 2201), ssh("b", "bench-pc.lab", 2202), ssh("c", "other", 22)];
        let [remark] = said(boards()).try_into().expect("one");
        for part in ["a, b are reached at bench-pc.lab", "`exclusive: bench-pc.lab` at a, b", "farms/lab.yaml:2202"] {
            assert!(remark.contains(part), "{remark}");
        }
        let with = |words: [Option<&str>; 2]| {
            let mut devices = boards();
            devices.iter_mut().zip(words).for_each(|(device, word)| device.exclusive = word.map(str::to_owned));
            said(devices)
        };
        assert_eq!(with([Some("x"), Some("x")]), Vec::<String>::new(), "they take turns");
        assert_eq!(with([Some("x"), Some("y")]), Vec::<String>::new(), "they are several");
        let [half] = with([Some("x"), None]).try_into().expect("one");
        assert!(half.contains("`exclusive: x` at b (farms/lab.yaml:2202)"), "{half}");
        let one_at_a_time = boards().into_iter().map(|device| Device { max_parallel: Some(1), ..device }).collect();
        assert_eq!(said(one_at_a_time), Vec::<String>::new());
    }

    #[test]
    fn what_is_reached_on_this_host_may_be_it() {
        for other in [
            ssh("b", "localhost", 2201),
            ssh("b", "127.0.0.1", 2201),
            ssh("b", "[::1]", 2201),
            adb("b", Some("emulator-5554"), None),
            adb("b", Some("127.0.0.1:5555"), None),
            adb("b", None, Some("localhost:5555")),
        ] {
            let transport = other.transport.clone();
            let [remark] = said(vec![sample::device("a"), other]).try_into().expect("one");
            assert!(remark.contains("reached at this host"), "{transport:?}: {remark}");
            assert!(remark.contains("`exclusive: this-host` at a, b"), "{transport:?}: {remark}");
        }
        let apart = [ssh("b", "board.lab", 22), adb("b", Some("R58M12"), None), adb("b", None, Some("10.0.0.5:5555"))];
        for other in apart {
            assert_eq!(said(vec![sample::device("a"), other]), Vec::<String>::new());
        }
        let containers = vec![adb("a", None, Some("10.0.0.5:5555")), adb("b", Some("10.0.0.5:5556"), None)];
        assert_eq!(said(containers).len(), 1);
    }
}
