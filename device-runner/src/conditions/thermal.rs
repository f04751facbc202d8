//! Temperatures, and what is done against them.
//!
//! Purpose: the kernel's thermal zones, hwmon's temperatures, and cooling devices. Main type: [`Thermal`]. Never
//! takes the heat of a battery or of a radio for the processor's.

use std::path::PathBuf;

use farmctl_protocol::{Cooling, MAX_SENSORS, Temperature};

use super::read::{self, Root};

/// Parts of names of sensors that have nothing to do with the processor. `soc` alone is a state of charge there.
const ELSEWHERE: &[&str] = &[
    "batt",
    "charg",
    "usb",
    "wifi",
    "wlan",
    "modem",
    "mdm",
    "pa-",
    "pa_",
    "xo",
    "gpu",
    "g3d",
    "npu",
    "tpu",
    "ddr",
    "cam",
    "disp",
    "flash",
    "nvme",
    "drivetemp",
    "ibat",
    "vbat",
    "bcl",
    "pmic",
    "skin",
    "quiet",
    "case",
    "isp",
    "aux",
    "vir",
];
/// Parts of names of sensors of the processor.
const PROCESSOR: &[&str] = &[
    "cpu",
    "coretemp",
    "k10temp",
    "zenpower",
    "x86_pkg_temp",
    "cluster",
    "tsens",
    "soc_thermal",
    "soc-thermal",
    "apss",
    "bigcore",
    "littlecore",
];
/// Whole names of such sensors.
const PROCESSOR_NAMES: &[&str] = &["big", "mid", "little", "package-thermal"];

/// Temperatures that a device can have and still answer, in thousandths of a degree.
const PLAUSIBLE: std::ops::RangeInclusive<i64> = -40_000..=150_000;

/// Sensors and cooling devices of a device.
#[derive(Debug, Clone, Default)]
pub struct Thermal {
    sensors: Vec<Sensor>,
    cooling: Vec<CoolingDevice>,
}

#[derive(Debug, Clone)]
struct Sensor {
    name: String,
    path: PathBuf,
    /// Whether the processor's heat shows in it.
    counts: bool,
}

#[derive(Debug, Clone)]
struct CoolingDevice {
    name: String,
    state: PathBuf,
    max_state: Option<u64>,
}

impl Thermal {
    /// Finds them.
    pub fn find(root: &Root) -> Thermal {
        let mut sensors = zones(root);
        sensors.extend(hwmon(root));
        sensors.truncate(MAX_SENSORS);
        // Where no sensor is known to be the processor's, any counts that is not known to be of something else.
        if !sensors.iter().any(|sensor| sensor.counts) {
            for sensor in &mut sensors {
                sensor.counts = !is_elsewhere(&sensor.name);
            }
        }
        let folder = "sys/class/thermal";
        let device = |name: String| {
            let folder = format!("{folder}/{name}");
            Some(CoolingDevice {
                name: root.word(format!("{folder}/type"))?,
                state: root.path(format!("{folder}/cur_state")),
                max_state: read::count(&root.path(format!("{folder}/max_state"))),
            })
        };
        let cooling = root.names(folder, "cooling_device").into_iter().take(MAX_SENSORS).filter_map(device);
        Thermal { sensors, cooling: cooling.collect() }
    }

    /// The hottest sensor that counts.
    pub fn hottest(&self) -> Option<Temperature> {
        let counting = self.sensors.iter().filter(|sensor| sensor.counts);
        counting.filter_map(Sensor::temperature).max_by(|one, other| one.celsius.total_cmp(&other.celsius))
    }

    /// Every temperature.
    pub fn temperatures(&self) -> Vec<Temperature> {
        self.sensors.iter().filter_map(Sensor::temperature).collect()
    }

    /// Cooling devices that are at work.
    pub fn cooling(&self) -> Vec<Cooling> {
        let at_work = |device: &CoolingDevice| {
            let state = read::count(&device.state).filter(|state| *state > 0)?;
            Some(Cooling { name: device.name.clone(), state, max_state: device.max_state })
        };
        self.cooling.iter().filter_map(at_work).collect()
    }

    /// Whether one of them slows the processor now; `None` where there is none that could.
    pub fn is_processor_cooled(&self) -> Option<bool> {
        let mut states = self.cooling.iter().filter(|device| device.slows_processor());
        let mut is_known = false;
        let is_cooled = states.any(|device| {
            let state = read::count(&device.state);
            is_known |= state.is_some();
            state.is_some_and(|state| state > 0)
        });
        is_known.then_some(is_cooled)
    }
}

impl Sensor {
    fn temperature(&self) -> Option<Temperature> {
        Some(Temperature { sensor: self.name.clone(), celsius: celsius(read::number(&self.path)?)? })
    }
}

impl CoolingDevice {
    /// A fan cools as well, and costs no speed.
    fn slows_processor(&self) -> bool {
        let name = self.name.to_ascii_lowercase();
        ["cpu", "processor", "powerclamp"].iter().any(|part| name.contains(part)) && !name.contains("fan")
    }
}

fn zones(root: &Root) -> Vec<Sensor> {
    let folder = "sys/class/thermal";
    let zone = |name: String| {
        let folder = format!("{folder}/{name}");
        let name = root.word(format!("{folder}/type"))?;
        Some(Sensor { counts: is_processor(&name), name, path: root.path(format!("{folder}/temp")) })
    };
    root.names(folder, "thermal_zone").into_iter().take(MAX_SENSORS).filter_map(zone).collect()
}

fn hwmon(root: &Root) -> Vec<Sensor> {
    let mut sensors = Vec::new();
    for chip in root.names("sys/class/hwmon", "hwmon").into_iter().take(MAX_SENSORS) {
        let folder = format!("sys/class/hwmon/{chip}");
        let Some(chip) = root.word(format!("{folder}/name")) else { continue };
        for file in root.names(&folder, "temp") {
            let Some(sensor) = file.strip_suffix("_input") else { continue };
            let label = root.word(format!("{folder}/{sensor}_label")).unwrap_or_else(|| sensor.to_owned());
            let name = format!("{chip} {label}").chars().take(farmctl_protocol::MAX_SENSOR_NAME_BYTES).collect();
            let path = root.path(format!("{folder}/{file}"));
            sensors.push(Sensor { counts: is_processor(&chip), name, path });
        }
    }
    sensors
}

fn is_elsewhere(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name == "soc" || ELSEWHERE.iter().any(|part| name.contains(part))
}

fn is_processor(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let is_named = PROCESSOR_NAMES.contains(&lower.as_str()) || PROCESSOR.iter().any(|part| lower.contains(part));
    is_named && !is_elsewhere(name)
}

/// Degrees of what a sensor says: thousandths, as the kernel wants it, or the whole degrees and tenths of old phones'
/// drivers. No device that is at work has a temperature that these could be mistaken for; what lies between, and what
/// no device survives, is not believed.
fn celsius(told: i64) -> Option<f64> {
    match told {
        15..=125 => Some(told as f64),
        150..=1250 => Some(told as f64 / 10.0),
        1251.. | ..=-1000 if PLAUSIBLE.contains(&told) => Some(told as f64 / 1000.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::tree::Tree;

    fn hottest(tree: &Tree) -> Option<(String, f64)> {
        Thermal::find(tree.root()).hottest().map(|found| (found.sensor, found.celsius))
    }

    #[test]
    fn the_processor_is_as_hot_as_its_hottest_sensor() {
        let cases = [
            (Tree::phone(), Some(("BIG".to_owned(), 41.0))),
            (Tree::raspberry_pi(), Some(("cpu_thermal temp1".to_owned(), 48.199))),
            (Tree::x86(), Some(("coretemp Package id 0".to_owned(), 52.0))),
            (Tree::virtual_machine(), None),
        ];
        for (tree, expected) in cases {
            assert_eq!(hottest(&tree), expected);
        }
    }

    #[test]
    fn a_sensor_of_nobody_counts_where_the_processor_has_none() {
        let tree = Tree::new();
        tree.zone(0, "battery", "60000").zone(1, "soc", "87").zone(2, "acpitz", "33000\n").zone(3, "nvme0", "70000");
        assert_eq!(hottest(&tree), Some(("acpitz".to_owned(), 33.0)));
        assert_eq!(Thermal::find(tree.root()).temperatures().len(), 4);
    }

    #[test]
    fn only_temperatures_that_can_be_are_believed() {
        let cases = [
            (45_250, Some(45.25)),
            (-5_000, Some(-5.0)),
            (45, Some(45.0)),
            (312, Some(31.2)),
            (0, None),
            (-274_000, None),
            (140, None),
            (1_000_000, None),
            (i64::MIN, None),
            (i64::MAX, None),
        ];
        for (told, expected) in cases {
            assert_eq!(celsius(told), expected, "{told}");
        }
    }

    #[test]
    fn a_sensor_that_vanishes_is_left_out() {
        let phone = Tree::phone();
        let thermal = Thermal::find(phone.root());
        phone.remove("sys/class/thermal/thermal_zone0");
        assert_eq!(thermal.hottest().unwrap().sensor, "MID");
        phone.remove("sys/class/thermal");
        assert_eq!((thermal.hottest(), thermal.is_processor_cooled()), (None, None));
    }

    #[test]
    fn what_cools_the_processor_is_told_from_fans_and_others() {
        let phone = Tree::phone();
        let thermal = Thermal::find(phone.root());
        assert_eq!(thermal.is_processor_cooled(), Some(false));
        assert_eq!(thermal.cooling()[0].name, "thermal-gpufreq-0");
        phone.cooling(0, "thermal-cpufreq-0", "4\n");
        assert_eq!(thermal.is_processor_cooled(), Some(true));
        let board = Tree::new();
        board.cooling(0, "pwm-fan", "2").cooling(1, "cpu-fan", "1");
        assert_eq!(Thermal::find(board.root()).is_processor_cooled(), None);
    }
}
