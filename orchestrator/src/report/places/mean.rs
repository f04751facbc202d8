//! How sure the mean time is that a score takes of a cell: that of its run with the median of all its runs' means.

use farmctl_statistics::student_975;

use crate::compare::median_interval_95;
use crate::domain::Record;
use crate::score::ScoredRun;

/// Stretches that a single run's samples are cut into, at most and at least. The means of 10 to 30 stretches are nearly
/// independent, and enough for a variance (B. Schmeiser, Operations Research 30, 1982).
const STRETCHES: (usize, usize) = (20, 5);

/// What reaches from one to so many times as much tells nothing.
const WIDEST: f64 = 10.0;

/// By how much a term of a sum may be smaller and larger, as shares of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ends {
    pub(super) below: f64,
    pub(super) above: f64,
}

/// The ends of 95 % of what a cell adds to a sum of images a second; `None` where its runs tell none.
///
/// Six runs and more tell by their ranks (H. A. David and H. N. Nagaraja, Order Statistics, 2003, 7.1), two to five by
/// Student's distribution, one by the means of stretches of it: what the next run would say is not in that.
pub(super) fn ends(records: &[&Record]) -> Option<Ends> {
    let mut means: Vec<f64> = records.iter().filter_map(|record| ScoredRun::of(record).latency_s).collect();
    means.sort_by(f64::total_cmp);
    let counting = *means.get(means.len().checked_sub(1)? / 2)?;
    let (low, high) = match means.len() {
        1 => of_stretches(records)?,
        _ => median_interval_95(&means).or_else(|| by_student(&means))?,
    };
    (low > 0.0).then(|| Ends { below: (1.0 - counting / high).max(0.0), above: (counting / low - 1.0).max(0.0) })
}

/// The interval of the mean of these times, as low and high end. It is one of their logarithms, so that it says the
/// same of times and of images a second.
fn by_student(times: &[f64]) -> Option<(f64, f64)> {
    let count = times.len() as f64;
    if times.len() < 2 || times.iter().any(|time| *time <= 0.0) {
        return None;
    }
    let logs: Vec<f64> = times.iter().map(|time| time.ln()).collect();
    let mean = logs.iter().sum::<f64>() / count;
    let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let half = student_975(count - 1.0) * (variance / count).sqrt();
    (half <= WIDEST.ln()).then(|| ((mean - half).exp(), (mean + half).exp()))
}

/// The interval of the mean of the only run that has a time, in seconds.
fn of_stretches(records: &[&Record]) -> Option<(f64, f64)> {
    let record = records.iter().find(|record| ScoredRun::of(record).latency_s.is_some())?;
    let samples_ns = &record.measurement.samples_ns;
    let (most, least) = STRETCHES;
    let stretches = (samples_ns.len() / 2).min(most);
    if stretches < least {
        return None;
    }
    let mean_s = |part: &[u64]| part.iter().map(|ns| *ns as f64).sum::<f64>() / part.len() as f64 / 1e9;
    let bound = |stretch: usize| stretch * samples_ns.len() / stretches;
    let means: Vec<f64> =
        (0..stretches).map(|stretch| mean_s(&samples_ns[bound(stretch)..bound(stretch + 1)])).collect();
    by_student(&means)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::domain::sample;

    /// Numbers of a normal distribution, by a seed (sums of twelve uniform ones).
    struct Random(u64);

    impl Random {
        fn uniform(&mut self) -> f64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 11) as f64 / (1_u64 << 53) as f64
        }

        fn normal(&mut self) -> f64 {
            (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
        }
    }

    /// Runs whose levels lie around 1 ms by so much, and whose samples depend on those before them.
    fn runs(random: &mut Random, count: usize, between: f64) -> Vec<Record> {
        let run = |random: &mut Random| {
            let level = 1.0 + between * random.normal();
            let mut noise = 0.0;
            let mut record = sample::record("a", "net");
            record.measurement.samples_ns = (0..if count == 1 { 400 } else { 60 })
                .map(|_| {
                    noise = 0.5 * noise + 0.02 * random.normal();
                    (1e6 * (level + noise)) as u64
                })
                .collect();
            record
        };
        (0..count).map(|_| run(random)).collect()
    }

    /// In how many of 100 cells the true images a second lie within the ends.
    fn covered(count: usize, between: f64) -> f64 {
        const CELLS: usize = 500;
        let mut random = Random(7);
        let holds = (0..CELLS).filter(|_| {
            let runs = runs(&mut random, count, between);
            let runs: Vec<&Record> = runs.iter().collect();
            let ends = ends(&runs).unwrap();
            let mut means: Vec<f64> = runs.iter().map(|run| ScoredRun::of(run).latency_s.unwrap()).collect();
            means.sort_by(f64::total_cmp);
            let value = 1.0 / means[(count - 1) / 2];
            (value * (1.0 - ends.below)..=value * (1.0 + ends.above)).contains(&1_000.0)
        });
        holds.count() as f64 / CELLS as f64 * 100.0
    }

    #[test]
    fn the_ends_hold_the_truth_in_95_of_100_cells() {
        // By ranks no less, and for some numbers of runs more: of eight 99.2, of twelve 96.1.
        let expected = [(1, 91.5..97.5), (3, 92.0..98.0), (5, 92.0..98.0), (8, 97.5..100.1), (12, 93.5..98.5)];
        for (count, wanted) in expected {
            let covered = covered(count, if count == 1 { 0.0 } else { 0.02 });
            assert!(wanted.contains(&covered), "{count} runs: {covered}");
        }
    }

    #[test]
    fn what_has_too_few_samples_or_spreads_beyond_all_has_no_ends() {
        let mut record = sample::record("a", "net");
        record.measurement.samples_ns = vec![1_000; 9];
        assert_eq!(ends(&[&record]), None);
        record.measurement.samples_ns.push(1_000);
        let Ends { below, above } = ends(&[&record]).unwrap();
        assert!(below < 1e-9 && above < 1e-9, "samples that are all the same: {below} {above}");
        let mut wild = record.clone();
        wild.measurement.samples_ns = vec![9_000_000; 10];
        assert_eq!(ends(&[&record, &wild]), None, "two that far apart tell nothing");
        assert_eq!(ends(&[]), None);
    }
}
