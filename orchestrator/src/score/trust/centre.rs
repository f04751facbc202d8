/// Median absolute deviation × this = standard deviation, where the distribution is normal.
pub(super) const MAD_TO_SD: f64 = 1.482_602_218_505_602;
/// Mean absolute deviation × this, likewise.
const MEAN_DEVIATION_TO_SD: f64 = 1.253_314_137_315_5;

/// How far samples lie from their median. No sample is ever dropped: outliers are counted and stay in all figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Median absolute deviation from the median, in nanoseconds, as it is: × 1.4826 it is comparable with a standard
    /// deviation (F. R. Hampel, Journal of the American Statistical Association 69, 1974).
    pub mad_ns: u64,
    /// Samples whose modified z-score is above the rule's limit (see [`TrustRules::outlier_z`](super::TrustRules)).
    pub outliers: usize,
}

impl Spread {
    /// The spread of sorted samples about their median. `outlier_z` is the limit of the modified z-score.
    pub(super) fn of(sorted: &[u64], p50_ns: u64, outlier_z: f64) -> Spread {
        let mut deviations: Vec<u64> = sorted.iter().map(|sample| sample.abs_diff(p50_ns)).collect();
        if deviations.is_empty() {
            return Spread { mad_ns: 0, outliers: 0 };
        }
        let mean = deviations.iter().map(|deviation| *deviation as f64).sum::<f64>() / deviations.len() as f64;
        let (_, &mut mad_ns, _) = {
            let middle = (deviations.len() - 1) / 2;
            deviations.select_nth_unstable(middle)
        };
        // More than half of the samples are the same: a coarse clock. Iglewicz and Hoaglin take the mean then.
        let sd = if mad_ns > 0 { mad_ns as f64 * MAD_TO_SD } else { mean * MEAN_DEVIATION_TO_SD };
        // What a coarse clock shows a step away may be any less.
        let limit = outlier_z * sd + clock_step(sorted) as f64;
        Spread { mad_ns, outliers: deviations.iter().filter(|deviation| **deviation as f64 > limit).count() }
    }
}

/// The least difference between two samples that are not the same: the clock's step, as far as they show it.
pub(super) fn clock_step(sorted: &[u64]) -> u64 {
    sorted.windows(2).map(|pair| pair[1] - pair[0]).filter(|step| *step > 0).min().unwrap_or(0)
}
