use super::normal;

/// Largest count of values (on each side) whose distribution is counted; above, a normal one stands for it.
const EXACT: usize = 50;
/// Chance that an interval misses, on each of its sides.
const TAIL: f64 = 0.025;
/// Steps that find a value between any two: more than a 64-bit number has digits.
const STEPS: usize = 120;

/// Wilcoxon's signed-rank test: how likely differences at least as one-sided are when nothing differs, two-sided
/// (F. Wilcoxon, Biometrics Bulletin 1, 1945). Differences of zero are left out, as Wilcoxon did. Exact up to 50, ties
/// included: every choice of signs is counted. Beyond that normal, with corrections for ties and continuity. 1 without
/// any difference.
pub fn signed_rank_p(differences: &[f64]) -> f64 {
    let kept: Vec<f64> = differences.iter().copied().filter(|difference| *difference != 0.0).collect();
    if kept.is_empty() {
        return 1.0;
    }
    let sizes: Vec<f64> = kept.iter().map(|difference| difference.abs()).collect();
    let ranks = Ranks::of(&sizes);
    let rank_sum = |is_meant: fn(f64) -> bool| -> u64 {
        kept.iter().zip(&ranks.doubled).filter(|(difference, _)| is_meant(**difference)).map(|(_, rank)| rank).sum()
    };
    let smaller = rank_sum(|difference| difference > 0.0).min(rank_sum(|difference| difference < 0.0));
    if kept.len() <= EXACT {
        return (2.0 * share_up_to(&sign_counts(&ranks.doubled), smaller)).min(1.0);
    }
    let n = kept.len() as f64;
    let variance = n * (n + 1.0) * (2.0 * n + 1.0) / 24.0 - ranks.ties / 48.0;
    two_sided((n * (n + 1.0) / 4.0 - smaller as f64 / 2.0 - 0.5) / variance.sqrt())
}

/// The test of Mann and Whitney: how likely two samples of one population lie at least so far apart, two-sided
/// (H. B. Mann and D. R. Whitney, The Annals of Mathematical Statistics 18, 1947). Exact where no value is there twice
/// and neither has more than 50, and with ties up to 50 values together. Else normal, with corrections for ties and
/// continuity. 1 where a sample is empty.
pub fn mann_whitney_p(first: &[f64], second: &[f64]) -> f64 {
    let (n, m) = (first.len(), second.len());
    if n == 0 || m == 0 {
        return 1.0;
    }
    let all: Vec<f64> = first.iter().chain(second).copied().collect();
    let ranks = Ranks::of(&all);
    let rank_sum: u64 = ranks.doubled[..n].iter().sum();
    if ranks.ties == 0.0 && n.max(m) <= EXACT {
        let u = rank_sum / 2 - (n * (n + 1) / 2) as u64;
        let smaller = u.min((n * m) as u64 - u);
        return (2.0 * share_up_to(&whitney_counts(n, m), smaller)).min(1.0);
    }
    if n + m <= EXACT {
        let counts = choice_counts(&ranks.doubled, n);
        let below = share_up_to(&counts, rank_sum);
        let above = 1.0 - rank_sum.checked_sub(1).map_or(0.0, |sum| share_up_to(&counts, sum));
        return (2.0 * below.min(above)).min(1.0);
    }
    let (a, b) = (n as f64, m as f64);
    let u = rank_sum as f64 / 2.0 - a * (a + 1.0) / 2.0;
    let total = a + b;
    let variance = a * b / 12.0 * (total + 1.0 - ranks.ties / (total * (total - 1.0)));
    if variance > 0.0 { two_sided(((u - a * b / 2.0).abs() - 0.5) / variance.sqrt()) } else { 1.0 }
}

fn two_sided(z: f64) -> f64 {
    (2.0 * normal::upper_tail(z.max(0.0))).min(1.0)
}

/// The median of the means of all pairs of differences, and the interval of 95 % of where they lie: what the
/// signed-rank test does not refuse (J. L. Hodges and E. L. Lehmann, The Annals of Mathematical Statistics 34, 1963;
/// J. W. Tukey, 1949). No interval of fewer than six differences.
pub fn middle_of_pairs(differences: &[f64]) -> Option<(f64, Option<(f64, f64)>)> {
    let mut sorted = differences.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (first, last) = (*sorted.first()?, *sorted.last()?);
    let n = sorted.len();
    let means = (n * (n + 1) / 2) as u64;
    let at = |rank: u64| nth(first, last, rank, |value| means_up_to(&sorted, value));
    let critical = if n <= EXACT {
        let ranks: Vec<u64> = (1..=n as u64).map(|rank| 2 * rank).collect();
        last_below_tail(&sign_counts(&ranks)).map(|doubled| doubled / 2)
    } else {
        let n = n as f64;
        normal_critical(n * (n + 1.0) / 4.0, n * (n + 1.0) * (2.0 * n + 1.0) / 24.0)
    };
    let interval = critical.map(|rank| (at(rank + 1), at(means - rank)));
    Some(((at(means.div_ceil(2)) + at(means / 2 + 1)) / 2.0, interval))
}

/// The interval of 95 % of how far the second sample lies above the first: what the test of Mann and Whitney does not
/// refuse (Hodges and Lehmann 1963; L. E. Moses 1953). `None` where they are too few: three a side, for example.
pub fn shift_interval(first: &[f64], second: &[f64]) -> Option<(f64, f64)> {
    let (n, m) = (first.len(), second.len());
    let [mut first, mut second] = [first.to_vec(), second.to_vec()];
    first.sort_by(f64::total_cmp);
    second.sort_by(f64::total_cmp);
    let critical = if n.max(m) <= EXACT {
        last_below_tail(&whitney_counts(n, m))
    } else {
        let (a, b) = (n as f64, m as f64);
        normal_critical(a * b / 2.0, a * b * (a + b + 1.0) / 12.0)
    }?;
    let (low, high) = (second.first()? - first.last()?, second.last()? - first.first()?);
    let at = |rank: u64| nth(low, high, rank, |value| differences_up_to(&first, &second, value));
    Some((at(critical + 1), at((n * m) as u64 - critical)))
}

/// Ranks of values, equal ones with the mean of theirs.
struct Ranks {
    /// Twice the rank of each, so that it is a whole number.
    doubled: Vec<u64>,
    /// Sum of t³ − t over groups of t equal values.
    ties: f64,
}

impl Ranks {
    fn of(values: &[f64]) -> Ranks {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
        let mut ranks = Ranks { doubled: vec![0; values.len()], ties: 0.0 };
        let mut begin = 0;
        for group in order.chunk_by(|a, b| values[*a] == values[*b]) {
            let count = group.len();
            // The mean of the ranks begin + 1 to begin + count, twice.
            group.iter().for_each(|index| ranks.doubled[*index] = (2 * begin + count + 1) as u64);
            ranks.ties += (count as f64).powi(3) - count as f64;
            begin += count;
        }
        ranks
    }
}

/// How many choices of signs give each rank sum.
fn sign_counts(ranks: &[u64]) -> Vec<f64> {
    let total: u64 = ranks.iter().sum();
    let mut counts = vec![0.0; total as usize + 1];
    counts[0] = 1.0;
    let mut reached = 0;
    for rank in ranks.iter().map(|rank| *rank as usize) {
        for sum in (0..=reached).rev() {
            counts[sum + rank] += counts[sum];
        }
        reached += rank;
    }
    counts
}

/// How many choices of `n` of the ranks give each sum.
fn choice_counts(ranks: &[u64], n: usize) -> Vec<f64> {
    let total = ranks.iter().sum::<u64>() as usize;
    // One row for each number of ranks that are chosen.
    let mut rows = vec![vec![0.0; total + 1]; n + 1];
    rows[0][0] = 1.0;
    for rank in ranks.iter().map(|rank| *rank as usize) {
        for chosen in (1..=n).rev() {
            let (before, now) = rows.split_at_mut(chosen);
            for sum in (rank..=total).rev() {
                now[0][sum] += before[chosen - 1][sum - rank];
            }
        }
    }
    rows.pop().unwrap_or_default()
}

/// How many orders of n and m values give each U, by the generating function (Mann and Whitney 1947).
fn whitney_counts(n: usize, m: usize) -> Vec<f64> {
    let most = n * m;
    let mut counts = vec![0.0; most + 1];
    counts[0] = 1.0;
    for step in 1..=n {
        for u in (m + step..=most).rev() {
            counts[u] -= counts[u - m - step];
        }
        for u in step..=most {
            counts[u] += counts[u - step];
        }
    }
    counts
}

/// Share of all choices whose sum is no more than this.
fn share_up_to(counts: &[f64], sum: u64) -> f64 {
    let all: f64 = counts.iter().sum();
    counts.iter().take(sum as usize + 1).sum::<f64>() / all
}

/// The largest sum that chance exceeds downwards in no more than 2.5 %.
fn last_below_tail(counts: &[f64]) -> Option<u64> {
    let all: f64 = counts.iter().sum();
    let mut reached = 0.0;
    let within = counts.iter().take_while(|count| {
        reached += **count;
        reached / all <= TAIL
    });
    (within.count() as u64).checked_sub(1)
}

fn normal_critical(mean: f64, variance: f64) -> Option<u64> {
    let rank = (mean - normal::Z_975 * variance.sqrt() - 0.5).floor();
    (rank >= 0.0).then_some(rank as u64)
}

/// The value at a rank among many, which are only counted: none is kept.
fn nth(low: f64, high: f64, rank: u64, up_to: impl Fn(f64) -> u64) -> f64 {
    let (mut low, mut high) = (low, high);
    if up_to(low) >= rank {
        return low;
    }
    for _ in 0..STEPS {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            break;
        }
        if up_to(middle) >= rank { high = middle } else { low = middle }
    }
    high
}

/// How many means of two of them (each with itself too) are no larger.
fn means_up_to(sorted: &[f64], value: f64) -> u64 {
    let mut count = 0;
    let mut end = sorted.len();
    for (index, one) in sorted.iter().enumerate() {
        while end > index && (one + sorted[end - 1]) / 2.0 > value {
            end -= 1;
        }
        if end <= index {
            break;
        }
        count += (end - index) as u64;
    }
    count
}

/// How many differences of one of the second and one of the first are no larger.
fn differences_up_to(first: &[f64], second: &[f64], value: f64) -> u64 {
    let (mut count, mut end) = (0, 0);
    for one in first {
        while end < second.len() && second[end] - one <= value {
            end += 1;
        }
        count += end as u64;
    }
    count
}
