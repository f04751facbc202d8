use crate::centre::stretches;

/// Fewest batches that a variance is estimated from: fewer tell next to nothing.
const MIN_BATCHES: usize = 5;
/// The length that makes the variance's error smallest (Carlstein) is too short for intervals that hold what they
/// promise: so many times as long does (bench/statistics.md).
const BATCH_LENGTH_FACTOR: f64 = 1.8;
/// Fewer samples are taken as independent: what they say of their dependence is chance.
const MIN_SAMPLES: usize = 20;
/// Correlations are held below this: above it no length of batch is enough for any number of samples.
const MAX_CORRELATION: f64 = 0.97;

/// How much samples depend on those before them, seen from the median: what counts is only on which side each lies
/// (A. Vehtari and others, Bayesian Analysis 16, 2021, section 4.3: the effective sample size of a quantile).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dependence {
    /// Correlation of neighbours, from -1 to 1, of the side of the median that they lie on. 0: independent.
    pub autocorrelation: f64,
    /// Batches of consecutive samples that the variance was estimated from; as many as samples where these are
    /// independent.
    pub batches: usize,
    /// How many independent samples would make the median as sure, at most the number of samples.
    pub effective_samples: f64,
}

impl Dependence {
    /// The dependence of a series in the order measured. The variance of the share below the median is estimated by
    /// batch means (B. Schmeiser, Operations Research 30, 1982), with batches of a length that grows with the
    /// correlation and the number of samples (E. Carlstein, The Annals of Statistics 14, 1986).
    pub fn of(series: &[u64], p50_ns: u64) -> Dependence {
        let sides: Vec<f64> = series.iter().map(|sample| side(*sample, p50_ns)).collect();
        let count = sides.len() as f64;
        let measured = correlation_of_neighbours(&sides);
        let correlation = of_values(unbiased(measured, count));
        let ratio = 2.0 * correlation / (1.0 - correlation * correlation);
        let length = (BATCH_LENGTH_FACTOR * (ratio * ratio * count).cbrt()).max(1.0);
        let is_few = sides.len() < MIN_SAMPLES;
        let batches = if is_few { sides.len() } else { ((count / length) as usize).max(MIN_BATCHES) };
        let inflation = variance_inflation(&sides, batches).max(1.0);
        Dependence { autocorrelation: measured, batches, effective_samples: count / inflation }
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

/// The variance of the sum of sides over what it would be were they independent.
fn variance_inflation(sides: &[f64], batches: usize) -> f64 {
    if batches < 2 {
        return 1.0;
    }
    let mean = sides.iter().sum::<f64>() / sides.len() as f64;
    let square = |range: std::ops::Range<usize>| {
        let length = range.len() as f64;
        let batch_mean = sides[range].iter().sum::<f64>() / length;
        (batch_mean - mean).powi(2) * length
    };
    let variance = stretches(sides.len(), batches).map(square).sum::<f64>() / (batches - 1) as f64;
    let count = sides.len() as f64;
    variance / (0.25 * count / (count - 1.0))
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
