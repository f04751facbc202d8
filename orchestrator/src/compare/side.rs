use std::collections::BTreeMap;
use std::fmt;

use super::normal::Moments;
use super::runs::{Accuracy, Place, Run, Runs};
use crate::domain::RunStatus;

/// Fewest runs whose median has an interval of 95 %.
const FEWEST: usize = 6;

/// What an accuracy was measured with.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Images {
    /// The dataset's name; empty where it is not told.
    pub dataset: String,
    /// How many images; `None` where it is not told.
    pub count: Option<u64>,
}

impl Images {
    /// Whether the two are told, and are not the same.
    pub fn differ(&self, other: &Images) -> bool {
        let (one, two) = (&self.dataset, &other.dataset);
        let has_names = !one.is_empty() && !two.is_empty();
        (has_names && one != two) || self.count.zip(other.count).is_some_and(|(one, two)| one != two)
    }
}

impl fmt::Display for Images {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.dataset.is_empty() { "a dataset" } else { &self.dataset };
        match self.count {
            Some(1) => write!(f, "{name} (1 image)"),
            Some(count) => write!(f, "{name} ({count} images)"),
            None => f.write_str(name),
        }
    }
}

/// What one of the two has of a cell.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Side {
    /// Times of its runs that count, in seconds, ascending: medians, or means where only those are told.
    pub times_s: Vec<f64>,
    /// Runs that were tried or planned and gave no time.
    pub without_time: usize,
    /// Of those without a time, the ones that count and were needed: no other run stands for them.
    pub lost: usize,
    /// Runs that another run stands for.
    pub not_counting: usize,
    /// How a run without a time ended, where there is one the first that is lost.
    pub failure: Option<String>,
    /// Whether such a run was tried, and failed.
    pub has_failed: bool,
    /// Share of images whose class was the first answer: the median of its runs.
    pub top1: Option<f64>,
    /// Share of images whose class was among the first five: the median of its runs.
    pub top5: Option<f64>,
    /// What most of its accuracies are of.
    pub images: Option<Images>,
}

impl Side {
    /// The runs that count and have a time. `by_mean`: their means are what is compared.
    pub(super) fn of(runs: &Runs, own: &[Run], by_mean: bool) -> (Side, Vec<Run>) {
        let mut side = Side::default();
        let mut timed = Vec::new();
        for run in own {
            let is_ok = run.status == RunStatus::Ok && !time_s(run, by_mean).is_nan();
            if !is_ok {
                side.without_time += 1;
                let failure = run.failure.and_then(|place| runs.failures.at(place));
                let said = failure.map_or_else(String::new, |failure| format!(": {failure}"));
                let ended = format!("{}{said}", run.status.as_str());
                let is_lost = run.counts && !run.is_needless;
                side.lost += usize::from(is_lost);
                // A run that failed says more than those that were left out, maybe because of it.
                let is_failed = run.status == RunStatus::Failed;
                let says_more = !side.has_failed && (is_failed || (is_lost && side.lost == 1));
                side.has_failed |= is_failed;
                if says_more {
                    side.failure = Some(ended);
                } else {
                    side.failure.get_or_insert(ended);
                }
            } else if !run.counts {
                side.not_counting += 1;
            } else {
                side.times_s.push(time_s(run, by_mean));
                timed.push(*run);
            }
        }
        side.times_s.sort_by(f64::total_cmp);
        let accuracies: Vec<Accuracy> = timed.iter().filter_map(|run| runs.accuracy(run)).collect();
        side.top1 = median_of_known(accuracies.iter().map(|accuracy| accuracy.top1()));
        side.top5 = median_of_known(accuracies.iter().map(|accuracy| accuracy.top5()));
        side.images = most_images(runs, &accuracies);
        (side, timed)
    }

    /// Whether nobody planned or tried it.
    pub fn is_absent(&self) -> bool {
        self.times_s.is_empty() && self.without_time == 0 && self.not_counting == 0
    }

    /// Runs that count: those with a time, and those that were to have one.
    pub fn asked(&self) -> usize {
        self.times_s.len() + self.lost
    }

    /// The median of its runs, in seconds.
    pub fn median_s(&self) -> Option<f64> {
        median(&self.times_s)
    }

    /// How far the ends of the median's interval of 95 % lie from it, the farther one, in per cent: what stands behind
    /// ±, as benchstat has it (order statistics; H. A. David, Order Statistics, 1981, 2.5). `None` of fewer than six.
    pub fn plus_minus_percent(&self) -> Option<f64> {
        let median_s = self.median_s()?;
        let (low, high) = median_interval_95(&self.times_s)?;
        Some((high / median_s - 1.0).max(1.0 - low / median_s) * 100.0)
    }

    /// Variance of the logarithms of its times.
    pub(super) fn log_variance(&self) -> Option<f64> {
        let logs: Vec<f64> = self.times_s.iter().map(|time_s| time_s.ln()).collect();
        Moments::of(&logs).map(|moments| moments.variance)
    }
}

fn most_images(runs: &Runs, accuracies: &[Accuracy]) -> Option<Images> {
    let mut counts: BTreeMap<Place, usize> = BTreeMap::new();
    accuracies.iter().for_each(|accuracy| *counts.entry(accuracy.images).or_default() += 1);
    let of_most = counts.into_iter().max_by_key(|(place, count)| (*count, std::cmp::Reverse(*place)));
    of_most.and_then(|(place, _)| runs.images.at(place)).cloned()
}

/// What a run's time is.
pub(super) fn time_s(run: &Run, by_mean: bool) -> f64 {
    let time_s = if by_mean { run.mean_s } else { run.median_s };
    if time_s > 0.0 { time_s } else { f64::NAN }
}

/// The interval of 95 % of the median of values in ascending order, as low and high end: two of the values, by their
/// ranks (H. A. David, Order Statistics, 1981, 2.5). `None` of fewer than six.
pub fn median_interval_95(sorted: &[f64]) -> Option<(f64, f64)> {
    let rank = interval_rank(sorted.len())?;
    Some((sorted[rank - 1], sorted[sorted.len() - rank]))
}

/// The median of values in ascending order, between the middle two of an even number.
pub fn median(sorted: &[f64]) -> Option<f64> {
    let half = sorted.len() / 2;
    match sorted.len() % 2 {
        _ if sorted.is_empty() => None,
        1 => sorted.get(half).copied(),
        _ => Some((sorted[half - 1] + sorted[half]) / 2.0),
    }
}

/// The median of those that are known.
pub(super) fn median_of_known(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut known: Vec<f64> = values.filter(|value| !value.is_nan()).collect();
    known.sort_by(f64::total_cmp);
    median(&known)
}

/// The rank from either end whose values hold the median with 95 % and more: the largest k for which half of n fair
/// coins show fewer than k heads in no more than 2.5 %.
fn interval_rank(n: usize) -> Option<usize> {
    if n < FEWEST {
        return None;
    }
    let (mut rank, mut reached) = (0, 0.0);
    // The logarithm of n over k, by 2^n: no factorial is too large.
    let mut log_share = -(n as f64) * std::f64::consts::LN_2;
    loop {
        reached += log_share.exp();
        if reached > 0.025 || rank > n / 2 {
            return (rank > 0).then_some(rank);
        }
        rank += 1;
        log_share += ((n - rank + 1) as f64 / rank as f64).ln();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_of_the_interval_are_those_of_the_binomial_table() {
        // SciPy 1.17.1: the largest k with binom.cdf(k - 1, n, 0.5) <= 0.025.
        for (n, rank) in [(6, 1), (8, 1), (9, 2), (10, 2), (12, 3), (20, 6), (100, 40), (1000, 469)] {
            assert_eq!(interval_rank(n), Some(rank), "{n}");
        }
        assert_eq!(interval_rank(5), None);
        assert!(interval_rank(100_000).is_some_and(|rank| (49_600..49_700).contains(&rank)));
    }
}
