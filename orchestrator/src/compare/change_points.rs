//! Where the level of a series changed: E-divisive means.
//!
//! D. S. Matteson and N. A. James (Journal of the American Statistical Association 109, 2014) find the place whose two
//! sides differ most, by the divergence `Q` of their energy statistic with exponent 1. M. Fleming and others (Hunter,
//! ICPE 2023) look through windows that overlap, settle by Student's t-test instead of by permutations, first at a weak
//! level, and then take out the weakest change until those left are significant and large enough. Apache Otava does so,
//! and its `docs/MATH.md` has the recurrences. Nothing here is drawn by chance: the same series has the same changes.
//!
//! Four things are other than Otava's. The series are logarithms, so that a size is a ratio, and its interval is one of
//! per cent. Standard deviations are those of samples (divided by n - 1). A change has a least number of points on each
//! side, as `min.size` of Matteson and James. And a point that is far off its neighbours gets their median first (F. R.
//! Hampel's identifier, Journal of the American Statistical Association 69, 1974): a single night says nothing, however
//! far off it is.

use std::ops::Range;

use statrs::distribution::{ContinuousCDF as _, StudentsT};

/// What counts as a change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChangeRules {
    /// Length of the windows that are looked through; each begins half a window after the one before.
    pub window: usize,
    /// Fewest points on each side of a change.
    pub min_side: usize,
    /// What the p-value of a change is below.
    pub max_p: f64,
    /// Smallest change, in per cent.
    pub min_percent: f64,
}

/// Fewest points on each side of a change, where nothing else is said.
pub(super) const MIN_SIDE: usize = 4;

impl Default for ChangeRules {
    fn default() -> ChangeRules {
        ChangeRules { window: 50, min_side: MIN_SIDE, max_p: 0.0002, min_percent: 2.0 }
    }
}

/// A place where the level changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChangePoint {
    /// The first point of the new level.
    pub index: usize,
    /// How much greater it is than the level before (smaller: negative), in per cent of that. Levels are geometric
    /// means.
    pub percent: f64,
    /// Low end of its interval of 95 %, of Student's with the pooled variance. That this place was chosen for its
    /// change is not in it.
    pub low_percent: f64,
    /// High end of it.
    pub high_percent: f64,
    /// By Student's t-test with the pooled variance: from the change before to this one, against from this one to the
    /// next.
    pub p_value: f64,
}

/// The changes of a series of positive numbers, in their order. One that is not finite and positive makes no series,
/// and neither do fewer than twice [`ChangeRules::min_side`] points: none then.
pub fn change_points(series: &[f64], rules: &ChangeRules) -> Vec<ChangePoint> {
    let is_series = series.iter().all(|value| value.is_finite() && *value > 0.0);
    if !is_series || series.len() < 2 * rules.min_side.max(1) {
        return Vec::new();
    }
    let logs = without_outliers(&series.iter().map(|value| value.ln()).collect::<Vec<_>>());
    let mut indexes = weak_changes(&logs, rules);
    loop {
        let tests = tests(&logs, &indexes);
        // The weakest by chance goes first; where none is, the smallest.
        let by_chance = tests.iter().enumerate().filter(|(_, test)| !test.is_significant(rules.max_p));
        let small = tests.iter().enumerate().filter(|(_, test)| test.magnitude_percent() < rules.min_percent);
        let weakest = by_chance
            .max_by(|a, b| a.1.p_value.total_cmp(&b.1.p_value))
            .or_else(|| small.min_by(|a, b| a.1.magnitude_percent().total_cmp(&b.1.magnitude_percent())));
        let Some((weakest, _)) = weakest else {
            return indexes.iter().zip(tests).map(|(index, test)| test.change_point(*index)).collect();
        };
        indexes.remove(weakest);
    }
}

/// Points that a point is held against, itself among them: up to three that are far off change nothing.
const NEIGHBOURS: usize = 7;
/// A point is far off beyond so many standard deviations of all points from the median of its neighbours.
const OUTLIER_SDS: f64 = 4.0;
/// Median absolute deviation × this = standard deviation, where the distribution is normal.
const MAD_TO_SD: f64 = 1.482_602_218_505_602;

/// The series with the median of their neighbours for points that are far off it. A step stays a step: on both its
/// sides most neighbours are of the point's own level.
fn without_outliers(logs: &[f64]) -> Vec<f64> {
    if logs.len() < NEIGHBOURS {
        return logs.to_vec();
    }
    let centre = |at: usize| {
        let start = at.saturating_sub(NEIGHBOURS / 2).min(logs.len() - NEIGHBOURS);
        median(logs[start..start + NEIGHBOURS].to_vec())
    };
    let centres: Vec<f64> = (0..logs.len()).map(centre).collect();
    let off = median(logs.iter().zip(&centres).map(|(log, centre)| (log - centre).abs()).collect());
    let most = OUTLIER_SDS * MAD_TO_SD * off;
    logs.iter().zip(&centres).map(|(log, centre)| if (log - centre).abs() > most { *centre } else { *log }).collect()
}

/// The median, the lower one of two. The numbers are some.
fn median(mut numbers: Vec<f64>) -> f64 {
    let middle = (numbers.len() - 1) / 2;
    *numbers.select_nth_unstable_by(middle, f64::total_cmp).1
}

/// Otava's first level, of changes that may turn out to be none.
fn weak_p(max_p: f64) -> f64 {
    match max_p {
        ..0.05 => max_p * 10.0,
        ..0.5 => max_p * 2.0,
        _ => max_p,
    }
}

/// The changes that some window has at the weak level.
fn weak_changes(logs: &[f64], rules: &ChangeRules) -> Vec<usize> {
    let window = rules.window.max(2 * rules.min_side).max(2);
    let (mut indexes, mut start) = (Vec::new(), 0);
    while start < logs.len() {
        let end = (start + window).min(logs.len());
        let found = divide(&logs[start..end], rules, weak_p(rules.max_p));
        let next = start + window / 2;
        let last = found.last().map_or(0, |index| start + index);
        indexes.extend(found.into_iter().map(|index| start + index));
        start = last.max(next);
    }
    indexes.sort_unstable();
    indexes.dedup();
    // Two windows may see one change a point apart.
    let mut kept: Vec<usize> = Vec::new();
    for index in indexes {
        let before = kept.last().copied().unwrap_or(0);
        if index - before >= rules.min_side && logs.len() - index >= rules.min_side {
            kept.push(index);
        }
    }
    kept
}

/// The changes of one window: the place with the largest divergence of all its intervals splits its interval, as long
/// as the test says so.
fn divide(window: &[f64], rules: &ChangeRules, max_p: f64) -> Vec<usize> {
    let sums = PairSums::of(window);
    let mut found: Vec<usize> = Vec::new();
    loop {
        let candidates = intervals(window.len(), &found).filter_map(|it| sums.candidate(&it, rules.min_side));
        let Some(candidate) = candidates.max_by(|a, b| a.divergence.total_cmp(&b.divergence)) else { return found };
        let (left, right) = (candidate.within.start..candidate.index, candidate.index..candidate.within.end);
        if !Test::of(&window[left], &window[right]).is_significant(max_p) {
            return found;
        }
        found.push(candidate.index);
        found.sort_unstable();
    }
}

/// The stretches between changes.
fn intervals(length: usize, changes: &[usize]) -> impl Iterator<Item = Range<usize>> {
    let starts = std::iter::once(0).chain(changes.iter().copied());
    let ends = changes.iter().copied().chain(std::iter::once(length));
    starts.zip(ends).map(|(start, end)| start..end)
}

/// Each change against the stretches on both its sides.
fn tests(logs: &[f64], indexes: &[usize]) -> Vec<Test> {
    let stretches: Vec<Range<usize>> = intervals(logs.len(), indexes).collect();
    stretches.windows(2).map(|pair| Test::of(&logs[pair[0].clone()], &logs[pair[1].clone()])).collect()
}

/// A place that may be a change.
struct Candidate {
    within: Range<usize>,
    index: usize,
    divergence: f64,
}

/// Sums of distances between the points of a window.
struct PairSums {
    length: usize,
    /// Of the points from a to before b, at `a * (length + 1) + b`.
    sums: Vec<f64>,
}

impl PairSums {
    fn of(window: &[f64]) -> PairSums {
        let length = window.len();
        let mut sums = vec![0.0; (length + 1) * (length + 1)];
        for from in (0..length).rev() {
            // What the point at `from` adds to the sum of those behind it: Otava's H.
            let mut added = 0.0;
            for to in from + 1..=length {
                added += (window[to - 1] - window[from]).abs();
                sums[from * (length + 1) + to] = sums[(from + 1) * (length + 1) + to] + added;
            }
        }
        PairSums { length, sums }
    }

    fn within(&self, from: usize, to: usize) -> f64 {
        self.sums[from * (self.length + 1) + to]
    }

    /// Otava's `Q(s, τ, κ) = A - B - C` in closed form: points from `start` to before `split`, against those from there
    /// to before `end`.
    fn divergence(&self, start: usize, split: usize, end: usize) -> f64 {
        let (left, right, all) = ((split - start) as f64, (end - split) as f64, (end - start) as f64);
        let (of_left, of_right) = (self.within(start, split), self.within(split, end));
        let between = self.within(start, end) - of_left - of_right;
        let mean =
            |sum: f64, other: f64, own: f64| if own > 1.0 { 2.0 * other / (all * (own - 1.0)) * sum } else { 0.0 };
        2.0 / all * between - mean(of_left, right, left) - mean(of_right, left, right)
    }

    /// The place of an interval whose sides differ most. The right side may end before the interval does, so that a
    /// later change does not hide an earlier one.
    fn candidate(&self, interval: &Range<usize>, min_side: usize) -> Option<Candidate> {
        let side = min_side.max(1);
        let mut best: Option<Candidate> = None;
        for index in interval.start + side..(interval.end + 1).saturating_sub(side) {
            for end in index + side..=interval.end {
                let divergence = self.divergence(interval.start, index, end);
                if best.as_ref().is_none_or(|best| divergence > best.divergence) {
                    best = Some(Candidate { within: interval.clone(), index, divergence });
                }
            }
        }
        best
    }
}

/// Student's t-test of two levels, on logarithms.
struct Test {
    difference: f64,
    half_interval: f64,
    p_value: f64,
}

impl Test {
    fn of(left: &[f64], right: &[f64]) -> Test {
        let mean = |side: &[f64]| side.iter().sum::<f64>() / side.len() as f64;
        let squares = |side: &[f64], mean: f64| side.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        let (before, behind) = (mean(left), mean(right));
        let difference = behind - before;
        let freedom = (left.len() + right.len()) as f64 - 2.0;
        let Ok(student) = StudentsT::new(0.0, 1.0, freedom) else {
            return Test { difference, half_interval: f64::INFINITY, p_value: 1.0 };
        };
        let variance = (squares(left, before) + squares(right, behind)) / freedom;
        let error = (variance * (1.0 / left.len() as f64 + 1.0 / right.len() as f64)).sqrt();
        // What rounding makes of equal numbers is no difference.
        let is_equal = difference.abs() <= 1e-12;
        let p_value = match error > 0.0 {
            _ if is_equal => 1.0,
            true => 2.0 * student.sf((difference / error).abs()),
            false => 0.0,
        };
        Test { difference, half_interval: student.inverse_cdf(0.975) * error, p_value }
    }

    fn is_significant(&self, max_p: f64) -> bool {
        self.p_value < max_p
    }

    /// The larger of the change seen forwards and backwards, as Otava has it: twice and half are as large.
    fn magnitude_percent(&self) -> f64 {
        self.difference.abs().exp_m1() * 100.0
    }

    fn change_point(&self, index: usize) -> ChangePoint {
        let percent = |log: f64| log.exp_m1() * 100.0;
        ChangePoint {
            index,
            percent: percent(self.difference),
            low_percent: percent(self.difference - self.half_interval),
            high_percent: percent(self.difference + self.half_interval),
            p_value: self.p_value,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Otava's own example (`tests/analysis_test.py`, `test_single_series`).
    const OTAVA: [f64; 20] = [
        1.02, 0.95, 0.99, 1.00, 1.12, 1.00, 1.01, 0.98, 1.01, 0.96, 0.50, 0.51, 0.48, 0.48, 0.55, 0.50, 0.49, 0.51,
        0.50, 0.49,
    ];

    /// A series whose points are off their level by turns: no chance in it.
    fn steps(levels: &[f64], each: usize, off: f64) -> Vec<f64> {
        let turns = [0.3, -1.0, 0.8, -0.4, 0.1, 1.0, -0.7, 0.5, -0.2, -0.6];
        let points = levels.iter().flat_map(|level| std::iter::repeat_n(*level, each));
        points.enumerate().map(|(index, level)| level * (1.0 + off * turns[index * 7 % 10])).collect()
    }

    fn places(series: &[f64], rules: &ChangeRules) -> Vec<usize> {
        change_points(series, rules).iter().map(|change| change.index).collect()
    }

    #[test]
    fn the_example_of_otava_has_its_change() {
        let rules = ChangeRules { window: 10, max_p: 0.0001, min_percent: 0.0, ..ChangeRules::default() };
        let found = change_points(&OTAVA, &rules);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].index, 10);
        // The geometric means are 1.00306 and 0.50059.
        assert!((found[0].percent + 50.09).abs() < 0.05 && found[0].p_value < 1e-15, "{found:?}");
        assert!(found[0].low_percent < found[0].percent && found[0].percent < found[0].high_percent);
    }

    #[test]
    fn the_recurrence_is_the_definition() {
        let window = [3.0, 1.0, 4.0, 1.5, 9.0, 2.0, 6.0];
        let pairs = |a: &[f64]| {
            let all = a.iter().enumerate().flat_map(|(at, x)| a[at + 1..].iter().map(move |y| (x - y).abs()));
            all.sum::<f64>()
        };
        let sums = PairSums::of(&window);
        for (start, split, end) in [(0, 3, 7), (1, 2, 6), (2, 6, 7), (0, 1, 2)] {
            let (left, right) = (&window[start..split], &window[split..end]);
            let (n, m) = (left.len() as f64, right.len() as f64);
            let between: f64 = left.iter().flat_map(|x| right.iter().map(move |y| (x - y).abs())).sum();
            let of = |side: &[f64], n: f64| if n > 1.0 { pairs(side) * 2.0 / (n * (n - 1.0)) } else { 0.0 };
            let expected = n * m / (n + m) * (2.0 / (n * m) * between - of(left, n) - of(right, m));
            assert!((sums.divergence(start, split, end) - expected).abs() < 1e-12, "{start} {split} {end}");
        }
    }

    #[test]
    fn each_step_is_found_where_it_is_with_its_size() {
        let series = steps(&[100.0, 105.0, 98.0, 110.0], 30, 0.01);
        let found = change_points(&series, &ChangeRules::default());
        assert_eq!(found.iter().map(|change| change.index).collect::<Vec<_>>(), [30, 60, 90], "{found:?}");
        for (change, expected) in found.iter().zip([5.0, -6.67, 12.24]) {
            assert!((change.percent - expected).abs() < 0.6, "{change:?}");
            assert!(change.low_percent < expected && expected < change.high_percent, "{change:?}");
        }
    }

    #[test]
    fn a_small_change_or_a_single_night_is_none() {
        let rules = ChangeRules::default();
        assert_eq!(places(&steps(&[100.0, 101.5], 40, 0.005), &rules), [0usize; 0]);
        let is_found = ChangeRules { min_percent: 1.0, ..rules };
        assert_eq!(places(&steps(&[100.0, 101.5], 40, 0.005), &is_found), [40]);
        for outlier in [5, 40, 77] {
            let mut series = steps(&[100.0], 80, 0.01);
            series[outlier..outlier + 3].iter_mut().for_each(|value| *value *= 1.5);
            assert_eq!(places(&series, &rules), [0usize; 0], "three outliers from {outlier} on");
        }
    }

    #[test]
    fn a_change_shows_by_its_fourth_night() {
        let series = steps(&[100.0, 110.0], 30, 0.01);
        let rules = ChangeRules::default();
        assert_eq!(places(&series[..33], &rules), [0usize; 0]);
        assert_eq!(places(&series[..34], &rules), [30]);
    }

    #[test]
    fn what_is_no_series_has_no_change() {
        let rules = ChangeRules::default();
        for series in [vec![], vec![1.0; 7], vec![1.0; 100], vec![0.0; 20], vec![f64::NAN; 20], vec![f64::INFINITY; 20]]
        {
            assert_eq!(places(&series, &rules), [0usize; 0], "{series:?}");
        }
        let coarse = [vec![1.0; 10], vec![1.1; 10]].concat();
        assert_eq!(places(&coarse, &rules), [10], "a clock so coarse that nothing varies");
    }
}
