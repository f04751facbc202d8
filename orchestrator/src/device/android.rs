use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::domain::{AndroidFacts, Failure};
use crate::transport::Transport;

use super::{run_checked, transport_failure};

/// Prints which boot this is. Then what Android's properties say, as `getprop` writes it (`[name]: [value]`), and whose
/// commands these are; nothing of that on any other system. Goes before the probe's own script, in the same round trip.
pub(super) const PROPERTIES_SCRIPT: &str = concat!(
    r"
boot=
read -r boot 2> /dev/null < /proc/sys/kernel/random/boot_id && printf 'boot %s\n' $boot
if command -v getprop > /dev/null 2>&1; then
printf 'uid %s\n' $(id -u)
getprop | grep -E '^\[(sys\.boot_completed|ro\.(serialno|product\.|build\.(product|fingerprint|version\.)",
    r"|soc\.model|board\.platform|hardware))'
fi
"
);

/// Longest property that is kept: Android's own limit is 92 bytes for most, and fingerprints may be longer.
const MAX_VALUE_CHARS: usize = 256;

/// Between looks at a phone that boots.
const BOOT_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// What a phone says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneAnswer {
    /// What its properties say.
    pub facts: AndroidFacts,
    /// Which boot it is in.
    pub boot_id: Option<String>,
}

/// Asks a device what Android's properties say, and changes nothing there; `None` on any other system.
///
/// # Errors
/// When it can't be asked.
pub async fn ask_android(
    device: &str,
    transport: &dyn Transport,
    deadline: Duration,
) -> Result<Option<PhoneAnswer>, Failure> {
    // Without `getprop`, or a `grep` that finds something, the script ends with a code of its own.
    let script = format!("{PROPERTIES_SCRIPT}\nexit 0");
    let output = run_checked(transport, ["sh", "-c", &script].map(str::to_owned).to_vec(), deadline)
        .await
        .map_err(|error| transport_failure(device, "ask for the properties", &error))?;
    let mut properties = Properties::default();
    String::from_utf8_lossy(&output).lines().for_each(|line| properties.take(line));
    let boot_id = properties.boot_id.clone();
    Ok(properties.facts().map(|facts| PhoneAnswer { facts, boot_id }))
}

/// Waits until Android has booted: its daemon answers long before, while the phone is busy as never after. Returns
/// false when that did not come within `limit`.
///
/// # Errors
/// When the phone does not answer any more.
pub(super) async fn wait_for_boot(
    device: &str,
    transport: &dyn Transport,
    deadline: Duration,
    limit: Duration,
) -> Result<bool, Failure> {
    let give_up_at = Instant::now() + limit;
    tracing::info!(device, "Android is booting: it is waited for");
    loop {
        let argv = ["sh", "-c", "getprop sys.boot_completed; exit 0"].map(str::to_owned).to_vec();
        let said = run_checked(transport, argv, deadline)
            .await
            .map_err(|error| transport_failure(device, "ask whether it has booted", &error))?;
        if String::from_utf8_lossy(&said).lines().any(|line| line.trim() == "1") {
            return Ok(true);
        }
        if Instant::now() + BOOT_POLL_INTERVAL >= give_up_at {
            return Ok(false);
        }
        sleep(BOOT_POLL_INTERVAL).await;
    }
}

/// Collects facts from the lines that the script prints.
#[derive(Debug, Default)]
pub(super) struct Properties {
    values: Vec<(String, String)>,
    uid: Option<String>,
    /// Which boot it is in; also of what is no phone.
    pub(super) boot_id: Option<String>,
}

impl Properties {
    /// Takes in a line, if it is one of the script's.
    pub(super) fn take(&mut self, line: &str) {
        if let Some(uid) = line.strip_prefix("uid ") {
            self.uid = Some(uid.trim().to_owned());
        }
        if let Some(boot_id) = line.strip_prefix("boot ") {
            self.boot_id = Some(boot_id.trim().to_owned()).filter(|id| is_boot_id(id));
        }
        let property = line.strip_prefix('[').and_then(|rest| rest.trim_end().strip_suffix(']'));
        if let Some((name, value)) = property.and_then(|rest| rest.split_once("]: [")) {
            let value: String = value.chars().filter(|c| !c.is_control()).take(MAX_VALUE_CHARS).collect();
            let value = value.trim();
            if !value.is_empty() {
                self.values.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    /// Whether this is Android that has not booted yet.
    pub(super) fn is_booting(&self) -> bool {
        let is = |(name, value): &(String, String)| name == "sys.boot_completed" && value == "1";
        !self.values.is_empty() && !self.values.iter().any(is)
    }

    /// The facts; `None` on a system that is no Android.
    pub(super) fn facts(self) -> Option<AndroidFacts> {
        if self.values.is_empty() {
            return None;
        }
        let first_of = |names: &[&str]| {
            let value = |name: &&str| self.values.iter().find(|(known, _)| known == name);
            names.iter().find_map(value).map(|(_, value)| value.clone())
        };
        let abis = first_of(&["ro.product.cpu.abilist", "ro.product.cpu.abi"]).unwrap_or_default();
        Some(AndroidFacts {
            serial: first_of(&["ro.serialno"]),
            product: first_of(&["ro.build.product", "ro.product.device", "ro.product.name"]),
            model: first_of(&["ro.product.model"]),
            manufacturer: first_of(&["ro.product.manufacturer"]),
            soc: first_of(&["ro.soc.model", "ro.board.platform", "ro.hardware"]),
            build: first_of(&["ro.build.fingerprint"]),
            release: first_of(&["ro.build.version.release"]),
            api_level: first_of(&["ro.build.version.sdk"]).and_then(|level| level.parse().ok()),
            abis: abis.split(',').map(str::trim).filter(|abi| !abi.is_empty()).map(str::to_owned).collect(),
            root: self.uid.as_deref() == Some("0"),
        })
    }
}

/// Whether this looks like what the kernel calls a boot.
pub(super) fn is_boot_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn facts(text: &str) -> Option<AndroidFacts> {
        let mut properties = Properties::default();
        text.lines().for_each(|line| properties.take(line));
        properties.facts()
    }

    #[test]
    fn properties_become_facts() {
        let phone = facts(
            "uid 2000\r\n[ro.build.fingerprint]: \
             [google/oriole/oriole:14/AP2A.240805.005/12025142:user/release-keys]\r\n[ro.build.product]: [oriole]\n\
             [ro.build.version.release]: [14]\n[ro.build.version.sdk]: [34]\n\
             [ro.product.cpu.abilist]: [arm64-v8a,armeabi-v7a]\n[ro.product.manufacturer]: [Google]\n\
             [ro.product.model]: [Pixel 6]\n[ro.serialno]: [1A051FDF6007XX]\n[ro.soc.model]: []\n\
             [ro.hardware]: [oriole]\n",
        )
        .unwrap();
        assert_eq!(phone.identity().unwrap().0, "oriole/1A051FDF6007XX");
        assert_eq!((phone.os().as_str(), phone.soc.as_deref()), ("Android 14 (API 34)", Some("oriole")));
        assert_eq!((phone.abis.len(), phone.root), (2, false));
        assert!(phone.build.unwrap().ends_with("release-keys"));
    }

    #[test]
    fn a_phone_boots_until_it_says_that_it_has() {
        let properties = |text: &str| {
            let mut properties = Properties::default();
            text.lines().for_each(|line| properties.take(line));
            properties
        };
        let booting = properties("boot 0f-1\nuid 2000\n[ro.serialno]: [a]\n[sys.boot_completed]: []\n");
        assert!(booting.is_booting());
        assert_eq!(booting.boot_id.as_deref(), Some("0f-1"));
        assert!(!properties("[ro.serialno]: [a]\n[sys.boot_completed]: [1]\n").is_booting());
        let board = properties("boot $(reboot)\n");
        assert!(!board.is_booting() && board.boot_id.is_none());
    }

    #[test]
    fn other_systems_have_none_and_hostile_values_are_harmless() {
        assert_eq!(facts("uid 0\nworkdir /x\n[not a property\n"), None);
        let phone =
            facts(&format!("uid 0\n[ro.serialno]: [a\u{1b}[2J{}]\n[ro.build.version.sdk]: [many]", "x".repeat(9999)));
        let phone = phone.unwrap();
        assert!(phone.root && phone.api_level.is_none());
        let serial = phone.serial.unwrap();
        assert!(serial.chars().count() == MAX_VALUE_CHARS && !serial.contains('\u{1b}'));
    }
}
