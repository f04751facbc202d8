use crate::centre::stretches;

/// Fewest batches that a variance is estimated from: fewer tell next to nothing.
const MIN_BATCHES: usize = 5;
/// The length that makes the variance's error smallest (Carlstein) is too short for intervals that hold what they
/// promise: so many times as long does (bench/statistics.md).
const BATCH_LENGTH_FACTOR: f64 = 2.0;
/// Fewer samples are taken as independent: what they say of their dependence is chance.
pub(crate) const MIN_SAMPLES: usize = 20;
/// Most points that dependence is looked for between. A longer series is made so many means of consecutive samples
/// first: what reaches no further than one of them hardly counts then.
const MOST_POINTS: usize = 4096;
/// Samples this far apart, as a share of the series, say nothing of how far dependence reaches: there are few of them.
const FARTHEST_SHARE: usize = 3;
/// A sample farther from the median than so many median absolute deviations counts as one that is so far, where it is
/// asked how far dependence reaches: wild samples would hide what the others tell.
const FARTHEST_DEVIATION: f64 = 4.0;
/// Correlations count while the mean of a group of distances is above so many of the standard deviations that it has
/// by chance where samples are independent.
const LEAST_CORRELATION: f64 = 0.25;
/// What batches miss is made up for by this factor at most: with more, a guess would outweigh what was measured.
const MOST_MADE_UP: f64 = 1.3;
/// Where longer batches show more variance than shorter ones, still longer ones would show more: by this share of the
/// difference ([`with_what_is_beyond`]).
const SHARE_BEYOND: f64 = 0.25;
/// How many times as long the longer ones are.
const LONGER: usize = 3;
/// Overlapping batches know the variance of a long series as well as so many times as many that don't overlap. Of a
/// short one they don't: with few batches, intervals hold what they promise with one degree of freedom for each batch
/// but one (bench/statistics.md).
const DEGREES_OF_OVERLAPPING: f64 = 1.5;
/// By how much fewer degrees of freedom a variance is known where the series ended when that was small: of all the
/// looks at it those count that saw little (bench/statistics.md).
const DEGREES_LOST_BY_LOOKING: f64 = 2.0;
/// Correlations are held below this: above it no length of batch is enough for any number of samples.
const MAX_CORRELATION: f64 = 0.97;

/// How much samples depend on those before them, seen from the median: what counts is only on which side each lies
/// (A. Vehtari and others, Bayesian Analysis 16, 2021, section 4.3: the effective sample size of a quantile).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dependence {
    /// Correlation of neighbours, from -1 to 1, of the side of the median that they lie on. 0: independent.
    pub autocorrelation: f64,
    /// Batches of consecutive samples that the variance was estimated from, were they not to overlap; as many as
    /// points where these are independent.
    pub batches: usize,
    /// Degrees of freedom that the variance is known with; infinite where samples are independent.
    pub degrees: f64,
    /// How many independent samples would make the median as sure, at most the number of samples.
    pub effective_samples: f64,
}

impl Dependence {
    /// The dependence of a series in the order measured. The variance of the share below the median is estimated by
    /// means of overlapping batches (M. S. Meketon and B. Schmeiser, Winter Simulation Conference, 1984), with batches
    /// of a length that grows with how far dependence reaches and the number of samples (E. Carlstein, The Annals of
    /// Statistics 14, 1986).
    pub fn of(series: &[u64], p50_ns: u64) -> Dependence {
        let sides: Vec<f64> = series.iter().map(|sample| side(*sample, p50_ns)).collect();
        let count = sides.len() as f64;
        let autocorrelation = correlation_of_neighbours(&sides);
        if sides.len() < MIN_SAMPLES {
            let (batches, degrees) = (sides.len(), f64::INFINITY);
            return Dependence { autocorrelation, batches, degrees, effective_samples: count };
        }
        let merged = sides.len().div_ceil(MOST_POINTS);
        let points = means_of(&sides, merged);
        let number = points.len() as f64;
        let reach = reach(&deviations(series, p50_ns).map_or_else(|| points.clone(), |all| means_of(&all, merged)));
        let longest = points.len() / MIN_BATCHES;
        let length = ((BATCH_LENGTH_FACTOR * (reach * reach * number).cbrt()) as usize).clamp(1, longest);
        let batches = number / length as f64;
        // What it would be were they independent: each is a half away from the median.
        let independent = 0.25 * count / (count - 1.0) / merged as f64;
        let inflation = with_what_is_beyond(&points, length) / independent * made_up(number, batches, reach);
        Dependence {
            autocorrelation,
            batches: batches as usize,
            degrees: if length > 1 { (batches - 1.0).max(1.0) } else { f64::INFINITY },
            effective_samples: count / inflation.max(1.0),
        }
    }

    /// The same of a series of so many samples that ended when its median seemed to be known: then chance has made it
    /// seem so more often than its length alone would say.
    #[must_use]
    pub fn of_chosen_length(self, samples: usize) -> Dependence {
        let known = (DEGREES_OF_OVERLAPPING * self.degrees).min(samples as f64 - 1.0);
        Dependence { degrees: (known / DEGREES_LOST_BY_LOOKING).max(1.0), ..self }
    }
}

/// Half, negative half, or zero: the side of the median that a sample lies on.
fn side(sample: u64, p50_ns: u64) -> f64 {
    match sample.cmp(&p50_ns) {
        std::cmp::Ordering::Greater => 0.5,
        std::cmp::Ordering::Less => -0.5,
        std::cmp::Ordering::Equal => 0.0,
    }
}

/// The means of so many consecutive numbers each; what is left over at the end is left out.
fn means_of(numbers: &[f64], merged: usize) -> Vec<f64> {
    numbers.chunks_exact(merged).map(|chunk| chunk.iter().sum::<f64>() / merged as f64).collect()
}

/// How far each sample lies from the mean of all, in median absolute deviations, wild ones held back. It tells of
/// dependence what sides alone tell half as clearly: they have two values. `None` where half of the samples are the
/// same: a coarse clock.
fn deviations(series: &[u64], p50_ns: u64) -> Option<Vec<f64>> {
    let mut distances: Vec<u64> = series.iter().map(|sample| sample.abs_diff(p50_ns)).collect();
    let middle = distances.len() / 2;
    let mad_ns = *distances.select_nth_unstable(middle).1 as f64;
    if mad_ns <= 0.0 {
        return None;
    }
    let of = |sample: &u64| ((*sample as f64 - p50_ns as f64) / mad_ns).clamp(-FARTHEST_DEVIATION, FARTHEST_DEVIATION);
    let mut all: Vec<f64> = series.iter().map(of).collect();
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    all.iter_mut().for_each(|deviation| *deviation -= mean);
    Some(all)
}

/// The variance that a mean of these points has, times their number, from the means of all batches of a length.
fn variance(points: &[f64], length: usize) -> f64 {
    let (number, length_of_one) = (points.len() as f64, length as f64);
    let mean = points.iter().sum::<f64>() / number;
    let mut sum: f64 = points[..length].iter().sum();
    let square = |sum: f64| (sum / length_of_one - mean).powi(2);
    let mut squares = square(sum);
    for (entering, leaving) in points[length..].iter().zip(points) {
        sum += entering - leaving;
        squares += square(sum);
    }
    number * length_of_one / ((number - length_of_one) * (number - length_of_one + 1.0)) * squares
}

/// The same, with what batches of that length do not show yet (a lugsail estimator: D. Vats and J. M. Flegal,
/// Biometrika 109, 2022). It is rather too large than too small: of few batches that is the lesser harm.
fn with_what_is_beyond(points: &[f64], length: usize) -> f64 {
    let found = variance(points, length);
    let shorter = length / LONGER;
    if shorter == 0 { found } else { found + SHARE_BEYOND * (found - variance(points, shorter)).max(0.0) }
}

/// How far dependence reaches, in points: the mean distance over which they are correlated, each as often as it counts.
/// Correlations are summed in groups of distances, each twice as wide as the one before, while their means are not
/// chance's, and none counts for more than the group before it: Geyer's initial monotone sequence (Statistical Science
/// 7, 1992) has pairs, and ends too early where a slow wander lies under quick noise: there each pair is small, and all
/// of them are not. Each is measured too low, by what the mean of all varies by (M. G. Kendall, Biometrika 41, 1954).
fn reach(points: &[f64]) -> f64 {
    let number = points.len() as f64;
    let squares: f64 = points.iter().map(|point| point * point).sum();
    if squares <= 0.0 {
        return 0.0;
    }
    let correlation = |lag: usize| {
        let products: f64 = points[lag..].iter().zip(points).map(|(later, earlier)| later * earlier).sum();
        products / squares * number / (number - lag as f64)
    };
    let mut correlations = Vec::new();
    let (mut largest, mut from, farthest) = (f64::INFINITY, 1, points.len() / FARTHEST_SHARE);
    while from < farthest {
        let group: Vec<f64> = (from..(2 * from).min(farthest)).map(correlation).collect();
        let mean = group.iter().sum::<f64>() / group.len() as f64;
        if mean * (number * group.len() as f64).sqrt() <= LEAST_CORRELATION {
            break;
        }
        largest = mean.min(largest);
        correlations.extend(group.iter().map(|it| it * largest / mean));
        from *= 2;
    }
    let (mut inflation, mut missed) = (1.0, 0.0);
    for _ in 0..3 {
        let sum: f64 = correlations.iter().map(|it| it + missed * (1.0 - it)).sum();
        inflation = (1.0 + 2.0 * sum).max(1.0);
        missed = inflation / number;
    }
    let weighted = (1..).zip(&correlations).map(|(lag, it)| f64::from(lag) * (it + missed * (1.0 - it)));
    (2.0 * weighted.sum::<f64>() / inflation).max(0.0)
}

/// What a variance from batches is too small by, where dependence reaches so far: of each batch its ends reach over to
/// its neighbours, and the mean that all are held against varies with them.
fn made_up(number: f64, batches: f64, reach: f64) -> f64 {
    let share = (number - reach * (batches + 1.0)) / (number - reach);
    if share > 0.0 { (1.0 / share).clamp(1.0, MOST_MADE_UP) } else { MOST_MADE_UP }
}

/// Sum of products of neighbours over sum of squares; 0 for a series that never leaves its median.
fn correlation_of_neighbours(sides: &[f64]) -> f64 {
    let squares: f64 = sides.iter().map(|side| side * side).sum();
    let products: f64 = sides.windows(2).map(|pair| pair[0] * pair[1]).sum();
    if squares > 0.0 { products / squares } else { 0.0 }
}

/// A correlation is estimated too low from few samples (M. G. Kendall, Biometrika 41, 1954).
fn unbiased(correlation: f64, count: f64) -> f64 {
    correlation + (1.0 + 3.0 * correlation) / count
}

/// The correlation of normal values whose sides of the median have this one (W. F. Sheppard, 1899), at least 0.
fn of_values(correlation_of_sides: f64) -> f64 {
    (std::f64::consts::FRAC_PI_2 * correlation_of_sides.clamp(0.0, 1.0)).sin().min(MAX_CORRELATION)
}

/// Correlation of neighbours that is not of a trend: each stretch of the series is held against its own median.
pub(crate) fn local_correlation(series: &[u64], stretch: usize) -> f64 {
    let count = (series.len() / stretch).max(1);
    let (mut products, mut squares) = (0.0, 0.0);
    for range in stretches(series.len(), count) {
        let mut sorted = series[range.clone()].to_vec();
        let middle = sorted.len() / 2;
        let p50_ns = *sorted.select_nth_unstable(middle).1;
        let sides: Vec<f64> = series[range].iter().map(|sample| side(*sample, p50_ns)).collect();
        products += sides.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>();
        squares += sides.iter().map(|side| side * side).sum::<f64>();
    }
    let correlation = if squares > 0.0 { products / squares } else { 0.0 };
    of_values(unbiased(correlation, series.len() as f64 / count as f64))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::median_interval_95;
    use crate::series::{Kind, Level, MEDIAN_NS, Noise, Random};

    fn of(series: &[u64]) -> (Vec<u64>, Dependence) {
        let mut sorted = series.to_vec();
        sorted.sort_unstable();
        let p50_ns = sorted[(sorted.len() - 1) / 2];
        (sorted, Dependence::of(series, p50_ns))
    }

    /// Of how many hundred series of this noise the interval holds the median.
    fn holds_percent(noise: Noise, samples: usize) -> f64 {
        let mut random = Random::new(samples as u64);
        let holds = |_: &u32| {
            let (sorted, dependence) = of(&Kind::new("", noise, Level::Steady).series(&mut random, samples));
            median_interval_95(&sorted, &dependence).is_some_and(|(low, high)| (low..=high).contains(&MEDIAN_NS))
        };
        (0..400).filter(holds).count() as f64 / 4.0
    }

    #[test]
    fn intervals_hold_what_they_promise_also_where_neighbours_do_not_tell() {
        let noises = [
            (Noise::Normal(0.02), 100),
            (Noise::Dependent { sd: 0.02, correlation: 0.6 }, 300),
            (Noise::Dependent { sd: 0.02, correlation: 0.9 }, 1_000),
            // Worth 14, 13 and 12 independent ones.
            (Noise::Dependent { sd: 0.02, correlation: 0.6 }, 30),
            (Noise::Dependent { sd: 0.02, correlation: 0.9 }, 100),
            (Noise::Dependent { sd: 0.02, correlation: 0.97 }, 300),
            // Neighbours are correlated by 0.3 here, and what wanders reaches over 20 samples.
            (Noise::Wandering { sd: 0.02, correlation: 0.95 }, 1_000),
            (Noise::Wandering { sd: 0.02, correlation: 0.9 }, 100),
            // A few wild samples don't hide it.
            (Noise::HeavyTails(0.01), 100),
        ];
        for (noise, samples) in noises {
            let percent = holds_percent(noise, samples);
            assert!((91.5..=98.5).contains(&percent), "{noise:?}: {percent}");
        }
    }

    #[test]
    fn a_long_series_is_worth_as_much_by_its_means() {
        let noise = Noise::Dependent { sd: 0.02, correlation: 0.8 };
        let series = Kind::new("", noise, Level::Steady).series(&mut Random::new(7), 40_000);
        let worth = |series: &[u64]| of(series).1.effective_samples / series.len() as f64;
        let (whole, tenth) = (worth(&series), worth(&series[..4_000]));
        assert!((0.6..1.6).contains(&(whole / tenth)), "{whole} {tenth}");
        assert!((0.1..0.3).contains(&whole), "{whole}");
    }

    #[test]
    fn what_never_differs_or_is_too_short_counts_as_independent() {
        for series in [vec![5; 100], vec![1, 9, 1, 9, 5]] {
            let dependence = of(&series).1;
            assert_eq!(dependence.effective_samples, series.len() as f64);
            assert_eq!(dependence.degrees, f64::INFINITY);
            let chosen = dependence.of_chosen_length(series.len()).degrees;
            assert_eq!(chosen, (series.len() as f64 - 1.0) / 2.0);
        }
    }
}
