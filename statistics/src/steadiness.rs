use crate::centre::{median, medians_of_stretches};
use crate::dependence::local_correlation;

/// Fewest samples that the test says anything of.
const MIN_SAMPLES: usize = 10;
/// Fewest and most batches that it compares. Fewer than 20 would not see a step near an end; with 20, a series that is
/// worth fewer than 20 independent samples may be called changed though it only wanders.
const MIN_BATCHES: usize = 20;
const MAX_BATCHES: usize = 50;
/// Fewest batches before and behind a change.
const MIN_SIDE: usize = 2;
/// Stretches that the correlation is measured in, and their least length.
const STRETCHES: usize = 10;
const MIN_STRETCH: usize = 10;
/// A batch of this many times `correlation / (1 - correlation²)` samples depends little on its neighbours.
const INDEPENDENT_FACTOR: f64 = 8.0;

/// Where and by how much the level of a series changed most, and whether chance explains it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// First sample behind the change.
    pub from_sample: usize,
    /// How much slower it was from there on than before (quicker: negative), in per cent of the median before.
    pub percent: f64,
    /// Largest standardised rank sum over all moments of change.
    pub statistic: f64,
    /// What the statistic reaches by chance once in a hundred steady series.
    pub critical: f64,
}

impl Change {
    /// Whether there is a change that chance makes once in a hundred times.
    pub fn is_significant(&self) -> bool {
        self.statistic > self.critical
    }

    /// The change of level that stands out most, of a series in the order measured: medians of batches that hardly
    /// depend on each other, those before each moment against those behind it by the rank sum test, the largest of all
    /// (D. M. Hawkins and Q. Deng, Journal of Quality Technology 42, 2010; A. N. Pettitt, Applied Statistics 28, 1979).
    /// It sees a step, a trend and a slow start, whatever the distribution. `None` of fewer than ten samples.
    pub fn of(series: &[u64]) -> Option<Change> {
        if series.len() < MIN_SAMPLES {
            return None;
        }
        let batches = independent_batches(series);
        let levels = medians_of_stretches(series, batches);
        let (split, statistic) = largest_rank_sum(&levels)?;
        let from_sample = split * series.len() / batches;
        let level = |part: &[u64]| median(&mut part.iter().map(|sample| *sample as f64).collect::<Vec<_>>());
        let (before, behind) = (level(&series[..from_sample])?, level(&series[from_sample..])?);
        let percent = if before > 0.0 { (behind - before) / before * 100.0 } else { 0.0 };
        Some(Change { from_sample, percent, statistic, critical: critical(batches) })
    }
}

/// Into how many stretches of equal length a series parts whose medians hardly depend on each other.
pub(crate) fn independent_batches(series: &[u64]) -> usize {
    let stretch = (series.len() / STRETCHES).max(MIN_STRETCH);
    let correlation = local_correlation(series, stretch);
    let length = (INDEPENDENT_FACTOR * correlation / (1.0 - correlation * correlation)).max(1.0);
    ((series.len() as f64 / length) as usize).clamp(MIN_BATCHES.min(series.len()), MAX_BATCHES)
}

/// How many levels come before the change that stands out most, and its standardised rank sum.
fn largest_rank_sum(levels: &[f64]) -> Option<(usize, f64)> {
    let count = levels.len();
    let ranks = ranks(levels);
    let mut sum = 0.0;
    let mut largest: Option<(usize, f64)> = None;
    for (index, rank) in ranks.iter().enumerate() {
        sum += rank;
        let (before, behind) = (index + 1, count - index - 1);
        if before < MIN_SIDE || behind < MIN_SIDE {
            continue;
        }
        let expected = before as f64 * (count + 1) as f64 / 2.0;
        let sd = ((before * behind * (count + 1)) as f64 / 12.0).sqrt();
        let statistic = (sum - expected).abs() / sd;
        if largest.is_none_or(|(_, found)| statistic > found) {
            largest = Some((before, statistic));
        }
    }
    largest
}

/// Ranks from 1; equal levels share the middle of theirs.
fn ranks(levels: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..levels.len()).collect();
    order.sort_by(|a, b| levels[*a].total_cmp(&levels[*b]));
    let mut ranks = vec![0.0; levels.len()];
    let mut start = 0;
    for group in order.chunk_by(|a, b| levels[*a] == levels[*b]) {
        let rank = start as f64 + (group.len() + 1) as f64 / 2.0;
        group.iter().for_each(|index| ranks[*index] = rank);
        start += group.len();
    }
    ranks
}

/// What the largest rank sum of so many steady batches exceeds once in a hundred times: of 200,000 orders by chance of
/// each number, between them by proportion. It holds for any distribution: only ranks count.
const CRITICAL: [(f64, f64); 9] = [
    (10.0, 2.559),
    (12.0, 2.7175),
    (14.0, 2.829),
    (16.0, 2.889),
    (20.0, 2.972),
    (25.0, 3.058),
    (30.0, 3.118),
    (40.0, 3.203),
    (50.0, 3.263),
];

fn critical(batches: usize) -> f64 {
    let batches = batches as f64;
    let between = CRITICAL.windows(2).find(|pair| batches <= pair[1].0);
    between.map_or(CRITICAL[CRITICAL.len() - 1].1, |pair| {
        let [(fewer, low), (more, high)] = [pair[0], pair[1]];
        low + (high - low) * (batches - fewer) / (more - fewer)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::series::Random;

    #[test]
    fn chance_exceeds_the_table_once_in_a_hundred_times() {
        let mut random = Random::new(1);
        for batches in [10, 17, 20, 35, 50] {
            let exceeds = |_: &usize| {
                let levels: Vec<f64> = (0..batches).map(|_| random.uniform()).collect();
                largest_rank_sum(&levels).unwrap().1 > critical(batches)
            };
            let share = (0..4_000).filter(exceeds).count() as f64 / 4_000.0;
            assert!((0.005..0.015).contains(&share), "{batches}: {share}");
        }
    }

    #[test]
    fn a_step_is_found_where_it_is() {
        let mut random = Random::new(2);
        let level = |index| if index < 140 { 1e6 } else { 1.1e6 };
        let series: Vec<u64> = (0..200).map(|index| (level(index) * (1.0 + 0.01 * random.normal())) as u64).collect();
        let change = Change::of(&series).unwrap();
        assert!(change.is_significant() && (136..=144).contains(&change.from_sample), "{change:?}");
        assert!((change.percent - 10.0).abs() < 1.0, "{change:?}");
    }

    #[test]
    fn equal_levels_share_ranks() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0]), [3.5, 1.0, 3.5, 2.0]);
        assert!(!Change::of(&[5; 100]).unwrap().is_significant());
        assert_eq!(Change::of(&[5; 9]), None);
    }
}
