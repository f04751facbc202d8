use crate::centre::{median, medians_of_stretches};

/// Points that slopes are taken between, each pair: 19,900 slopes. A longer series is made so many medians of
/// consecutive samples first, so that a million samples cost no more, and each still counts.
const MOST_POINTS: usize = 200;

/// A series' straight line, after Theil and Sen (P. K. Sen, Journal of the American Statistical Association 63, 1968):
/// the median of the slopes between all pairs, which 29 % of wild samples can't bend.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drift {
    /// Change of the latency in a minute of measuring, in per cent of the median; positive: it gets slower.
    pub percent_per_minute: f64,
    /// What it changed by from the first sample to the last, in per cent of the median.
    pub percent_in_all: f64,
}

impl Drift {
    /// The drift of a series in the order measured, each sample beginning when the one before ends. Its line is through
    /// samples, not moments, so that one long pause doesn't bend it. `None` of a single sample, and where the median or
    /// the time is 0.
    pub fn of(series: &[u64], p50_ns: u64) -> Option<Drift> {
        let count = series.len().min(MOST_POINTS);
        let levels = medians_of_stretches(series, count.max(1));
        let mut slopes = Vec::with_capacity(count * count.saturating_sub(1) / 2);
        for later in 1..count {
            slopes.extend((0..later).map(|earlier| (levels[later] - levels[earlier]) / (later - earlier) as f64));
        }
        let slope = median(&mut slopes)?;
        let minutes = series.iter().map(|sample| *sample as f64).sum::<f64>() / 60e9;
        if p50_ns == 0 || minutes <= 0.0 {
            return None;
        }
        let percent_in_all = slope * (count - 1) as f64 / p50_ns as f64 * 100.0;
        Some(Drift { percent_per_minute: percent_in_all / minutes, percent_in_all })
    }
}
