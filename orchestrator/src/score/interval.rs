/// Standard normal quantile of 97.5 %: what a two-sided interval of 95 % reaches.
const Z_95: f64 = 1.959_963_984_540_054;

/// The Wilson score interval of 95 % for a share of which `successes` of `trials` were seen, as (low, high): where the
/// true share lies, whatever it is, in 95 of 100 such trials (E. B. Wilson, Journal of the American Statistical
/// Association 22, 1927). Unlike the usual «± 1.96 standard errors» it never leaves 0..1 and has a width for 0 and for
/// all successes. `None` without trials, and for more successes than trials.
pub fn wilson_95(successes: u64, trials: u64) -> Option<(f64, f64)> {
    if trials == 0 || successes > trials {
        return None;
    }
    let n = trials as f64;
    let share = successes as f64 / n;
    let z2 = Z_95 * Z_95;
    let middle = (share + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half_width = Z_95 / (1.0 + z2 / n) * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    // Rounding must not move the ends past what is possible: none right has 0 as its low end, all right 1 as its high.
    let low = if successes == 0 { 0.0 } else { (middle - half_width).clamp(0.0, share) };
    let high = if successes == trials { 1.0 } else { (middle + half_width).clamp(share, 1.0) };
    Some((low, high))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn published_values() {
        // Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        let expected =
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)];
        for (successes, trials, low, high) in expected {
            let found = wilson_95(successes, trials).unwrap();
            assert!((found.0 - low).abs() < 5e-5 && (found.1 - high).abs() < 5e-5, "{successes}/{trials}: {found:?}");
        }
        assert_eq!(wilson_95(20, 20).unwrap().1, 1.0);
        assert_eq!((wilson_95(0, 0), wilson_95(2, 1)), (None, None));
    }

    proptest! {
        #[test]
        fn holds_the_share_and_narrows(trials in 1u64..1_000_000, part in 0.0..=1.0) {
            let successes = (trials as f64 * part) as u64;
            let (low, high) = wilson_95(successes, trials).unwrap();
            let share = successes as f64 / trials as f64;
            prop_assert!((0.0..=share).contains(&low) && (share..=1.0).contains(&high) && low < high);
            let (wrong_low, wrong_high) = wilson_95(trials - successes, trials).unwrap();
            prop_assert!((low + wrong_high - 1.0).abs() < 1e-12 && (high + wrong_low - 1.0).abs() < 1e-12);
            let (more_low, more_high) = wilson_95(successes * 4, trials * 4).unwrap();
            prop_assert!(more_high - more_low < high - low);
        }
    }
}
