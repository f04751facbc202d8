//! What others computed of the same numbers.

use super::*;

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-9 * expected.max(1e-3), "{found} for {expected}");
}

/// Sequences without ties that anyone can make.
fn large() -> [Vec<f64>; 2] {
    let first = (1..=60u64).map(|i| ((i * 7919) % 1009) as f64 / 1009.0).collect();
    let second = (1..=70u64).map(|i| ((i * 104_729) % 1013) as f64 / 1013.0 + 0.11).collect();
    [first, second]
}

/// `scripts/check-compare` prints these: SciPy 1.17.1, the call stands beside each.
#[test]
fn p_values_are_those_of_scipy() {
    let x = [20.1, 20.4, 19.8, 20.9, 21.3, 20.2, 19.9, 20.6];
    let y = [20.8, 21.1, 20.3, 21.9, 20.7, 21.4, 20.45, 21.6];
    let nine = [20.3, 20.5, 20.7, 20.95, 21.05, 21.2, 21.45, 19.85, 22.1];
    let eight = [0.7, 0.65, 0.5, 1.0, -0.6, 1.2, 0.55, 0.95];
    let twelve = [0.31, -0.12, 0.54, 0.07, -0.41, 0.22, 0.83, 0.19, -0.05, 0.66, 0.45, -0.28];
    let [first, second] = large();
    let differences: Vec<f64> = first.iter().zip(&second).map(|(a, b)| b - a).collect();
    let above: Vec<f64> = second[..45].iter().map(|value| value + 0.05).collect();
    let of_pairs = |differences: &[f64]| Estimate::of_pairs(differences).unwrap().p();
    let of_samples = |first: &[f64], second: &[f64]| Estimate::of_samples(first, second).unwrap().p();
    // mannwhitneyu(a, b, method="exact")
    near(mann_whitney_p(&x, &y), 0.037_917_637_917_637_914);
    near(mann_whitney_p(&x[..3], &nine), 0.063_636_363_636_363_63);
    near(mann_whitney_p(&first[..40], &above), 0.066_213_324_903_630_3);
    // mannwhitneyu(a, b, method="asymptotic")
    near(mann_whitney_p(&first, &second), 0.107_645_902_738_497_71);
    // mannwhitneyu(a, b, method=PermutationMethod(n_resamples=10**7)): all permutations, with ties.
    near(mann_whitney_p(&[1., 2., 2., 3., 5.], &[2., 3., 4., 5., 5., 6., 7.]), 0.093_434_343_434_343_44);
    // wilcoxon(d, method="exact")
    near(signed_rank_p(&eight), 0.0390625);
    near(signed_rank_p(&twelve), 0.109_863_281_25);
    near(signed_rank_p(&differences[..50]), 0.197_634_968_292_641_5);
    // wilcoxon(d, method="exact", zero_method="wilcox")
    near(signed_rank_p(&[0., 0., 1., 2., 3., -1.5, 4., 5.]), 0.093_75);
    // wilcoxon(d, method=PermutationMethod(n_resamples=10**7)): with ties.
    near(signed_rank_p(&[1., 1., -2., 3., 3., -1., 4., 5.]), 0.109_375);
    // wilcoxon(d, method="asymptotic", correction=True)
    near(signed_rank_p(&differences), 0.136_033_812_658_152_7);
    // ttest_1samp(d, 0)
    near(of_pairs(&eight), 0.015_241_622_682_882);
    near(of_pairs(&twelve), 0.093_880_792_447_048_83);
    // ttest_ind(a, b, equal_var=False)
    near(of_samples(&x, &y), 0.035_153_798_846_990_54);
    near(of_samples(&x[..3], &y), 0.009_290_086_186_135_487);
}

/// The example of `go doc golang.org/x/perf/cmd/benchstat`: its numbers in nanoseconds, and the table it prints of
/// them.
#[test]
fn benchstat_says_the_same_of_its_example() {
    let old_json = [1726., 1723., 1707., 1707., 1713., 1729., 1736., 1707., 1705., 1774.];
    let new_json = [1423., 1416., 1411., 1413., 1412., 1426., 1422., 1424., 1447., 1425.];
    let old_gob = [3069., 3075., 3069., 3067., 3207., 3064., 3064., 3058., 3059., 3062.];
    let new_gob = [3075., 3065., 3059., 3065., 3060., 3081., 3186., 3135., 3087., 3062.];
    let of = |name: &str, json: &[f64], gob: &[f64]| {
        let each = |model: &'static str, values: &[f64]| -> Vec<RunFacts> {
            values.iter().enumerate().map(|(number, ns)| run(model, name, number, ns / 1e9)).collect()
        };
        side(name, each("json", json).into_iter().chain(each("gob", gob)))
    };
    let comparison = compared(&of("old", &old_json, &old_gob), &of("new", &new_json, &new_gob));
    let [gob, json] = comparison.cells.as_slice() else { panic!("two cells") };
    let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found} for {expected}");
    near(json.a.median_s().unwrap(), 1.718e-6);
    near(json.b.median_s().unwrap(), 1.4225e-6);
    let whole = |side: &Side| side.plus_minus_percent().unwrap().round();
    assert_eq!([&json.a, &json.b, &gob.a, &gob.b].map(whole), [1.0, 1.0, 0.0, 2.0]);
    let (json_change, gob_change) = (json.change.unwrap(), gob.change.unwrap());
    assert_eq!(format!("{:.2} {:.3}", json_change.percent, json_change.p.unwrap()), "-17.20 0.000");
    assert_eq!(format!("{:.3}", gob_change.p.unwrap()), "0.446");
    assert_eq!((json.verdict, gob.verdict), (Verdict::Faster, Verdict::Same));
    let geomean = &comparison.geomeans[0];
    assert_eq!(
        format!("{:.3} {:.3} {:.2}", geomean.a_s * 1e6, geomean.b_s * 1e6, geomean.percent),
        "2.295 2.090 -8.94"
    );
}

#[test]
fn intervals_are_what_the_tests_do_not_refuse() {
    // Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 2014: the middle of the means of all pairs.
    let nine = [-0.952, 0.147, -1.022, -0.430, -0.620, -0.590, -0.490, 0.080, -0.010];
    let (middle, interval) = middle_of_pairs(&nine).unwrap();
    let (low, high) = interval.unwrap();
    assert!((middle - -0.46).abs() < 1e-9, "{middle}");
    let shifted = |by: f64| signed_rank_p(&nine.map(|value| value - by));
    assert!(shifted(low - 1e-6) < 0.05 && shifted(high + 1e-6) < 0.05, "outside is refused");
    assert!(shifted(low + 1e-6) > 0.05 - 1e-9 && shifted(high - 1e-6) > 0.05 - 1e-9, "inside is not");
    assert_eq!(middle_of_pairs(&nine[..5]).unwrap().1, None);
    assert_eq!(middle_of_pairs(&[]), None);
    assert_eq!(shift_interval(&nine[..3], &nine[3..6]), None);
    assert!(shift_interval(&nine[..4], &nine[4..8]).is_some());
}

#[test]
fn holms_p_values() {
    // statsmodels 0.14, multipletests(method="holm"), and Holm's own example of three.
    let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
    for (found, expected) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
        near(*found, expected);
    }
    assert_eq!(holm(&[0.6, 0.7]), [1.0, 1.0]);
    assert!(holm(&[]).is_empty());
}

proptest! {
    #[test]
    fn p_values_are_shares_and_the_sides_have_none_that_is_theirs(
        a in prop::collection::vec(-3i32..40, 1..60), b in prop::collection::vec(0i32..40, 1..60),
    ) {
        let [a, b] = [a, b].map(|values| values.into_iter().map(f64::from).collect::<Vec<_>>());
        let p = mann_whitney_p(&a, &b);
        prop_assert!((0.0..=1.0).contains(&p) && p > 0.0, "{}", p);
        prop_assert!((p - mann_whitney_p(&b, &a)).abs() < 1e-9);
        let p = signed_rank_p(&a);
        prop_assert!((0.0..=1.0).contains(&p) && p > 0.0);
        let turned: Vec<f64> = a.iter().map(|value| -value).collect();
        prop_assert!((p - signed_rank_p(&turned)).abs() < 1e-12);
    }

    #[test]
    fn intervals_hold_their_middle(values in prop::collection::vec(-1e3..1e3f64, 6..80), shift in -10.0..10.0f64) {
        let (middle, interval) = middle_of_pairs(&values).unwrap();
        let (low, high) = interval.unwrap();
        prop_assert!(low <= middle && middle <= high);
        let moved: Vec<f64> = values.iter().map(|value| value + shift).collect();
        let (low, high) = shift_interval(&values, &moved).unwrap();
        prop_assert!(low - 1e-9 <= shift && shift <= high + 1e-9);
    }
}
