//! Signs that the device takes speed from what runs.
//!
//! Purpose: what firmware and kernel count of it. Main type: [`Throttle`]. Never says «no» for a sign that is not
//! there.

use std::path::{Path, PathBuf};

use farmctl_protocol::ThrottleSign;

use super::read::{self, Root};

/// Where the firmware of a Raspberry Pi tells what it does.
const PLATFORM: &str = "sys/devices/platform";

/// The firmware's flags, by bit: now; and sixteen bits higher, at any time since boot.
const FIRMWARE_FLAGS: [ThrottleSign; 4] = [
    ThrottleSign::Undervoltage,
    ThrottleSign::FirmwareCap,
    ThrottleSign::FirmwareThrottled,
    ThrottleSign::SoftTemperatureLimit,
];
const SINCE_BOOT_SHIFT: u32 = 16;
/// All of these bits: what has others is something else.
const KNOWN_FLAGS: u32 = 0xf_000f;

/// Most folders of a control group above each other.
const MAX_DEPTH: usize = 64;

/// What the device has of such signs.
#[derive(Debug, Clone, Default)]
pub struct Throttle {
    firmware: Option<PathBuf>,
    /// Alarms of too little voltage.
    voltage_alarms: Vec<PathBuf>,
    /// Statistics of the control groups that this process is in, up to the topmost.
    groups: Vec<PathBuf>,
}

/// The signs at one moment. What the device has not is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ThrottleFlags {
    /// The firmware's flags, as it gives them.
    firmware: Option<u32>,
    /// Whether there is too little voltage.
    is_undervolted: Option<bool>,
    /// For how long a control group's quota has stopped its processes.
    quota_ns: Option<u64>,
}

impl Throttle {
    /// Finds them.
    pub fn find(root: &Root) -> Throttle {
        let alarms = root.names("sys/class/hwmon", "hwmon").into_iter().filter_map(|chip| {
            let folder = format!("sys/class/hwmon/{chip}");
            let is_voltage = root.word(format!("{folder}/name"))? == "rpi_volt";
            is_voltage.then(|| root.path(format!("{folder}/in0_lcrit_alarm")))
        });
        Throttle { firmware: firmware(root), voltage_alarms: alarms.collect(), groups: groups(root) }
    }

    /// The signs now.
    pub fn flags(&self) -> ThrottleFlags {
        let hex = |path: &PathBuf| {
            let text = read::word(path)?;
            let flags = u32::from_str_radix(text.strip_prefix("0x").unwrap_or(&text), 16).ok();
            flags.filter(|flags| flags & !KNOWN_FLAGS == 0)
        };
        let alarms = self.voltage_alarms.iter().filter_map(|path| read::number(path));
        let quotas = self.groups.iter().filter_map(|path| throttled_ns(&read::text(path)?));
        ThrottleFlags {
            firmware: self.firmware.as_ref().and_then(hex),
            is_undervolted: alarms.map(|alarm| alarm != 0).reduce(|one, other| one | other),
            quota_ns: quotas.reduce(u64::saturating_add),
        }
    }
}

impl ThrottleFlags {
    /// Signs that show now, or that came since `earlier`.
    pub fn signs_since(&self, earlier: &ThrottleFlags) -> impl Iterator<Item = ThrottleSign> {
        let now = self.firmware.unwrap_or(0);
        let came = match (self.firmware, earlier.firmware) {
            (Some(now), Some(then)) => (now & !then) >> SINCE_BOOT_SHIFT,
            _ => 0,
        };
        let bits = now | came;
        let firmware = FIRMWARE_FLAGS.into_iter().enumerate().filter(move |(bit, _)| bits & (1 << bit) != 0);
        let alarm = (self.is_undervolted == Some(true)).then_some(ThrottleSign::Undervoltage);
        let has_waited = matches!((earlier.quota_ns, self.quota_ns), (Some(then), Some(now)) if now > then);
        let quota = has_waited.then_some(ThrottleSign::Quota);
        firmware.map(|(_, sign)| sign).chain(alarm).chain(quota)
    }

    /// Whether the device would show it when it throttled for heat. Neither a quota nor a voltage alarm alone does.
    pub fn tells_of_heat(&self) -> bool {
        self.firmware.is_some()
    }
}

/// `get_throttled`: below a folder `soc…:firmware`, which lies in one of the platform's or in the one named `soc…`.
fn firmware(root: &Root) -> Option<PathBuf> {
    let is_there = |folder: &str| {
        let path = format!("{folder}/get_throttled");
        root.word(&path).map(|_| root.path(path))
    };
    for name in root.names(PLATFORM, "soc") {
        let folder = format!("{PLATFORM}/{name}");
        let below = root.names(&folder, "soc").into_iter().map(|inner| format!("{folder}/{inner}"));
        let mut places = below.chain([folder.clone()]).filter(|place| place.ends_with(":firmware"));
        if let Some(path) = places.find_map(|place| is_there(&place)) {
            return Some(path);
        }
    }
    None
}

/// The files `cpu.stat` of the groups that this process is in, of both versions of control groups.
fn groups(root: &Root) -> Vec<PathBuf> {
    let text = root.text("proc/self/cgroup").unwrap_or_default();
    let mut files = Vec::new();
    for line in text.lines() {
        // hierarchy:controllers:path
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let mounts: Vec<String> = match controllers {
            "" => vec!["sys/fs/cgroup".to_owned(), "sys/fs/cgroup/unified".to_owned()],
            named if named.split(',').any(|controller| controller == "cpu") => {
                vec![format!("sys/fs/cgroup/{named}"), "sys/fs/cgroup/cpu".to_owned(), "dev/cpuctl".to_owned()]
            }
            _ => continue,
        };
        let path = Path::new(path.trim_start_matches('/'));
        if path.components().any(|part| !matches!(part, std::path::Component::Normal(_))) {
            continue;
        }
        for mount in mounts {
            let statistics = |group: &Path| root.path(&mount).join(group).join("cpu.stat");
            let found: Vec<PathBuf> = path.ancestors().take(MAX_DEPTH).map(statistics).collect();
            let tells = |file: &PathBuf| read::text(file).is_some_and(|text| throttled_ns(&text).is_some());
            if found.iter().any(tells) {
                files.extend(found);
                break;
            }
        }
    }
    files
}

/// What `cpu.stat` says of how long the group's processes were stopped.
fn throttled_ns(text: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(' ')?;
        let value: u64 = value.trim().parse().ok()?;
        match key {
            "throttled_usec" => value.checked_mul(1000),
            "throttled_time" => Some(value),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::tree::Tree;

    fn signs(now: &ThrottleFlags, earlier: &ThrottleFlags) -> Vec<ThrottleSign> {
        now.signs_since(earlier).collect()
    }

    #[test]
    fn the_flags_of_a_raspberry_pi_are_told_by_their_names() {
        let board = Tree::raspberry_pi();
        let throttle = Throttle::find(board.root());
        let get_throttled = "sys/devices/platform/soc/soc:firmware/get_throttled";
        let before = throttle.flags();
        assert!(before.tells_of_heat() && signs(&before, &before).is_empty());
        let cases: &[(&str, &[ThrottleSign])] = &[
            ("50005\n", &[ThrottleSign::Undervoltage, ThrottleSign::FirmwareThrottled]),
            ("0x8\n", &[ThrottleSign::SoftTemperatureLimit]),
            ("20000", &[ThrottleSign::FirmwareCap]),
            ("0", &[]),
        ];
        for (text, expected) in cases {
            board.file(get_throttled, text);
            assert_eq!(signs(&throttle.flags(), &before), *expected, "{text}");
        }
        // What was so before is no news.
        board.file(get_throttled, "20000");
        let earlier = throttle.flags();
        assert!(signs(&earlier, &earlier).is_empty());
        board.file(get_throttled, "1e9");
        assert!(!throttle.flags().tells_of_heat());
        board.file("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n");
        assert_eq!(signs(&throttle.flags(), &before), [ThrottleSign::Undervoltage]);
    }

    #[test]
    fn the_firmware_is_found_where_newer_kernels_have_it() {
        let board = Tree::new();
        board.file("sys/devices/platform/soc@107c000000:firmware/get_throttled", "4\n");
        assert!(Throttle::find(board.root()).flags().tells_of_heat());
        assert_eq!(Throttle::find(Tree::virtual_machine().root()).flags(), ThrottleFlags::default());
    }

    #[test]
    fn a_quota_of_any_group_above_shows() {
        let server = Tree::x86();
        let throttle = Throttle::find(server.root());
        let before = throttle.flags();
        assert_eq!(before.quota_ns, Some(0));
        server.file("sys/fs/cgroup/system.slice/cpu.stat", "usage_usec 5\nthrottled_usec 300\n");
        assert_eq!(signs(&throttle.flags(), &before), [ThrottleSign::Quota]);
        assert!(!throttle.flags().tells_of_heat());
    }

    #[test]
    fn control_groups_of_the_first_version_are_read() {
        let host = Tree::new();
        host.file("proc/self/cgroup", "4:memory:/a\n1:cpu,cpuacct:/job/7\n0::/\n");
        host.file("sys/fs/cgroup/cpu,cpuacct/job/7/cpu.stat", "nr_throttled 2\nthrottled_time 900\n");
        assert_eq!(Throttle::find(host.root()).flags().quota_ns, Some(900));
        host.file("proc/self/cgroup", "1:cpu:/../../etc\ngarbage\n::\n");
        assert_eq!(Throttle::find(host.root()).flags().quota_ns, None);
    }
}
