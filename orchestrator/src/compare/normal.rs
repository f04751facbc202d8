use statrs::distribution::{ContinuousCDF as _, Normal};

/// Standard normal quantile of 97.5 %.
pub(super) const Z_975: f64 = 1.959_963_984_540_054;

/// How likely a standard normal value is larger.
pub(super) fn upper_tail(z: f64) -> f64 {
    standard().sf(z)
}

/// The standard normal value that a share of all lies below; `share` lies between 0 and 1, and is neither.
pub(super) fn quantile(share: f64) -> f64 {
    standard().inverse_cdf(share)
}

/// The value that Student's distribution lies below as the normal one lies below `z`, to a few per cent from four
/// degrees on (Abramowitz and Stegun, 26.7.5): enough for a plan.
pub(super) fn student_quantile(degrees: f64, z: f64) -> f64 {
    let [z3, z5] = [z.powi(3), z.powi(5)];
    z + (z3 + z) / (4.0 * degrees) + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * degrees.powi(2))
}

fn standard() -> Normal {
    Normal::standard()
}

/// Mean and variance of some values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    pub(super) count: f64,
    pub(super) mean: f64,
    /// By n − 1.
    pub(super) variance: f64,
}

impl Moments {
    /// `None` of fewer than two.
    pub(super) fn of(values: &[f64]) -> Option<Moments> {
        let count = values.len() as f64;
        if values.len() < 2 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Some(Moments { count, mean, variance: squares / (count - 1.0) })
    }
}
