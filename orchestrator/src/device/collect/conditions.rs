use farmctl_protocol::{
    Conditions, DeviceState, Energy, HottestSensor, MAX_MOMENTS, MAX_SENSORS, Moment, Pressure, Temperature,
};

use crate::device::bounds::cut;

use super::MAX_CPUS;

/// Temperatures that are kept: no device that answers is colder or hotter.
const TEMPERATURES_C: std::ops::RangeInclusive<f64> = -100.0..=300.0;

/// As much of a device's conditions as a record keeps. What can't be is taken for not told.
pub(super) fn bounded(told: Conditions) -> Conditions {
    let mut kept = cut(told);
    let available_ns = kept.watched_ns.saturating_mul(kept.cpus.len() as u64);
    kept.cpus.truncate(MAX_CPUS);
    kept.went_offline.truncate(MAX_CPUS);
    kept.throttled_by.truncate(MAX_SENSORS);
    kept.series.truncate(MAX_MOMENTS);
    kept.series.iter_mut().for_each(check_moment);
    check_state(&mut kept.before);
    check_state(&mut kept.after);
    let is_likely =
        |it: &HottestSensor| is_temperature(it.start_c) && is_temperature(it.max_c) && it.start_c <= it.max_c;
    kept.temperature = kept.temperature.filter(is_likely);
    kept.frequency = kept.frequency.filter(|it| it.min_khz <= it.mean_khz);
    kept.other_ns = kept.other_ns.filter(|ns| *ns <= available_ns);
    kept.stolen_ns = kept.stolen_ns.filter(|ns| *ns <= available_ns);
    kept.energy = kept.energy.filter(|Energy { sensor, .. }| !sensor.is_empty());
    let Pressure { cpu, memory, io } = kept.pressure;
    kept.pressure = Pressure { cpu: share(cpu), memory: share(memory), io: share(io) };
    kept
}

fn check_state(state: &mut DeviceState) {
    state.temperatures.truncate(MAX_SENSORS);
    state.temperatures.retain(|Temperature { celsius, .. }| is_temperature(*celsius));
    state.cores.truncate(MAX_CPUS);
    state.cooling.truncate(MAX_SENSORS);
    if let Some(battery) = &mut state.battery {
        battery.level_percent = battery.level_percent.filter(|level| *level <= 100);
    }
}

fn check_moment(moment: &mut Moment) {
    moment.celsius = moment.celsius.filter(|celsius| is_temperature(*celsius));
    moment.other_load = share(moment.other_load);
    moment.stolen_share = share(moment.stolen_share);
}

fn is_temperature(celsius: f64) -> bool {
    TEMPERATURES_C.contains(&celsius)
}

fn share(share: Option<f64>) -> Option<f64> {
    share.filter(|share| (0.0..=1.0).contains(share))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sample;
    use farmctl_protocol::{BatteryState, FrequencyRange};

    #[test]
    fn what_a_device_could_have_is_kept_as_it_is() {
        assert_eq!(bounded(sample::conditions()), sample::conditions());
    }

    #[test]
    fn what_no_device_has_is_not_kept() {
        let mut told = sample::conditions();
        told.temperature = Some(HottestSensor { sensor: "cpu".into(), start_c: 90.0, max_c: 20.0 });
        told.frequency = Some(FrequencyRange { mean_khz: 1, min_khz: 2 });
        (told.other_ns, told.stolen_ns) = (Some(u64::MAX), Some(u64::MAX));
        told.pressure = Pressure { cpu: Some(7.0), memory: Some(-1.0), io: Some(0.5) };
        told.series = vec![Moment { celsius: Some(1e300), other_load: Some(2.0), ..Moment::default() }; 100_000];
        told.before.temperatures = vec![Temperature { sensor: "x".repeat(10_000), celsius: 40.0 }; 1000];
        told.before.battery = Some(BatteryState { level_percent: Some(4_000_000_000), ..BatteryState::default() });
        told.cpus = (0..10_000).collect();
        let kept = bounded(told);
        assert_eq!((kept.temperature, kept.frequency), (None, None));
        assert_eq!((kept.other_ns, kept.stolen_ns), (None, None));
        assert_eq!(kept.pressure, Pressure { io: Some(0.5), ..Pressure::default() });
        assert_eq!((kept.series.len(), kept.series[0]), (MAX_MOMENTS, Moment::default()));
        assert_eq!((kept.before.temperatures.len(), kept.cpus.len()), (MAX_SENSORS, MAX_CPUS));
        assert!(kept.before.temperatures[0].sensor.len() < 1000);
        assert_eq!(kept.before.battery.unwrap().level_percent, None);
    }
}
