use statrs::distribution::{ContinuousCDF as _, StudentsT};
use statrs::function::gamma::digamma;

use super::normal::Moments;

/// Cells that a spread may be borrowed from, at least.
const FEWEST_CELLS: usize = 3;

/// What Student's test goes by: a mean of differences, and what it is unsure by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The mean.
    mean: f64,
    /// Variance of one difference.
    variance: f64,
    /// So many differences make the mean.
    count: f64,
    /// Degrees of freedom of the variance.
    degrees: f64,
}

impl Estimate {
    /// Of pairs (Student, Biometrika 6, 1908). `None` of fewer than two.
    pub fn of_pairs(differences: &[f64]) -> Option<Estimate> {
        let Moments { count, mean, variance } = Moments::of(differences)?;
        Some(Estimate { mean, variance, count, degrees: count - 1.0 })
    }

    /// Of two samples whose spread may differ (B. L. Welch, Biometrika 34, 1947). `None` where one has fewer than two
    /// values.
    pub fn of_samples(first: &[f64], second: &[f64]) -> Option<Estimate> {
        let (first, second) = (Moments::of(first)?, Moments::of(second)?);
        let (a, b) = (first.variance / first.count, second.variance / second.count);
        let degrees = (a + b).powi(2) / (a * a / (first.count - 1.0) + b * b / (second.count - 1.0));
        let degrees = if degrees.is_finite() { degrees } else { first.count + second.count - 2.0 };
        let count = 1.0 / (1.0 / first.count + 1.0 / second.count);
        Some(Estimate { mean: second.mean - first.mean, variance: (a + b) * count, count, degrees })
    }

    /// Where the mean lies, but for this share of cases.
    pub(super) fn interval(&self, miss: f64) -> (f64, f64) {
        let error = (self.variance / self.count).sqrt();
        let student = StudentsT::new(0.0, 1.0, self.degrees);
        let half = student.map_or(f64::INFINITY, |student| student.inverse_cdf(1.0 - miss / 2.0) * error);
        (self.mean - half, self.mean + half)
    }

    /// How likely the mean lies at least so far from zero when nothing differs, two-sided.
    pub fn p(&self) -> f64 {
        if self.mean == 0.0 {
            return 1.0;
        }
        let t = self.mean.abs() / (self.variance / self.count).sqrt();
        if !t.is_finite() {
            return 0.0;
        }
        StudentsT::new(0.0, 1.0, self.degrees).map_or(1.0, |student| (2.0 * student.sf(t)).min(1.0))
    }
}

/// The p-values of cells of one kind, each with what the spread of the others says of its own: ten runs know their mean
/// well and their spread badly. How alike the spreads are is seen in how much they vary, and so much is borrowed: of
/// cells that differ, little (G. K. Smyth, Statistical Applications in Genetics and Molecular Biology 3, 2004, sections
/// 3 and 6.2). Fewer than three borrow nothing.
pub(super) fn moderated_p(estimates: &[Estimate]) -> Vec<f64> {
    moderated(estimates).iter().map(Estimate::p).collect()
}

/// The estimates with what each says of the spread of the others.
pub(super) fn moderated(estimates: &[Estimate]) -> Vec<Estimate> {
    let prior = Prior::of(estimates);
    estimates.iter().map(|estimate| prior.map_or(*estimate, |prior| prior.moderate(estimate))).collect()
}

/// What is known of the spread of any cell of the family.
#[derive(Debug, Clone, Copy)]
struct Prior {
    variance: f64,
    degrees: f64,
}

impl Prior {
    fn of(estimates: &[Estimate]) -> Option<Prior> {
        let known: Vec<&Estimate> = estimates.iter().filter(|it| it.variance > 0.0 && it.degrees > 0.0).collect();
        if known.len() < FEWEST_CELLS {
            return None;
        }
        let log_of = |it: &&Estimate| it.variance.ln() - digamma(it.degrees / 2.0) + (it.degrees / 2.0).ln();
        let logs: Vec<f64> = known.iter().map(log_of).collect();
        let moments = Moments::of(&logs)?;
        let by_chance = known.iter().map(|it| trigamma(it.degrees / 2.0)).sum::<f64>() / moments.count;
        // All of them together know no more than they have.
        let most = known.iter().map(|it| it.degrees).sum::<f64>() / 2.0;
        let degrees = (2.0 * inverse_trigamma(moments.variance - by_chance)).min(most);
        let variance = (moments.mean + digamma(degrees / 2.0) - (degrees / 2.0).ln()).exp();
        Some(Prior { variance, degrees })
    }

    fn moderate(self, estimate: &Estimate) -> Estimate {
        let degrees = self.degrees + estimate.degrees;
        let variance = (self.degrees * self.variance + estimate.degrees * estimate.variance) / degrees;
        Estimate { variance, degrees, ..*estimate }
    }
}

/// The derivative of the digamma function (Abramowitz and Stegun, 6.4.6 and 6.4.12).
fn trigamma(x: f64) -> f64 {
    if x < 8.0 {
        return trigamma(x + 1.0) + 1.0 / (x * x);
    }
    let square = 1.0 / (x * x);
    1.0 / x + square / 2.0 + square / x * (1.0 / 6.0 - square * (1.0 / 30.0 - square * (1.0 / 42.0 - square / 30.0)))
}

/// Where the trigamma function, which falls, has this value; infinite where that is not above zero.
fn inverse_trigamma(value: f64) -> f64 {
    if value <= 0.0 {
        return f64::INFINITY;
    }
    let (mut low, mut high) = (1e-3_f64, 1e9_f64);
    for _ in 0..100 {
        let middle = (low * high).sqrt();
        if trigamma(middle) > value { low = middle } else { high = middle }
    }
    low
}

/// The p-values of Holm's procedure, in the order given: a family of tests of which chance refuses any with no more
/// than the level, whatever depends on what (S. Holm, Scandinavian Journal of Statistics 6, 1979).
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut largest = 0.0_f64;
    for (place, index) in order.into_iter().enumerate() {
        largest = largest.max(p_values[index] * (p_values.len() - place) as f64).min(1.0);
        adjusted[index] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trigamma_function_and_its_inverse() {
        // SciPy 1.17.1: polygamma(1, x).
        let expected = [(0.3, 12.245_364_546_107_734), (1.0, 1.644_934_066_848_226_7), (4.5, 0.248_725_103_039_010_35)];
        for (x, value) in expected {
            assert!((trigamma(x) - value).abs() < 1e-9 * value, "{x}: {}", trigamma(x));
            assert!((inverse_trigamma(value) - x).abs() < 1e-6 * x);
        }
        assert_eq!(inverse_trigamma(0.0), f64::INFINITY);
    }

    #[test]
    fn cells_lend_each_other_as_much_as_they_are_alike() {
        let estimate = |variance: f64| Estimate { mean: 1.0, variance, count: 10.0, degrees: 9.0 };
        let own = |variance: f64| estimate(variance).p();
        let of = |variances: &[f64]| moderated_p(&variances.iter().map(|it| estimate(*it)).collect::<Vec<_>>());
        // All the same: the spread is as good as known, and chance has less room.
        assert!(of(&[1.0; 18])[0] < own(1.0) / 2.0);
        // One of many that looks steady by chance is taken for less so, one that looks wild for less wild.
        let alike = of(&[0.5, 2.0, 1.0, 0.9, 1.1, 1.2, 0.8, 1.0, 0.7, 1.3]);
        assert!(alike[0] > own(0.5) && alike[1] < own(2.0), "{alike:?}");
        // Spreads that are worlds apart lend nothing to speak of.
        let apart = of(&[1e-4, 1.0, 1e4, 1e-2, 1e2]);
        assert!((apart[1] / own(1.0) - 1.0).abs() < 0.5, "{apart:?}");
        assert_eq!(of(&[1.0, 2.0]), [own(1.0), own(2.0)], "two are too few");
        // Runs that a coarse clock makes all the same are not believed to be so.
        assert!(own(0.0) == 0.0 && of(&[0.0, 1.0, 1.0, 1.0])[0] > 1e-5);
    }
}
