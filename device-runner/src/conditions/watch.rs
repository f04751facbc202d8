//! What looks at a device add up to.
//!
//! Purpose: from single looks to the figures of a run. Main type: [`Watch`]. Never reads a clock: it is told the time
//! of each look.

mod look;
mod tally;
#[cfg(test)]
mod tests;

use std::time::Duration;

use farmctl_protocol::{
    Conditions, DeviceState, Energy, FrequencyRange, HottestSensor, Moment, Phase, Pressure, Temperature, ThrottleSign,
};

use super::Sensors;
use super::load::{self, ProcessUse, Stalls};
use super::read::Root;
use super::throttle::ThrottleFlags;
use look::{Look, Times, nanos};
use tally::{FrequencyTally, Tally};

/// A limit counts as the core's maximum from this share on, in percent.
const FULL_SPEED_PERCENT: u64 = 99;

/// The watch over one run.
#[derive(Debug)]
pub struct Watch {
    sensors: Sensors,
    boot_id: Option<String>,
    cpuset: Option<String>,
    run: WatchedRun,
    before: DeviceState,
    hottest_before: Option<Temperature>,
    begun: Option<Begun>,
}

/// What is known of the run before it starts.
#[derive(Debug, Clone)]
pub struct WatchedRun {
    /// Processors that it can use.
    pub cpus: Vec<u32>,
    /// Whether it uses all of these.
    pub uses_all: bool,
    /// Whether the measuring process has another program do the work.
    pub has_children: bool,
    /// The kernel's ticks in a second.
    pub ticks_per_second: u64,
}

/// The device when the watch began, and what came since.
#[derive(Debug)]
struct Begun {
    phase: Phase,
    pid: u32,
    process: Option<ProcessUse>,
    stalls: Stalls,
    flags: ThrottleFlags,
    throttle_count: Option<u64>,
    online: Vec<u32>,
    first: Look,
    last: Look,
    tally: Tally,
}

impl Watch {
    /// Looks at the device before the run starts.
    pub fn new(root: &Root, run: WatchedRun) -> Watch {
        let sensors = Sensors::find(root);
        Watch {
            boot_id: root.word("proc/sys/kernel/random/boot_id"),
            cpuset: load::cpuset(root),
            before: sensors.state(&run.cpus),
            hottest_before: sensors.thermal.hottest(),
            sensors,
            run,
            begun: None,
        }
    }

    /// Begins the watch over process `pid`, which now enters `phase`.
    pub fn begin(&mut self, at: Duration, pid: u32, phase: Phase) {
        let first = Look::take(&self.sensors, &self.run, at, pid);
        self.begun = Some(Begun {
            phase,
            pid,
            process: self.sensors.load.process(pid),
            stalls: self.sensors.load.stalls(),
            flags: self.sensors.throttle.flags(),
            throttle_count: self.throttle_count(),
            online: self.sensors.cores.online(),
            tally: Tally::begin(self.hottest_before.clone(), &first),
            last: first.clone(),
            first,
        });
    }

    /// Looks once more.
    pub fn look(&mut self, at: Duration) {
        let Some(mut begun) = self.begun.take() else { return };
        let on = self.sensors.load.processors_of(begun.pid);
        if !on.is_empty() && !self.run.uses_all {
            begun.tally.on = on;
        }
        let frequency = self.frequency(&begun.tally.on);
        if let Some(range) = frequency {
            begun.tally.frequency.take(range);
        }
        self.note(&mut begun, at, frequency);
        self.begun = Some(begun);
    }

    /// Ends the watch; `None` where it never began.
    pub fn end(&mut self, at: Duration) -> Option<Conditions> {
        let mut begun = self.begun.take()?;
        // What goes with the process comes first.
        let process = self.sensors.load.process(begun.pid);
        let frequency = self.frequency(&begun.tally.on);
        // The run is over: its cores may be slower already, so this look counts only where there is no other.
        if let Some(range) = frequency.filter(|_| begun.tally.frequency.range().is_none()) {
            begun.tally.frequency.take(range);
        }
        self.note(&mut begun, at, frequency);
        Some(self.conditions(&begun, process))
    }

    /// Cores that the run was last seen on.
    pub fn cores_in_use(&self) -> &[u32] {
        if self.run.uses_all {
            return &self.run.cpus;
        }
        self.begun.as_ref().map_or(&[], |begun| &begun.tally.on)
    }

    /// Takes a look into the tally.
    fn note(&self, begun: &mut Begun, at: Duration, frequency: Option<FrequencyRange>) {
        let look = Look::take(&self.sensors, &self.run, at, begun.pid);
        let (signs, can_tell) = self.signs(begun);
        let online = self.sensors.cores.online();
        let is_missed = |cpu: &&u32| self.run.cpus.contains(cpu) && !online.contains(cpu);
        let times = Times::between(&begun.last, &look, &self.run);
        // A child that is not listed counts as somebody else's until its parent has waited for it.
        let load = &self.sensors.load;
        let is_own_known = !self.run.has_children || load.lists_children(begun.pid);
        let tally = &mut begun.tally;
        tally.take_heat(&look);
        tally.take_power(&begun.last, &look);
        let at_ms = nanos(look.at.saturating_sub(begun.first.at)) / 1_000_000;
        tally.take_signs(signs, can_tell, at_ms);
        tally.take_offline(begun.online.iter().filter(is_missed));
        tally.take_moment(Moment {
            at_ms,
            celsius: look.hottest.as_ref().map(|it| it.celsius),
            frequency_khz: frequency.map(|range| range.mean_khz),
            other_load: times.as_ref().filter(|_| is_own_known).and_then(|times| times.share(times.other_ns)),
            stolen_share: times.as_ref().and_then(|times| times.share(times.stolen_ns)),
            power_uw: look.power_uw(),
        });
        begun.last = look;
    }

    /// The frequency of the cores that the run is on: those it was seen on, or all of its own where it uses all.
    fn frequency(&self, on: &[u32]) -> Option<FrequencyRange> {
        let cpus = if self.run.uses_all { &self.run.cpus } else { on };
        let mut tally = FrequencyTally::default();
        for khz in self.sensors.cores.of(cpus).filter_map(|core| core.current_khz()) {
            tally.take(FrequencyRange { mean_khz: khz, min_khz: khz });
        }
        tally.range()
    }

    fn throttle_count(&self) -> Option<u64> {
        let counts = self.sensors.cores.of(&self.run.cpus).filter_map(|core| core.throttle_count());
        counts.reduce(u64::saturating_add)
    }

    /// Signs that show now or came since the watch began, and whether the device has such that would.
    fn signs(&self, begun: &Begun) -> (Vec<ThrottleSign>, bool) {
        let now = self.sensors.throttle.flags();
        let mut signs: Vec<ThrottleSign> = now.signs_since(&begun.flags).collect();
        let mut can_tell = now.tells_of_heat();
        if let (Some(then), Some(now)) = (begun.throttle_count, self.throttle_count()) {
            can_tell = true;
            signs.extend((now > then).then_some(ThrottleSign::ThermalCounter));
        }
        if let Some(is_cooled) = self.sensors.thermal.is_processor_cooled() {
            can_tell = true;
            signs.extend(is_cooled.then_some(ThrottleSign::Cooling));
        }
        let cpus = if begun.tally.on.is_empty() { &self.run.cpus } else { &begun.tally.on };
        for core in self.sensors.cores.of(cpus) {
            let before = self.before.cores.iter().find(|before| before.index == core.index);
            let (Some(allowed), Some(before)) = (core.allowed_khz(), before.and_then(|core| core.allowed_khz)) else {
                continue;
            };
            can_tell = true;
            signs.extend((allowed < before).then_some(ThrottleSign::LimitLowered));
            let is_full = |max: u64| u128::from(before) * 100 >= u128::from(max) * u128::from(FULL_SPEED_PERCENT);
            let is_capped = core.max_khz.is_some_and(|max| !is_full(max));
            signs.extend(is_capped.then_some(ThrottleSign::Capped));
        }
        (signs, can_tell)
    }

    fn conditions(&self, begun: &Begun, process: Option<ProcessUse>) -> Conditions {
        let tally = &begun.tally;
        let watched = begun.last.at.saturating_sub(begun.first.at);
        let times = Times::between(&begun.first, &begun.last, &self.run);
        let (throttled, throttled_by) = tally.throttled();
        let of_process = process.as_ref().zip(begun.process.as_ref());
        Conditions {
            boot_id: self.boot_id.clone(),
            watched_from: begun.phase,
            watched_ns: nanos(watched),
            looks: tally.looks,
            before: self.before.clone(),
            after: self.sensors.state(&self.run.cpus),
            cpus: self.run.cpus.clone(),
            temperature: self.hottest_before.as_ref().zip(tally.hottest.as_ref()).map(|(start, max)| HottestSensor {
                sensor: max.sensor.clone(),
                start_c: start.celsius,
                max_c: max.celsius,
            }),
            frequency: tally.frequency.range(),
            throttled,
            throttled_by,
            throttled_after_ms: tally.throttled_after_ms,
            other_ns: times.as_ref().and_then(|times| times.other_ns),
            stolen_ns: times.as_ref().and_then(|times| times.stolen_ns),
            major_faults: of_process.and_then(|(now, then)| now.major_faults.checked_sub(then.major_faults)),
            involuntary_switches: of_process.and_then(|(now, then)| now.switches_since(then)),
            pressure: pressure(&begun.stalls, &self.sensors.load.stalls(), watched),
            energy: self.energy(begun),
            cpuset: self.cpuset.clone(),
            went_offline: tally.went_offline.clone(),
            was_stopped: false,
            series: tally.series.clone(),
        }
    }

    fn energy(&self, begun: &Begun) -> Option<Energy> {
        let power = &self.sensors.power;
        let counted = begun.first.reading.as_ref().zip(begun.last.reading.as_ref());
        let counted = counted.and_then(|(then, now)| power.counted_uj(then, now));
        let energy_uj = counted.or_else(|| begun.tally.shown_uj())?;
        Some(Energy { sensor: power.meter()?.to_owned(), energy_uj })
    }
}

fn pressure(then: &Stalls, now: &Stalls, watched: Duration) -> Pressure {
    let share = |then: Option<u64>, now: Option<u64>| {
        let share = now?.checked_sub(then?)? as f64 / watched.as_micros() as f64;
        share.is_finite().then(|| share.min(1.0))
    };
    Pressure { cpu: share(then.cpu, now.cpu), memory: share(then.memory, now.memory), io: share(then.io, now.io) }
}
