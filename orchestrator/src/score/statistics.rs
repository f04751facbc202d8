use std::time::Duration;

/// Statistics of the latencies of one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Statistics {
    /// Number of samples, at least 1.
    pub count: usize,
    /// Arithmetic mean.
    pub mean_ns: f64,
    /// Sample standard deviation (divided by n − 1); `None` for a single sample, which has no spread.
    pub sd_ns: Option<f64>,
    /// Smallest sample.
    pub min_ns: u64,
    /// Median: the 50th percentile by nearest rank.
    pub p50_ns: u64,
    /// 90th percentile.
    pub p90_ns: u64,
    /// 95th percentile.
    pub p95_ns: u64,
    /// 99th percentile; the largest sample when there are fewer than 100.
    pub p99_ns: u64,
    /// Largest sample.
    pub max_ns: u64,
}

impl Statistics {
    /// The statistics of these samples, in any order; `None` when there are none.
    pub fn of(samples_ns: &[u64]) -> Option<Statistics> {
        let mut sorted = samples_ns.to_vec();
        sorted.sort_unstable();
        let (&min_ns, &max_ns) = (sorted.first()?, sorted.last()?);
        let count = sorted.len();
        let sum: u128 = sorted.iter().map(|&sample| u128::from(sample)).sum();
        let mean_ns = sum as f64 / count as f64;
        // Two passes: the textbook sum of squares loses all digits where the spread is small against the mean.
        let squares: f64 = sorted.iter().map(|&sample| (sample as f64 - mean_ns).powi(2)).sum();
        Some(Statistics {
            count,
            mean_ns,
            sd_ns: (count > 1).then(|| (squares / (count - 1) as f64).sqrt()),
            min_ns,
            p50_ns: percentile(&sorted, 50)?,
            p90_ns: percentile(&sorted, 90)?,
            p95_ns: percentile(&sorted, 95)?,
            p99_ns: percentile(&sorted, 99)?,
            max_ns,
        })
    }
}

/// The percentile by nearest rank: the smallest sample that at least `percent` per cent of the samples don't exceed.
/// Always a sample that was measured, never an interpolation. `None` without samples.
pub fn percentile(sorted: &[u64], percent: u32) -> Option<u64> {
    let rank = (sorted.len() as u128 * u128::from(percent.min(100))).div_ceil(100);
    let index = usize::try_from(rank).unwrap_or(usize::MAX).saturating_sub(1);
    sorted.get(index).copied()
}

/// Throughput: images through the network in a second of the timed loop's wall time, batch × inferences ÷ wall. One
/// definition for all scenarios: in `single_stream` the loop holds one query at a time, in `offline` all of them.
/// `None` when the wall time is not known or zero.
pub fn images_per_s(batch: u32, inferences: usize, wall: Option<Duration>) -> Option<f64> {
    let seconds = wall?.as_secs_f64();
    (seconds > 0.0).then(|| f64::from(batch) * inferences as f64 / seconds)
}

/// Multiply-adds a second, in thousands of millions, at the mean latency: MACs of one image × batch ÷ mean. `None` for
/// a network that has none: how fast it does them was not measured.
pub fn gmacs_per_s(macs: u64, batch: u32, mean_ns: f64) -> Option<f64> {
    // A MAC per nanosecond is a thousand million a second.
    (mean_ns > 0.0 && macs > 0).then(|| macs as f64 * f64::from(batch) / mean_ns)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_values() {
        let samples: Vec<u64> = (1..=200).collect();
        let statistics = Statistics::of(&samples).unwrap();
        assert_eq!((statistics.min_ns, statistics.max_ns, statistics.count), (1, 200, 200));
        assert_eq!((statistics.p50_ns, statistics.p90_ns, statistics.p95_ns, statistics.p99_ns), (100, 180, 190, 198));
        assert_eq!(statistics.mean_ns, 100.5);
        assert!((statistics.sd_ns.unwrap() - 57.879_184_513_951_13).abs() < 1e-9);
    }

    #[test]
    fn nearest_rank_as_in_the_textbook() {
        let sorted = [15, 20, 35, 40, 50];
        let ranks = [(0, 15), (5, 15), (30, 20), (40, 20), (41, 35), (50, 35), (100, 50)];
        ranks.iter().for_each(|&(percent, value)| assert_eq!(percentile(&sorted, percent), Some(value), "{percent}"));
    }

    #[test]
    fn few_samples() {
        assert_eq!(Statistics::of(&[]), None);
        let one = Statistics::of(&[7]).unwrap();
        assert_eq!((one.mean_ns, one.sd_ns, one.p50_ns, one.p99_ns), (7.0, None, 7, 7));
        assert_eq!(Statistics::of(&[2, 4]).unwrap().p50_ns, 2, "the lower of two: nearest rank doesn't interpolate");
    }

    #[test]
    fn small_spread_on_large_values_keeps_its_digits() {
        let base = 1u64 << 52;
        let sd_ns = Statistics::of(&[base, base + 2, base + 4]).unwrap().sd_ns.unwrap();
        assert!((sd_ns - 2.0).abs() < 1e-9, "{sd_ns}");
    }

    #[test]
    fn rates() {
        assert_eq!(images_per_s(4, 10, Some(Duration::from_millis(500))), Some(80.0));
        assert_eq!(images_per_s(4, 10, None), None);
        assert_eq!(images_per_s(4, 10, Some(Duration::ZERO)), None);
        assert_eq!(gmacs_per_s(300_000_000, 2, 60_000_000.0), Some(10.0));
        assert_eq!(gmacs_per_s(1, 1, 0.0), None);
        assert_eq!(gmacs_per_s(0, 1, 1.0), None);
    }

    proptest! {
        #[test]
        fn order_is_irrelevant(mut samples in prop::collection::vec(any::<u64>(), 1..300), seed: u64) {
            let statistics = Statistics::of(&samples);
            let length = samples.len();
            for index in 0..length {
                samples.swap(index, (seed.wrapping_mul(index as u64 + 7) % length as u64) as usize);
            }
            prop_assert_eq!(statistics, Statistics::of(&samples));
        }

        #[test]
        fn percentiles_are_samples_in_order(samples in prop::collection::vec(0u64..1 << 40, 1..300)) {
            let s = Statistics::of(&samples).unwrap();
            let chain = [s.min_ns, s.p50_ns, s.p90_ns, s.p95_ns, s.p99_ns, s.max_ns];
            prop_assert!(chain.is_sorted() && chain.iter().all(|value| samples.contains(value)));
            prop_assert!(s.min_ns as f64 <= s.mean_ns && s.mean_ns <= s.max_ns as f64);
            prop_assert!(s.sd_ns.unwrap_or(0.0) <= (s.max_ns - s.min_ns) as f64);
        }

        #[test]
        fn percentile_covers_its_share(
            mut samples in prop::collection::vec(0u64..1000, 1..300), percent in 1u32..=100,
        ) {
            samples.sort_unstable();
            let value = percentile(&samples, percent).unwrap();
            let share = |limit: u64| samples.iter().filter(|&&sample| sample <= limit).count() as u64 * 100;
            let wanted = samples.len() as u64 * u64::from(percent);
            prop_assert!(share(value) >= wanted);
            prop_assert!(value == 0 || share(value - 1) < wanted);
        }
    }
}
