//! Whether a device is fit for work, from what a check measured and from what earlier checks did: pure.

use serde::Serialize;

use crate::domain::{Battery, Calibration, CheckFigures, CheckVerdict, Failure, Finding};

use super::sightings::{NEARLY_FULL_BYTES, clock_text};

/// Checks that a device is held against at most: a month of nights, so that some bad ones do not become the usual.
pub(super) const CHECKS_LOOKED_AT: u32 = 30;
/// Fewest checks that tell what is usual.
const LEAST_CHECKS: usize = 3;

/// How much longer than usual the kernels may take. Memory is shared with whatever else runs.
const SLOWER_COMPUTE: f64 = 0.2;
const SLOWER_MEMORY: f64 = 0.5;
/// Times the usual round trip that are worth a word, and the least that it must be longer: ways over radio vary.
const LONGER_ROUND_TRIP: f64 = 3.0;
const LONGER_ROUND_TRIP_MS: f64 = 50.0;
/// Share of the usual speed of pushes below which they are worth a word, unless they are fast all the same.
const SLOWER_PUSH: f64 = 0.5;
const FAST_PUSH_BYTES_PER_SECOND: f64 = 50e6;

/// A battery that is warmer makes a phone slow down.
const WARM_BATTERY_C: f64 = 42.0;
/// A battery with less, and no charger, does not last a night.
const LOW_BATTERY_PERCENT: u32 = 30;

/// A command that takes longer there and back makes every step of a sweep slow.
const SLOW_ROUND_TRIP_MS: f64 = 500.0;
/// A model takes minutes at less.
const SLOW_PUSH_BYTES_PER_SECOND: f64 = 1e6;

/// What earlier checks of a device measured, as medians; `None` where there are too few.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Baseline {
    /// Time of the computing kernel.
    pub compute_ns: Option<u64>,
    /// Time of the reading kernel.
    pub memory_ns: Option<u64>,
    /// A command that does nothing, there and back.
    pub round_trip_ms: Option<f64>,
    /// What a push brings over.
    pub push_bytes_per_second: Option<f64>,
}

impl Baseline {
    /// Of earlier checks, as far as they measured the same thing as these figures.
    pub(super) fn of(figures: &CheckFigures, past: &[CheckFigures]) -> Baseline {
        let past = || past.iter();
        let kernel_version = figures.calibration.as_ref().map(|it| it.kernel_version);
        let is_same = |before: &&CheckFigures| before.target == figures.target;
        let kernels = || past().filter(is_same).filter_map(|before| before.calibration.as_ref());
        let kernel = |time_ns: fn(&Calibration) -> u64| {
            median(kernels().filter(|it| Some(it.kernel_version) == kernel_version).map(time_ns), u64::cmp)
        };
        Baseline {
            compute_ns: kernel(Calibration::compute_ns),
            memory_ns: kernel(Calibration::memory_ns),
            round_trip_ms: median(past().filter_map(|before| before.round_trip_ms), f64::total_cmp),
            push_bytes_per_second: median(past().filter_map(|before| before.push_bytes_per_second), f64::total_cmp),
        }
    }
}

/// How much longer than usual something took, as a share of the usual; negative when it was faster.
pub fn slower_by(now_ns: u64, usual_ns: u64) -> Option<f64> {
    (usual_ns > 0).then(|| now_ns as f64 / usual_ns as f64 - 1.0)
}

/// The verdict, and what speaks against the device.
pub(super) fn judge(
    figures: &CheckFigures,
    baseline: &Baseline,
    failure: Option<&Failure>,
) -> (CheckVerdict, Vec<Finding>) {
    if let Some(failure) = failure {
        let what = failure.to_string();
        return (CheckVerdict::Failed, vec![Finding { what, remedy: failure.kind.remedy().to_owned() }]);
    }
    let mut findings: Vec<Finding> = [space(figures), clock(figures), logout(figures)].into_iter().flatten().collect();
    findings.extend(figures.battery.iter().flat_map(battery));
    findings.extend(kernels(figures, baseline));
    findings.extend(link(figures, baseline));
    let verdict = if findings.is_empty() { CheckVerdict::Ok } else { CheckVerdict::Warning };
    (verdict, findings)
}

fn space(figures: &CheckFigures) -> Option<Finding> {
    let free_bytes = figures.free_bytes.filter(|free_bytes| *free_bytes < NEARLY_FULL_BYTES)?;
    Some(finding(format!("{} MB are free", free_bytes / 1_000_000), "make room, or choose another workdir"))
}

fn clock(figures: &CheckFigures) -> Option<Finding> {
    figures.clock_off_ms?;
    let what = format!("its clock is {}", clock_text(figures.clock_off_ms));
    Some(finding(what, "set it, or turn its automatic time on"))
}

fn logout(figures: &CheckFigures) -> Option<Finding> {
    let user = figures.user_without_lingering.as_ref()?;
    let what = "a connection that breaks ends the run, too: systemd-logind ends what a login has started \
        (KillUserProcesses=yes)";
    Some(finding(what.to_owned(), &format!("on the device, as root: `loginctl enable-linger {user}`")))
}

fn battery(battery: &Battery) -> Vec<Finding> {
    let warm = battery.temperature_c.filter(|temperature_c| *temperature_c > WARM_BATTERY_C);
    let warm = warm.map(|temperature_c| finding(format!("its battery has {temperature_c:.0} °C"), "let it cool down"));
    let low = battery.level_percent.filter(|level| *level < LOW_BATTERY_PERCENT && battery.powered_by.is_empty());
    let low = low.map(|level| finding(format!("its battery has {level} % and no charger"), "connect its charger"));
    warm.into_iter().chain(low).collect()
}

/// Whether it is slower than it was.
fn kernels(figures: &CheckFigures, baseline: &Baseline) -> Vec<Finding> {
    let Some(now) = &figures.calibration else { return Vec::new() };
    let memory = slower("reads memory", now.memory_ns(), baseline.memory_ns, SLOWER_MEMORY);
    computes_slower(now, baseline).into_iter().chain(memory).collect()
}

/// Whether it computes slower than it did.
pub(super) fn computes_slower(now: &Calibration, baseline: &Baseline) -> Option<Finding> {
    slower("computes", now.compute_ns(), baseline.compute_ns, SLOWER_COMPUTE)
}

fn slower(what: &str, now_ns: u64, usual_ns: Option<u64>, allowed: f64) -> Option<Finding> {
    let usual_ns = usual_ns?;
    let slower_by = slower_by(now_ns, usual_ns).filter(|slower_by| *slower_by > allowed)?;
    let [now_ms, usual_ms] = [now_ns, usual_ns].map(|time_ns| time_ns as f64 / 1e6);
    let what =
        format!("it {what} {:.0} % slower than usual ({now_ms:.2} ms, usually {usual_ms:.2})", slower_by * 100.0);
    Some(finding(what, "let it cool down, look what else runs there, and at power saving and charger"))
}

/// Whether the way to it is slow.
fn link(figures: &CheckFigures, baseline: &Baseline) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(now_ms) = figures.round_trip_ms {
        let is_longer =
            |usual_ms: &f64| now_ms > usual_ms * LONGER_ROUND_TRIP && now_ms > usual_ms + LONGER_ROUND_TRIP_MS;
        let usual_ms = baseline.round_trip_ms.filter(is_longer);
        if now_ms > SLOW_ROUND_TRIP_MS || usual_ms.is_some() {
            let usually = usual_ms.map_or_else(String::new, |usual_ms| format!(", usually {usual_ms:.0}"));
            let what = format!("a command takes {now_ms:.0} ms there and back{usually}");
            findings.push(finding(what, "look at the network, or at what else runs there"));
        }
    }
    if let Some(now) = figures.push_bytes_per_second {
        let is_faster = |usual: &f64| now < usual * SLOWER_PUSH && now < FAST_PUSH_BYTES_PER_SECOND;
        let usual = baseline.push_bytes_per_second.filter(is_faster);
        if now < SLOW_PUSH_BYTES_PER_SECOND || usual.is_some() {
            let usually = usual.map_or_else(String::new, |usual| format!(", usually {:.1}", usual / 1e6));
            let what = format!("a push brings over {:.1} MB a second{usually}", now / 1e6);
            findings.push(finding(what, "look at cable, hub or Wi-Fi"));
        }
    }
    findings
}

fn finding(what: String, remedy: &str) -> Finding {
    Finding { what, remedy: remedy.to_owned() }
}

/// The median of enough values; of an even number the lower of the two.
fn median<T: Copy>(values: impl Iterator<Item = T>, order: impl Fn(&T, &T) -> std::cmp::Ordering) -> Option<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_by(|a, b| order(a, b));
    values.get(values.len().checked_sub(1)? / 2).copied().filter(|_| values.len() >= LEAST_CHECKS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{FailureKind, KernelTime};

    fn figures(compute_ns: u64) -> CheckFigures {
        let time = |median_ns| KernelTime { samples: 9, median_ns, fastest_ns: median_ns };
        CheckFigures {
            target: Some("t".to_owned()),
            round_trip_ms: Some(10.0),
            push_bytes_per_second: Some(40e6),
            free_bytes: Some(9_000_000_000),
            clock_off_ms: None,
            battery: None,
            user_without_lingering: None,
            calibration: Some(Calibration { kernel_version: 1, compute: time(compute_ns), memory: time(5_000_000) }),
        }
    }

    /// What is said of a device that was like that before.
    fn said(now: &CheckFigures, before: &[CheckFigures]) -> Vec<String> {
        let (verdict, findings) = judge(now, &Baseline::of(now, before), None);
        assert_eq!(verdict == CheckVerdict::Ok, findings.is_empty());
        findings.into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_device_that_is_slower_than_it_was_is_told_by_how_much() {
        let before = [3_100_000, 3_000_000, 9_000_000].map(figures);
        assert_eq!(said(&figures(3_700_000), &before), Vec::<String>::new(), "a fifth is within what varies");
        let slower = ["it computes 29 % slower than usual (4.00 ms, usually 3.10)"];
        assert_eq!(said(&figures(4_000_000), &before), slower);
        assert_eq!(said(&figures(1_000_000), &before), Vec::<String>::new(), "faster is no fault");
        assert_eq!(said(&figures(4_000_000), &before[..2]), Vec::<String>::new(), "two say too little");
    }

    #[test]
    fn only_the_same_kernel_on_the_same_target_is_compared() {
        let now = figures(4_000_000);
        let mut others = [3_000_000; 3].map(figures);
        others[0].target = Some("u".to_owned());
        assert_eq!(said(&now, &others), Vec::<String>::new());
        let mut others = [3_000_000; 3].map(figures);
        others[1].calibration.as_mut().expect("it is there").kernel_version = 2;
        assert_eq!(said(&now, &others), Vec::<String>::new());
        let failed = CheckFigures::default();
        let before = [figures(3_000_000), failed.clone(), figures(3_000_000), figures(3_000_000)];
        assert_eq!(said(&now, &before).len(), 1, "one that failed says nothing");
        assert_eq!(said(&failed, &before), Vec::<String>::new());
    }

    #[test]
    fn slow_memory_and_a_slow_way_are_told_too() {
        let before = [3_000_000; 3].map(figures);
        let mut now = figures(3_000_000);
        now.calibration.as_mut().expect("it is there").memory.fastest_ns = 8_000_000;
        (now.round_trip_ms, now.push_bytes_per_second) = (Some(70.0), Some(15e6));
        let expected = [
            "it reads memory 60 % slower than usual (8.00 ms, usually 5.00)",
            "a command takes 70 ms there and back, usually 10",
            "a push brings over 15.0 MB a second, usually 40.0",
        ];
        assert_eq!(said(&now, &before), expected);
        (now.round_trip_ms, now.push_bytes_per_second) = (Some(55.0), Some(25e6));
        assert_eq!(said(&now, &before)[1..], Vec::<String>::new());
        (now.round_trip_ms, now.push_bytes_per_second, now.calibration) = (Some(600.0), Some(5e5), None);
        let expected = ["a command takes 600 ms there and back", "a push brings over 0.5 MB a second"];
        assert_eq!(said(&now, &[]), expected, "what is slow for any device");
    }

    #[test]
    fn a_battery_that_is_warm_or_low_is_told_of() {
        let with = |level: u32, temperature_c: f64, powered_by: &[&str]| {
            let powered_by = powered_by.iter().map(|way| (*way).to_owned()).collect();
            let (level_percent, temperature_c) = (Some(level), Some(temperature_c));
            let battery = Battery { level_percent, temperature_c, powered_by, ..Battery::default() };
            said(&CheckFigures { battery: Some(battery), ..figures(1) }, &[])
        };
        assert_eq!(with(12, 41.9, &["usb"]), Vec::<String>::new());
        assert_eq!(with(12, 43.6, &[]), ["its battery has 44 °C", "its battery has 12 % and no charger"]);
        assert_eq!(with(80, 30.0, &[]), Vec::<String>::new());
    }

    #[test]
    fn want_of_space_a_wrong_clock_and_a_failure_are_told() {
        let mut now = CheckFigures { free_bytes: Some(42_000_000), ..figures(1) };
        now.clock_off_ms = Some(-3 * 3_600_000);
        assert_eq!(said(&now, &[]), ["42 MB are free", "its clock is 3 h behind"]);
        let failure = Failure::new(FailureKind::Refused, "nobody\nlistens");
        let (verdict, findings) = judge(&now, &Baseline::default(), Some(&failure));
        assert_eq!((verdict, findings.len()), (CheckVerdict::Failed, 1));
        // Whoever prints it guards it.
        assert_eq!(findings[0].what, "refused: nobody\nlistens");
        assert!(findings[0].remedy.contains("start the ssh or adb server"));
    }
}
