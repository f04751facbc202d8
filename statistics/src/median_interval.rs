use crate::Dependence;

/// Standard normal quantile of 97.5 %.
pub const Z: f64 = 1.959_963_984_540_054;

/// The interval of 95 % of the median, as (low, high): order statistics at ranks that the variance of the share below
/// the median says, between two of them by proportion (R. S. Woodruff, Journal of the American Statistical Association
/// 47, 1952). Nothing is supposed of the distribution. `None` where the samples are too few, or depend on each other
/// too much, for a rank to be among them.
pub fn median_interval_95(sorted: &[u64], dependence: &Dependence) -> Option<(f64, f64)> {
    let count = sorted.len() as f64;
    let half_width = student_975(dependence.degrees) * count / (2.0 * dependence.effective_samples.sqrt());
    let middle = (count + 1.0) / 2.0;
    Some((at_rank(sorted, middle - half_width)?, at_rank(sorted, middle + half_width)?))
}

/// The value at a rank from 1 to the number of samples.
fn at_rank(sorted: &[u64], rank: f64) -> Option<f64> {
    if !(rank >= 1.0 && rank <= sorted.len() as f64) {
        return None;
    }
    let below = rank.floor() as usize;
    let low = *sorted.get(below - 1)? as f64;
    let high = sorted.get(below).map_or(low, |high| *high as f64);
    Some(low + (high - low) * rank.fract())
}

/// Student's quantile of 97.5 %, to a thousandth (Abramowitz and Stegun, 26.7.5; the series begins at 4 degrees of
/// freedom, and below it a part of one counts for none). A library of distributions would be more than all of this
/// module.
pub fn student_975(degrees: f64) -> f64 {
    match degrees {
        ..1.0 => return f64::INFINITY,
        1.0..2.0 => return 12.706,
        2.0..3.0 => return 4.303,
        3.0..4.0 => return 3.182,
        _ => {}
    }
    let [z1, z3, z5, z7, z9] = [1, 3, 5, 7, 9].map(|power| Z.powi(power));
    let terms = [
        z1,
        (z3 + z1) / 4.0,
        (5.0 * z5 + 16.0 * z3 + 3.0 * z1) / 96.0,
        (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z1) / 384.0,
        (79.0 * z9 + 776.0 * z7 + 1482.0 * z5 - 1920.0 * z3 - 945.0 * z1) / 92_160.0,
    ];
    terms.iter().rev().fold(0.0, |sum, term| sum / degrees + term)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        let tables = [(1.0, 12.706), (3.9, 3.182), (4.0, 2.776), (9.0, 2.262), (19.0, 2.093), (120.0, 1.980)];
        for (degrees, quantile) in tables.into_iter().chain([(f64::INFINITY, Z)]) {
            assert!((student_975(degrees) - quantile).abs() < 2e-3, "{degrees}: {}", student_975(degrees));
        }
    }

    #[test]
    fn ranks_are_those_of_the_binomial_distribution() {
        let independent = |count: usize| {
            let (degrees, effective_samples) = (f64::INFINITY, count as f64);
            Dependence { autocorrelation: 0.0, batches: count, degrees, effective_samples }
        };
        let sorted: Vec<u64> = (1..=100).collect();
        let (low, high) = median_interval_95(&sorted, &independent(100)).unwrap();
        // By the binomial distribution the 40th and the 61st of 100 hold the median with 96.5 %, the 41st and the 60th
        // with 94.3 %.
        assert!((40.0..=41.0).contains(&low) && (60.0..=61.0).contains(&high), "{low} {high}");
        assert!(median_interval_95(&sorted[..6], &independent(6)).is_some(), "1 - 2 / 2^6 is 96.9 %");
        assert_eq!(median_interval_95(&sorted[..5], &independent(5)), None, "1 - 2 / 2^5 is 93.8 %");
        let dependent = Dependence { autocorrelation: 0.9, batches: 5, degrees: 6.0, effective_samples: 4.0 };
        assert_eq!(median_interval_95(&sorted, &dependent), None);
    }
}
