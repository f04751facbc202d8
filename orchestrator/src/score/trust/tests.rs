#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

#[path = "../../../examples/statistics/series.rs"]
#[allow(dead_code)]
pub(super) mod series;

use series::{Kind, Level as LevelOf, MEDIAN_NS, Noise, Random};

/// Series of each kind: few, that they are quick without optimisation; `bench/statistics` has all.
const SERIES: usize = 60;

fn certainty(samples_ns: &[u64]) -> Certainty {
    Certainty::of(samples_ns, &Conditions::default(), &TrustRules::default()).unwrap()
}

/// How many of the series get this verdict.
fn right(kind: &Kind, count: usize, verdict: Verdict) -> usize {
    let mut random = Random::new(count as u64);
    (0..SERIES).filter(|_| certainty(&kind.series(&mut random, count)).verdict() == verdict).count()
}

#[test]
fn a_median_without_an_interval_is_told_by_words_of_its_own() {
    let (rules, mut random) = (TrustRules::default(), Random::new(1));
    let noisy = certainty(&Kind::new("noise", Noise::Lognormal(0.5), LevelOf::Steady).series(&mut random, 50));
    let told = |effective_samples: f64, interval_ns: Option<(f64, f64)>| {
        let dependence = farmctl_statistics::Dependence { effective_samples, ..noisy.dependence };
        let certainty = Certainty { dependence, interval_ns, ..noisy.clone() };
        let found = verdict::findings(&certainty, &Conditions::default(), &rules);
        found.iter().map(ToString::to_string).find(|text| text.contains("independent"))
    };
    assert_eq!(rules.min_effective_samples, 6.0);
    assert!(told(5.5, None).unwrap().contains("worth 5.5 independent ones, fewer than 6.0"));
    assert!(told(6.6, None).unwrap().contains("worth 6.6 independent ones, too few for an interval"));
    assert_eq!(told(6.6, noisy.interval_ns), None);
}

#[test]
fn verdicts_are_those_of_the_truth() {
    let kinds = [
        (Kind::new("independent", Noise::Normal(0.01), LevelOf::Steady), 30, Verdict::Ok),
        (Kind::new("dependent", Noise::Dependent { sd: 0.02, correlation: 0.5 }, LevelOf::Steady), 200, Verdict::Ok),
        (Kind::new("heavy tails", Noise::HeavyTails(0.01), LevelOf::Steady), 200, Verdict::Ok),
        (Kind::new("coarse clock", Noise::CoarseClock(0.02), LevelOf::Steady), 100, Verdict::Ok),
        (Kind::new("noise", Noise::Lognormal(0.5), LevelOf::Steady), 50, Verdict::Noisy),
        (Kind::new("modes", Noise::Normal(0.015), LevelOf::TwoModes { by: 0.2, share: 0.4 }), 100, Verdict::Noisy),
        (Kind::new("drift", Noise::Normal(0.02), LevelOf::Drift(0.08)), 100, Verdict::Unsteady),
        (Kind::new("throttling", Noise::Normal(0.01), LevelOf::ThrottlingSteps), 60, Verdict::Unsteady),
        (Kind::new("start", Noise::Normal(0.01), LevelOf::Settling { by: 0.3, over: 0.07 }), 200, Verdict::SlowStart),
        (Kind::new("few", Noise::Normal(0.01), LevelOf::Steady), 9, Verdict::TooFew),
    ];
    for (kind, count, verdict) in kinds {
        let right = right(&kind, count, verdict);
        assert!(right * 100 >= SERIES * 93, "{}: {right} of {SERIES}", kind.name);
    }
}

#[test]
fn intervals_hold_the_median() {
    for noise in [Noise::Exponential(0.05), Noise::Dependent { sd: 0.03, correlation: 0.6 }] {
        let kind = Kind::new("", noise, LevelOf::Steady);
        let mut random = Random::new(5);
        let holds = |_: &usize| {
            let (low, high) = certainty(&kind.series(&mut random, 300)).interval_ns.unwrap();
            (low..=high).contains(&MEDIAN_NS)
        };
        let share = (0..400).filter(holds).count() as f64 / 400.0;
        assert!((0.92..=0.985).contains(&share), "{noise:?}: {share}");
    }
}

#[test]
fn dependent_samples_are_worth_fewer() {
    let worth = |correlation: f64| {
        let kind = Kind::new("", Noise::Dependent { sd: 0.01, correlation }, LevelOf::Steady);
        let mut random = Random::new(6);
        (0..40).map(|_| certainty(&kind.series(&mut random, 1000)).dependence.effective_samples).sum::<f64>() / 40.0
    };
    let (none, some, much) = (worth(0.0), worth(0.5), worth(0.9));
    assert!((850.0..=1000.0).contains(&none), "{none}");
    // By the arcsine law: 1000 / (1 + 4 / pi x sum of asin(correlation^k)).
    assert!((400.0..560.0).contains(&some) && (70.0..130.0).contains(&much), "{some} {much}");
}

#[test]
fn drift_is_in_per_cent_a_minute() {
    let kind = Kind::new("", Noise::Spikes(0.01), LevelOf::Drift(0.04));
    let samples = kind.series(&mut Random::new(7), 3_000);
    let drift = certainty(&samples).level.drift.unwrap();
    assert!((drift.percent_in_all - 3.92).abs() < 0.25, "{drift:?}");
    let minutes = samples.iter().sum::<u64>() as f64 / 60e9;
    assert!((drift.percent_per_minute * minutes - drift.percent_in_all).abs() < 1e-9, "{drift:?}");
}

#[test]
fn what_was_sampled_beside_the_run_decides_and_nothing_else_is_claimed() {
    let kind = Kind::new("", Noise::Normal(0.01), LevelOf::ThrottlingSteps);
    let samples = kind.series(&mut Random::new(8), 100);
    let verdict = |conditions: &Conditions| {
        let certainty = Certainty::of(&samples, conditions, &TrustRules::default()).unwrap();
        (certainty.verdict(), certainty.reason())
    };
    let (alone, reason) = verdict(&Conditions::default());
    assert_eq!(alone, Verdict::Unsteady);
    assert!(!reason.contains("throttl"), "{reason}");
    let throttled =
        Conditions { is_throttled: Some(true), throttled_by: Some("cpu-thermal".into()), ..Conditions::default() };
    let (seen, reason) = verdict(&throttled);
    assert_eq!(seen, Verdict::Throttled);
    assert!(reason.starts_with("the device throttled (cpu-thermal); ") && reason.contains("slower from"), "{reason}");
    let quiet = Conditions { is_throttled: Some(false), other_load_percent: Some(4.0), ..Conditions::default() };
    assert_eq!(verdict(&quiet).0, Verdict::Unsteady);
    for (other_load_percent, stolen_percent) in [(Some(12.0), None), (None, Some(3.0))] {
        let disturbed = Conditions { other_load_percent, stolen_percent, ..throttled.clone() };
        assert_eq!(verdict(&disturbed).0, Verdict::Disturbed);
    }
    let few = Certainty::of(&samples[..5], &throttled, &TrustRules::default()).unwrap();
    assert_eq!((few.verdict(), few.findings.len()), (Verdict::TooFew, 2), "{}", few.reason());
}

#[test]
fn reasons_say_value_and_limit() {
    let reason = |kind: Kind, count: usize| certainty(&kind.series(&mut Random::new(9), count)).reason();
    assert_eq!(reason(Kind::new("", Noise::Normal(0.01), LevelOf::Steady), 100), "");
    assert_eq!(reason(Kind::new("", Noise::Normal(0.01), LevelOf::Steady), 3), "3 samples, fewer than 10");
    let modes = reason(Kind::new("", Noise::Normal(0.01), LevelOf::TwoModes { by: 0.5, share: 0.3 }), 200);
    assert!(modes.starts_with("two modes, 20.0") && modes.contains("% apart, more than 3 %; 3"), "{modes}");
    let start = reason(Kind::new("", Noise::Normal(0.01), LevelOf::Settling { by: 0.4, over: 0.05 }), 300);
    assert!(start.starts_with("the first ") && start.contains("slower than the rest, more than 3 %"), "{start}");
    let noise = reason(Kind::new("", Noise::Lognormal(0.6), LevelOf::Steady), 50);
    assert!(noise.starts_with("the median is known to ± ") && noise.ends_with(", more than 5 %"), "{noise}");
}

#[test]
fn outliers_are_counted_and_stay() {
    let mut samples = vec![1_000_000; 50];
    samples.iter_mut().enumerate().for_each(|(index, sample)| *sample += index as u64 * 100);
    samples[20] = 900_000_000;
    let certainty = certainty(&samples);
    assert_eq!((certainty.count, certainty.spread.outliers), (50, 1));
    assert_eq!(certainty.verdict(), Verdict::Ok, "{}", certainty.reason());
}

#[test]
fn variance_is_within_and_between_runs() {
    let kind = Kind::new("", Noise::Normal(0.02), LevelOf::Steady);
    let mut random = Random::new(10);
    let mut run = |between: f64| {
        let factor = 1.0 + between * random.normal();
        let samples: Vec<u64> =
            kind.series(&mut random, 100).iter().map(|sample| (*sample as f64 * factor) as u64).collect();
        certainty(&samples)
    };
    let runs: Vec<Certainty> = (0..40).map(|_| run(0.03)).collect();
    let repeats = Repeats::of(&runs).unwrap();
    let (within, between) = (repeats.within_percent.unwrap(), repeats.between_percent.unwrap());
    // 0.25 by the normal law; what is estimated of dependence is rather too much than too little.
    assert!((0.22..0.36).contains(&within) && (between - 3.0).abs() < 0.8, "{repeats:?}");
    let alike: Vec<Certainty> = (0..40).map(|_| run(0.0)).collect();
    assert!(repeats.differ());
    let alike = Repeats::of(&alike).unwrap();
    assert!(alike.between_percent.unwrap() < 0.15 && !alike.differ());
    // One run of four that has no interval does not hide what the others know; two do.
    let unsure = Certainty { interval_ns: None, ..runs[0].clone() };
    let with_unsure = |known: usize, more: usize| {
        let runs = runs[..known].iter().chain(std::iter::repeat_n(&unsure, more));
        Repeats::of(runs).unwrap().within_percent
    };
    assert!(with_unsure(3, 1).is_some_and(|within| (0.2..0.4).contains(&within)));
    assert_eq!(with_unsure(2, 2), None);
    let one = Repeats::of(&runs[..1]).unwrap();
    assert_eq!((one.runs, one.between_percent, one.half_interval_percent), (1, None, None));
    let none: &[Certainty] = &[];
    assert_eq!(Repeats::of(none), None);
}

#[test]
fn a_series_has_its_levels_over_its_time() {
    let levels = over_time(&[10, 10, 10, 40, 40, 40], 2);
    let expected = [LevelAt { at_ns: 15.0, p50_ns: 10.0 }, LevelAt { at_ns: 90.0, p50_ns: 40.0 }];
    assert_eq!(levels, expected);
    assert_eq!((over_time(&[7, 7], 80).len(), over_time(&[], 80).len(), over_time(&[7], 0).len()), (2, 0, 0));
}

#[test]
fn the_worst_counts() {
    assert!(Verdict::DOUBTS.is_sorted() && Verdict::Ok < Verdict::DOUBTS[0]);
}

proptest! {
    #[test]
    fn any_samples_have_a_certainty(samples in prop::collection::vec(any::<u64>(), 1..200), step in 1u64..1 << 60) {
        for samples in [samples.clone(), samples.iter().map(|sample| sample / step).collect()] {
            let certainty = certainty(&samples);
            let mut sorted = samples.clone();
            sorted.sort_unstable();
            prop_assert_eq!(certainty.p50_ns, crate::score::percentile(&sorted, 50).unwrap());
            if let Some((low, high)) = certainty.interval_ns {
                prop_assert!(low <= certainty.p50_ns as f64 && certainty.p50_ns as f64 <= high);
                // It may reach beyond the samples, where they are worth few.
                prop_assert!(0.0 <= low && high.is_finite());
            }
            let effective = certainty.dependence.effective_samples;
            prop_assert!(effective > 0.0 && effective <= samples.len() as f64);
            prop_assert!(!certainty.reason().contains("NaN") && !certainty.reason().contains("inf"));
            prop_assert_eq!(certainty.findings.is_empty(), certainty.verdict() == Verdict::Ok);
        }
    }

    #[test]
    fn a_scale_changes_nothing(samples in prop::collection::vec(1_000u64..1 << 30, 10..100)) {
        let larger: Vec<u64> = samples.iter().map(|sample| sample * 8).collect();
        let (one, other) = (certainty(&samples), certainty(&larger));
        prop_assert_eq!(one.verdict(), other.verdict());
        prop_assert_eq!(one.dependence, other.dependence);
        prop_assert_eq!(one.spread.outliers, other.spread.outliers);
    }
}
