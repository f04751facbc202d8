//! Whether a loop has gone on for long enough.

use crate::{Dependence, Trend, median_interval_95};

/// Fewest samples that say whether a loop is long enough: fewer show neither a trend nor how they depend on each other.
pub const MIN_SAMPLES: usize = 20;

/// Fewest samples after which a loop ends because its median is known. A shorter one can't see what disturbs a device
/// over tens of inferences, and seems to be known the sooner (bench/statistics.md).
pub const MIN_SAMPLES_TO_END: usize = 200;

/// A series is looked at again when it has grown by this share. Each look is a chance to stop at a series that looks
/// better than it is, so there are few: at points that grow geometrically.
const GROWTH: f64 = 0.25;

/// Fewest batches whose spread tells, by itself, that a median is known.
const MIN_BATCHES: usize = 10;

/// Fewer batches tell it where the interval is so many times as narrow as it has to be.
const NARROWER: f64 = 3.0;

/// How many looks in a row must find that a median is known.
const LOOKS_IN_A_ROW: u32 = 3;

/// After how many samples a series is looked at next that was looked at after so many.
pub fn next_look(samples: usize) -> usize {
    samples.saturating_add((samples as f64 * GROWTH).ceil() as usize).max(MIN_SAMPLES)
}

/// After how many samples a series is looked at, up to so many.
pub fn look_points(most: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(MIN_SAMPLES), |at| Some(next_look(*at))).take_while(move |at| *at <= most)
}

/// Whether a warm-up is over: the trend of its last half surely changes the latency by less than `percent` over the
/// `next` samples that are to follow. The error is stated: where the trend is as large as that, a look calls it steady
/// 2.5 times in a hundred (for all looks together: bench/statistics.md). `None` of fewer than twenty samples.
pub fn is_steady(series: &[u64], percent: f64, next: f64) -> Option<bool> {
    if series.len() < MIN_SAMPLES {
        return None;
    }
    let trend = Trend::of(&series[series.len() / 2..])?;
    Some(trend.is_below(percent, next))
}

/// Looks at a series that grows, until its median is known.
///
/// A single look is right too early too often: whoever stops at the first interval that is narrow stops where chance
/// made it narrow (Y. S. Chow and H. Robbins, The Annals of Mathematical Statistics 36, 1965, for what becomes of it
/// in the limit). So the series has two hundred samples at least, and three looks in a row must find it, each by ten
/// batches or more or by an interval that is narrower by far, and the interval is that of a series whose length was
/// chosen ([`Dependence::of_chosen_length`]); how often it then holds the median is in bench/statistics.md.
#[derive(Debug, Clone, Copy)]
pub struct MedianLooks {
    percent: f64,
    /// How many looks in a row have found it.
    found: u32,
}

impl MedianLooks {
    /// Looks for an interval of 95 % whose half is at most so many per cent of the median.
    pub fn new(percent: f64) -> MedianLooks {
        MedianLooks { percent, found: 0 }
    }

    /// Whether the median is known by now. Asked once at each [`next_look`]. `None` of fewer than twenty samples, and
    /// where they have no interval.
    pub fn look(&mut self, series: &[u64]) -> Option<bool> {
        let known = self.is_known(series);
        self.found = if known == Some(true) { self.found.saturating_add(1) } else { 0 };
        let is_long = series.len() >= MIN_SAMPLES_TO_END;
        known.map(|_| is_long && self.found >= LOOKS_IN_A_ROW)
    }

    fn is_known(&self, series: &[u64]) -> Option<bool> {
        if series.len() < MIN_SAMPLES {
            return None;
        }
        let mut sorted = series.to_vec();
        sorted.sort_unstable();
        let p50_ns = *sorted.get((sorted.len() - 1) / 2)?;
        let dependence = Dependence::of(series, p50_ns).of_chosen_length(series.len());
        let (low, high) = median_interval_95(&sorted, &dependence)?;
        let needed = if dependence.batches >= MIN_BATCHES { 1.0 } else { NARROWER };
        Some((high - low) / 2.0 * needed <= self.percent / 100.0 * p50_ns as f64)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::series::{Kind, Level, MEDIAN_NS, Noise, Random};

    #[test]
    fn looks_are_few() {
        assert_eq!([0, 1, 19, 20, 25, 100].map(next_look), [20, 20, 24, 25, 32, 125]);
        assert_eq!(next_look(usize::MAX), usize::MAX);
        let looks = look_points(1_000_000).count();
        assert!(looks < 50, "{looks}");
    }

    #[test]
    fn a_warm_up_ends_when_it_no_longer_trends() {
        // 30 % slower at first, a tenth of that after 230 samples; 150 are to follow.
        let kind = Kind::new("", Noise::Normal(0.01), Level::Settling { by: 0.3, over: 0.05 });
        let mut random = Random::new(4);
        let mut too_early = 0;
        for _ in 0..100 {
            let series = kind.series(&mut random, 2_000);
            let at = look_points(2_000).find(|&at| is_steady(&series[..at], 3.0, 150.0) == Some(true)).unwrap();
            let left = |at: f64| 0.3 * (-at / 100.0).exp();
            too_early += usize::from(left(at as f64) - left(at as f64 + 150.0) > 0.03);
        }
        assert!(too_early <= 5, "{too_early}");
        let drifting = Kind::new("", Noise::Normal(0.01), Level::Drift(1.0)).series(&mut random, 2_000);
        assert_eq!(look_points(2_000).find(|&at| is_steady(&drifting[..at], 3.0, 150.0) == Some(true)), None);
        assert_eq!(is_steady(&drifting[..19], 3.0, 1.0), None);
        let steady = Kind::new("", Noise::Normal(0.01), Level::Steady);
        let ended = (0..100).filter(|_| {
            let series = steady.series(&mut random, 400);
            look_points(400).find(|&at| is_steady(&series[..at], 3.0, 150.0) == Some(true)).is_some()
        });
        assert!(ended.count() >= 98);
    }

    /// Of loops with this noise that their interval ended, how many of a hundred intervals hold the median.
    fn holds_percent(noise: Noise, percent: f64) -> f64 {
        let mut random = Random::new(5);
        let of_loop = |series: &[u64], p50_ns| Dependence::of(series, p50_ns).of_chosen_length(series.len());
        let (mut holds, mut ended) = (0, 0);
        for _ in 0..400 {
            let series = Kind::new("", noise, Level::Steady).series(&mut random, 3_000);
            let mut looks = MedianLooks::new(percent);
            let Some(at) = look_points(3_000).find(|&at| looks.look(&series[..at]) == Some(true)) else { continue };
            let mut sorted = series[..at].to_vec();
            sorted.sort_unstable();
            let p50_ns = sorted[(at - 1) / 2];
            let (low, high) = median_interval_95(&sorted, &of_loop(&series[..at], p50_ns)).unwrap();
            assert!((high - low) / 2.0 <= percent / 100.0 * p50_ns as f64);
            ended += 1;
            holds += usize::from((low..=high).contains(&MEDIAN_NS));
        }
        assert!(ended >= 300, "{noise:?}: {ended}");
        f64::from(holds as u32) / f64::from(ended) * 100.0
    }

    #[test]
    fn an_interval_that_ends_a_loop_holds_the_median() {
        // Of those that wander under noise, loops of a hundred samples held it in 83 of 100.
        let noises = [
            (Noise::Dependent { sd: 0.03, correlation: 0.3 }, 1.5),
            (Noise::Wandering { sd: 0.03, correlation: 0.9 }, 2.0),
        ];
        for (noise, percent) in noises {
            let percent = holds_percent(noise, percent);
            assert!((91.5..=98.5).contains(&percent), "{noise:?}: {percent}");
        }
    }

    #[test]
    fn a_loop_that_is_short_does_not_end_however_alike_its_samples_are() {
        let mut looks = MedianLooks::new(1.0);
        let ends: Vec<usize> = look_points(400).filter(|&at| looks.look(&vec![5; at]) == Some(true)).collect();
        assert_eq!(ends, [243, 304, 380]);
    }

    #[test]
    fn three_looks_in_a_row_are_needed() {
        let mut looks = MedianLooks::new(1.0);
        assert_eq!(looks.look(&[5; 19]), None);
        let found = [200, 250, 313].map(|samples| looks.look(&vec![5; samples]));
        assert_eq!(found, [Some(false), Some(false), Some(true)]);
        let wide = Kind::new("", Noise::Normal(0.3), Level::Steady).series(&mut Random::new(6), 40);
        assert_eq!([looks.look(&wide), looks.look(&[5; 50])], [Some(false); 2], "one that finds nothing begins anew");
    }
}
