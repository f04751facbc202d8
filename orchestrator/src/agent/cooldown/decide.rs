//! Whether a device is cool enough for a run: pure.

use std::time::Duration;

use crate::domain::{Cooldown, IdleTemperature, Reached};

/// How much warmer than at rest a device may be.
const ABOVE_FLOOR_C: f64 = 1.5;
/// A device that fell by less than this within that time cools no further.
const AT_REST_C: f64 = 0.5;
const AT_REST: Duration = Duration::from_secs(60);

/// A look at a device that is to cool down.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Look {
    /// Since the wait began.
    pub(super) at: Duration,
    /// The hottest sensor of the processor; `None` where it tells none.
    pub(super) celsius: Option<f64>,
    /// Android's thermal status; `None` where there is none.
    pub(super) thermal_status: Option<u32>,
}

impl Look {
    /// Whether Android slows the device down, or is about to.
    pub(super) fn is_severe(&self) -> bool {
        self.thermal_status.is_some_and(|status| status > 0)
    }
}

/// What is to be done after a look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    /// Look again later.
    Wait,
    /// Begin the run.
    Begin(Reached),
}

/// How cool a device is at rest: the lower median of what it was at its coolest on each day, so that neither one odd
/// reading nor one day without rest decides.
pub(super) fn floor(days: &[IdleTemperature]) -> Option<f64> {
    let mut lows: Vec<f64> = days.iter().map(|day| day.celsius).filter(|celsius| celsius.is_finite()).collect();
    lows.sort_by(f64::total_cmp);
    lows.get(lows.len().checked_sub(1)? / 2).copied()
}

/// How cool a device is to be; `None` where it is not known yet.
pub(super) fn goal(settings: &Cooldown, floor: Option<f64>) -> Option<f64> {
    settings.start_temp_c.or(floor.map(|floor| floor + ABOVE_FLOOR_C))
}

/// What is to be done after the last of these looks.
pub(super) fn decide(settings: &Cooldown, goal: Option<f64>, looks: &[Look]) -> Step {
    let Some(last) = looks.last() else { return Step::Wait };
    let has_sensor = looks.iter().any(|look| look.celsius.is_some());
    let is_over = last.at >= limit(settings, has_sensor || last.is_severe());
    let is_cool = last.celsius.zip(goal).map(|(celsius, goal)| celsius <= goal);
    let reached = match is_cool {
        Some(is_cool) if is_cool && !last.is_severe() => Reached::Yes,
        Some(_) => Reached::No,
        None if last.is_severe() => Reached::No,
        None => Reached::Unknown,
    };
    if is_over {
        return Step::Begin(reached);
    }
    if last.at < seconds(settings.min_seconds) || last.is_severe() || !has_sensor {
        return Step::Wait;
    }
    // Whoever named a temperature waits for it as long as they said.
    let is_enough = reached == Reached::Yes || settings.start_temp_c.is_none() && is_at_rest(looks);
    if is_enough { Step::Begin(reached) } else { Step::Wait }
}

/// When the wait is over, whatever the device says.
pub(super) fn limit(settings: &Cooldown, has_sensor: bool) -> Duration {
    seconds(if has_sensor { settings.max_seconds } else { settings.pause_seconds })
}

/// Whether it cools no further.
fn is_at_rest(looks: &[Look]) -> bool {
    let Some((last, before)) = looks.split_last() else { return false };
    let Some(since) = last.at.checked_sub(AT_REST) else { return false };
    let then = before.iter().rev().find(|look| look.at <= since).and_then(|look| look.celsius);
    then.zip(last.celsius).is_some_and(|(then, now)| then - now < AT_REST_C)
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sample;

    const SETTINGS: Cooldown =
        Cooldown { start_temp_c: None, min_seconds: 0.0, max_seconds: 300.0, pause_seconds: 5.0 };

    /// When the wait of a device ends that is looked at each second, and how.
    fn waited(settings: &Cooldown, goal: Option<f64>, look: impl Fn(u64) -> Look) -> (u64, Reached) {
        let mut looks = Vec::new();
        for second in 0..10_000 {
            looks.push(Look { at: Duration::from_secs(second), ..look(second) });
            if let Step::Begin(reached) = decide(settings, goal, &looks) {
                return (second, reached);
            }
        }
        panic!("it never ends")
    }

    /// A device that cools from 70 °C towards `rest`, with a time constant of 40 s.
    fn cooling(rest: f64) -> impl Fn(u64) -> Look {
        move |second| Look { celsius: Some(rest + (70.0 - rest) * (-(second as f64) / 40.0).exp()), ..Look::default() }
    }

    #[test]
    fn a_cool_device_does_not_wait_and_a_hot_one_does_until_it_is_cool() {
        let cool = |_| Look { celsius: Some(41.4), ..Look::default() };
        assert_eq!(waited(&SETTINGS, Some(41.5), cool), (0, Reached::Yes));
        assert_eq!(waited(&SETTINGS, Some(50.0), cooling(40.0)), (44, Reached::Yes));
        assert_eq!(waited(&SETTINGS, Some(41.5), cooling(40.0)), (120, Reached::Yes));
        let at_least = Cooldown { min_seconds: 30.0, ..SETTINGS };
        assert_eq!(waited(&at_least, Some(41.5), cool), (30, Reached::Yes));
    }

    #[test]
    fn what_can_not_become_cooler_is_not_waited_for_to_the_limit() {
        let (waited_for, reached) = waited(&SETTINGS, Some(35.0), cooling(40.0));
        assert!((100..300).contains(&waited_for) && reached == Reached::No, "{waited_for} s");
        let named = Cooldown { start_temp_c: Some(35.0), ..SETTINGS };
        assert_eq!(waited(&named, goal(&named, None), cooling(40.0)), (300, Reached::No), "a person wants it so");
        let busy = |_| Look { celsius: Some(80.0), ..Look::default() };
        assert_eq!(waited(&SETTINGS, Some(41.5), busy), (60, Reached::No));
        // Nobody knows yet how cool it is at rest.
        let (waited_for, reached) = waited(&SETTINGS, None, cooling(40.0));
        assert!((100..300).contains(&waited_for) && reached == Reached::Unknown, "{waited_for} s");
        let short = Cooldown { max_seconds: 10.0, ..SETTINGS };
        assert_eq!(waited(&short, None, cooling(40.0)), (10, Reached::Unknown));
    }

    #[test]
    fn a_device_without_a_sensor_has_its_pause() {
        let silent = |_| Look::default();
        assert_eq!(waited(&SETTINGS, Some(41.5), silent), (5, Reached::Unknown));
        let none = Cooldown { pause_seconds: 0.0, ..SETTINGS };
        assert_eq!(waited(&none, None, silent), (0, Reached::Unknown));
        // A sensor that vanishes is no device without one.
        let vanishing = |second| Look { celsius: (second < 3).then_some(60.0), ..Look::default() };
        assert_eq!(waited(&SETTINGS, Some(41.5), vanishing), (300, Reached::Unknown));
    }

    #[test]
    fn androids_status_must_be_none_too() {
        let until = |last: u64, celsius| {
            move |second| Look { celsius, thermal_status: Some(u32::from(second < last)), ..Look::default() }
        };
        assert_eq!(waited(&SETTINGS, Some(41.5), until(20, Some(30.0))), (20, Reached::Yes));
        assert_eq!(waited(&SETTINGS, Some(41.5), until(9_999, Some(30.0))), (300, Reached::No));
        // Of a phone whose sensors can't be read the status alone tells.
        assert_eq!(waited(&SETTINGS, None, until(0, None)), (5, Reached::Unknown));
        assert_eq!(waited(&SETTINGS, None, until(50, None)), (50, Reached::Unknown));
        assert_eq!(waited(&SETTINGS, None, until(9_999, None)), (300, Reached::No));
    }

    #[test]
    fn the_floor_is_what_most_days_know() {
        let days = |lows: &[f64]| {
            let day = |celsius: &f64| IdleTemperature { at: sample::at(0), sensor: "cpu".into(), celsius: *celsius };
            lows.iter().map(day).collect::<Vec<_>>()
        };
        assert_eq!((floor(&[]), floor(&days(&[44.0]))), (None, Some(44.0)));
        assert_eq!(floor(&days(&[40.5, 40.0, 12.0, 41.0, 63.0])), Some(40.5), "an odd reading, a day without rest");
        assert_eq!(floor(&days(&[f64::NAN, 40.0, 41.0])), Some(40.0));
        assert_eq!(goal(&SETTINGS, Some(40.0)), Some(41.5));
        assert_eq!(goal(&Cooldown { start_temp_c: Some(35.0), ..SETTINGS }, Some(40.0)), Some(35.0));
    }

    #[test]
    fn every_wait_ends_whatever_a_device_says() {
        let odd = |second| Look {
            celsius: [None, Some(f64::NAN), Some(f64::INFINITY), Some(-1e9)][second as usize % 4],
            thermal_status: [None, Some(u32::MAX)][second as usize % 2],
            ..Look::default()
        };
        assert!(waited(&SETTINGS, Some(f64::NEG_INFINITY), odd).0 <= 300);
        let endless = Cooldown { max_seconds: 20.0, min_seconds: f64::INFINITY, ..SETTINGS };
        assert_eq!(waited(&endless, Some(41.5), cooling(40.0)), (20, Reached::No));
    }
}
