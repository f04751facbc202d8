use crate::Z;
use crate::centre::{median, medians_of_stretches};
use crate::steadiness::independent_batches;

/// Fewest samples that a trend is seen in.
const MIN_SAMPLES: usize = 10;

/// Between which two straight lines the trend of a series lies, with 95 %: 2.5 % that it is steeper, and 2.5 % that it
/// is flatter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trend {
    /// Change of the latency from one sample to the next by the flatter line, in per cent of the median; negative: it
    /// gets quicker.
    pub low_percent: f64,
    /// The same by the steeper line.
    pub high_percent: f64,
}

impl Trend {
    /// The trend of a series in the order measured: of all slopes between two of its stretches, those at the ranks that
    /// Kendall's statistic tells (P. K. Sen, Journal of the American Statistical Association 63, 1968). The stretches
    /// are so long that their medians hardly depend on each other. `None` of fewer than ten samples, and where the
    /// median is 0.
    pub fn of(series: &[u64]) -> Option<Trend> {
        if series.len() < MIN_SAMPLES {
            return None;
        }
        let batches = independent_batches(series);
        let mut levels = medians_of_stretches(series, batches);
        let mut slopes = Vec::with_capacity(batches * batches.saturating_sub(1) / 2);
        for later in 1..batches {
            slopes.extend((0..later).map(|earlier| (levels[later] - levels[earlier]) / (later - earlier) as f64));
        }
        slopes.sort_unstable_by(f64::total_cmp);
        let (count, pairs) = (batches as f64, slopes.len() as f64);
        let width = Z * (count * (count - 1.0) * (2.0 * count + 5.0) / 18.0).sqrt();
        let low = slopes.get(((pairs - width) / 2.0).floor().max(0.0) as usize)?;
        let high = slopes.get((((pairs + width) / 2.0).ceil() as usize).min(slopes.len() - 1))?;
        let level = median(&mut levels).filter(|level| *level > 0.0)?;
        let percent_of_a_sample = count / series.len() as f64 / level * 100.0;
        Some(Trend { low_percent: low * percent_of_a_sample, high_percent: high * percent_of_a_sample })
    }

    /// Whether it surely changes the latency by less than `percent` over so many samples.
    pub fn is_below(&self, percent: f64, samples: f64) -> bool {
        self.low_percent * samples > -percent && self.high_percent * samples < percent
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::series::{Kind, Level, Noise, Random};

    #[test]
    fn the_interval_holds_the_trend() {
        for noise in [Noise::Normal(0.02), Noise::HeavyTails(0.01), Noise::Dependent { sd: 0.02, correlation: 0.5 }] {
            // By 10 % of the start over 200 samples: of the median, which is half of that above it, 9.52 %.
            let kind = Kind::new("", noise, Level::Drift(0.1));
            let mut random = Random::new(3);
            let holds = |_: &usize| {
                let trend = Trend::of(&kind.series(&mut random, 200)).unwrap();
                (trend.low_percent..=trend.high_percent).contains(&(9.52 / 200.0))
            };
            let share = (0..500).filter(holds).count() as f64 / 500.0;
            assert!((0.92..=0.99).contains(&share), "{noise:?}: {share}");
        }
    }

    #[test]
    fn it_is_held_against_the_length_of_what_follows() {
        let rising: Vec<u64> = (0..20).map(|index| 1_000_000 + 1_000 * index).collect();
        let trend = Trend::of(&rising).unwrap();
        assert!((trend.low_percent - 0.1).abs() < 0.002 && (trend.high_percent - 0.1).abs() < 0.002, "{trend:?}");
        assert!(trend.is_below(3.0, 20.0) && !trend.is_below(3.0, 40.0));
        assert_eq!(Trend::of(&rising[..9]), None);
        assert_eq!(Trend::of(&[0; 20]), None);
        assert!(Trend::of(&[7; 20]).unwrap().is_below(0.001, 1e9));
    }
}
