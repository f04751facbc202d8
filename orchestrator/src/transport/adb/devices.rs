//! What an adb server lists, and what a device's state means to a person.
//!
//! Main type: [`AdbDevice`]. Asks nothing itself.

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
            None if self.serial.contains(':') || self.serial.contains("._adb") => "tcp",
            None => "usb",
        }
    }

    /// The error of a device that is listed but can't be used, with what a person can do.
    pub(super) fn unusable(&self, server: &str) -> TransportError {
        let (kind, hint) = match self.state.as_str() {
            "unauthorized" => (
                ErrorKind::LoginRefused,
                "unlock the screen and accept this host's key there (tick «Always allow»); if nothing is shown, revoke \
                 the USB debugging authorisations in the developer options and plug it in again",
            ),
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
            state if state.starts_with("no permissions") || state == "noperm" => (
                ErrorKind::LoginRefused,
                "this user may not open the USB device: install udev rules for it (Debian and Ubuntu: \
                 android-sdk-platform-tools-common), join the group plugdev, log in again, and `adb kill-server`",
            ),
            _ => (ErrorKind::Unreachable, "`adb devices -l` shows its state; it must be `device`"),
        };
        let message = format!("connect to adb {} by {server}: its state is «{}»", self.serial, self.state);
        TransportError::new(kind, message).with_hint(hint)
    }
}

/// The error of a device that is not listed.
pub(super) fn not_listed(wanted: &str, listed: &[AdbDevice], server: &str) -> TransportError {
    const NEAR: usize = 3;
    let error = TransportError::new(
        ErrorKind::Unreachable,
        format!("connect to adb {wanted} by {server}: it lists no such device"),
    );
    let nearest =
        listed.iter().map(|device| (strsim::levenshtein(wanted, &device.serial), device)).min_by_key(|near| near.0);
    match nearest {
        Some((distance, device)) if distance <= NEAR => {
            error.with_hint(format!("did you mean {}? (it is {})", device.serial, device.state))
        }
        Some(_) => {
            let serials: Vec<&str> = listed.iter().map(|device| device.serial.as_str()).collect();
            error.with_hint(format!("check cable, power and USB debugging; listed are: {}", serials.join(", ")))
        }
        None => error.with_hint("check cable, power and USB debugging; no device is listed at all"),
    }
}

/// Reads the answer to `host:devices-l`; a line that can't be read is left out.
pub(super) fn parse_devices(text: &str) -> Vec<AdbDevice> {
    text.lines().filter_map(parse_device).collect()
}

/// `SERIAL state [usb:PATH] [product:P model:M device:D] transport_id:N`. The state may be a sentence: `no permissions
/// (user x is not in the plugdev group); see [http://…]`. Names of products may have spaces.
fn parse_device(line: &str) -> Option<AdbDevice> {
    const FIELDS: [&str; 5] = ["usb:", "product:", "model:", "device:", "transport_id:"];
    let (serial, rest) = line.trim().split_once(char::is_whitespace)?;
    let mut device = AdbDevice { serial: serial.to_owned(), ..AdbDevice::default() };
    let mut target: Option<&'static str> = None;
    for word in rest.split_whitespace() {
        let field = FIELDS.into_iter().find(|field| word.starts_with(field));
        // macOS lists the port without `usb:`.
        let bare_port = target.is_none()
            && !device.state.is_empty()
            && word.contains('-')
            && word.chars().all(|c| c.is_ascii_digit() || matches!(c, '-' | '.'));
        let value = match field {
            Some(field) => {
                target = Some(field);
                &word[field.len()..]
            }
            None if bare_port => {
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
            Some(_) => continue,
        };
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(value);
    }
    (!device.state.is_empty()).then_some(device)
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
    }

    #[test]
    fn every_state_has_its_remedy() {
        for (state, kind, remedy) in [
            ("unauthorized", ErrorKind::LoginRefused, "accept this host's key"),
            ("no permissions (x); see [y]", ErrorKind::LoginRefused, "udev"),
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
