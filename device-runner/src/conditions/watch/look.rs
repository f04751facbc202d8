//! One look at a device, and what lies between two.

use std::process;
use std::time::Duration;

use farmctl_protocol::Temperature;

use crate::conditions::Sensors;
use crate::conditions::load::ProcessorTime;
use crate::conditions::power::Reading;

use super::WatchedRun;

/// Least processor time, in the kernel's ticks, of which a share of others is told: below it one tick is some percent.
const LEAST_TICKS: u64 = 50;

/// One look.
#[derive(Debug, Clone)]
pub(super) struct Look {
    /// When.
    pub(super) at: Duration,
    /// The hottest sensor of the processor.
    pub(super) hottest: Option<Temperature>,
    /// What the energy meter says.
    pub(super) reading: Option<Reading>,
    /// Time of the run's processors.
    time: Option<ProcessorTime>,
    /// Of it, what the measuring process and its supervisor have used.
    own_ticks: Option<u64>,
}

impl Look {
    /// Looks now.
    pub(super) fn take(sensors: &Sensors, run: &WatchedRun, at: Duration, pid: u32) -> Look {
        let load = &sensors.load;
        // The supervisor's own time is no load of others. It has waited for no child yet.
        let own = load.ticks_alone(process::id()).unwrap_or(0);
        Look {
            at,
            own_ticks: load.process_ticks(pid).map(|ticks| ticks.saturating_add(own)),
            time: load.processor_time(&run.cpus),
            hottest: sensors.thermal.hottest(),
            reading: sensors.power.reading(),
        }
    }

    /// Power, where the meter shows it.
    pub(super) fn power_uw(&self) -> Option<u64> {
        match self.reading {
            Some(Reading::Shown(power_uw)) => Some(power_uw),
            _ => None,
        }
    }
}

/// Processor time between two looks.
#[derive(Debug, PartialEq)]
pub(super) struct Times {
    /// What the run's processors have together.
    pub(super) available_ns: u64,
    /// What others used of it.
    pub(super) other_ns: Option<u64>,
    /// What was stolen of it.
    pub(super) stolen_ns: Option<u64>,
}

impl Times {
    /// Times from one look to the next; `None` where they can't be told, or too little time went by.
    pub(super) fn between(then: &Look, now: &Look, run: &WatchedRun) -> Option<Times> {
        let per_second = run.ticks_per_second;
        let available_ns = nanos(now.at.saturating_sub(then.at)).saturating_mul(run.cpus.len() as u64);
        let available_ticks = u128::from(available_ns) * u128::from(per_second) / 1_000_000_000;
        if available_ticks < u128::from(LEAST_TICKS) {
            return None;
        }
        let (before, after) = (then.time?, now.time?);
        let ns = |ticks: u64| {
            let ns = u128::from(ticks) * 1_000_000_000 / u128::from(per_second.max(1));
            u64::try_from(ns).map_or(available_ns, |ns| ns.min(available_ns))
        };
        // Of a count that went back nobody knows by how much.
        let own = now.own_ticks.zip(then.own_ticks).and_then(|(now, then)| now.checked_sub(then));
        let busy = after.busy.checked_sub(before.busy);
        let other = busy.zip(own).map(|(busy, own)| busy.saturating_sub(own));
        let stolen = after.stolen.zip(before.stolen).and_then(|(now, then)| now.checked_sub(then));
        Some(Times { available_ns, other_ns: other.map(ns), stolen_ns: stolen.map(ns) })
    }

    /// A part of it, as a share.
    pub(super) fn share(&self, part_ns: Option<u64>) -> Option<f64> {
        Some(part_ns? as f64 / self.available_ns as f64)
    }
}

/// Whole nanoseconds.
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
