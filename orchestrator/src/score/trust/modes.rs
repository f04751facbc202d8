use super::centre::clock_step;
use super::dip::dip;

/// Most order statistics that are looked at, evenly spaced among all: a million samples show no more.
const MOST_POINTS: usize = 2_000;
/// Share of the samples at each end that doesn't say where the modes part: a wild sample is no mode.
const TAIL_SHARE: f64 = 0.025;

/// Two modes: which of them a run spends its time in may be chance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Modes {
    /// Median of the quicker samples, in nanoseconds.
    pub quick_ns: f64,
    /// Median of the slower ones.
    pub slow_ns: f64,
    /// Share of the slower ones, from 0 to 1.
    pub slow_share: f64,
    /// Dip of the distribution.
    pub dip: f64,
    /// What a single mode's dip exceeds once in a hundred times.
    pub critical: f64,
}

impl Modes {
    /// How much slower the slow mode is, in per cent of the quick one.
    pub fn percent_apart(&self) -> f64 {
        if self.quick_ns > 0.0 { (self.slow_ns / self.quick_ns - 1.0) * 100.0 } else { 0.0 }
    }

    /// Share of the smaller mode.
    pub fn smaller_share(&self) -> f64 {
        self.slow_share.min(1.0 - self.slow_share)
    }

    /// The modes of sorted samples, if they have two by the dip test. Samples that depend on each other count as so
    /// many that don't.
    pub(super) fn of(sorted: &[u64], effective_samples: f64) -> Option<Modes> {
        let points = untied(&evenly_spaced(sorted));
        let dip = dip(&points);
        let critical = critical(effective_samples.min(points.len() as f64));
        if dip <= critical {
            return None;
        }
        let split = split(&points)?;
        let middle = |part: &[f64]| part.get(part.len() / 2).copied();
        let (quick, slow) = points.split_at(split);
        let slow_share = slow.len() as f64 / points.len() as f64;
        Some(Modes { quick_ns: middle(quick)?, slow_ns: middle(slow)?, slow_share, dip, critical })
    }
}

/// What the dip of so many samples with a single mode exceeds once in a hundred times: of the uniform distribution,
/// which is the worst case (J. A. and P. M. Hartigan, The Annals of Statistics 13, 1985). A curve through 20,000 series
/// of each number from 10 to 2,000, 2 % off at most.
fn critical(samples: f64) -> f64 {
    let root = samples.sqrt();
    (0.636 - 0.42 / root) / root
}

fn evenly_spaced(sorted: &[u64]) -> Vec<u64> {
    let count = sorted.len().min(MOST_POINTS);
    (0..count).filter_map(|index| sorted.get((2 * index + 1) * sorted.len() / (2 * count))).copied().collect()
}

/// Equal values spread over the step of the clock that they were read from: they are one only by rounding.
fn untied(sorted: &[u64]) -> Vec<f64> {
    let step = clock_step(sorted) as f64;
    let mut points = Vec::with_capacity(sorted.len());
    for equal in sorted.chunk_by(|a, b| a == b) {
        let count = equal.len() as f64;
        let place = |index: usize| ((index as f64 + 0.5) / count - 0.5) * step;
        points.extend(equal.iter().enumerate().map(|(index, value)| *value as f64 + place(index)));
    }
    points
}

/// How many points are in the lower of the two groups whose means explain most of the variance (N. Otsu, IEEE
/// Transactions on Systems, Man, and Cybernetics 9, 1979).
fn split(points: &[f64]) -> Option<usize> {
    let tail = (points.len() as f64 * TAIL_SHARE) as usize;
    let inner = points.get(tail..points.len() - tail)?;
    let count = inner.len() as f64;
    let origin = *inner.first()?;
    let total: f64 = inner.iter().map(|point| point - origin).sum();
    let mut below = 0.0;
    let mut best: Option<(usize, f64)> = None;
    for (index, point) in inner.iter().enumerate().take(inner.len() - 1) {
        below += point - origin;
        let low_count = (index + 1) as f64;
        let apart = below / low_count - (total - below) / (count - low_count);
        let explained = low_count * (count - low_count) * apart * apart;
        if best.is_none_or(|(_, found)| explained > found) {
            best = Some((index + 1, explained));
        }
    }
    best.map(|(low_count, _)| tail + low_count)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::score::trust::tests::series::Random;

    #[test]
    fn one_mode_exceeds_the_limit_once_in_a_hundred_times() {
        let mut random = Random::new(2);
        for count in [20, 100, 400] {
            let exceeds = |_: &usize| {
                let mut points: Vec<f64> = (0..count).map(|_| random.uniform()).collect();
                points.sort_by(f64::total_cmp);
                dip(&points) > critical(count as f64)
            };
            let share = (0..2_000).filter(exceeds).count() as f64 / 2_000.0;
            assert!((0.003..0.018).contains(&share), "{count}: {share}");
        }
    }

    #[test]
    fn modes_are_where_they_are() {
        let mut random = Random::new(3);
        let latency = |index: u64| if index.is_multiple_of(4) { 1_300_000.0 } else { 1_000_000.0 };
        let mut sorted: Vec<u64> =
            (0..400).map(|index| (latency(index) * (1.0 + 0.01 * random.normal())) as u64).collect();
        sorted.sort_unstable();
        let modes = Modes::of(&sorted, 400.0).unwrap();
        assert!((modes.quick_ns - 1e6).abs() < 5e3 && (modes.slow_ns - 1.3e6).abs() < 1e4, "{modes:?}");
        assert!((modes.slow_share - 0.25).abs() < 0.01, "{modes:?}");
        assert_eq!(Modes::of(&sorted, 4.0), None, "worth so few samples, it may be chance");
    }

    #[test]
    fn a_coarse_clock_makes_no_modes() {
        let mut random = Random::new(4);
        let mut sorted: Vec<u64> = (0..500).map(|_| (20.0 + random.normal()).round() as u64 * 1_000_000).collect();
        sorted.sort_unstable();
        assert_eq!(Modes::of(&sorted, 500.0), None);
    }
}
