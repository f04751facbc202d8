use farmctl_statistics::student_975;

use super::Certainty;

/// How many times the spread within runs that between them is at least: of variances, with that within, ten.
const MUCH_MORE: f64 = 3.0;
/// Smallest spread between runs that is told.
const LEAST_TOLD_PERCENT: f64 = 1.0;

/// Share of the runs whose own samples must say how sure they are, for what they say to be of all.
const LEAST_KNOWN_SHARE: f64 = 0.75;

/// Several runs of the same: how much of their spread is within runs, and how much between them. The run is the unit:
/// a thousand samples of one run say nothing of how the next will be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Repeats {
    /// How many runs, at least 1.
    pub runs: usize,
    /// Mean of the runs' medians, in nanoseconds.
    pub mean_p50_ns: f64,
    /// Half of the mean's interval of 95 %, by Student, in per cent of it; `None` of a single run.
    pub half_interval_percent: Option<f64>,
    /// Standard deviation that a run's median has by its own samples, in per cent, of the runs that have an interval;
    /// `None` where more than a quarter have none.
    pub within_percent: Option<f64>,
    /// Standard deviation between runs that their samples don't explain, in per cent; `None` of a single run.
    pub between_percent: Option<f64>,
}

/// What is asked of a run to know how repeats differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RepeatedRun {
    p50_ns: u64,
    /// The variance that its median has by its own samples, in square nanoseconds; `None` where it has no interval.
    variance: Option<f64>,
}

impl From<&Certainty> for RepeatedRun {
    fn from(run: &Certainty) -> RepeatedRun {
        let of_interval = |(low, high): (f64, f64)| ((high - low) / 2.0 / student_975(run.dependence.degrees)).powi(2);
        RepeatedRun { p50_ns: run.p50_ns, variance: run.interval_ns.map(of_interval) }
    }
}

impl Repeats {
    /// The components of variance of these runs by the method of moments: what the medians vary by, less what each is
    /// unsure by (L. V. Hedges and I. Olkin, Statistical Methods for Meta-Analysis, 1985, chapter 9). `None` without
    /// runs, and where their median is 0.
    pub fn of(runs: impl IntoIterator<Item = impl Into<RepeatedRun>>) -> Option<Repeats> {
        let runs: Vec<RepeatedRun> = runs.into_iter().map(Into::into).collect();
        let count = runs.len() as f64;
        let mean_p50_ns = runs.iter().map(|run| run.p50_ns as f64).sum::<f64>() / count;
        if runs.is_empty() || mean_p50_ns <= 0.0 {
            return None;
        }
        let squares: f64 = runs.iter().map(|run| (run.p50_ns as f64 - mean_p50_ns).powi(2)).sum();
        let variance = (runs.len() > 1).then(|| squares / (count - 1.0));
        let known: Vec<f64> = runs.iter().filter_map(|run| run.variance).collect();
        let are_most = known.len() as f64 >= LEAST_KNOWN_SHARE * count;
        let within = are_most.then(|| known.iter().sum::<f64>() / known.len() as f64);
        let between = variance.zip(within).map(|(variance, within)| (variance - within).max(0.0));
        let percent = |variance: f64| variance.sqrt() / mean_p50_ns * 100.0;
        let quantile = student_975(count - 1.0);
        Some(Repeats {
            runs: runs.len(),
            mean_p50_ns,
            half_interval_percent: variance.map(|variance| quantile * percent(variance / count)),
            within_percent: within.map(percent),
            between_percent: between.map(percent),
        })
    }

    /// The interval of 95 % of the mean of the medians, as low and high end in nanoseconds; `None` of a single run.
    pub fn interval_ns(&self) -> Option<(f64, f64)> {
        let half_ns = self.mean_p50_ns * self.half_interval_percent? / 100.0;
        Some(((self.mean_p50_ns - half_ns).max(0.0), self.mean_p50_ns + half_ns))
    }

    /// Whether runs differ so much more than their samples say that it is no chance: their variance is ten times what
    /// samples explain. Of two runs that happens in 1 of 600 cells, of more in fewer (F distribution with 1 degree of
    /// freedom, whose quantile of 99 % is 6.6). Less than 1 % is nobody's concern.
    pub fn differ(&self) -> bool {
        let (Some(within), Some(between)) = (self.within_percent, self.between_percent) else { return false };
        between >= MUCH_MORE * within && between >= LEAST_TOLD_PERCENT
    }
}
