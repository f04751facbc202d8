//! What the device is like.
//!
//! Purpose: read all that the kernel tells of heat, clocks, load, power and cores, and watch it around a run. Reading
//! order: `read` (the one way to the kernel's files, below one root), `cores`, `thermal`, `throttle`, `load`, `power`
//! (what there is), `watch` (what looks add up to), `watcher` (the thread that looks), `stops`. Never changes
//! anything of the device, and never fails: what is not told is unknown.

mod cores;
mod load;
mod power;
mod read;
mod stops;
mod thermal;
mod throttle;
#[cfg(test)]
mod tree;
mod watch;
mod watcher;

use farmctl_protocol::{CoreState, Cpu, DeviceRest, DeviceState, MAX_SENSORS};

use cores::{Core, Cores};
use load::Load;
use power::Power;
pub use read::Root;
use thermal::Thermal;
use throttle::Throttle;
pub use watcher::{Plan, Watcher};

/// All processors that are there, online or not.
pub fn present_cpus(root: &Root) -> Vec<Cpu> {
    Cores::find(root).all().iter().map(cpu).collect()
}

/// Those that are online.
pub fn online_cpus(root: &Root) -> Vec<Cpu> {
    let cores = Cores::find(root);
    let online = cores.online();
    cores.of(&online).map(cpu).collect()
}

/// Whether the device is cool and quiet.
pub fn rest(root: &Root) -> DeviceRest {
    let (online, load) = (Cores::find(root).online(), Load::find(root));
    DeviceRest {
        hottest: Thermal::find(root).hottest(),
        uptime_ms: load.uptime_ms(),
        busy_ms: load.processor_time(&online).map(|time| load::milliseconds(time.busy)),
        cpus: u32::try_from(online.len()).unwrap_or(u32::MAX),
    }
}

fn cpu(core: &Core) -> Cpu {
    Cpu { index: core.index, max_frequency_khz: core.max_khz, kind: core.kind }
}

/// Everything on a device that can be looked at.
#[derive(Debug, Clone)]
struct Sensors {
    cores: Cores,
    thermal: Thermal,
    throttle: Throttle,
    load: Load,
    power: Power,
}

impl Sensors {
    /// Finds what there is.
    fn find(root: &Root) -> Sensors {
        Sensors {
            cores: Cores::find(root),
            thermal: Thermal::find(root),
            throttle: Throttle::find(root),
            load: Load::find(root),
            power: Power::find(root),
        }
    }

    /// All that can be told of this moment. Of more cores than are told, those in `cpus` come first.
    fn state(&self, cpus: &[u32]) -> DeviceState {
        let online = self.cores.online();
        let mut temperatures = self.thermal.temperatures();
        temperatures.truncate(MAX_SENSORS);
        let (first, rest): (Vec<&Core>, Vec<&Core>) =
            self.cores.all().iter().partition(|core| cpus.contains(&core.index));
        let told = first.into_iter().chain(rest).take(MAX_SENSORS);
        let mut cores: Vec<CoreState> = told.map(|core| core.state(&online)).collect();
        cores.sort_by_key(|core| core.index);
        DeviceState {
            temperatures,
            cores,
            cooling: self.thermal.cooling(),
            memory_available_bytes: self.load.memory_available_bytes(),
            battery: self.power.battery(),
        }
    }
}
