//! What an adb server lists, and what a device's state means to a person.
//!
//! Main type: [`AdbDevice`]. Asks nothing itself.

use super::words::{TO_AUTHORIZE, TO_PERMIT};
use crate::domain::is_host_and_port;
use crate::transport::{ErrorKind, TransportError};

/// A device that an adb server lists.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AdbDevice {
    /// What names it to the server: its serial number, or `host:port` when it is connected over TCP.
    pub serial: String,
    /// `device` when it can be used; else `unauthorized`, `offline`, `recovery`, … or the server's own sentence.
    pub state: String,
    /// Where it is plugged in (`1-5`), when it is on USB.
    pub usb: Option<String>,
    /// Build product.
    pub product: Option<String>,
    /// Model.
    pub model: Option<String>,
    /// Board or code name.
    pub device: Option<String>,
    /// The server's own number of this connection; another one each time that the device is connected.
    pub transport_id: Option<u64>,
}

impl AdbDevice {
    /// Whether commands can be run on it.
    pub fn is_ready(&self) -> bool {
        self.state == "device"
    }

    /// How it is connected, in a word.
    pub fn connection(&self) -> &'static str {
        match &self.usb {
            Some(_) => "usb",
            None if self.serial.starts_with("emulator-") => "emulator",
            None if is_host_and_port(&self.serial) || self.serial.contains("._adb") => "tcp",
            None => "usb",
        }
    }

    /// Whether it is what a person calls so: by its serial number, or as `adb -s` and `adb -t` take it.
    pub fn is_named(&self, name: &str) -> bool {
        let is = |field: &Option<String>, value: &str| field.as_deref() == Some(value);
        if self.serial == name {
            return true;
        }
        match name.split_once(':') {
            Some(("usb", path)) => is(&self.usb, path),
            Some(("transport_id", number)) => number.parse().is_ok_and(|number| self.transport_id == Some(number)),
            Some(("product", value)) => is(&self.product, value),
            Some(("model", value)) => is(&self.model, value),
            Some(("device", value)) => is(&self.device, value),
            _ => false,
        }
    }

    /// A name for it that no other device of the list has, for a farm file. A number of the server's is none: it
    /// changes.
    pub fn unique_name(&self, listed: &[AdbDevice]) -> String {
        match &self.usb {
            Some(path) if !self.has_own_serial(listed) => format!("usb:{path}"),
            _ => self.serial.clone(),
        }
    }

    /// Whether its serial number names it and no other device of the list. `(no serial number)` is none, whatever a
    /// list says.
    pub(super) fn has_own_serial(&self, listed: &[AdbDevice]) -> bool {
        !self.serial.starts_with('(') && listed.iter().filter(|other| other.serial == self.serial).count() < 2
    }

    /// The error of a device that is listed but can't be used, with what a person can do.
    pub(super) fn unusable(&self, server: &str) -> TransportError {
        let (kind, hint) = match self.state.as_str() {
            "unauthorized" => (ErrorKind::Unauthorized, TO_AUTHORIZE),
            "authorizing" | "connecting" => (ErrorKind::Unreachable, "it is being connected; try again in a moment"),
            "offline" => (
                ErrorKind::Unreachable,
                "its debug daemon does not answer: plug it in again or wake it up, or try `adb reconnect offline`",
            ),
            "recovery" | "rescue" => {
                (ErrorKind::Unreachable, "it is in its recovery system; boot Android with `adb reboot`")
            }
            "sideload" => {
                (ErrorKind::Unreachable, "it waits for an update to be sideloaded; boot Android with `adb reboot`")
            }
            "bootloader" | "fastboot" => {
                (ErrorKind::Unreachable, "it is in its bootloader; boot Android with `fastboot reboot`")
            }
            "detached" => (ErrorKind::Unreachable, "another program holds it; attach it with `adb attach`"),
            state if state.starts_with("no permissions") || state == "noperm" => (ErrorKind::Unauthorized, TO_PERMIT),
            _ => (ErrorKind::Unreachable, "`adb devices -l` shows its state; it must be `device`"),
        };
        let message = format!("connect to adb {} by {server}: its state is «{}»", self.serial, self.state);
        TransportError::new(kind, message).with_hint(hint)
    }
}

/// The error of a name that several devices have.
pub(super) fn ambiguous(wanted: &str, found: &[&AdbDevice], listed: &[AdbDevice], server: &str) -> TransportError {
    let mut names: Vec<String> = found
        .iter()
        .map(|device| match device.unique_name(listed) {
            name if name != wanted => name,
            name => device.transport_id.map_or(name, |id| format!("transport_id:{id} (until it is connected anew)")),
        })
        .collect();
    // A server lists devices in an order of its own.
    names.sort();
    let count = found.len();
    let message = format!("connect to adb {wanted} by {server}: {count} devices that it lists are called so");
    TransportError::new(ErrorKind::NameUnknown, message)
        .with_hint(format!("write one of these into the farm file as `serial`: {}", names.join(", ")))
}

/// A name of the list that may have been meant, in words.
pub(super) fn meant(wanted: &str, listed: &[AdbDevice]) -> Option<String> {
    const NEAR: usize = 3;
    let nearest = listed.iter().min_by_key(|device| strsim::levenshtein(wanted, &device.serial))?;
    let is_near = strsim::levenshtein(wanted, &nearest.serial) <= NEAR;
    is_near.then(|| format!("did you mean {}? (it is {})", nearest.serial, nearest.state))
}

/// The error of a device that is not listed.
pub(super) fn not_listed(wanted: &str, listed: &[AdbDevice], server: &str) -> TransportError {
    let error = TransportError::new(
        ErrorKind::Unreachable,
        format!("connect to adb {wanted} by {server}: it lists no such device"),
    );
    if let Some(meant) = meant(wanted, listed) {
        return error.with_hint(meant);
    }
    match listed.first() {
        Some(_) => {
            let serials: Vec<String> = listed.iter().map(|device| device.unique_name(listed)).collect();
            error.with_hint(format!("check cable, power and USB debugging; listed are: {}", serials.join(", ")))
        }
        None => error.with_hint("check cable, power and USB debugging; no device is listed at all"),
    }
}

/// Reads the answer to `host:devices-l`; a line that can't be read is left out.
pub(super) fn parse_devices(text: &str) -> Vec<AdbDevice> {
    text.lines().filter_map(parse_device).collect()
}

/// What stands behind a state.
const FIELDS: [&str; 5] = ["usb:", "product:", "model:", "device:", "transport_id:"];
/// What a server calls the states of its devices (AOSP, adb.cpp: `to_string(ConnectionState)`).
const STATES: [&str; 14] = [
    "device",
    "offline",
    "unauthorized",
    "authorizing",
    "connecting",
    "recovery",
    "rescue",
    "sideload",
    "bootloader",
    "fastboot",
    "detached",
    "host",
    "noperm",
    "unknown",
];

/// `SERIAL state [usb:PATH] [product:P model:M device:D] transport_id:N`. The state may be a sentence: `no permissions
/// (user x is not in the plugdev group); see [http://…]`. Serials and names of products may have spaces:
/// `(no serial number)`, `adb-R58M123 (2)._adb-tls-connect._tcp`.
fn parse_device(line: &str) -> Option<AdbDevice> {
    let line = line.trim();
    let (serial, rest) = split_at_state(line)?;
    let mut device = AdbDevice { serial: serial.to_owned(), ..AdbDevice::default() };
    let mut target: Option<&'static str> = None;
    for word in rest.split_whitespace() {
        let field = FIELDS.into_iter().find(|field| word.starts_with(field));
        let value = match field {
            Some(field) => {
                target = Some(field);
                &word[field.len()..]
            }
            None if target.is_none() && !device.state.is_empty() && is_bare_port(word) => {
                device.usb = Some(word.to_owned());
                continue;
            }
            None => word,
        };
        let text = match target {
            None => &mut device.state,
            Some("usb:") => device.usb.get_or_insert_default(),
            Some("product:") => device.product.get_or_insert_default(),
            Some("model:") => device.model.get_or_insert_default(),
            Some("device:") => device.device.get_or_insert_default(),
            Some(_) => {
                device.transport_id = value.parse().ok();
                continue;
            }
        };
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(value);
    }
    (!device.state.is_empty()).then_some(device)
}

/// Where the state begins: at the first word that is one, with nothing but fields behind it. An unknown state stands
/// behind the first space.
fn split_at_state(line: &str) -> Option<(&str, &str)> {
    for (index, _) in line.match_indices(char::is_whitespace) {
        let (serial, rest) = line.split_at(index);
        let mut words = rest.split_whitespace();
        let (first, second) = (words.next().unwrap_or_default(), words.next());
        let is_followed = second.is_none_or(|word| is_bare_port(word) || FIELDS.iter().any(|it| word.starts_with(it)));
        let is_refusal = first == "no" && second.is_some_and(|word| word.starts_with("permissions"));
        let starts_here = rest.chars().nth(1).is_some_and(|c| !c.is_whitespace());
        if starts_here && (is_refusal || (STATES.contains(&first) && is_followed)) {
            return Some((serial.trim_end(), rest.trim_start()));
        }
    }
    let (serial, rest) = line.split_once(char::is_whitespace)?;
    Some((serial, rest.trim_start()))
}

/// macOS lists the port without `usb:`.
fn is_bare_port(word: &str) -> bool {
    word.contains('-') && word.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '.'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn one(line: &str) -> AdbDevice {
        let mut devices = parse_devices(line);
        assert_eq!(devices.len(), 1, "{line}");
        devices.remove(0)
    }

    #[test]
    fn every_form_of_line_is_read() {
        let phone = one("R58M123\tdevice usb:1-5 product:beyond model:SM_G973F device:beyond1 transport_id:4");
        assert_eq!((phone.serial.as_str(), phone.state.as_str(), phone.connection()), ("R58M123", "device", "usb"));
        assert_eq!((phone.usb.as_deref(), phone.model.as_deref()), (Some("1-5"), Some("SM_G973F")));
        let spaced = one("10.0.0.7:5555 device product:m425 plus-a model:M425 PLUS A device:m450a transport_id:1");
        assert_eq!(spaced.product.as_deref(), Some("m425 plus-a"));
        assert_eq!((spaced.model.as_deref(), spaced.connection()), (Some("M425 PLUS A"), "tcp"));
        assert_eq!(one("NOH20 device 20-4 product:p model:m device:d transport_id:3").usb.as_deref(), Some("20-4"));
        assert_eq!(one("emulator-5554 offline transport_id:1").connection(), "emulator");
        let refused =
            one("8XV no permissions (user lab is not in the plugdev group); see [http://x/y] usb:1-2 transport_id:9");
        assert!(refused.state.starts_with("no permissions (user lab"), "{refused:?}");
        assert_eq!(refused.usb.as_deref(), Some("1-2"));
        assert_eq!(parse_devices("\n\nalone\n"), []);
        assert_eq!(phone.transport_id, Some(4));
    }

    #[test]
    fn names_with_spaces_are_read_whatever_the_state() {
        for name in ["adb-R58M123 (2)._adb-tls-connect._tcp", "(no serial number)", "my device 5", "a  b"] {
            let phone = one(&format!("{name:<22} device product:p model:M device:d transport_id:7"));
            assert_eq!((phone.serial.as_str(), phone.state.as_str()), (name, "device"));
            assert_eq!((phone.model.as_deref(), phone.transport_id), (Some("M"), Some(7)));
            let phone = one(&format!("{name:<22} unauthorized usb:1-5 transport_id:7"));
            assert_eq!((phone.serial.as_str(), phone.state.as_str()), (name, "unauthorized"));
            let phone = one(&format!("{name:<22} no permissions (x); see [y] usb:1-5 transport_id:7"));
            assert_eq!((phone.serial.as_str(), phone.usb.as_deref()), (name, Some("1-5")));
            assert_eq!(one(&format!("{name}\toffline")).serial, name);
        }
    }

    #[test]
    fn two_phones_of_one_serial_are_told_apart_by_where_they_are_plugged_in() {
        let listed = parse_devices(
            "0123456789ABCDEF device usb:1-5 product:p transport_id:1\n\
             0123456789ABCDEF device usb:1-6 product:p transport_id:9\nR58 device usb:2-1 product:q transport_id:3",
        );
        let named =
            |name: &str| listed.iter().filter(|device| device.is_named(name)).map(|it| it.transport_id).collect();
        let one: Vec<Option<u64>> = named("usb:1-6");
        assert_eq!(one, [Some(9)]);
        assert_eq!((named("transport_id:3"), named("product:q")), (vec![Some(3)], vec![Some(3)]));
        let found: Vec<&AdbDevice> = listed.iter().filter(|device| device.is_named("0123456789ABCDEF")).collect();
        let error = ambiguous("0123456789ABCDEF", &found, &listed, "adb server here:1");
        assert!(error.hint.unwrap().ends_with("usb:1-5, usb:1-6"));
        assert_eq!(listed[2].unique_name(&listed), "R58");
    }

    #[test]
    fn every_state_has_its_remedy() {
        for (state, kind, remedy) in [
            ("unauthorized", ErrorKind::Unauthorized, "accept this host's key"),
            ("no permissions (x); see [y]", ErrorKind::Unauthorized, "udev"),
            ("offline", ErrorKind::Unreachable, "adb reconnect offline"),
            ("authorizing", ErrorKind::Unreachable, "moment"),
            ("recovery", ErrorKind::Unreachable, "adb reboot"),
            ("sideload", ErrorKind::Unreachable, "adb reboot"),
            ("bootloader", ErrorKind::Unreachable, "fastboot reboot"),
            ("something new", ErrorKind::Unreachable, "adb devices -l"),
        ] {
            let device = one(&format!("R58 {state} transport_id:1"));
            let error = device.unusable("adb server here:1");
            assert_eq!(error.kind, kind, "{state}");
            assert!(error.message.contains("R58") && error.message.contains(state), "{error}");
            assert!(error.hint.unwrap().contains(remedy), "{state}");
        }
    }

    #[test]
    fn a_misspelt_serial_is_told_with_the_one_that_is_meant() {
        let listed = parse_devices("R58M123ABCD device transport_id:1\nother unauthorized transport_id:2");
        let hint = |wanted, listed: &[AdbDevice]| not_listed(wanted, listed, "adb server here:1").hint.unwrap();
        assert!(hint("R58M132ABCD", &listed).contains("did you mean R58M123ABCD?"));
        assert!(hint("completely-else", &listed).contains("R58M123ABCD, other"));
        assert!(hint("x", &[]).contains("no device is listed at all"));
    }
}
