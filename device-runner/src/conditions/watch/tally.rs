//! What looks have shown so far.

use std::time::Duration;

use farmctl_protocol::{FrequencyRange, MAX_MOMENTS, Moment, Temperature, ThrottleSign, Throttled};

use super::look::Look;

/// Longest time between two looks over which shown power is summed up.
const LONGEST_STEP: Duration = Duration::from_secs(5);

/// What the looks have shown.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// How many there were.
    pub(super) looks: u32,
    /// The hottest of all.
    pub(super) hottest: Option<Temperature>,
    /// Cores that the run was last seen on.
    pub(super) on: Vec<u32>,
    /// Frequencies of these.
    pub(super) frequency: FrequencyTally,
    /// Signs of throttling that showed at any of them.
    pub(super) signs: Vec<ThrottleSign>,
    /// Whether the device has such signs.
    pub(super) can_tell: bool,
    /// When the first sign showed that is sure.
    pub(super) throttled_after_ms: Option<u64>,
    /// Processors that were missed.
    pub(super) went_offline: Vec<u32>,
    /// The looks.
    pub(super) series: Vec<Moment>,
    /// Energy by shown power; `None` once it was not shown.
    shown_nj: Option<u128>,
}

impl Tally {
    /// With the first look.
    pub(super) fn begin(hottest_before: Option<Temperature>, first: &Look) -> Tally {
        let mut tally = Tally { hottest: hottest_before, shown_nj: Some(0), ..Tally::default() };
        tally.series.reserve_exact(MAX_MOMENTS);
        tally.take_heat(first);
        let celsius = first.hottest.as_ref().map(|it| it.celsius);
        tally.take_moment(Moment { celsius, power_uw: first.power_uw(), ..Moment::default() });
        tally
    }

    /// Takes the heat of a look.
    pub(super) fn take_heat(&mut self, look: &Look) {
        let Some(now) = &look.hottest else { return };
        if self.hottest.as_ref().is_none_or(|hottest| now.celsius > hottest.celsius) {
            self.hottest = Some(now.clone());
        }
    }

    /// Takes the power from one look to the next: of both the mean.
    pub(super) fn take_power(&mut self, then: &Look, now: &Look) {
        let step = now.at.saturating_sub(then.at);
        self.shown_nj = match (self.shown_nj, then.power_uw(), now.power_uw()) {
            (Some(sum), Some(then), Some(now)) if step <= LONGEST_STEP => {
                let mean_uw = (u128::from(then) + u128::from(now)) / 2;
                Some(sum.saturating_add(mean_uw.saturating_mul(step.as_micros()) / 1000))
            }
            _ => None,
        };
    }

    /// Energy by shown power; `None` of a watch whose power was looked at twice: nothing is known of what lies between.
    pub(super) fn shown_uj(&self) -> Option<u64> {
        u64::try_from(self.shown_nj.filter(|_| self.looks > 2)? / 1000).ok()
    }

    /// Takes signs of throttling that showed so long after the begin.
    pub(super) fn take_signs(&mut self, signs: Vec<ThrottleSign>, can_tell: bool, at_ms: u64) {
        self.can_tell |= can_tell;
        if signs.iter().any(|sign| *sign != ThrottleSign::Capped) {
            self.throttled_after_ms.get_or_insert(at_ms);
        }
        self.signs.extend(signs);
        self.signs.sort_unstable();
        self.signs.dedup();
    }

    /// Whether the signs say that the run was throttled, and which do. A limit that was low all the time may be
    /// somebody's wish.
    pub(super) fn throttled(&self) -> (Throttled, Vec<ThrottleSign>) {
        let sure = self.signs.iter().copied().filter(|sign| *sign != ThrottleSign::Capped);
        let sure: Vec<ThrottleSign> = sure.collect();
        match (sure.is_empty(), self.signs.is_empty()) {
            (false, _) => (Throttled::Yes, sure),
            (true, false) => (Throttled::Unknown, self.signs.clone()),
            (true, true) if self.can_tell => (Throttled::No, Vec::new()),
            (true, true) => (Throttled::Unknown, Vec::new()),
        }
    }

    /// Takes processors that are not there.
    pub(super) fn take_offline<'a>(&mut self, cpus: impl Iterator<Item = &'a u32>) {
        self.went_offline.extend(cpus);
        self.went_offline.sort_unstable();
        self.went_offline.dedup();
    }

    /// Takes a look into the series. One that is full becomes half as fine.
    pub(super) fn take_moment(&mut self, moment: Moment) {
        self.looks = self.looks.saturating_add(1);
        if self.series.len() >= MAX_MOMENTS {
            let kept = self.series.len().div_ceil(2);
            for place in 0..kept {
                self.series[place] = merged(&self.series[2 * place..self.series.len().min(2 * place + 2)]);
            }
            self.series.truncate(kept);
        }
        self.series.push(moment);
    }
}

/// Frequencies at some looks, or of some cores.
#[derive(Debug, Default)]
pub(super) struct FrequencyTally {
    sum_khz: u64,
    taken: u64,
    min_khz: Option<u64>,
}

impl FrequencyTally {
    /// Takes one more.
    pub(super) fn take(&mut self, range: FrequencyRange) {
        self.sum_khz = self.sum_khz.saturating_add(range.mean_khz);
        self.taken += 1;
        self.min_khz = Some(self.min_khz.map_or(range.min_khz, |least| least.min(range.min_khz)));
    }

    /// Mean and least of all.
    pub(super) fn range(&self) -> Option<FrequencyRange> {
        Some(FrequencyRange { mean_khz: self.sum_khz.checked_div(self.taken)?, min_khz: self.min_khz? })
    }
}

/// Two moments as one: the hotter, and the mean of all else, at the time of the later.
fn merged(pair: &[Moment]) -> Moment {
    fn both<T>(one: Option<T>, other: Option<T>, join: fn(T, T) -> T) -> Option<T> {
        match (one, other) {
            (Some(one), Some(other)) => Some(join(one, other)),
            (one, other) => one.or(other),
        }
    }
    match pair {
        [one, other] => Moment {
            at_ms: other.at_ms,
            celsius: both(one.celsius, other.celsius, f64::max),
            frequency_khz: both(one.frequency_khz, other.frequency_khz, u64::midpoint),
            other_load: both(one.other_load, other.other_load, f64::midpoint),
            stolen_share: both(one.stolen_share, other.stolen_share, f64::midpoint),
            power_uw: both(one.power_uw, other.power_uw, u64::midpoint),
        },
        alone => alone.first().copied().unwrap_or_default(),
    }
}
