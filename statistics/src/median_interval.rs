use crate::Dependence;
use crate::dependence::MIN_SAMPLES;

/// Standard normal quantile of 97.5 %.
pub const Z: f64 = 1.959_963_984_540_054;

/// How far the inner samples are that an interval is measured by which reaches beyond all: as a share of the way from
/// the median to the outermost. A tenth of the samples on each side may be wild.
const INNER_SHARE: f64 = 0.8;

/// The interval of 95 % of the median, as (low, high): order statistics at ranks that the variance of the share below
/// the median says, between two of them by proportion (R. S. Woodruff, Journal of the American Statistical Association
/// 47, 1952). Nothing is supposed of the distribution, as long as these ranks are among the samples. Where samples
/// depend on each other so much that they are not, the ends are as much farther from the median than an inner sample
/// on each side (`INNER_SHARE`) as the ranks are: those that were left out would be the wide intervals, and the rest
/// would promise too much. `None` of fewer than twenty samples whose ranks are not among them.
pub fn median_interval_95(sorted: &[u64], dependence: &Dependence) -> Option<(f64, f64)> {
    let count = sorted.len() as f64;
    let half_width = student_975(dependence.degrees) * count / (2.0 * dependence.effective_samples.sqrt());
    let middle = (count + 1.0) / 2.0;
    if let (Some(low), Some(high)) = (at_rank(sorted, middle - half_width), at_rank(sorted, middle + half_width)) {
        return Some((low, high));
    }
    if sorted.len() < MIN_SAMPLES || !half_width.is_finite() {
        return None;
    }
    let inner = INNER_SHARE * (middle - 1.0);
    let (median, farther) = (at_rank(sorted, middle)?, half_width / inner);
    let end = |rank: f64| Some(median + (at_rank(sorted, rank)? - median) * farther);
    Some((end(middle - inner)?.max(0.0), end(middle + inner)?))
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
    }

    #[test]
    fn an_interval_reaches_beyond_samples_that_are_worth_too_few() {
        let worth = |effective_samples| {
            let dependence = Dependence { autocorrelation: 0.9, batches: 5, degrees: 4.0, effective_samples };
            move |sorted: &[u64]| median_interval_95(sorted, &dependence)
        };
        let sorted: Vec<u64> = (1_001..=1_100).collect();
        // Half of it is 2.776 * 100 / (2 * 2) = 69.4 ranks, and the outermost samples are 49.5 away.
        let (low, high) = worth(4.0)(&sorted).unwrap();
        assert!((low - (1_050.5 - 69.4)).abs() < 0.1 && (high - (1_050.5 + 69.4)).abs() < 0.1, "{low} {high}");
        let (low, high) = worth(8.0)(&sorted).unwrap();
        assert!((1_001.0..1_002.0).contains(&low) && (1_099.0..1_100.0).contains(&high), "ranks: {low} {high}");
        let quick: Vec<u64> = (1..=20).collect();
        assert_eq!(worth(0.1)(&quick).unwrap().0, 0.0, "nothing is quicker than that");
        assert_eq!(worth(1.0)(&sorted[..19]), None);
        let wild: Vec<u64> = sorted[..95].iter().copied().chain([900_000_000; 5]).collect();
        assert_eq!(worth(4.0)(&wild), worth(4.0)(&sorted), "what is wild does not count");
    }
}
