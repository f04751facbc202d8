use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Phase;
use crate::job::word_enum;

/// Most moments of [`Conditions::series`]: when there are more, two become one.
pub const MAX_MOMENTS: usize = 600;

/// Most sensors, cooling devices or cores of a [`DeviceState`].
pub const MAX_SENSORS: usize = 128;

/// Longest name of a sensor, governor or the like, in bytes.
pub const MAX_SENSOR_NAME_BYTES: usize = 64;

/// What the device was like around a run and during it, as far as its kernel tells. What it does not tell is left out:
/// never 0, never «no».
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conditions {
    /// Boot in which the run was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// The watch began with this phase, and ended with the timed loop.
    pub watched_from: Phase,
    /// How long the watch lasted.
    pub watched_ns: u64,
    /// How often the device was looked at from its begin to its end: 2 where no core was free for more.
    pub looks: u32,
    /// Before the measuring process was started.
    pub before: DeviceState,
    /// When the timed loop had ended.
    pub after: DeviceState,
    /// Processors that the run could use, which times and shares are of.
    pub cpus: Vec<u32>,
    /// The hottest sensor of the processor, over before, watch and after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<HottestSensor>,
    /// Frequencies of the cores that the run was on, over the watch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frequency: Option<FrequencyRange>,
    /// Whether the device took speed from the run.
    pub throttled: Throttled,
    /// By what signs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub throttled_by: Vec<ThrottleSign>,
    /// How long after the begin of the watch the first sign showed, of one that means throttling for sure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled_after_ms: Option<u64>,
    /// Processor time of others on these processors over the watch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_ns: Option<u64>,
    /// Time over the watch in which the hypervisor gave these processors to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stolen_ns: Option<u64>,
    /// Pages over the watch that the measuring process had to wait for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub major_faults: Option<u64>,
    /// How often the kernel took the processor from one of the measuring process's threads over the watch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub involuntary_switches: Option<u64>,
    /// What share of the watch something on the device waited.
    #[serde(default, skip_serializing_if = "Pressure::is_unknown")]
    pub pressure: Pressure,
    /// What the device used over the watch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy: Option<Energy>,
    /// The set of processors that the runner was started in (cpuset): `/background` makes a phone slow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpuset: Option<String>,
    /// Processors that were there when the watch began, and at a later look were not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub went_offline: Vec<u32>,
    /// Whether somebody stopped the measuring process (SIGSTOP), and let it go on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub was_stopped: bool,
    /// The looks of the watch, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub series: Vec<Moment>,
}

/// The device at one moment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DeviceState {
    /// Every temperature that it tells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub temperatures: Vec<Temperature>,
    /// Every core that is present.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cores: Vec<CoreState>,
    /// Cooling devices that were at work.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cooling: Vec<Cooling>,
    /// Memory that a new program could use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_available_bytes: Option<u64>,
    /// Its battery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub battery: Option<BatteryState>,
}

/// What one sensor says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Temperature {
    /// The kernel's name of the sensor.
    pub sensor: String,
    /// What it says.
    pub celsius: f64,
}

/// One core.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CoreState {
    /// Index as the kernel counts.
    pub index: u32,
    /// Whether it was online.
    pub online: bool,
    /// What kind of core it is on this device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<CoreKind>,
    /// Frequency at that moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_khz: Option<u64>,
    /// Highest frequency that was allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_khz: Option<u64>,
    /// Highest frequency that it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_khz: Option<u64>,
    /// What sets its frequency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub governor: Option<String>,
}

/// A cooling device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cooling {
    /// The kernel's name of it.
    pub name: String,
    /// How much it cools; above 0.
    pub state: u64,
    /// The most it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_state: Option<u64>,
}

/// A battery, as the kernel tells it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BatteryState {
    /// Charge, of 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level_percent: Option<u32>,
    /// What it does: `Charging`, `Discharging`, `Not charging`, `Full` or `Unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Its voltage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voltage_uv: Option<i64>,
    /// Its current, with the sign that its driver gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_ua: Option<i64>,
}

/// The hottest of the sensors that the processor's heat shows in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HottestSensor {
    /// The one that was the hottest.
    pub sensor: String,
    /// The hottest before the run.
    pub start_c: f64,
    /// The hottest at any look.
    pub max_c: f64,
}

/// Frequencies of some cores over some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrequencyRange {
    /// Mean over the looks of the mean over the cores.
    pub mean_khz: u64,
    /// The lowest of a core at a look.
    pub min_khz: u64,
}

/// What share of some time at least one task waited (PSI «some»), from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Pressure {
    /// For a processor; the run's own threads count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f64>,
    /// For memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<f64>,
    /// For a disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub io: Option<f64>,
}

impl Pressure {
    /// Whether the kernel tells none of it.
    pub fn is_unknown(&self) -> bool {
        *self == Pressure::default()
    }
}

/// What was used, and who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Energy {
    /// The sensor, with what it measures.
    pub sensor: String,
    /// What it counted, or the sum of what it showed.
    pub energy_uj: u64,
}

/// One look of the watch.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Moment {
    /// Since the watch began.
    pub at_ms: u64,
    /// The hottest sensor of the processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub celsius: Option<f64>,
    /// Mean over the cores that the run was on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frequency_khz: Option<u64>,
    /// Processor time of others since the look before, as a share of what the processors have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_load: Option<f64>,
    /// Stolen time since the look before, as such a share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stolen_share: Option<f64>,
    /// Power.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_uw: Option<u64>,
}

word_enum! {
    /// Whether a device took speed from a run.
    Throttled, "word for throttling" {
        /// It did.
        Yes = "yes",
        /// The device has signs of it, and none showed.
        No = "no",
        /// The device has no sign of it, or one that may mean something else.
        Unknown = "unknown",
    }
}

word_enum! {
    /// How it shows that a device takes speed away.
    ThrottleSign, "sign of throttling" {
        /// The highest allowed frequency of a core became lower.
        LimitLowered = "limit_lowered",
        /// It was below the core's maximum all the time: by heat, or because somebody wants it so.
        Capped = "capped",
        /// A cooling device that slows the processor was at work.
        Cooling = "cooling",
        /// The processor counted that it was too hot (x86).
        ThermalCounter = "thermal_counter",
        /// The firmware saw too little voltage (Raspberry Pi).
        Undervoltage = "undervoltage",
        /// The firmware held the frequency down (Raspberry Pi).
        FirmwareCap = "firmware_cap",
        /// The firmware throttled (Raspberry Pi).
        FirmwareThrottled = "firmware_throttled",
        /// The firmware's soft limit of temperature was passed (Raspberry Pi).
        SoftTemperatureLimit = "soft_temperature_limit",
        /// A control group's quota of processor time was used up (cpu.max).
        Quota = "quota",
    }
}

word_enum! {
    /// Kinds of core of one device, by what it has of them.
    CoreKind, "kind of core" {
        /// The slowest, where there are faster ones.
        Little = "little",
        /// Between little and big.
        Mid = "mid",
        /// The fastest, but for a prime one; all where all are equal.
        Big = "big",
        /// One that is faster than the big ones.
        Prime = "prime",
    }
}
