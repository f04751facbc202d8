use std::fmt;

use serde::{Deserialize, Serialize};

/// What is done to a phone before it is measured, and undone afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AndroidOptions {
    /// Keeps it from sleeping while it has power.
    pub keep_awake: bool,
    /// Turns the screen off: it warms the phone and takes part of its power.
    pub screen_off: bool,
    /// Turns the radios off; not done where the device is reached over the network.
    pub airplane_mode: bool,
    /// Does it as root by the phone's `su`, which may ask for leave on the screen.
    pub su: bool,
}

impl Default for AndroidOptions {
    fn default() -> AndroidOptions {
        AndroidOptions { keep_awake: true, screen_off: true, airplane_mode: false, su: false }
    }
}

/// What one phone is, however it is connected: its build product and serial number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceIdentity(pub String);

impl DeviceIdentity {
    /// Of a device that has no number of its own: it is known by its name in the farm.
    pub fn by_name(name: &str) -> DeviceIdentity {
        DeviceIdentity(format!("name/{name}"))
    }
}

impl fmt::Display for DeviceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What Android's properties say. Of each text, `None` when the property is empty or not there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AndroidFacts {
    /// `ro.serialno`.
    pub serial: Option<String>,
    /// `ro.build.product`, or the nearest there is.
    pub product: Option<String>,
    /// `ro.product.model`.
    pub model: Option<String>,
    /// `ro.product.manufacturer`.
    pub manufacturer: Option<String>,
    /// `ro.soc.model`, or the nearest there is.
    pub soc: Option<String>,
    /// `ro.build.fingerprint`.
    pub build: Option<String>,
    /// `ro.build.version.release`.
    pub release: Option<String>,
    /// `ro.build.version.sdk`.
    pub api_level: Option<u32>,
    /// `ro.product.cpu.abilist`, the preferred one first.
    pub abis: Vec<String>,
    /// Whether commands run as root.
    pub root: bool,
}

impl AndroidFacts {
    /// The phone's identity; `None` where it has no serial number of its own.
    pub fn identity(&self) -> Option<DeviceIdentity> {
        // What builds without a number say instead.
        const NO_SERIAL: &[&str] = &["unknown", "0123456789ABCDEF"];
        let serial = self.serial.as_deref().filter(|serial| !NO_SERIAL.contains(serial))?;
        Some(DeviceIdentity(format!("{}/{serial}", self.product.as_deref().unwrap_or_default())))
    }

    /// The system as a person would say it: `Android 14 (API 34)`.
    pub fn os(&self) -> String {
        let mut text = "Android".to_owned();
        if let Some(release) = &self.release {
            text.push_str(&format!(" {release}"));
        }
        if let Some(level) = self.api_level {
            text.push_str(&format!(" (API {level})"));
        }
        text
    }
}

/// How a phone is powered.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Battery {
    /// Charge, of 100.
    pub level_percent: Option<u32>,
    /// What it does: `charging`, `discharging`, `not charging`, `full` or `unknown`.
    pub status: Option<String>,
    /// Where power comes from: `ac`, `usb`, `wireless`, `dock`; none on battery.
    pub powered_by: Vec<String>,
    /// Temperature of the battery.
    pub temperature_c: Option<f64>,
    /// How it is: `good`, `overheat`, `dead`, `over voltage`, `failure`, `cold` or `unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_needs_a_serial_of_its_own() {
        let phone = |serial: Option<&str>| AndroidFacts {
            serial: serial.map(str::to_owned),
            product: Some("oriole".to_owned()),
            ..AndroidFacts::default()
        };
        assert_eq!(phone(Some("1A2B")).identity(), Some(DeviceIdentity("oriole/1A2B".to_owned())));
        assert_eq!(phone(Some("unknown")).identity(), None);
        assert_eq!(phone(None).identity(), None);
    }

    #[test]
    fn the_system_is_named_by_what_is_known() {
        let phone = AndroidFacts { release: Some("14".to_owned()), api_level: Some(34), ..AndroidFacts::default() };
        assert_eq!(phone.os(), "Android 14 (API 34)");
        assert_eq!(AndroidFacts::default().os(), "Android");
    }
}
