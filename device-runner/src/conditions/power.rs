//! Battery and energy.
//!
//! Purpose: how the device is powered, and what it uses where a sensor tells. Main type: [`Power`]. Never takes what
//! goes into a battery for what the device uses.

use std::path::PathBuf;

use farmctl_protocol::BatteryState;

use super::read::{self, Root};

/// Most sensors of one kind that are summed up.
const MAX_METERS: usize = 32;

/// What there is of sensors.
#[derive(Debug, Clone, Default)]
pub struct Power {
    battery: Option<PathBuf>,
    meter: Option<Meter>,
}

/// A sensor of what the device uses.
#[derive(Debug, Clone)]
enum Meter {
    /// Each counts energy since boot, and begins anew after its range.
    Energy(String, Vec<Counter>),
    /// Each shows power.
    Power(String, Vec<PathBuf>),
    /// A battery that shows what it gives.
    Battery(String),
}

#[derive(Debug, Clone)]
struct Counter {
    path: PathBuf,
    /// The greatest number before it begins at 0 again; `None` of one that does not.
    range_uj: Option<u64>,
}

/// What the meter says at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reading {
    /// What each counter has counted.
    Counted(Vec<u64>),
    /// Power at the moment, in millionths of a watt.
    Shown(u64),
}

impl Power {
    /// Finds them.
    pub fn find(root: &Root) -> Power {
        let folder = "sys/class/power_supply";
        let is_battery = |name: &String| {
            let is_of_device = root.word(format!("{folder}/{name}/scope")).is_none_or(|scope| scope != "Device");
            is_of_device && root.word(format!("{folder}/{name}/type")).is_some_and(|kind| kind == "Battery")
        };
        // Mice and keyboards have batteries, too: their scope is `Device`.
        let battery = root.names(folder, "").into_iter().find(is_battery);
        let battery = battery.map(|name| root.path(format!("{folder}/{name}")));
        let shows_power =
            |folder: &PathBuf| ["voltage_now", "current_now"].iter().all(|it| read::number(&folder.join(it)).is_some());
        let of_battery = || {
            let folder = battery.as_ref().filter(|folder| shows_power(folder))?;
            Some(Meter::Battery(format!("power_supply {}", folder.file_name()?.to_str()?)))
        };
        let meter = rapl(root).or_else(|| hwmon(root)).or_else(of_battery);
        Power { battery, meter }
    }

    /// How the battery is.
    pub fn battery(&self) -> Option<BatteryState> {
        let folder = self.battery.as_ref()?;
        let level = read::count(&folder.join("capacity")).filter(|level| *level <= 100);
        let state = BatteryState {
            level_percent: level.and_then(|level| u32::try_from(level).ok()),
            status: read::word(&folder.join("status")),
            voltage_uv: read::number(&folder.join("voltage_now")),
            current_ua: read::number(&folder.join("current_now")),
        };
        (state != BatteryState::default()).then_some(state)
    }

    /// The meter's name.
    pub fn meter(&self) -> Option<&str> {
        match self.meter.as_ref()? {
            Meter::Energy(name, _) | Meter::Power(name, _) | Meter::Battery(name) => Some(name),
        }
    }

    /// What the meter says now; `None` where there is none, one of its sensors does not answer, or the battery is
    /// charged.
    pub fn reading(&self) -> Option<Reading> {
        match self.meter.as_ref()? {
            Meter::Energy(_, counters) => {
                counters.iter().map(|counter| read::count(&counter.path)).collect::<Option<_>>().map(Reading::Counted)
            }
            Meter::Power(_, paths) => {
                let sum = paths.iter().try_fold(0u64, |sum, path| sum.checked_add(read::count(path)?))?;
                Some(Reading::Shown(sum))
            }
            Meter::Battery(_) => {
                let state = self.battery()?;
                if state.status.as_deref() != Some("Discharging") {
                    return None;
                }
                let (voltage, current) = (state.voltage_uv?.unsigned_abs(), state.current_ua?.unsigned_abs());
                u64::try_from(u128::from(voltage) * u128::from(current) / 1_000_000).ok().map(Reading::Shown)
            }
        }
    }

    /// What counters have counted from one reading to the next; `None` where that can't be told.
    pub fn counted_uj(&self, earlier: &Reading, now: &Reading) -> Option<u64> {
        let (Meter::Energy(_, counters), Reading::Counted(then), Reading::Counted(now)) =
            (self.meter.as_ref()?, earlier, now)
        else {
            return None;
        };
        counters.iter().zip(then.iter().zip(now)).try_fold(0u64, |sum, (counter, (then, now))| {
            let counted = match now.checked_sub(*then) {
                Some(counted) => counted,
                None => counter.range_uj?.checked_sub(*then)?.checked_add(*now)?,
            };
            sum.checked_add(counted)
        })
    }
}

/// The packages of x86 processors. What is in them (cores, memory) is counted with them.
fn rapl(root: &Root) -> Option<Meter> {
    let folder = "sys/class/powercap";
    let package = |zone: String| {
        let folder = format!("{folder}/{zone}");
        if !root.word(format!("{folder}/name"))?.starts_with("package") {
            return None;
        }
        let path = root.path(format!("{folder}/energy_uj"));
        // Only root may read it, on most systems.
        read::count(&path)?;
        Some(Counter { path, range_uj: read::count(&root.path(format!("{folder}/max_energy_range_uj"))) })
    };
    let counters: Vec<Counter> = root.names(folder, "").into_iter().filter_map(package).take(MAX_METERS).collect();
    (!counters.is_empty()).then(|| Meter::Energy(format!("rapl package ({})", counters.len()), counters))
}

/// A meter of the board: the first chip that has one. Which rails of several add up to the device nobody tells, so a
/// chip counts that has one.
fn hwmon(root: &Root) -> Option<Meter> {
    let chips: Vec<String> = root.names("sys/class/hwmon", "hwmon");
    let of_chip = |kind: &str| {
        chips.iter().find_map(|chip| {
            let folder = format!("sys/class/hwmon/{chip}");
            let name = root.word(format!("{folder}/name"))?;
            let mut files = root.names(&folder, kind).into_iter().filter(|file| file.ends_with("_input"));
            let (Some(file), None) = (files.next(), files.next()) else { return None };
            let path = root.path(format!("{folder}/{file}"));
            read::count(&path)?;
            let sensor = file.trim_end_matches("_input");
            let label = root.word(format!("{folder}/{sensor}_label")).unwrap_or_else(|| sensor.to_owned());
            Some((format!("{name} {label}"), path))
        })
    };
    let energy = of_chip("energy").map(|(name, path)| Meter::Energy(name, vec![Counter { path, range_uj: None }]));
    energy.or_else(|| of_chip("power").map(|(name, path)| Meter::Power(name, vec![path])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::tree::Tree;

    #[test]
    fn a_battery_is_read_and_meters_what_it_gives() {
        let phone = Tree::phone();
        let power = Power::find(phone.root());
        let battery = power.battery().unwrap();
        assert_eq!((battery.level_percent, battery.status.as_deref()), (Some(83), Some("Discharging")));
        assert_eq!((power.meter(), power.reading()), (Some("power_supply battery"), Some(Reading::Shown(2_054_144))));
        let folder = "sys/class/power_supply/battery";
        phone.file(&format!("{folder}/status"), "Charging\n");
        assert_eq!(power.reading(), None, "what goes in is not what is used");
        phone.file(&format!("{folder}/capacity"), "4000000000\n").file(&format!("{folder}/status"), "Discharging");
        phone.file(&format!("{folder}/voltage_now"), "9223372036854775807");
        phone.file(&format!("{folder}/current_now"), "-9223372036854775808");
        assert_eq!((power.battery().unwrap().level_percent, power.reading()), (None, None));
    }

    #[test]
    fn packages_are_counted_over_the_end_of_their_range() {
        let server = Tree::x86();
        let power = Power::find(server.root());
        assert_eq!(power.meter(), Some("rapl package (1)"));
        let counted = |text: &str| {
            let then = power.reading().unwrap();
            server.file("sys/class/powercap/intel-rapl:0/energy_uj", text);
            power.counted_uj(&then, &power.reading().unwrap())
        };
        assert_eq!(counted("100500000"), Some(500_000));
        assert_eq!(counted("262143328800"), Some(262_143_328_800 - 100_500_000));
        assert_eq!(counted("50"), Some(100), "it began anew");
        server.remove("sys/class/powercap/intel-rapl:0/energy_uj");
        assert_eq!(power.reading(), None);
    }

    #[test]
    fn a_meter_on_the_board_is_named() {
        let board = Tree::new();
        let chip = [("name", "ina226\n"), ("power1_input", "4200000\n"), ("power1_label", "VDD_IN\n")];
        board.files("sys/class/hwmon/hwmon0", &[("name", "ina3221\n"), ("power1_input", "1"), ("power2_input", "2")]);
        board.files("sys/class/hwmon/hwmon1", &chip);
        let power = Power::find(board.root());
        assert_eq!((power.meter(), power.reading()), (Some("ina226 VDD_IN"), Some(Reading::Shown(4_200_000))));
        assert_eq!(Power::find(Tree::virtual_machine().root()).meter(), None);
    }

    #[test]
    fn a_mouse_is_no_battery_of_the_device() {
        let desk = Tree::new();
        desk.files("sys/class/power_supply/hid", &[("type", "Battery"), ("scope", "Device"), ("capacity", "5")]);
        assert_eq!(Power::find(desk.root()).battery(), None);
    }
}
